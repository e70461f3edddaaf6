//! `tests/scenarios`: what good files become, and what is said of bad ones, compared to the letter.
//!
//! | file | holds |
//! |---|---|
//! | `X.good.yaml` | a scenario; `X.good.plan` is what `otload check` prints of it, with warnings before |
//! | `X.bad.yaml` | a wrong one; `X.bad.stderr` is everything that is said |
//!
//! `UPDATE_GOLDEN=1` writes the expected files anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use otload::diagnostic::{Problems, Source};
use otload::scenario::document::node::{Node, Value};
use otload::scenario::plan::{Plan, Step};
use otload::scenario::{Overrides, compile, describe, load, schema};
use otload::units::Rate;
use proptest::prelude::*;

const FOLDER: &str = "tests/scenarios";

/// What the tests' environment holds.
fn overrides() -> Overrides {
    let env = [("API_USER", "ann"), ("API_PASSWORD", "s3cret"), ("API_TOKEN", "t0ken"), ("EMPTY", "")];
    Overrides { env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), ..Overrides::default() }
}

fn files(ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

fn compile_file(path: &Path) -> Result<(Plan, Problems), Problems> {
    // Messages name the file as a user beside it would.
    let name = format!("{FOLDER}/{}", path.file_name().unwrap().to_string_lossy());
    compile(Arc::new(Source { name, text: std::fs::read_to_string(path).unwrap() }), &overrides())
}

/// Compares with the golden file, or writes it; gives the difference.
fn golden(path: &Path, found: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, found).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    (expected != found).then(|| format!("{}\n--- expected\n{expected}\n--- found\n{found}", path.display()))
}

#[test]
fn good_files_become_plans() {
    let files = files(".good.yaml");
    assert!(files.len() >= 10, "only {}", files.len());
    let differences: Vec<_> = files
        .iter()
        .filter_map(|path| match compile_file(path) {
            Ok((plan, warnings)) => {
                let warnings = if warnings.is_empty() { String::new() } else { format!("{}\n", warnings.render(false)) };
                golden(&path.with_extension("plan"), &(warnings + &describe(&plan)))
            }
            Err(problems) => Some(format!("{} should be good\n{}", path.display(), problems.render(false))),
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn bad_files_are_explained() {
    let files = files(".bad.yaml");
    assert!(files.len() >= 60, "only {}", files.len());
    let differences: Vec<_> = files
        .iter()
        .filter_map(|path| match compile_file(path) {
            Ok(_) => Some(format!("{} should be bad", path.display())),
            Err(problems) => golden(&path.with_extension("stderr"), &problems.render(false)),
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn what_is_observed_is_what_the_file_says() {
    use otload::export::otlp::settings::{Compression, Headers, Keep, Logs, Metrics, Observe, Per, Protocol, Target, Traces};
    use otload::units::Ratio;
    let observed = |file: &str| compile_file(&Path::new(FOLDER).join(file)).unwrap().0.observe;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let target = |url: &str| Target { endpoint: Some(url.parse().unwrap()), ..Target::default() };
    let found = observed("observe.good.yaml");
    let traces = Traces {
        target: Target {
            protocol: Some(Protocol::Http),
            headers: Headers(vec![pair("authorization", "Bearer t0ken"), pair("x-scope-orgid", "CARS")]),
            compression: Some(Compression::Gzip),
            timeout: Some(Duration::from_secs(5)),
            ..target("http://127.0.0.1:4318?key=secret")
        },
        sample: Ratio::try_new(0.025).unwrap(),
        keep: Keep { errors: true, slower_than: Some(Duration::from_secs(1)) },
        propagate_all: true,
        per: Per::Request,
        baggage: true,
        queue: 1000,
        ui: Some("http://127.0.0.1:16686/trace/{trace_id}".into()),
    };
    let metrics = Metrics {
        target: Target {
            protocol: Some(Protocol::Grpc),
            ca: Some(Path::new(FOLDER).join("observe.good.yaml")),
            ..target("https://otlp.example.com")
        },
        interval: Duration::from_secs(5),
    };
    let logs = Logs { target: Target::default(), queue: 5 };
    let labels = vec![pair("team", "cars"), pair("stage", "7")];
    assert_eq!(found, Observe { labels, traces: Some(traces), metrics: Some(metrics), logs: Some(logs) });
    assert!(!format!("{found:?}").contains("t0ken"), "values of headers are secrets");
    let traces = Traces {
        target: Target::default(),
        sample: Ratio::try_new(0.01).unwrap(),
        keep: Keep::default(),
        propagate_all: false,
        per: Per::Task,
        baggage: false,
        queue: 20_000,
        ui: None,
    };
    let metrics = Metrics { target: Target::default(), interval: Duration::from_secs(10) };
    let defaults = Observe { traces: Some(traces), metrics: Some(metrics), ..Observe::default() };
    assert_eq!(observed("observe_defaults.good.yaml"), defaults);
    assert_eq!(observed("cars.good.yaml"), Observe::default());
}

#[test]
fn no_golden_file_is_left_over() {
    for ending in [".plan", ".stderr"] {
        for path in files(ending) {
            assert!(path.with_extension("yaml").exists(), "{} has no scenario", path.display());
        }
    }
}

// === files that cannot lie in a folder of tests ===

fn load_error(path: &Path) -> String {
    match load(path, &overrides()) {
        Ok(_) => panic!("{} should be bad", path.display()),
        Err(problems) => problems.render(false).replace(&path.display().to_string(), "PATH"),
    }
}

#[test]
fn what_is_no_readable_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    for (path, message) in [
        (
            folder.path().join("missing.yaml"),
            "error: there is no file `PATH`\nhint: give the path of a scenario, such as examples/cars.yaml\n",
        ),
        (folder.path().to_owned(), "error: `PATH` is a folder, not a scenario\nhint: give the path of a YAML file in it\n"),
        (
            file("empty.yaml", b""),
            "error: `PATH` is empty\nhint: a scenario needs at least `host`, `users` with tasks, and `load`; see examples/cars.yaml\n",
        ),
        (
            file("large.yaml", &b"# large\n".repeat(5 << 17)),
            "error: `PATH` is larger than the 4 MiB that a scenario may have\nhint: is it a scenario? rows of test data do not belong into it\n",
        ),
        (
            file("latin1.yaml", b"name: cars\nhost: caf\xe9\n"),
            "error: the file is not UTF-8 from here on\n --> PATH:2:10\n  |\n2 | host: caf\u{fffd}\n  |          ^\nhint: save it as UTF-8\n",
        ),
        (
            file("utf16.yaml", b"\xff\xfen\0a\0m\0e\0"),
            "error: the file is not UTF-8 from here on\n --> PATH:1:1\n  |\n1 | \u{fffd}\u{fffd}n a m e \n  | ^\nhint: it looks like UTF-16; save it as UTF-8\n",
        ),
    ] {
        assert_eq!(load_error(&path), message);
    }
}

#[cfg(unix)]
#[test]
fn an_endless_file_is_not_read_to_its_end() {
    assert!(
        load_error(Path::new("/dev/zero"))
            .starts_with("error: `PATH` cannot be read: it is a device, and only regular files are read")
    );
}

#[test]
fn the_size_of_a_text_is_bounded_too() {
    let text = format!("name: {}\n", "x".repeat(5 << 20));
    let problems = compile(Arc::new(Source { name: "x.yaml".into(), text }), &Overrides::default()).unwrap_err();
    assert!(problems.render(false).starts_with("error: `x.yaml` is larger than the 4 MiB"));
}

#[test]
fn endless_problems_are_counted() {
    let text = (0..20_000).map(|n| format!("k{n}: 1\n")).collect();
    let said = compile(Arc::new(Source { name: "x.yaml".into(), text }), &Overrides::default()).unwrap_err().render(false);
    assert_eq!(said.matches("error: ").count(), 100);
    assert!(said.ends_with("warning: only 100 of 20002 errors are shown\n"), "{}", &said[said.len() - 200..]);
}

#[test]
fn endless_nesting_is_refused() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), format!("a:{}", "\n- ".repeat(10))] {
        let source = Arc::new(Source { name: "x.yaml".into(), text });
        assert!(compile(source, &Overrides::default()).is_err());
    }
}

// === overrides ===

const SMALL: &str = "host: http://127.0.0.1:5000\nvariables: {currency: EUR, most: 5}\nusers:\n  - name: A\n    tags: [slow]\n    tasks: [{get: /a, tags: [smoke]}, {get: /b}]\n  - name: B\n    tasks: [{get: /c, tags: smoke}]\nload: {users: 10, spawn_rate: 5/s, run_time: 1m}\n";

fn small(change: impl FnOnce(&mut Overrides)) -> Result<Plan, String> {
    with(SMALL, change)
}

fn with(text: &str, change: impl FnOnce(&mut Overrides)) -> Result<Plan, String> {
    let mut overrides = overrides();
    change(&mut overrides);
    let source = Arc::new(Source { name: "folder/small.yaml".into(), text: text.into() });
    compile(source, &overrides).map(|(plan, _)| plan).map_err(|problems| problems.render(false))
}

#[test]
fn the_command_line_goes_before_the_file() {
    let plan = small(|o| {
        o.host = Some("https://example.com:8443".into());
        o.users = Some(20);
        o.spawn_rate = Some(Rate::try_new(4.0).unwrap());
        o.run_time = Some(Duration::from_secs(30));
        o.set = vec![("currency".into(), "5".into())];
    })
    .unwrap();
    assert_eq!(plan.name, "small", "the file's name without folder and extension");
    assert_eq!(plan.host.unwrap().as_str(), "https://example.com:8443/");
    assert_eq!((plan.crews[0].profile.peak(), plan.crews[0].profile.end()), (20, Some(Duration::from_secs(30))));
    assert_eq!(
        plan.crews[0].profile.users_at(Duration::from_millis(1100), &otload::load::Course::default()),
        5,
        "one at once, then four a second"
    );
    assert_eq!(plan.sha256.len(), 64);
}

#[test]
fn overrides_that_fit_nothing_are_refused() {
    let stages = SMALL.replace("load: {users: 10, spawn_rate: 5/s, run_time: 1m}", "load: {stages: [{users: 5, over: 1m}]}");
    let said = with(&stages, |o| {
        o.users = Some(1);
        o.run_time = Some(Duration::from_secs(1));
    })
    .unwrap_err();
    assert!(said.contains("error: --users cannot override a load in stages\n --> folder/small.yaml:9:8"), "{said}");
    assert!(said.contains("error: --run-time cannot override a load in stages"), "{said}");
    for (change, said) in [
        (
            Box::new(|o: &mut Overrides| o.set = vec![("curency".into(), "x".into())]) as Box<dyn FnOnce(&mut Overrides)>,
            "error: --set: the scenario has no variable `curency`\nhint: did you mean `currency`?\n",
        ),
        (Box::new(|o| o.users = Some(0)), "error: --users: a load needs at least one user\n"),
        (
            Box::new(|o| o.host = Some("localhost:80".into())),
            "error: --host: `localhost:80` has no scheme\nhint: write `http://localhost:80`\n",
        ),
        (
            Box::new(|o| o.tags = vec!["smok".into()]),
            "error: --tags: nothing in the scenario has the tag `smok`\nhint: did you mean `smoke`?\n",
        ),
        (
            Box::new(|o| {
                o.tags = vec!["smoke".into()];
                o.exclude_tags = vec!["smoke".into()];
            }),
            "error: no task is left by --tags and --exclude-tags\nhint: choose others, or leave the options out\n",
        ),
    ] {
        assert_eq!(small(change).unwrap_err(), said);
    }
}

#[test]
fn overrides_of_open_loads_shapes_and_own_loads() {
    let load = "load: {users: 10, spawn_rate: 5/s, run_time: 1m}";
    let refused = |new: &str, change: fn(&mut Overrides)| with(&SMALL.replace(load, new), change).unwrap_err();
    let users = |o: &mut Overrides| o.users = Some(1);
    let rate = |o: &mut Overrides| o.spawn_rate = Rate::try_new(1.0);
    let time = |o: &mut Overrides| o.run_time = Some(Duration::from_secs(10));
    let open = "load: {arrival_rate: 5/s, max_users: 5, run_time: 1m}";
    assert!(refused(open, users).contains("error: --users cannot override an open load\n --> folder/small.yaml:9:8"));
    assert!(refused(open, rate).contains("error: --spawn-rate cannot override an open load"));
    let plan = with(&SMALL.replace(load, open), time).unwrap();
    assert_eq!(plan.crews[0].end(), Some(Duration::from_secs(10)));
    let stages = "load: {max_users: 5, stages: [{arrival_rate: 5/s, over: 1m}]}";
    assert!(refused(stages, time).contains("error: --run-time cannot override a load in stages"));
    for (shape, name) in [
        ("load: {spike: {users: 5, hold: 1m}}", "spike"),
        ("load: {stress: {from: 1, to: 5, step: 1, every: 1m}}", "stress"),
        ("load: {soak: {normal_users: 5, hold: 1m}}", "soak"),
    ] {
        for (option, change) in [("--users", users as fn(&mut Overrides)), ("--spawn-rate", rate), ("--run-time", time)] {
            let said = refused(shape, change);
            assert!(said.contains(&format!("error: {option} cannot override the shape `{name}`")), "{said}");
        }
    }
    // A run time is the whole run's: it ends the loads of user types too, however late they begin.
    let own = SMALL.replace("- name: B", "- name: B\n    start_after: 4s\n    load: {users: 1}");
    let plan = with(&own, time).unwrap();
    assert_eq!(plan.crews.iter().map(otload::scenario::plan::Crew::end).collect::<Vec<_>>(), [Some(Duration::from_secs(10)); 2]);
    let said = with(&own, |o| o.run_time = Some(Duration::from_secs(4))).unwrap_err();
    assert_eq!(said, "error: --run-time: the run would end before `B` begins, after 4s\nhint: give a longer one\n");
    let all_own = own.replace("- name: A", "- name: A\n    load: {users: 1}").replace(load, "");
    let said = with(&all_own, users).unwrap_err();
    assert!(said.starts_with("error: --users has nothing to override: every user type has its own `load`\n"), "{said}");
}

#[test]
fn tags_choose_tasks_and_leave_no_names_of_others() {
    let tasks =
        |plan: &Plan| plan.users.iter().flat_map(|user| user.tasks.iter().map(|task| task.name.clone())).collect::<Vec<_>>();
    let plan = small(|o| o.tags = vec!["smoke".into()]).unwrap();
    assert_eq!(
        tasks(&plan),
        ["GET /a", "GET /b", "GET /c"].map(str::to_owned)[..]
            .iter()
            .filter(|name| *name != "GET /b")
            .cloned()
            .collect::<Vec<_>>()
    );
    assert_eq!(plan.catalog.requests.iter().map(|name| name.request.as_str()).collect::<Vec<_>>(), ["GET /a", "GET /c"]);
    assert_eq!(plan.catalog.tasks.len(), 2);
    let plan = small(|o| o.tags = vec!["slow".into()]).unwrap();
    assert_eq!(tasks(&plan), ["GET /a", "GET /b"], "a user type's tags are its tasks' too");
    assert_eq!(plan.catalog.users, ["A"]);
    let plan = small(|o| o.exclude_tags = vec!["slow".into()]).unwrap();
    assert_eq!(tasks(&plan), ["GET /c"]);
    assert_eq!(plan.users[0].tasks[0].id.index(), 0);
}

#[test]
fn secrets_are_the_values() {
    let text = SMALL.replace(
        "users:\n",
        "secrets: [API_PASSWORD, EMPTY]\nhttp: {headers: {x-key: '{{ env.API_PASSWORD }}{{ env.EMPTY }}'}}\nusers:\n",
    );
    assert_eq!(
        with(&text, |_| {}).unwrap().secrets,
        ["czNjcmV0", "MzY3Jld", "zM2NyZX", "s3cret"],
        "as it is and in base64, by itself and within others; an empty one would mask everything"
    );
    // As URLs and JSON show it, the longest first, so that none leaves a rest of another; and the host's password.
    let text = text.replace("http://127", "http://u:p%40ss@127");
    let secrets = with(&text, |o| drop(o.env.insert("API_PASSWORD".into(), "a \"b".into()))).unwrap().secrets;
    for form in ["a \"b", "a+%22b", "a%20%22b", "a \\\"b", "p@ss", "p%40ss"] {
        assert!(secrets.iter().any(|secret| secret == form), "{form}: {secrets:?}");
    }
    assert!(secrets.is_sorted_by_key(|secret| std::cmp::Reverse(secret.len())), "{secrets:?}");
}

// === the language as it is documented ===

#[test]
fn documented_forms_of_a_load_compile() {
    for (load, peak, end) in [
        ("{users: 100, spawn_rate: 10/s, run_time: 10m}", 100, Some(600)),
        ("{users: 100}", 100, None),
        ("\n  stages: [{users: 100, over: 2m}, {users: 100, over: 10m}, {users: 0, over: 1m}]", 100, Some(780)),
        ("{iterations: 10000, users: 50}", 50, None),
    ] {
        let text = SMALL.replace("{users: 10, spawn_rate: 5/s, run_time: 1m}", load);
        let plan = with(&text, |_| {}).unwrap();
        assert_eq!((plan.crews[0].profile.peak(), plan.crews[0].profile.end()), (peak, end.map(Duration::from_secs)), "{load}");
        assert_eq!(plan.crews[0].profile.iterations(), load.contains("iterations").then_some(10_000), "{load}");
        assert_eq!(plan.graceful_stop, Duration::from_secs(30));
    }
}

#[test]
fn warm_up_and_graceful_stop_stand_at_the_top_or_under_load() {
    for text in [
        format!("{SMALL}warm_up: 10s\ngraceful_stop: 1s\n"),
        SMALL.replace("run_time: 1m}", "run_time: 1m, warm_up: 10s, graceful_stop: 1s}"),
    ] {
        let plan = with(&text, |_| {}).unwrap();
        assert_eq!((plan.warm_up, plan.graceful_stop), (Duration::from_secs(10), Duration::from_secs(1)));
    }
}

/// Only what something looks at is kept; bodies cost memory and time.
#[test]
fn bodies_are_kept_where_something_looks_at_them() {
    let flow = "host: http://x\nload: {users: 1}\nusers:\n  - tasks:\n      - name: f\n        flow:\n";
    for (steps, kept) in [
        ("[{get: /a}, {get: /b}]", &[false, false][..]),
        ("[{get: /a, expect: {status: 200}}, {get: /b, expect: {headers: {etag: x}, max_time: 1s}}]", &[false, false]),
        (
            "[{get: /a, expect: {body: x}}, {get: /b, expect: {json: {$.a: 1}}}, {get: /c, expect: {that: 'true'}}]",
            &[true, true, true],
        ),
        ("[{get: /a}, {think: 1s}, {get: '/b?x={{ response.json.id }}'}]", &[true, false]),
        ("[{get: /a}, {get: /b}, {get: /c, when: response.status == 200}]", &[false, true, false]),
        // When /b is skipped, /c sees the response of /a.
        ("[{get: /a}, {get: /b, when: user_id > 1}, {post: /c, json: ['{{ response.body }}']}]", &[true, true, false]),
        ("[{get: /a}, {group: g, flow: [{get: /b}, {get: /c, headers: {x: '{{ response.status }}'}}]}]", &[false, true, false]),
        ("[{group: g, flow: [{get: /a}]}, {post: /b, form: {x: '{{ response.status }}'}}]", &[true, false]),
    ] {
        let plan = with(&format!("{flow}          {steps}\n"), |_| {}).unwrap();
        fn all(steps: &[Step]) -> Vec<bool> {
            let of = |step: &Step| match step {
                Step::Request(request) => vec![request.keep_body],
                Step::Group { steps, .. } => all(steps),
                Step::Think(_) | Step::Control(_) => vec![],
            };
            steps.iter().flat_map(of).collect()
        }
        assert_eq!(all(&plan.users[0].tasks[0].steps), kept, "{steps}");
    }
}

#[test]
fn equal_requests_of_a_task_share_a_row_and_others_do_not() {
    let text = "host: http://x\nload: {users: 1}\nusers:\n  - name: A\n    on_start: [{get: /a}]\n    tasks:\n      - {name: f, flow: [{get: /a, expect: {status: 200}}, {get: /a, expect: {status: 200}}, {post: /a, name: GET /a}]}\n      - {name: g, flow: [{get: /a, expect: {status: 200}}]}\n";
    let plan = with(text, |_| {}).unwrap();
    let rows: Vec<_> =
        plan.catalog.requests.iter().map(|row| (row.task.as_str(), row.request.as_str(), row.method.as_str())).collect();
    assert_eq!(rows, [("on_start", "GET /a", "GET"), ("f", "GET /a", "GET"), ("f", "GET /a", "POST"), ("g", "GET /a", "GET")]);
    assert_eq!(plan.catalog.checks.len(), 2, "one for each row");
    let user = &plan.users[0];
    assert_eq!(plan.catalog.tasks[user.on_start_task.index()].name, "on_start");
    assert_eq!(plan.catalog.tasks.len(), 3, "nothing is named for the `on_stop` that is not there");
}

// === the schema ===

/// A validator that knows what our schema uses. Gives the first thing that is wrong.
fn validate(schema: &serde_json::Value, root: &serde_json::Value, value: &serde_json::Value, at: &str) -> Result<(), String> {
    use serde_json::Value as J;
    let fail = |why: &str| Err(format!("{at}: {why}"));
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return validate(&root["definitions"][name], root, value, at);
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("the validator does not know the type {other}"),
    };
    match &schema["type"] {
        J::String(kind) if !is(kind) => return fail(&format!("is no {kind}")),
        J::Array(kinds) if !kinds.iter().any(|kind| is(kind.as_str().unwrap())) => return fail(&format!("is none of {kinds:?}")),
        _ => {}
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        return fail(&format!("is not {}", schema["const"]));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        return fail(&format!("`{text}` does not match {pattern}"));
    }
    if schema["minimum"].as_f64().zip(value.as_f64()).is_some_and(|(least, number)| number < least) {
        return fail("is too small");
    }
    let passes =
        |key: &str| schema[key].as_array().map(|all| all.iter().filter(|one| validate(one, root, value, at).is_ok()).count());
    if passes("oneOf").is_some_and(|count| count != 1) {
        return fail(&format!("fits {} of {}", passes("oneOf").unwrap(), schema["oneOf"]));
    }
    if passes("anyOf") == Some(0) {
        return fail("fits none of anyOf");
    }
    for one in schema["allOf"].as_array().into_iter().flatten() {
        validate(one, root, value, at)?;
    }
    if let Some(object) = value.as_object() {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(required.as_str().unwrap()) {
                return fail(&format!("lacks {required}"));
            }
        }
        for (key, value) in object {
            let at = format!("{at}.{key}");
            match (&schema["properties"][key], &schema["additionalProperties"]) {
                (J::Object(known), _) => validate(&J::Object(known.clone()), root, value, &at)?,
                // The only pattern there is.
                (J::Null, _) if key.starts_with("x-") && schema["patternProperties"]["^x-"].is_object() => {}
                (_, J::Bool(false)) => return Err(format!("{at}: is unknown")),
                (_, J::Object(other)) => validate(&J::Object(other.clone()), root, value, &at)?,
                _ => {}
            }
        }
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            if schema["items"].is_object() {
                validate(&schema["items"], root, item, &format!("{at}[{index}]"))?;
            }
        }
    }
    Ok(())
}

fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value, _) => (*value).into(),
        Value::Number(number, _) => number.clone().into(),
        Value::Text(text) => text.clone().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(map) => serde_json::Value::Object(map.iter().map(|(key, value)| (key.name.clone(), to_json(value))).collect()),
    }
}

fn tree(path: &Path) -> Option<serde_json::Value> {
    let source = Arc::new(Source { name: "x".into(), text: std::fs::read_to_string(path).unwrap() });
    Node::parse(&source).ok().map(|node| to_json(&node))
}

#[test]
fn good_files_fit_the_schema() {
    let schema = schema();
    for path in files(".good.yaml") {
        validate(&schema, &schema, &tree(&path).unwrap(), "").unwrap_or_else(|why| panic!("{}{why}", path.display()));
    }
}

#[test]
fn the_schema_refuses_what_it_can() {
    let schema = schema();
    for name in [
        "misspelt_key",
        "wrong_type",
        "negative_weight",
        "missing_users",
        "step_with_two_actions",
        "unknown_order",
        "duration_unit",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(format!("{name}.bad.yaml"));
        assert!(validate(&schema, &schema, &tree(&path).unwrap(), "").is_err(), "{name}");
    }
}

#[test]
fn the_schema_describes_every_key_and_only_what_there_is() {
    fn walk(value: &serde_json::Value, seen: &mut BTreeMap<String, bool>, references: &mut BTreeSet<String>) {
        if let Some(properties) = value["properties"].as_object() {
            for (key, property) in properties {
                let described = property["description"].as_str().is_some_and(|text| text.len() > 3 && !text.starts_with(' '));
                *seen.entry(key.clone()).or_insert(true) &= described;
            }
        }
        references.extend(value["$ref"].as_str().map(str::to_owned));
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, seen, references)),
            serde_json::Value::Object(map) => map.values().for_each(|item| walk(item, seen, references)),
            _ => {}
        }
    }
    let schema = schema();
    let (mut seen, mut references) = (BTreeMap::new(), BTreeSet::new());
    walk(&schema, &mut seen, &mut references);
    let undescribed: Vec<_> = seen.iter().filter(|(_, described)| !**described).collect();
    assert!(undescribed.is_empty(), "{undescribed:?}");
    for key in [
        "users",
        "wait_time",
        "flow",
        "spawn_rate",
        "max_body",
        "constant_throughput",
        "gte",
        "server_name",
        "arrival_rate",
        "start_after",
        "normal_users",
        "thresholds",
        "abort",
    ] {
        assert!(seen.contains_key(key), "{key}");
    }
    assert!(seen.contains_key("multipart") && seen.contains_key("oauth2"));
    for reference in references {
        let name = reference.strip_prefix("#/definitions/").unwrap();
        assert!(schema["definitions"][name]["type"].is_string() || schema["definitions"][name]["oneOf"].is_array(), "{name}");
    }
}

// === any text ===

/// Pieces of which files are made, right and wrong ones.
const PIECES: &[&str] = &[
    "name: x\n",
    "host: http://x\n",
    "users:\n",
    "  - name: A\n",
    "    tasks:\n",
    "      - get: /a\n",
    "        name: n\n",
    "        flow:\n",
    "          - think: 1s\n",
    "load: {users: 1}\n",
    "load:\n",
    "  stages: [{users: 1, over: 1s}]\n",
    "{{ x }}",
    "\"{{ id\"",
    "'",
    "\"",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "  ",
    "\t",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "|\n",
    ">\n",
    "!!int ",
    "é",
    "\u{0}",
    "\u{feff}",
    "expect: {json: {$.a: ",
    "status: 2xx",
    "0",
    "-1",
    "1e99",
    ".nan",
    "~",
    "true",
    "---\n",
    "%",
    "@",
    "`",
    "\\",
    "\r\n",
    "variables: {a: 1}\n",
    "weight: ",
    "? ",
    ",",
];

fn check_any(text: String) {
    let length = text.len();
    let source = Arc::new(Source { name: "x.yaml".into(), text });
    match compile(source, &Overrides::default()) {
        Ok((plan, _)) => assert!(!describe(&plan).is_empty()),
        Err(problems) => {
            assert!(problems.has_errors());
            for problem in problems.sorted() {
                assert!(!problem.message.is_empty());
                if let Some(place) = &problem.place {
                    assert!(place.range.start <= place.range.end && place.range.start <= length, "{problem:?}");
                }
            }
            assert!(problems.render(false).starts_with("error: "));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_a_plan_or_problems(text in "\\PC{0,80}") {
        check_any(text);
    }

    #[test]
    fn any_pieces_give_a_plan_or_problems(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        check_any(pieces.concat());
    }

    #[test]
    fn a_good_file_with_a_wound_gives_a_plan_or_problems(at in 0usize..2000, length in 0usize..12, piece in prop::sample::select(PIECES)) {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join("whole.good.yaml")).unwrap();
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (start, end) = (boundary(at), boundary(at + length));
        check_any(format!("{}{piece}{}", &text[..start], &text[end..]));
    }

    #[test]
    fn any_bytes_of_a_file_give_a_plan_or_problems(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        if let Err(problems) = load(file.path(), &Overrides::default()) {
            assert!(problems.has_errors());
        }
    }
}

#[test]
fn the_environment_is_only_what_is_given() {
    let text = SMALL.replace("get: /a", "get: '/a?x={{ env.PATH }}'");
    let said = with(&text, |o| o.env = HashMap::new()).unwrap_err();
    assert!(said.starts_with("error: the environment variable `PATH` is not set\n --> folder/small.yaml:6:28\n"), "{said}");
}
