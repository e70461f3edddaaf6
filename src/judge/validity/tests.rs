use super::cause::Cause;
use super::*;
use crate::units::Ratio;

const SECOND: Duration = Duration::from_secs(1);

/// So many requests that took so many ms, of which so many are the generator's.
fn times(parts: &[(u64, f64, f64)]) -> SplitTimes {
    let nanos = |millis: f64| (millis * 1e6) as u64;
    SplitTimes::of(parts.iter().map(|(count, millis, part)| (*count, nanos(*millis), nanos(*part))))
}

fn validity() -> Validity {
    with(ValidityLimits::default())
}

fn with(limits: ValidityLimits) -> Validity {
    Validity::new(limits, vec!["GET /a".to_owned(), "GET /b".to_owned()])
}

fn look(each: &[SplitTimes]) -> Look {
    Look { interval: SECOND, times: Some(each.to_vec()), ..Look::default() }
}

fn busy(ratios: &[f64]) -> Look {
    Look { interval: SECOND, busy: ratios.to_vec(), ..Look::default() }
}

fn pulse(arrivals: u64, dropped: u64, shortages: [u64; 2]) -> Look {
    Look { interval: SECOND, pulse: Pulse { arrivals, dropped, shortages, overdue: 0 }, ..Look::default() }
}

fn messages(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(Finding::message).collect()
}

#[test]
fn a_figure_may_be_off_by_a_tenth_and_100_microseconds() {
    // (late requests of a thousand, how long all take without, by how much these are late; the figure that is off by too much)
    for (count, millis, late, wrong) in [
        // 5 ms beside 2 ms are far too much.
        (60, 2.0, 4.5, Some("p95")),
        (60, 2.0, 0.29, None),
        (60, 2.0, 0.32, Some("p95")),
        (60, 60.0, 6.0, None),
        (60, 60.0, 6.2, Some("p95")),
        // One in a hundred is not in the p99.
        (10, 2.0, 900.0, None),
        (12, 2.0, 900.0, Some("p99")),
        (600, 2.0, 1.0, Some("p50")),
        (600, 0.05, 0.09, None),
    ] {
        let mut validity = validity();
        validity.look(look(&[times(&[(1000 - count, millis, 0.0), (count, millis + late, late)]), times(&[])]));
        let found = validity.reasons();
        match (wrong, found.as_slice()) {
            (None, []) => {}
            (Some(wrong), [Finding::Inflated { worst, cause: Cause::Unknown }]) => {
                // Larger quantiles are off, too; the smallest that is must be the one that is named, or worse.
                assert!(worst.figure.as_str() >= wrong && worst.over.is_none(), "{found:?}");
                assert!((worst.part * 1e3 / late - 1.0).abs() < 0.01, "{found:?}");
                assert!((worst.limit * 1e3 - (0.1 * millis + 0.1)).abs() < 0.01 * millis, "{found:?}");
            }
            _ => panic!("{count} of {millis} ms late by {late} ms: {found:?}"),
        }
        assert_eq!(validity.is_saturated(), wrong.is_some());
    }
}

#[test]
fn a_name_with_enough_requests_is_judged_beside_others() {
    for (count, wrong) in [(19, false), (20, true)] {
        let mut validity = validity();
        validity.look(look(&[times(&[(100_000, 10.0, 0.0)]), times(&[(count, 30.0, 20.0)])]));
        assert_eq!(!validity.reasons().is_empty(), wrong, "{count}");
        assert_eq!(validity.unjudged(), None);
        let [_, _, p99] = validity.shares().unwrap();
        assert!(p99 < 0.01, "{p99}");
        if wrong {
            let said = messages(&validity.reasons());
            assert!(
                said[0].starts_with(
                    "the generator was late, and response times include that: p50 of GET /b is 30ms, of which 20ms are the generator's, \
                     more than 1.1ms; the system"
                ),
                "{said:?}"
            );
        }
    }
}

#[test]
fn a_handful_of_requests_is_no_verdict() {
    for (count, judged) in [(0, false), (19, false), (20, true)] {
        let mut validity = validity();
        validity.look(look(&[times(&[(count, 30.0, 20.0)]), times(&[])]));
        assert_eq!((validity.unjudged().is_none(), !validity.reasons().is_empty()), (judged, judged), "{count}");
    }
    assert_eq!([0.5, 0.95, 0.99, 0.999].map(fewest), [20, 20, 100, 1000]);
    let off = with(ValidityLimits { enabled: false, ..ValidityLimits::default() });
    assert_eq!(off.unjudged(), None, "nobody wants to know");
}

#[test]
fn a_hitch_is_warned_of_at_once_and_forgiven_in_the_end() {
    let mut validity = validity();
    let mut parts = vec![(0, 10.0, 0.0), (0, 810.0, 800.0)];
    // An hour at 100/s; for one second of it everything is late by 800 ms.
    let mut warned = Vec::new();
    for second in 0..3600 {
        parts[usize::from(second == 1800)].0 += 100;
        // Only the minute around the hitch is looked at.
        if second < 1790 {
            continue;
        }
        if second < 1830 || second == 3599 {
            let strain = Strain { elapsed: SECOND, waited: SECOND / 2, ..Strain::default() };
            let look =
                Look { strain: if second == 1800 { strain } else { Strain::default() }, ..look(&[times(&parts), times(&[])]) };
            warned.extend(messages(&validity.look(look)));
        }
        assert_eq!(validity.is_saturated(), (1800..1810).contains(&second), "{second}");
    }
    assert_eq!(
        warned,
        [
            "the generator was late, and response times include that: p95 of all requests within 10s is 810ms, of which 800ms are the \
          generator's, more than 1.1ms; other programs used the processor: a worker waited for it 50% of the time"
        ]
    );
    assert_eq!(validity.reasons(), [], "100 of 360,000 are not in the p99");
    assert_eq!(messages(&validity.notes()), warned);
}

#[test]
fn a_run_that_recovers_is_valid_again_and_one_that_does_not_is_not() {
    let mut validity = validity();
    let late = (100, 60.0, 50.0);
    assert_eq!(messages(&validity.look(look(&[times(&[late]), times(&[])]))).len(), 1);
    assert_eq!(validity.reasons().len(), 1, "so far");
    for second in 1..=20 {
        assert_eq!(validity.look(look(&[times(&[late, (1000 * second, 10.0, 0.0)]), times(&[])])), [], "said once");
    }
    assert_eq!((validity.reasons(), validity.is_saturated()), (vec![], false));
    assert!(messages(&validity.notes())[0].contains(" within 1s is 60"), "{:?}", validity.notes());
    validity.look(look(&[times(&[(400, 60.0, 50.0), (20_000, 10.0, 0.0)]), times(&[])]));
    assert_eq!((validity.reasons().len(), validity.notes().len()), (1, 0), "a reason needs no note beside it");
}

/// What a busy worker adds to response times is in the generator's part: if that is small, they are right.
#[test]
fn ten_busy_seconds_without_a_break_are_a_note() {
    let mut validity = validity();
    for _ in 0..9 {
        assert_eq!(validity.look(busy(&[0.1, 0.91])), []);
    }
    assert!(validity.is_saturated());
    // Ninety per cent are allowed: a break begins the count anew. And another worker does not go on with the first one's.
    assert_eq!(validity.look(busy(&[1.0, 0.9])), []);
    for _ in 0..9 {
        assert_eq!((validity.look(busy(&[0.5, 0.95])), validity.notes()), (vec![], vec![]));
    }
    let ten = Finding::Busy { limit: Ratio::NINE_TENTHS, duration: 10 * SECOND };
    assert_eq!(validity.look(busy(&[0.5, 0.95])), std::slice::from_ref(&ten), "said at once");
    assert_eq!(validity.look(busy(&[0.5, 0.95])), [], "and once");
    validity.look(busy(&[0.5, 0.0]));
    assert_eq!(validity.notes(), [Finding::Busy { limit: Ratio::NINE_TENTHS, duration: 11 * SECOND }], "and stays");
    assert_eq!(validity.reasons(), []);
    assert!(!validity.is_saturated());
    assert_eq!(ten.message(), "the generator was saturated: a worker was busy more than 90% of the time for 10s");
    assert!(ten.hint().contains("without a wait time") && ten.hint().contains("busy: 100%"), "{}", ten.hint());
}

#[test]
fn a_look_without_a_reading_changes_no_stretch() {
    let mut validity = validity();
    for _ in 0..9 {
        validity.look(busy(&[1.0]));
        validity.look(Look::default());
    }
    assert_eq!(validity.look(busy(&[1.0])).len(), 1);
}

#[test]
fn one_arrival_in_a_thousand_may_be_dropped() {
    for (arrivals, dropped, invalid) in [(0, 0, false), (99_900, 100, false), (99_899, 101, true), (0, 1, true)] {
        let mut validity = validity();
        assert_eq!(validity.look(pulse(arrivals, dropped, [0, 0])).len(), usize::from(invalid), "{dropped}");
        assert_eq!(!validity.reasons().is_empty(), invalid, "{dropped}");
    }
    let mut validity = validity();
    let said = messages(&validity.look(pulse(900, 100, [0, 0])));
    assert_eq!(
        said,
        [
            "arrivals were dropped for want of users: 100 of 1000, more than 0.1%; the target did not get the load that was asked for"
        ]
    );
}

#[test]
fn one_iteration_in_a_thousand_may_be_overdue() {
    for (done, overdue, invalid) in [(0, 0, false), (99_900, 100, false), (99_899, 101, true), (3_320, 680, true)] {
        let mut validity = validity();
        let look = Look { pulse: Pulse { arrivals: done, overdue, ..Pulse::default() }, ..Look::default() };
        let said = messages(&validity.look(look));
        assert_eq!((said.len(), !validity.reasons().is_empty()), (usize::from(invalid), invalid), "{overdue}");
        if overdue == 680 {
            assert!(said[0].contains("overdue at the end: 680 of 4000, more than 0.1%"), "{said:?}");
        }
    }
}

#[test]
fn a_shortage_is_one_connection_too_many() {
    let mut validity = validity();
    assert_eq!(validity.look(pulse(10, 0, [0, 0])), []);
    let said = messages(&validity.look(pulse(20, 0, [1, 0])));
    assert_eq!(said, ["file descriptors ran out: 1 connection could not be opened"]);
    let said = messages(&validity.look(pulse(30, 0, [5, 7])));
    assert_eq!(said, ["local ports ran out: 7 connections could not be opened"], "each is said once");
    assert_eq!(
        messages(&validity.reasons()),
        ["file descriptors ran out: 5 connections could not be opened", "local ports ran out: 7 connections could not be opened"]
    );
}

#[test]
fn the_warm_up_is_not_judged_in_the_end() {
    let mut validity = validity();
    (0..12).for_each(|_| drop(validity.look(Look { pulse: pulse(1, 1, [1, 1]).pulse, ..busy(&[1.0]) })));
    validity.look(Look { pulse: pulse(1, 1, [1, 1]).pulse, ..look(&[times(&[(100, 60.0, 50.0)]), times(&[])]) });
    assert_eq!((validity.reasons().len(), validity.notes().len()), (4, 1));
    validity.end_warm_up();
    validity.look(busy(&[1.0]));
    assert_eq!((validity.reasons(), validity.notes()), (vec![], vec![]));
    assert!(validity.unjudged().is_some());
}

#[test]
fn limits_are_the_scenarios() {
    let limits = ValidityLimits {
        max_generator_share: Ratio::try_new(0.5).unwrap(),
        max_generator_time: Duration::from_millis(100),
        busy: Ratio::try_new(0.5).unwrap(),
        busy_for: 2 * SECOND,
        dropped: Ratio::try_new(0.5).unwrap(),
        ..ValidityLimits::default()
    };
    let mut validity = with(limits);
    let look = |late: f64, ratio: f64, dropped: u64| Look {
        busy: vec![ratio],
        pulse: Pulse { arrivals: 100, dropped, ..Pulse::default() },
        ..look(&[times(&[(100, 100.0 + late, late)]), times(&[])])
    };
    assert_eq!(validity.look(look(149.0, 0.6, 100)), []);
    assert_eq!(validity.look(look(149.0, 0.5, 100)), []);
    validity.look(look(152.0, 0.6, 101));
    validity.look(look(152.0, 0.6, 101));
    assert_eq!((validity.reasons().len(), validity.notes().len()), (2, 1), "{:?}", validity.reasons());

    // All of the time is no limit, also where two clocks make it a little more.
    let mut endless = with(ValidityLimits { busy: Ratio::try_new(1.0).unwrap(), ..ValidityLimits::default() });
    (0..30).for_each(|_| drop(endless.look(busy(&[1.001]))));
    assert_eq!(endless.notes(), []);

    // Not to be judged: said, and no more than a note.
    let mut spared = with(ValidityLimits { enabled: false, ..ValidityLimits::default() });
    assert_eq!(spared.look(pulse(1, 0, [1, 0])).len(), 1);
    assert_eq!((spared.reasons(), spared.notes().len()), (vec![], 1));
}
