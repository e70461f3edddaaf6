use std::time::Duration;

use super::*;
use crate::measure::catalog::RequestId;
use crate::measure::shard::{Sample, Shard};
use crate::measure::snapshot::Detail;
use crate::measure::snapshot::tests::{PHASES, catalog, facts};

const WARM_UP: Duration = Duration::from_secs(5);

fn sample(millis: u64, failure: Option<(Reason, &'static str)>) -> Sample<'static> {
    let response = Duration::from_micros(millis * 1000 + 123);
    Sample {
        response,
        service: response / 2,
        lag: response / 4,
        status: Some(if failure.is_some() { 500 } else { 200 }),
        failure,
        sent_bytes: 10,
        received_bytes: 100,
        redirects: 0,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &PHASES,
        exemplar: None,
    }
}

/// A warm-up of 5 s, then parts until 15 and 18 s.
fn run() -> (String, Snapshot) {
    let catalog = catalog();
    let mut shard = Shard::new(&catalog);
    let at = |shard: &mut Shard, seconds: u64| {
        let mut facts = facts();
        facts.elapsed = Duration::from_secs(seconds);
        facts.measured = facts.elapsed.saturating_sub(WARM_UP);
        let mut snapshot = Snapshot::empty(&catalog, facts);
        snapshot.add(shard, Detail::Full);
        snapshot
    };
    let mut snapshots = vec![at(&mut shard, 0)];
    shard.request(RequestId(0), &sample(900, None));
    snapshots.push(at(&mut shard, 5));
    shard.end_warm_up();
    for millis in [20, 31, 20, 7] {
        shard.request(RequestId(0), &sample(millis, None));
    }
    shard.request(RequestId(1), &sample(40, Some((Reason::Status, "500"))));
    snapshots.push(at(&mut shard, 15));
    shard.request(RequestId(0), &sample(25, Some((Reason::Check, "no Tesla"))));
    shard.request(RequestId(0), &sample(3, None));
    snapshots.push(at(&mut shard, 18));
    let mut text = first_line(&snapshots[0], WARM_UP).unwrap();
    for pair in snapshots.windows(2) {
        text += &lines(&pair[0], &pair[1], WARM_UP, &[]).unwrap();
    }
    (text, snapshots.pop().unwrap())
}

#[test]
fn the_parts_make_up_the_summary() {
    let (text, last) = run();
    let read = Recorded::read(text.as_bytes()).unwrap();
    assert_eq!((read.meta.run_id.as_str(), read.meta.warm_up_seconds, &read.torn), ("r1", 5.0, &None));
    let parts: Vec<_> = read.parts.iter().map(|part| (part.run.at, part.run.seconds, part.run.warm_up)).collect();
    assert_eq!(parts, [(0.0, 5.0, true), (5.0, 10.0, false), (15.0, 3.0, false)]);
    assert_eq!(read.parts.iter().map(|part| part.requests.len()).collect::<Vec<_>>(), [1, 2, 1]);

    let measured = last.measured();
    let (mut requests, mut failures, mut response, mut service) = (0, 0, Quantiles::default(), Quantiles::default());
    for part in read.measured().flat_map(|part| &part.requests).filter(|part| part.request == "GET /a") {
        requests += part.requests;
        failures += part.failures;
        response.add(&part.response_times());
        service.add(&part.service_times());
    }
    let row = &measured.requests[0];
    assert_eq!((requests, failures), (row.requests, row.failures));
    assert_eq!((response.times(), service.times()), (row.response, row.service));
    let failed = &read.parts[2].requests[0];
    assert_eq!((failed.reasons["check"], failed.examples["check"].as_str()), (1, "no Tesla"));
    assert_eq!((failed.statuses["200"], failed.statuses["500"], failed.bytes_received), (1, 1, 200));
}

#[test]
fn a_file_cut_anywhere_is_read_up_to_the_last_whole_part() {
    let (text, _) = run();
    let first = text.find('\n').unwrap() + 1;
    let whole = Recorded::read(text.as_bytes()).unwrap();
    let mut ends = vec![first];
    ends.extend(text.match_indices("{\"kind\":\"run\"").map(|(at, _)| at + text[at..].find('\n').unwrap() + 1));
    for cut in (first..text.len()).step_by(7).chain(ends.clone()) {
        let read = Recorded::read(&text.as_bytes()[..cut]).unwrap();
        let expected = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(read.parts, whole.parts[..expected], "cut at {cut}");
        assert_eq!(read.torn.is_some(), !ends.contains(&cut), "cut at {cut}");
    }
}

#[test]
fn garbage_is_refused_with_its_line() {
    let (text, _) = run();
    let line = |text: &str| Recorded::read(text.as_bytes()).unwrap_err().line;
    assert_eq!(line(""), 1);
    assert_eq!(line("no JSON\n"), 1);
    assert!(Recorded::read(std::io::BufReader::new(std::io::repeat(0))).unwrap_err().message.contains("no end"));
    let broken: Vec<_> = text.lines().enumerate().map(|(at, line)| if at == 2 { "{}" } else { line }).collect();
    assert_eq!(line(&(broken.join("\n") + "\n")), 3);
    assert_eq!(line(&text.replacen("HISTFAAA", "HISTFBBB", 1)), 2);
    let other = text.replacen("\"format\":2", "\"format\":3", 1);
    assert!(Recorded::read(other.as_bytes()).unwrap_err().to_string().contains("another version"));
}
