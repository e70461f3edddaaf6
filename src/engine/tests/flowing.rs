//! Flows that are steered, in virtual time. The target answers with the body that it was sent.

use super::*;
use crate::measure::totals::Ending;

fn run(yaml: &str) -> Rc<Bench> {
    virtually(&plan(yaml), SECOND / 10, Part::WHOLE, |_| async {})
}

fn flow(steps: &str) -> Rc<Bench> {
    run(&format!("users: [{{name: u, tasks: [{{name: t, flow: [{steps}]}}]}}]\nload: {{iterations: 1, users: 1}}"))
}

impl Bench {
    /// How often each request was sent; those that were not, are not there.
    fn sent(&self) -> Vec<(String, u64)> {
        self.requests().into_iter().filter(|(_, count)| *count > 0).collect()
    }

    fn mishaps(&self) -> Vec<String> {
        self.context.run.mishaps()
    }

    /// Tasks that went well, and that did not.
    fn tasks(&self) -> [u64; 2] {
        let tasks = &self.snapshot().totals.tasks;
        [Ending::Success, Ending::Failure].map(|ending| tasks.iter().map(|pair| pair[ending as usize].count()).sum())
    }
}

fn counts(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

// === loops ===

#[test]
fn loops_count_and_go_through_lists() {
    let bench = flow(
        "{loop: {count: 3}, flow: [{get: '/a?status={{ 200 + loop_index }}'}, {loop: {count: '{{ loop_index }}'}, flow: [{get: /inner}]}]},
         {set: {cars: [{id: 5}, {id: 6}]}},
         {loop: {for_each: cars, as: car}, flow: [{post: /car, json: {id: '{{ car.id }}', at: '{{ loop_index }}'}, expect: {that: response.json.id == 5 + loop_index}}]},
         {loop: {for_each: [a, '{{ cars | length }}']}, flow: [{post: /item, json: ['{{ item }}'], when: \"item in ['a', 2]\"}]},
         {if: user_id == 9, then: [{set: {item: 1}}]}, {get: /after, expect: {that: item is undefined}}",
    );
    // Of the loop in the loop: 0, 1 and 2 turns.
    let expected = [("GET /a", 3), ("GET /after", 1), ("GET /inner", 3), ("POST /car", 2), ("POST /item", 2)];
    assert_eq!((bench.sent(), bench.measured().all.failures, bench.mishaps()), (counts(&expected), 0, Vec::new()));
}

#[test]
fn a_while_loop_follows_pages_until_there_is_none() {
    let bench = flow(
        "{set: {page: 1}},
         {loop: {while: page != none}, flow: [{post: /page, json: {next: '{{ page + 1 if page < 5 else none }}'}, capture: {page: {json: $.next}}}]}",
    );
    assert_eq!((bench.sent(), bench.measured().all.failures), (counts(&[("POST /page", 5)]), 0));
}

#[test]
fn a_loop_that_does_not_end_is_given_up_and_lets_others_work() {
    let plan = plan(
        "users:
  - {name: spin, tasks: [{name: t, flow: [{set: {x: 1}}, {loop: {while: x == 1}, flow: [{set: {y: '{{ loop_index }}'}}]}, {get: /spun, when: y == 99999}]}]}
  - {name: work, fixed_count: 1, wait_time: 1s, tasks: [{get: /work}]}
load: {iterations: 4, users: 2}",
    );
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {});
    let told = bench.mishaps();
    assert!(told[0].contains(": the loop has not ended after 100000 turns"), "{told:?}");
    let sent = bench.requests();
    assert!(sent["GET /work"] >= 1 && sent["GET /spun"] >= 1, "{sent:?}");
}

#[test]
fn what_is_no_list_and_no_number_is_said() {
    let of = |steps: &str| flow(steps).mishaps();
    let line = "the step in line 2 failed once: ";
    for (steps, why) in [
        ("{loop: {count: '{{ 1.5 }}'}, flow: [{get: /a}]}", "`count` is no whole number: 1.5"),
        ("{loop: {count: '{{ 0 - 3 }}'}, flow: [{get: /a}]}", "`count` is no whole number: -3"),
        ("{loop: {count: '{{ 3000000 + 1 }}'}, flow: [{get: /a}]}", "`count` is 3000001, and a loop has at most 1000000 turns"),
        ("{loop: {for_each: run_id}, flow: [{get: /a}]}", "`for_each` needs a list, and this is the text \"virtual\""),
        ("{loop: {for_each: user_id}, flow: [{get: /a}]}", "`for_each` needs a list, and this is 1"),
        ("{loop: {while: loop_index < 9, at_most: 3}, flow: [{get: /a}]}", "the loop has not ended after 3 turns"),
        ("{if: response.json.x == 1, then: [{get: /b}]}", "`response` is undefined: there is a response only after a request"),
    ] {
        let steps =
            if steps.contains("response") { format!("{{get: /r, when: user_id == 9}}, {steps}") } else { steps.to_owned() };
        let told = of(&steps);
        assert_eq!(told.len(), 1, "{steps}");
        assert!(told[0].starts_with(&format!("{line}{}", &why[..why.len().min(40)])), "{steps}: {told:?}");
    }
}

// === branches ===

#[test]
fn branches_are_taken_as_their_conditions_say() {
    let bench = run("users: [{name: u, tasks: [{name: t, flow: [
            {set: {n: '{{ iteration % 3 }}'}},
            {if: n == 0, then: [{get: /zero}], else: [{if: n == 1, then: [{get: /one}], else: [{get: /more}]}]},
            {if: n > 0, then: [{get: /above}]}]}]}]
load: {iterations: 9, users: 1}");
    assert_eq!(bench.sent(), counts(&[("GET /above", 6), ("GET /more", 3), ("GET /one", 3), ("GET /zero", 3)]));
    assert_eq!(bench.tasks(), [9, 0]);
}

#[test]
fn choices_keep_their_weights_and_repeat_with_the_seed() {
    let yaml = "users: [{name: u, tasks: [{name: t, flow: [{choose: [{weight: 3, flow: [{get: /a}]}, {flow: [{get: /b}]}, {weight: 0, flow: [{get: /never}]}]}]}]}]
load: {iterations: 4000, users: 4}";
    let (first, second) = (run(yaml).requests(), run(yaml).requests());
    assert_eq!(first, second);
    // Five standard deviations.
    assert!((2860..=3140).contains(&first["GET /a"]) && first["GET /never"] == 0, "{first:?}");
    assert_eq!(first["GET /a"] + first["GET /b"], 4000);
}

#[test]
fn groups_are_nested_and_measured_each() {
    let bench = flow(
        "{group: outer, flow: [{get: /a}, {group: inner, flow: [{get: /b}, {if: user_id == 1, then: [{group: deep, flow: [{get: /c}]}]}]}]}",
    );
    let rows = bench.snapshot().totals.groups;
    let names = bench.context.plan.catalog.groups.iter().map(|group| group.group.as_str());
    let millis = |pair: &[crate::measure::histogram::Histogram; 2]| (pair[0].count(), pair[0].sum_nanos() / 1_000_000);
    let times: Vec<_> = names.zip(rows.iter().map(millis)).collect();
    assert_eq!(times, [("outer", (1, 300)), ("inner", (1, 200)), ("deep", (1, 100))]);
}

// === variables ===

#[test]
fn set_keeps_types_and_sees_what_was_set_before() {
    let bench = flow(
        "{set: {n: 5, text: '5', twice: '{{ n * 2 }}', list: [1, '{{ n }}'], said: 'n={{ n }}', no: null}},
         {set: {n: '{{ n + 1 }}'}},
         {get: /x, expect: {that: [n == 6, \"text == '5'\", twice == 10, 'list == [1, 5]', \"said == 'n=5'\", no is none]}}",
    );
    assert_eq!((bench.measured().all.requests, bench.measured().all.failures, bench.mishaps()), (1, 0, Vec::new()));
}

#[test]
fn a_variable_that_grows_is_stopped_before_the_memory_is_full() {
    let bench = flow(
        "{set: {x: '0123456789abcdef'}}, {loop: {count: 100}, flow: [{set: {x: '{{ x }}{{ x }}'}}]}, \n{set: {l: [1]}}, {loop: {count: 100}, flow: [{set: {l: ['{{ l }}', '{{ l }}', '{{ x }}']}}]}",
    );
    let told = bench.mishaps();
    assert!(told.iter().any(|text| text.contains("failed 84 times: `x` would be larger than 1 MiB")), "{told:?}");
    assert!(told.iter().any(|text| text.contains("`l` would be larger than 1 MiB")), "{told:?}");
}

#[test]
fn a_variable_that_is_nested_too_deep_is_said_to_be_that() {
    for wrapped in ["['{{ x }}']", "{in: '{{ x }}'}", "[{in: '{{ x }}'}]"] {
        let bench = flow(&format!("{{set: {{x: []}}}}, {{loop: {{count: 60}}, flow: [{{set: {{x: {wrapped}}}}}]}}"));
        let told = bench.mishaps();
        assert!(told.iter().any(|text| text.contains("`x` would be nested more than 50 levels deep")), "{wrapped}: {told:?}");
        assert!(told.iter().all(|text| !text.contains("larger")), "{wrapped}: {told:?}");
    }
}

#[test]
fn variables_belong_to_their_user() {
    let bench = run("users: [{name: u, wait_time: {between: [1s, 2s]}, tasks: [{name: t, flow: [
            {set: {mine: '{{ user_id }}', seen: '{{ (seen | default(0)) + 1 }}'}}, {think: {between: [0s, 1s]}},
            {get: /x, expect: {that: [mine == user_id, seen == iteration + 1]}}]}]}]
load: {users: 10, run_time: 60s}");
    let measured = bench.measured();
    assert!(measured.all.requests > 200);
    assert_eq!(measured.all.failures, 0);
}

// === ends ===

#[test]
fn stops_end_the_task_the_user_or_the_run() {
    let of = |stop: &str| {
        let yaml = format!(
            "users: [{{name: u, wait_time: 1s, on_stop: [{{get: /bye}}], tasks: [{{name: t, flow: [{{get: /a}}, {{if: user_id == 1 and iteration == 2, then: [{{group: g, flow: [{{loop: {{count: 5}}, flow: [{{stop: {stop}}}]}}]}}]}}, {{get: /b}}]}}]}}]\nload: {{users: 2, run_time: 12s}}"
        );
        let bench = run(&yaml);
        (bench.sent(), bench.tasks(), bench.context.run.is_stopped())
    };
    // A task each 1.2 s: ten of each user.
    let all = |a, b| counts(&[("GET /a", a), ("GET /b", b), ("GET /bye", 2)]);
    // Who left out a step is so much earlier, and comes to one task more.
    assert_eq!(of("task"), (all(21, 20), [23, 0], false));
    assert_eq!(of("user"), (all(13, 12), [15, 0], false));
    // The other user is in its task just then, ends it, and begins no other.
    assert_eq!(of("run"), (all(6, 5), [8, 0], true));
}

#[test]
fn when_all_users_have_stopped_the_load_is_over() {
    let bench = run(
        "users: [{name: u, wait_time: 1s, tasks: [{name: t, flow: [{get: /a}, {if: iteration == 4, then: [{stop: user}]}]}]}]\nload: {users: 3, run_time: 1h}",
    );
    assert_eq!(bench.sent(), counts(&[("GET /a", 15)]));
    assert!(bench.elapsed() < 10 * SECOND, "{:?}", bench.elapsed());
}

#[test]
fn of_an_open_load_another_user_comes_for_one_that_stopped() {
    let bench = run(
        "users: [{name: u, on_start: [{get: /hello}], tasks: [{name: t, flow: [{get: /a}, {stop: user}]}]}]\nload: {arrival_rate: 1/s, max_users: 2, run_time: 20s}",
    );
    assert_eq!(bench.sent(), counts(&[("GET /a", 20), ("GET /hello", 20)]));
    assert_eq!((bench.measured().arrivals_dropped, bench.users()), (0, [0, 0, 0]));
}

#[test]
fn a_fail_ends_the_task_as_a_failure_and_says_why() {
    let bench = run(
        "users: [{name: u, tasks: [{name: t, flow: [{get: /a}, {if: iteration == 1, then: [{fail: 'no {{ user_id }}'}]}, {get: /b}]}]}]\nload: {iterations: 3, users: 1}",
    );
    assert_eq!((bench.sent(), bench.tasks()), (counts(&[("GET /a", 3), ("GET /b", 2)]), [2, 1]));
    assert_eq!(bench.mishaps(), ["the step in line 2 failed once: no 1"]);
}

#[test]
fn on_failure_is_of_the_innermost_that_says_something() {
    let of = |user: &str, task: &str, step: &str| {
        let yaml = format!(
            "users: [{{name: u, {user} tasks: [{{name: t, {task} flow: [{{get: '/a?status=500', {step}}}, {{get: /b}}]}}]}}]\nload: {{iterations: 3, users: 1}}"
        );
        run(&yaml).sent()
    };
    let (goes_on, next, ends) = (counts(&[("GET /a", 3), ("GET /b", 3)]), counts(&[("GET /a", 3)]), counts(&[("GET /a", 1)]));
    assert_eq!(of("", "", "name: GET /a"), goes_on);
    assert_eq!(of("on_failure: next_task,", "", ""), next);
    assert_eq!(of("", "on_failure: stop_user,", ""), ends);
    assert_eq!(of("on_failure: stop_user,", "", "on_failure: next_task"), next);
    assert_eq!(of("on_failure: stop_user,", "on_failure: next_task,", "on_failure: continue"), goes_on);
    // Of a step it holds for those within it, and what cannot be sent has failed too.
    let within = "users: [{name: u, on_stop: [{get: /bye}], tasks: [{name: t, flow: [{group: g, on_failure: stop_user, flow: [{get: '/{{ x }}', name: unsent}, {get: /b}]}, {set: {x: 1}}]}]}]\nload: {iterations: 3, users: 1}";
    assert_eq!(run(within).sent(), counts(&[("GET /bye", 1), ("unsent", 1)]));
}

#[test]
fn a_failed_start_ends_its_user_before_its_first_task() {
    let bench = run(
        "users: [{name: u, on_failure: stop_user, on_start: [{get: '/login?status=403'}], on_stop: [{get: /bye}], tasks: [{get: /a}]}]\nload: {users: 3, run_time: 1h}",
    );
    assert_eq!(bench.sent(), counts(&[("GET /bye", 3), ("GET /login", 3)]));
    assert_eq!(bench.elapsed(), SECOND / 5);
}

// === meetings ===

#[test]
fn users_meet_and_go_on_together() {
    // One comes each second; three go on when the third is there.
    let bench = run(
        "users: [{name: u, tasks: [{name: t, flow: [{get: /come}, {rendezvous: {name: r, users: 3, timeout: 10s}}, {get: /go}, {think: 100s}]}]}]\nload: {users: 6, spawn_rate: 1/s, run_time: 30s}",
    );
    assert_eq!((bench.sent(), bench.mishaps()), (counts(&[("GET /come", 6), ("GET /go", 6)]), Vec::new()));
    let bench_at = |seconds: u32, gone: u64| {
        let plan = plan(
            "users: [{name: u, tasks: [{name: t, flow: [{get: /come}, {rendezvous: {name: r, users: 3}}, {get: /go}, {think: 100s}]}]}]\nload: {users: 6, spawn_rate: 1/s, run_time: 30s}",
        );
        virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
            bench.at(seconds * SECOND + SECOND / 2).await;
            assert_eq!(bench.requests()["GET /go"], gone, "after {seconds} s");
            bench.tell(Mode::Cut);
        });
    };
    // The third is there at 2.1 s, the sixth at 5.1 s.
    [(1, 0), (2, 3), (4, 3), (5, 6)].into_iter().for_each(|(seconds, gone)| bench_at(seconds, gone));
    let times = bench.measured().all.response.unwrap();
    assert!(times.max < 0.11, "the wait is nobody's response time: {times:?}");
}

#[test]
fn who_waits_in_vain_goes_on_and_its_task_has_failed() {
    let bench = run(
        "users: [{name: u, tasks: [{name: t, flow: [{rendezvous: {name: r, users: 5, timeout: 2s}}, {get: /go}]}]}]\nload: {iterations: 3, users: 3}",
    );
    assert_eq!((bench.sent(), bench.tasks()), (counts(&[("GET /go", 3)]), [0, 3]));
    let told = bench.mishaps();
    assert!(told[0].contains("failed 3 times: rendezvous `r`: 3 of 5 users came within 2s"), "{told:?}");
    assert_eq!(bench.elapsed(), SECOND * 21 / 10);
}

#[test]
fn who_is_told_to_stop_leaves_a_meeting_and_ends_its_task() {
    let plan = plan(
        "users: [{name: u, tasks: [{name: t, flow: [{rendezvous: {name: r, users: 5, timeout: 1h}}, {get: /go}]}]}]\nload: {users: 3}",
    );
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
        bench.at(5 * SECOND).await;
        bench.tell(Mode::Stop);
    });
    assert_eq!((bench.sent(), bench.elapsed()), (counts(&[("GET /go", 3)]), SECOND * 51 / 10));
    assert_eq!(bench.context.run.meetings[0].waiting(), 0);
}
