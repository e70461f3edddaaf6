//! Rows of data files, as users get them.

use super::*;

/// A plan over rows 0 to `rows`, whose users say by the names of requests which rows they have.
fn fed(rows: usize, options: &str, users: &str, load: &str) -> (tempfile::TempDir, Arc<Plan>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, (0..rows).fold("x\n".to_owned(), |text, row| format!("{text}{row}\n"))).unwrap();
    let yaml = format!("data: {{r: {{csv: {}, {options}}}}}\nusers: {users}\nload: {load}", path.display());
    (folder, plan(&yaml))
}

/// A flow of requests of which each is made by those who have its row; their names begin with `prefix`.
fn tell(prefix: &str, rows: usize) -> String {
    let steps: Vec<_> = (0..rows).map(|row| format!("{{get: /, name: {prefix}{row}, when: r.x == '{row}'}}")).collect();
    format!("[{}]", steps.join(", "))
}

fn counts(bench: &Bench, prefix: &str, rows: usize) -> Vec<u64> {
    let requests = bench.requests();
    (0..rows).map(|row| requests[&format!("{prefix}{row}")]).collect()
}

#[test]
fn ten_users_and_ten_rows_of_a_queue_and_none_is_shared() {
    let users = format!("[{{name: u, tasks: [{{name: t, flow: {}}}]}}]", tell("", 10));
    for load in ["{users: 10, run_time: 5s}", "{users: 3, run_time: 5s}", "{users: 20, spawn_rate: 10/s, run_time: 5s}"] {
        let (_folder, plan) = fed(10, "order: queue", &users, load);
        let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {});
        assert_eq!(counts(&bench, "", 10), [1; 10], "{load}");
        assert_eq!(bench.users(), [0, 0, 0]);
        let why = bench.context.run.feeds.stop(0);
        assert_eq!(why.as_deref(), Some("the data has come to its end, and all users with it"), "{load}");
        assert_eq!(bench.context.run.feeds.stop(1), None, "somebody is still there");
    }
}

#[test]
fn a_user_that_finds_no_row_says_goodbye_and_the_others_go_on() {
    let flow = tell("", 4);
    let users = format!(
        "[{{name: fed, fixed_count: 2, tasks: [{{name: t, flow: {flow}}}], on_stop: [{{get: /bye}}]}}, \
          {{name: other, tasks: [{{get: /other}}], wait_time: 900ms}}]"
    );
    let (_folder, plan) = fed(4, "order: queue", &users, "{users: 3, run_time: 10s}");
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
        bench.at(SECOND / 2).await;
        assert_eq!(bench.users().iter().sum::<u64>(), 1, "the two have ended after two tasks of 100 ms and a goodbye each");
    });
    let requests = bench.requests();
    assert_eq!((counts(&bench, "", 4), requests["GET /bye"], requests["GET /other"]), (vec![1; 4], 2, 10));
    assert_eq!(bench.context.run.feeds.stop(0), None, "the other type goes on without rows");
}

#[test]
fn the_last_row_may_end_the_run() {
    let users = format!("[{{name: u, tasks: [{{name: t, flow: {}}}]}}]", tell("", 3));
    for load in ["{users: 2, run_time: 5s}", "{arrival_rate: 10/s, max_users: 5, run_time: 5s}"] {
        let (_folder, plan) = fed(3, "order: queue, at_end: stop_run", &users, load);
        let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {});
        assert_eq!(counts(&bench, "", 3), [1; 3], "{load}");
        assert_eq!(bench.context.run.feeds.stop(9).as_deref(), Some("`r` has given its last row, and the run stopped"), "{load}");
    }
}

#[test]
fn a_row_for_each_user_task_or_request() {
    let parts = [("start", "on_start"), ("stop", "on_stop")].map(|(name, key)| format!("{key}: {}", tell(name, 6)));
    let users = format!(
        "[{{name: u, {}, tasks: [{{name: t, flow: {}}}], wait_time: 1s}}]",
        parts.join(", "),
        tell("", 6).replace("'}]", "'}, {get: /, name: again, when: r.x == '0'}]")
    );
    // Two users with two tasks each, at 0 s and about 1 s.
    let run = |per: &str| {
        let (_folder, plan) = fed(6, &format!("per: {per}"), &users, "{users: 2, run_time: 1500ms}");
        virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {})
    };
    let bench = run("user");
    let all = |bench: &Bench| ["start", "", "stop"].map(|prefix| counts(bench, prefix, 6));
    assert_eq!(all(&bench), [vec![1, 1, 0, 0, 0, 0], vec![2, 2, 0, 0, 0, 0], vec![1, 1, 0, 0, 0, 0]]);
    assert_eq!(bench.requests()["again"], 2, "a row stays through a task");
    // on_start, the task, the other task, on_stop: eight rows, of which there are six.
    let bench = run("task");
    assert_eq!(all(&bench), [vec![1, 1, 0, 0, 0, 0], vec![0, 0, 1, 1, 1, 1], vec![1, 1, 0, 0, 0, 0]]);
}

#[test]
fn a_request_may_have_a_row_of_its_own_and_ends_its_user_without() {
    let users = "[{name: u, tasks: [{name: t, flow: [{get: \"/{{ r.x }}\", name: a}, {get: /plain}, {group: g, flow: [{get: \"/{{ r.x }}\", name: b}, {get: /c}]}]}]}]";
    let (_folder, plan) = fed(5, "per: request, order: queue", users, "{users: 1, run_time: 5s}");
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {});
    let requests = bench.requests();
    // Two rows for each task: the third has one, and then nothing more.
    assert_eq!(["a", "b", "GET /plain", "GET /c"].map(|name| requests[name]), [3, 2, 3, 2]);
    assert_eq!(bench.measured().all.failures, 0, "it ends plainly");
}
