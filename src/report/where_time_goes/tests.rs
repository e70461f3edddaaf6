//! Hand-made traces whose parts are known.

use proptest::prelude::*;

use super::super::store::{SpanKind, StoredSpan};
use super::*;
use crate::trace::SpanId;

const MS: u64 = 1_000_000;

/// When our span starts.
const T: u64 = 1_795_428_930_000 * MS;

/// Times in ms; `start` since [`T`].
fn span(id: u64, parent: u64, name: &str, start: i64, duration: u64) -> StoredSpan {
    let (service, name) = name.split_once('/').unwrap();
    StoredSpan {
        id: SpanId::new(id).unwrap(),
        parent: SpanId::new(parent),
        service: service.to_owned(),
        name: name.to_owned(),
        kind: SpanKind::Other,
        start: T.checked_add_signed(start * MS as i64).unwrap(),
        duration: duration * MS,
    }
}

/// Our span number 1, of 100 ms, and the server's number 2.
fn served(start: i64, duration: u64, below: Vec<StoredSpan>) -> StoredTrace {
    let own = StoredSpan { kind: SpanKind::Client, ..span(1, 99, "otload/GET", 0, 100) };
    let server = StoredSpan { kind: SpanKind::Server, ..span(2, 1, "api/GET", start, duration) };
    StoredTrace { spans: [vec![server, own], below].concat() }
}

fn notable(response: f64, service: f64) -> Notable {
    Notable {
        trace_id: TraceId::new(7).unwrap(),
        span_id: SpanId::new(1).unwrap(),
        request: "GET /cars".into(),
        user: "Driver".into(),
        task: "look".into(),
        method: "GET".into(),
        status: Some(200),
        reason: None,
        response_time_seconds: response,
        service_time_seconds: service,
        started_at: "2026-11-23T10:15:30.250Z".into(),
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// Two parts, if they are known.
type Pair = Option<(f64, f64)>;

/// Generator, earlier hops, network and server, before and after.
fn parts(notable: &Notable, trace: &StoredTrace) -> (f64, f64, Pair, Pair) {
    let split = Split::of(notable, trace);
    let pair = |(a, b)| (rounded(a), rounded(b));
    let sides = split.served.as_ref().and_then(|served| served.sides).map(pair);
    (rounded(split.generator), rounded(split.hops), split.served.map(|served| pair((served.network, served.server))), sides)
}

#[test]
fn a_request_in_parts() {
    // Late by 30 ms; the server began 10 ms into our span, and ended 20 ms before it.
    let trace = served(10, 70, vec![]);
    assert_eq!(parts(&notable(0.13, 0.1), &trace), (0.03, 0.0, Some((0.03, 0.07)), Some((0.01, 0.02))));
    // A hop of 50 ms before, which redirected.
    assert_eq!(parts(&notable(0.15, 0.15), &trace), (0.0, 0.05, Some((0.03, 0.07)), Some((0.01, 0.02))));
    // The server's clock is 40 ms behind, or ahead: the difference of durations holds.
    for skewed in [served(-30, 70, vec![]), served(50, 70, vec![])] {
        assert_eq!(parts(&notable(0.1, 0.1), &skewed), (0.0, 0.0, Some((0.03, 0.07)), None));
    }
    // A server that goes on after its response.
    let overrun = served(10, 500, vec![]);
    assert_eq!(parts(&notable(0.1, 0.1), &overrun), (0.0, 0.0, Some((0.0, 0.1)), None));
    assert!(Split::of(&notable(0.1, 0.1), &overrun).served.unwrap().overrun);
    // Nothing took any time.
    let mut nothing = served(0, 0, vec![]);
    nothing.spans[1].duration = 0;
    assert_eq!(parts(&notable(0.0, 0.0), &nothing), (0.0, 0.0, Some((0.0, 0.0)), Some((0.0, 0.0))));
}

#[test]
fn spans_that_are_missing() {
    let own_only = StoredTrace { spans: served(10, 70, vec![]).spans.split_off(1) };
    assert_eq!(parts(&notable(0.13, 0.1), &own_only), (0.03, 0.0, None, None));
    let mut server_only = served(10, 70, vec![]);
    server_only.spans.truncate(1);
    assert_eq!(parts(&notable(0.13, 0.1), &server_only), (0.03, 0.0, Some((0.03, 0.07)), None));
    assert!(!Split::of(&notable(0.13, 0.1), &server_only).own);
    // A child of ours that is no server is not taken for one, nor a server that is someone else's child.
    let mut others = served(10, 70, vec![]);
    others.spans[0].kind = SpanKind::Other;
    others.spans.push(StoredSpan { kind: SpanKind::Server, ..span(3, 55, "api/GET", 0, 90) });
    assert_eq!(parts(&notable(0.1, 0.1), &others).2, None);
    // A proxy sent it twice.
    let twice = served(10, 20, vec![StoredSpan { kind: SpanKind::Server, ..span(3, 1, "api/GET", 40, 50) }]);
    assert_eq!(parts(&notable(0.1, 0.1), &twice).2, Some((0.05, 0.05)));
}

/// Self times in ms, by name of span.
fn self_times(trace: &StoredTrace) -> Vec<(String, f64)> {
    let mut spent = BTreeMap::new();
    self_time::add(&mut spent, trace, 0);
    spent.into_iter().map(|((service, name), (_, nanos))| (format!("{service}/{name}"), nanos as f64 / MS as f64)).collect()
}

#[test]
fn self_times_of() {
    // What the case is about, spans below the server's, and self times.
    type Case<'a> = (&'a str, Vec<StoredSpan>, &'a [(&'a str, f64)]);
    let table: [Case<'_>; 10] = [
        ("the server alone", vec![], &[("api/GET", 70.0)]),
        (
            "nested spans",
            vec![span(3, 2, "api/query", 20, 40), span(4, 3, "db/SELECT", 25, 30)],
            &[("api/GET", 30.0), ("api/query", 10.0), ("db/SELECT", 30.0)],
        ),
        (
            "one after the other, of one name",
            vec![span(3, 2, "db/SELECT", 20, 10), span(4, 2, "db/SELECT", 30, 10)],
            &[("api/GET", 50.0), ("db/SELECT", 20.0)],
        ),
        (
            "in parallel: both count, their parent waits once",
            vec![span(3, 2, "a/x", 20, 30), span(4, 2, "b/x", 30, 40)],
            &[("a/x", 30.0), ("api/GET", 20.0), ("b/x", 40.0)],
        ),
        (
            "one inside the other's time, as siblings",
            vec![span(3, 2, "a/x", 20, 40), span(4, 2, "b/x", 30, 10)],
            &[("a/x", 40.0), ("api/GET", 30.0), ("b/x", 10.0)],
        ),
        (
            "async: what is after the parent is clipped, below it too",
            vec![span(3, 2, "api/mail", 60, 100), span(4, 3, "smtp/send", 70, 90)],
            &[("api/GET", 50.0), ("api/mail", 10.0), ("smtp/send", 10.0)],
        ),
        ("a child wholly after its parent", vec![span(3, 2, "api/later", 90, 10)], &[("api/GET", 70.0), ("api/later", 0.0)]),
        (
            "a host whose clock is behind: in the middle of the parent",
            vec![span(3, 2, "b/GET", -500, 50), span(4, 3, "b/x", -490, 20)],
            &[("api/GET", 20.0), ("b/GET", 30.0), ("b/x", 20.0)],
        ),
        ("no time at all", vec![span(3, 2, "api/nil", 20, 0)], &[("api/GET", 70.0), ("api/nil", 0.0)]),
        (
            "a span that is its own ancestor",
            vec![span(3, 2, "a/x", 20, 10), span(2, 3, "a/y", 20, 5)],
            &[("a/x", 5.0), ("a/y", 5.0), ("api/GET", 60.0)],
        ),
    ];
    for (what, below, expected) in table {
        let found = self_times(&served(10, 70, below));
        assert_eq!(found, expected.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect::<Vec<_>>(), "{what}");
    }
}

fn summary() -> (Summary, HashMap<TraceId, Found>) {
    let id = |bits: u128| TraceId::new(bits).unwrap();
    let one = |trace, request: &str, response, service| Notable {
        trace_id: id(trace),
        request: request.into(),
        method: request.split(' ').next().unwrap().into(),
        ..notable(response, service)
    };
    let below = vec![span(3, 2, "cars-api/load cars", 20, 40), span(4, 3, "db/SELECT cars", 25, 30)];
    let slowest = vec![
        Notable { status: None, reason: Some("timeout".into()), ..one(1, "POST /cars", 5.0, 5.0) },
        one(2, "GET /cars", 0.13, 0.1),
        one(3, "GET /cars", 0.1, 0.1),
        one(4, "GET /cars/{id}", 0.09, 0.09),
        one(5, "GET /slow", 0.08, 0.08),
    ];
    let traces = Traces { ui: Some("http://t/{trace_id}".into()), failed: vec![slowest[0].clone()], slowest };
    let summary = Summary {
        run_id: "cars-1".into(),
        test: "cars & <planes>".into(),
        started_at: "2026-11-23T10:15:30.250Z".into(),
        traces: Some(traces),
    };
    let found = HashMap::from([
        (id(1), Found::Trace(StoredTrace { spans: vec![span(1, 99, "otload/POST", 0, 5000)] })),
        (id(2), Found::Trace(served(10, 70, below.clone()))),
        (id(3), Found::Trace(served(-30, 90, below))),
        (id(4), Found::Failed("no response within 5s".into())),
        (id(5), Found::Unknown),
    ]);
    (summary, found)
}

#[test]
fn golden_account() {
    let (summary, found) = summary();
    let account = account(&summary, "http://127.0.0.1:3200", 20, &found);
    assert_eq!(text(&account), include_str!("golden.txt"));
    // Without a cell too many or too few.
    let page = html(&account);
    for (table, columns) in page.split("<thead>").skip(1).zip([9, 5, 7, 2]) {
        let (head, body) = table.split_once("</thead>").unwrap();
        assert_eq!(head.matches("<th").count(), columns, "{head}");
        let rows = body.split("</tbody>").next().unwrap().split("<tr").skip(1);
        rows.for_each(|row| assert_eq!(row.matches("<td").count(), columns, "{row}"));
    }
}

#[test]
fn the_page_has_the_figures_and_no_foreign_markup() {
    let (mut summary, found) = summary();
    let page = html(&account(&summary, "http://127.0.0.1:3200", 20, &found));
    for part in [
        "<b>cars &amp; &lt;planes&gt;</b>",
        "title=\"network: 20.0 ms, 17%\"",
        "title=\"no server span: 5000 ms, 100%\"",
        "<em>no server span</em>",
        "<a href=\"http://t/00000000000000000000000000000002\">",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    for fetched in ["<script", "<link", "src=", "@import", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    let traces = summary.traces.as_mut().unwrap();
    traces.ui = Some("javascript:alert(1)//{trace_id}".into());
    traces.slowest[1].request = "<img src=x>".into();
    let page = html(&account(&summary, "s", 20, &found));
    assert!(!page.contains("href=\"java") && !page.contains("<img"), "{page}");
}

#[test]
fn earlier_hops_have_a_column_when_there_were_any() {
    let (mut summary, found) = summary();
    let traces = summary.traces.as_mut().unwrap();
    traces.slowest.truncate(2);
    (traces.slowest[1].response_time_seconds, traces.slowest[1].service_time_seconds) = (0.2, 0.2);
    let account = account(&summary, "s", 20, &found);
    let text = text(&account);
    assert!(text.contains("| Total   Generator  Earlier hops    Network     Server  no server span | before  after\n"), "{text}");
    let row =
        "GET   /cars            1 |   200  0.000   0%      100  50%  30.0  15%  70.0  35%               - |   10.0   20.0\n";
    assert!(text.contains(row), "{text}");
    let page = html(&account);
    assert!(page.contains("title=\"earlier hops: 100 ms, 50%\""), "{page}");
    assert_eq!(page.matches("<th class=\"n\">Earlier hops").count(), 2);
    assert!(page.contains("<td>200<td class=\"n\">200<td class=\"n\">0.000<td class=\"n\">100<td class=\"n\">30.0"), "{page}");
}

#[test]
fn of_nothing_there_is_an_account_too() {
    let (mut summary, _) = summary();
    summary.traces = None;
    let account = account(&summary, "s", 20, &HashMap::new());
    assert_eq!((account.all, account.each.len(), account.absent.len()), (None, 0, 0));
    assert!(text(&account).contains("0 traced requests"));
    assert!(html(&account).contains("<h1>"));
}

#[test]
fn many_names_of_spans_become_thirty_rows() {
    let below = (0..60).map(|id| span(100 + id, 2, &format!("api/q{id:02}"), 10 + id as i64, 1)).collect();
    let (summary, _) = summary();
    let found = HashMap::from([(TraceId::new(2).unwrap(), Found::Trace(served(10, 70, below)))]);
    let account = account(&summary, "s", 20, &found);
    assert_eq!(account.places.len(), PLACES);
    let last = account.places.last().unwrap();
    assert_eq!((last.span.as_str(), last.count), ("32 others", 32));
    assert!((account.places.iter().map(|place| place.mean).sum::<f64>() - 0.07).abs() < 1e-9);
}

proptest! {
    #[test]
    fn any_trace_is_taken_apart_into_parts_that_sum(
        spans in prop::collection::vec((1u64..8, 0u64..8, 0u8..3, any::<u64>(), any::<u64>()), 0..12),
        response in any::<f64>(),
        service in any::<f64>(),
    ) {
        let kinds = [SpanKind::Server, SpanKind::Client, SpanKind::Other];
        let stored = spans.iter().map(|(id, parent, kind, start, duration)| StoredSpan {
            kind: kinds[usize::from(*kind)],
            start: *start,
            duration: *duration,
            ..span(*id, *parent, "a/b", 0, 0)
        });
        let trace = StoredTrace { spans: stored.collect() };
        let notable = notable(response, service);
        let split = Split::of(&notable, &trace);
        let total = if response.is_finite() { response.max(0.0) } else { 0.0 };
        prop_assert!((split.total() - total).abs() <= total * 1e-9);
        prop_assert!(split.generator >= 0.0 && split.hops >= 0.0 && split.client >= 0.0);
        if let Some(served) = &split.served {
            prop_assert!(served.network >= 0.0 && served.server >= 0.0);
            let mut spent = BTreeMap::new();
            self_time::add(&mut spent, &trace, served.span);
            let sum: i128 = spent.values().map(|(_, nanos)| nanos).sum();
            prop_assert!(spent.values().all(|(_, nanos)| *nanos >= 0));
            prop_assert!(sum >= i128::from(trace.spans[served.span].duration));
        }
    }
}
