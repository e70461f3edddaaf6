//! What responses give to users. The target answers with the body that it was sent.

use super::*;

fn failures(yaml: &str) -> (u64, Vec<(Reason, String)>) {
    let bench = virtually(&plan(yaml), SECOND / 10, Part::WHOLE, |_| async {});
    let measured = bench.measured();
    let reasons =
        measured.all.reasons.iter().map(|failure| (failure.reason, failure.example.as_deref().unwrap_or_default().to_owned()));
    (measured.all.requests, reasons.collect())
}

fn flow(steps: &str) -> String {
    format!("users: [{{name: u, tasks: [{{name: t, flow: [{steps}]}}]}}]\nload: {{iterations: 1, users: 1}}")
}

#[test]
fn a_capture_is_there_in_later_steps_and_keeps_its_type() {
    let steps = "
        {post: /a, json: {id: 7, tags: [a, b], on: true}, capture: {id: {json: $.id}, tags: {json: '$.tags[*]', pick: all}, url: {header: x-url}}},
        {post: /b, json: {got: '{{ id }}', tags: '{{ tags }}', url: '{{ url }}'},
         expect: {json: {$.got: 7, $.tags: [a, b], $.url: /a}, that: [id == 7, tags | length == 2]}},
        {post: /c, body: 'a=1&b=22', capture: {b: {regex: 'b=(\\d+)'}, one: {regex: '(?P<name>\\w)=(?P<number>\\d)', group: number}}},
        {post: /d, json: {b: '{{ b }}', one: '{{ one }}'}, expect: {json: {$.b: '22', $.one: '1'}}},
        {post: /e, body: '<a href=\"/next\">go on</a>', capture: {next: {css: a, attribute: href}, text: {css: a}}},
        {get: '{{ next }}', name: next, expect: {headers: {x-url: /next}, that: \"text == 'go on'\"}}";
    assert_eq!(failures(&flow(steps)), (6, Vec::new()));
}

#[test]
fn a_request_may_check_what_it_captures() {
    let steps = "{post: /a, json: {id: 7}, capture: {id: {json: $.id}}, expect: {that: id == 8}}";
    assert_eq!(failures(&flow(steps)), (1, vec![(Reason::Check, "that id == 8: it is not true".to_owned())]));
}

#[test]
fn a_capture_that_finds_nothing_fails_the_request_and_forgets_its_name() {
    let steps = "
        {post: /a, json: {id: 7}, capture: {id: {json: $.id}}},
        {post: /b, json: {}, capture: {id: {json: $.id}, rest: {json: $.rest, default: [1]}}},
        {post: /c, json: {rest: '{{ rest }}'}, expect: {json: {$.rest: [1]}}},
        {get: '/cars/{{ id }}', name: car}";
    let expected = [(Reason::Capture, "id: $.id finds nothing"), (Reason::Template, "`id` is undefined")];
    let found = failures(&flow(steps));
    assert_eq!(found, (4, expected.map(|(reason, text)| (reason, text.to_owned())).into()));
}

#[test]
fn what_failed_before_is_the_reason() {
    let of = |expect: &str| {
        failures(&flow(&format!("{{post: '/a?status=500', json: {{}}, capture: {{id: {{json: $.id}}}}, {expect}}}"))).1
    };
    assert_eq!(of("timeout: 1s"), [(Reason::Status, "the status is 500".to_owned())]);
    assert_eq!(of("expect: {status: 500, json: {$.x: 1}}"), [(Reason::Check, "json $.x: $.x finds nothing".to_owned())]);
    assert_eq!(of("expect: {status: 500}"), [(Reason::Capture, "id: $.id finds nothing".to_owned())]);
    let not_json = "{post: /a, body: '<html>', capture: {id: {json: $.id}}}";
    let text = "id: $.id: the body is not JSON (expected value at line 1 column 1): `<html>`";
    assert_eq!(failures(&flow(not_json)).1, [(Reason::Capture, text.to_owned())]);
}

#[test]
fn without_a_response_there_are_only_defaults() {
    let steps = "
        {post: /a, json: {id: 7}, capture: {id: {json: $.id}, other: {json: $.id}}},
        {get: /b, timeout: 50ms, capture: {id: {json: $.id, default: none}, other: {json: $.id}}},
        {post: /c, json: {id: '{{ id }}'}, expect: {json: {$.id: none}, that: other is undefined}}";
    let (requests, reasons) = failures(&flow(steps));
    assert_eq!((requests, reasons.iter().map(|(reason, _)| *reason).collect::<Vec<_>>()), (3, vec![Reason::Timeout]));
}

#[test]
fn users_never_see_each_others_captures() {
    // Each stores its own number, lets the others pass, and asks for it again.
    let plan = plan(
        "users: [{name: u, on_start: [{post: /own, json: {id: '{{ user_id }}'}, capture: {mine: {json: $.id}}}], wait_time: {between: [1s, 3s]},
           tasks: [{post: /again, json: {id: '{{ mine }}'}, expect: {json: {$.id: '{{ user_id }}'}}, capture: {mine: {json: $.id}}}]}]
load: {users: 10, run_time: 60s}",
    );
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {});
    let measured = bench.measured();
    assert!(measured.all.requests > 200);
    assert_eq!((measured.all.failures, bench.requests()["POST /own"]), (0, 10));
}

#[test]
fn random_picks_repeat_with_the_seed_and_differ_between_users() {
    let yaml = "users: [{name: u, tasks: [{name: t, flow: [
        {post: /list, json: {ids: [1, 2, 3, 4, 5, 6, 7, 8]}, capture: {id: {json: '$.ids[*]', pick: random}}},
        {get: '/cars', when: id <= 4, name: low}, {get: '/cars', when: id > 4, name: high}]}]}]
load: {iterations: 400, users: 4}";
    let of = || virtually(&plan(yaml), SECOND / 10, Part::WHOLE, |_| async {}).requests();
    let counts = of();
    assert_eq!(counts, of());
    assert!((150..=250).contains(&counts["low"]) && counts["low"] + counts["high"] == 400, "{counts:?}");
}
