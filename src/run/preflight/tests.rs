//! The arithmetic, without a system.

use std::sync::Arc;

use super::system::Reuse;
use super::*;
use crate::diagnostic::Source;
use crate::scenario::{Overrides, compile};

fn need() -> Need {
    Need {
        users: 1000,
        targets: Some(1),
        sources: 0,
        workers: 2,
        demo: false,
        keep_alive: true,
        rate: 100.0,
        requests: None,
        loopback: false,
    }
}

/// 52 descriptors are the generator's own: 4 + 2 × 8 + 32.
fn system() -> System {
    System { descriptors: Some(1052), open: 4, ports: Some(1000), ..System::default() }
}

/// `no` and `maybe` with the message, or nothing.
fn said(need: &Need, system: &System) -> Vec<String> {
    let problems = judge(need, system).into_iter().map(|problem| match problem {
        Problem::Certain(problem) => format!("no: {}", problem.message),
        Problem::Possible(problem) => format!("maybe: {}", problem.message),
    });
    problems.collect()
}

#[test]
fn descriptors_are_one_for_each_user_and_the_generators_own() {
    let limit = |limit| System { descriptors: limit, ..system() };
    let roomy = System { ports: None, ..system() };
    let cases: [(Need, System, &[&str]); 8] = [
        (need(), system(), &[]),
        (need(), limit(None), &[]),
        (
            Need { users: 1001, ..need() },
            roomy.clone(),
            &["no: 1001 users need 1053 file descriptors, but this process may open only 1052"],
        ),
        (need(), limit(Some(1051)), &["no: 1000 users need 1052 file descriptors, but this process may open only 1051"]),
        // One worker more needs 8 more.
        (
            Need { workers: 3, ..need() },
            system(),
            &["no: 1000 users need 1060 file descriptors, but this process may open only 1052"],
        ),
        // The demo's ends of the connections.
        (
            Need { demo: true, ..need() },
            system(),
            &["no: 1000 users need 2052 file descriptors, two for each because the demo holds the other end, \
               but this process may open only 1052"],
        ),
        // A connection to each of two targets is possible, not certain.
        (
            Need { targets: Some(2), ..need() },
            system(),
            &["maybe: 1000 users may need 2052 file descriptors, one for each of 2 targets, \
               but this process may open only 1052"],
        ),
        // Even the generator itself does not fit.
        (
            Need { users: 1, ..need() },
            limit(Some(10)),
            &["no: 1 user need 53 file descriptors, but this process may open only 10"],
        ),
    ];
    for (need, system, expected) in cases {
        assert_eq!(said(&need, &system), expected, "{need:?}");
    }
}

#[test]
fn the_hint_says_how_many_users_fit() {
    for (need, fit) in [
        (Need { users: 5000, ..need() }, "under 1001"),
        (Need { users: 5000, demo: true, ..need() }, "under 501"),
        (Need { users: 900, targets: Some(4), ..need() }, "under 251"),
    ] {
        let problems = judge(&need, &System { ports: None, ..system() });
        let [Problem::Certain(problem) | Problem::Possible(problem)] = problems.as_slice() else { panic!("{problems:?}") };
        let hint = problem.hint.as_deref().unwrap();
        assert!(hint.contains("`ulimit -Hn`") && hint.ends_with(fit), "{hint}");
    }
}

#[test]
fn ports_multiply_with_source_addresses_and_targets() {
    let system = System { descriptors: None, ..system() };
    let short = "no: 2001 users need as many connections, but there are 2000: 1000 local ports, times";
    for (sources, targets, users, expected) in [
        (0, Some(1), 1000, None),
        (1, Some(2), 2000, None),
        (2, Some(1), 2001, Some(format!("{short} 2 source addresses and 1 target"))),
        (0, Some(2), 2001, Some(format!("{short} 1 source address and 2 targets"))),
        (3, Some(2), 6000, None),
        // A template decides where they go: nobody knows.
        (0, None, 90_000, None),
    ] {
        let need = Need { sources, targets, users, ..need() };
        assert_eq!(said(&need, &system), Vec::from_iter(expected), "{need:?}");
    }
    assert_eq!(said(&Need { users: 2001, ..need() }, &System { ports: None, ..system }), [""; 0], "no system but Linux tells");
}

#[test]
fn connections_that_are_closed_keep_their_ports_for_a_while() {
    let system = System { descriptors: None, ..system() };
    let closing = Need { keep_alive: false, ..need() };
    for (rate, requests, sources, reuse, loopback, warned) in [
        // 60 s × 16/s are less than 1,000 ports, 60 s × 17/s are more.
        (16.0, None, 0, Reuse::Never, false, false),
        (17.0, None, 0, Reuse::Never, false, true),
        (17.0, None, 2, Reuse::Never, false, false),
        // The run is over before they run out.
        (17.0, Some(1000.0), 0, Reuse::Never, false, false),
        (17.0, Some(1001.0), 0, Reuse::Never, false, true),
        // Ports that are used again after a second.
        (999.0, None, 0, Reuse::Always, false, false),
        (1001.0, None, 0, Reuse::Always, false, true),
        (999.0, None, 0, Reuse::Loopback, true, false),
        (999.0, None, 0, Reuse::Loopback, false, true),
    ] {
        let need = Need { rate, requests, sources, loopback, ..closing.clone() };
        let said = said(&need, &System { reuse, ..system.clone() });
        assert_eq!(said.len(), usize::from(warned), "{need:?}, {reuse:?}: {said:?}");
        assert!(said.iter().all(|said| said.starts_with("maybe: local ports may run out: `keep_alive: false`")), "{said:?}");
    }
    // More users than ports is no problem when none keeps its connection.
    assert_eq!(said(&Need { users: 5000, rate: 1.0, ..closing }, &system), [""; 0]);
}

#[test]
fn a_source_address_must_be_this_machines() {
    let system = System { foreign: vec!["192.0.2.1".parse().unwrap()], ..system() };
    assert_eq!(said(&need(), &system), ["no: `http.source_addresses` has 192.0.2.1, which is no address of this machine"]);
}

#[test]
fn a_plan_says_what_it_needs() {
    let need = |scenario: &str| {
        let source = Source { name: "s.yaml".to_owned(), text: format!("host: http://127.0.0.1:5000\n{scenario}") };
        let (plan, _) =
            compile(Arc::new(source), &Overrides::default()).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        Need::of(&plan, 2, false)
    };
    let of_users = |tasks: &str| need(&format!("users: [{{wait_time: 1s, tasks: [{tasks}]}}]\nload: {{users: 10}}\n"));

    // The peak of the stages; one request of 1 ms, then 999 ms.
    let staged =
        need("users: [{wait_time: 999ms, tasks: [{get: /}]}]\nload: {stages: [{users: 30, over: 9s}, {users: 5, over: 1s}]}\n");
    assert_eq!((staged.users, staged.targets, staged.sources, staged.workers), (30, Some(1), 0, 2));
    assert!((staged.rate - 30.0).abs() < 1e-9 && (staged.requests.unwrap() - 300.0).abs() < 1e-6, "{staged:?}");
    assert!(staged.keep_alive && staged.loopback && !staged.demo);

    // Weights, think times, groups; on average 2 requests and 3 s of pauses besides the wait of 1 s.
    let mixed = of_users("{get: /}, {name: f, flow: [{get: /}, {think: 6s}, {group: g, flow: [{get: /}, {get: /}]}]}");
    assert!((mixed.rate - 10.0 * 2.0 / (1.0 + 3.0 + 0.002)).abs() < 1e-9, "{mixed:?}");
    assert_eq!(mixed.requests, None);

    // Paced: two requests in 5 s. And the tasks bound the requests.
    let paced = need(
        "users: [{wait_time: {constant_pacing: 5s}, tasks: [{name: f, flow: [{get: /}, {get: /}]}]}]\nload: {users: 10, iterations: 7}\n",
    );
    assert!((paced.rate - 4.0).abs() < 1e-9, "{paced:?}");
    assert_eq!(paced.requests, Some(14.0));

    for (urls, targets, loopback) in [
        ("{get: /a}, {get: /b}", Some(1), true),
        ("{get: \"http://127.0.0.1:5000/b\"}, {get: \"http://localhost:6000/c\"}", Some(2), true),
        ("{get: /a}, {get: \"https://example.com/\"}, {get: \"https://example.com:443/c\"}", Some(2), false),
        ("{get: \"/a/{{ user_id }}\", name: a}", Some(1), true),
        ("{get: \"http://10.0.0.1/{{ user_id }}\", name: a}", Some(1), false),
        ("{get: \"http://10.0.0.{{ user_id }}/\", name: a}", None, false),
        ("{get: \"{{ run_id }}\", name: a}", None, false),
    ] {
        let need = of_users(urls);
        assert_eq!((need.targets, need.loopback), (targets, loopback), "{urls}");
    }
    let tasks = "users: [{tasks: [{get: \"http://two.test/\"}]}]\nload: {users: 1}\n";
    let resolved = need(&format!(
        "http: {{resolve: {{two.test: [127.0.0.1, 127.0.0.2]}}, source_addresses: [127.0.0.3, 127.0.0.4, 127.0.0.3]}}\n{tasks}"
    ));
    assert_eq!((resolved.targets, resolved.sources), (Some(2), 2));
    let proxied = need(&format!("http: {{proxy: \"http://127.0.0.1:3128\", keep_alive: false}}\n{tasks}"));
    assert_eq!((proxied.targets, proxied.loopback, proxied.keep_alive), (Some(1), true, false));
}
