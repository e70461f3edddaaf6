use super::*;
use crate::measure::histogram::Point;

const SECOND: Duration = Duration::from_secs(1);

/// So many starts that were late by so many ms each.
fn lag(parts: &[(u64, f64)]) -> Quantiles {
    let mut lag = Quantiles::default();
    for (count, millis) in parts {
        for _ in 0..*count {
            lag.record(&Point::new(Duration::from_secs_f64(millis / 1e3), &[]));
        }
    }
    lag
}

fn validity() -> Validity {
    Validity::new(ValidityLimits::default())
}

fn late(lag: Quantiles) -> Look {
    Look { interval: SECOND, pulse: Pulse { lag, ..Pulse::default() }, ..Look::default() }
}

fn busy(ratios: &[f64]) -> Look {
    Look { interval: SECOND, busy: ratios.to_vec(), ..Look::default() }
}

fn pulse(arrivals: u64, dropped: u64, shortages: [u64; 2]) -> Look {
    Look { interval: SECOND, pulse: Pulse { arrivals, dropped, shortages, ..Pulse::default() }, ..Look::default() }
}

fn ms(millis: f64) -> impl FnOnce() -> Option<f64> {
    move || Some(millis / 1e3)
}

fn messages(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| finding.message()).collect()
}

#[test]
fn lag_is_measured_by_the_larger_of_its_two_limits() {
    // (late starts of a thousand, by ms, median of the response times in ms, the limit if it is exceeded)
    for (count, by, median, limit) in [
        (11, 8.0, 20.0, Some(0.005)),
        (11, 4.9, 20.0, None),
        // A tenth of 100 ms is more than 5 ms.
        (11, 8.0, 100.0, None),
        (11, 12.0, 100.0, Some(0.01)),
        // One in a hundred is not in the p99.
        (10, 900.0, 20.0, None),
    ] {
        let mut validity = validity();
        validity.look(late(lag(&[(1000 - count, 0.1), (count, by)])), ms(median));
        let found = validity.reasons();
        match (limit, found.as_slice()) {
            (None, []) => {}
            (Some(wanted), [Finding::Late { p99, limit, over: None }]) => {
                assert!((*limit - wanted).abs() < 1e-12 && (p99 * 1e3 / by - 1.0).abs() < 0.01, "{found:?}");
            }
            _ => panic!("{count} late by {by} ms at a median of {median} ms: {found:?}"),
        }
        assert_eq!(validity.is_saturated(), limit.is_some());
    }
}

#[test]
fn a_handful_of_starts_is_no_verdict() {
    for (count, verdict) in [(99, false), (100, true)] {
        let mut validity = validity();
        let news = validity.look(late(lag(&[(count, 500.0)])), ms(1.0));
        assert_eq!((!news.is_empty(), !validity.reasons().is_empty()), (verdict, verdict), "{count}");
    }
}

#[test]
fn the_median_is_only_asked_for_when_something_is_late() {
    validity().look(late(lag(&[(1000, 4.0)])), || panic!("nothing is late"));
    let mut without = validity();
    without.look(late(lag(&[(1000, 6.0)])), || None);
    assert_eq!(without.reasons().len(), 1, "without a response the absolute limit holds");
}

#[test]
fn a_hitch_is_warned_of_at_once_and_forgiven_in_the_end() {
    let mut validity = validity();
    let mut starts = vec![(0, 0.1), (0, 800.0)];
    // An hour at 100/s; for one second of it everything is late by 800 ms.
    let mut warned = Vec::new();
    for second in 0..3600 {
        starts[usize::from(second == 1800)].0 += 100;
        // The same numbers in another order would cost the test its time: only the minute around the hitch is looked at.
        if second < 1790 {
            continue;
        }
        if second < 1830 || second == 3599 {
            warned.extend(messages(&validity.look(late(lag(&starts)), ms(10.0))));
        }
        assert_eq!(validity.is_saturated(), (1800..1810).contains(&second), "{second}");
    }
    assert_eq!(
        warned,
        ["requests started late: the schedule lag's p99 within 10s is 800ms, and 5ms is the most that can be ignored"]
    );
    assert_eq!(validity.reasons(), [], "100 of 360,000 are not in the p99");
    assert_eq!(messages(&validity.notes()), warned);
}

#[test]
fn a_run_that_recovers_is_valid_again_and_one_that_does_not_is_not() {
    let mut validity = validity();
    assert_eq!(messages(&validity.look(late(lag(&[(100, 50.0)])), ms(1.0))).len(), 1);
    assert_eq!(validity.reasons().len(), 1, "so far");
    for second in 1..=20 {
        assert_eq!(validity.look(late(lag(&[(100, 50.0), (1000 * second, 0.1)])), ms(1.0)), [], "said once");
    }
    assert_eq!((validity.reasons(), validity.is_saturated()), (vec![], false));
    assert!(messages(&validity.notes())[0].contains("p99 within 1s is 50"), "{:?}", validity.notes());
    validity.look(late(lag(&[(400, 50.0), (20_000, 0.1)])), ms(1.0));
    assert_eq!((validity.reasons().len(), validity.notes().len()), (1, 0), "a reason needs no note beside it");
}

#[test]
fn ten_seconds_without_a_break_are_too_busy() {
    let mut validity = validity();
    for _ in 0..9 {
        assert_eq!(validity.look(busy(&[0.1, 0.91]), || None), []);
    }
    assert!(validity.is_saturated());
    // Ninety per cent are allowed: a break begins the count anew. And another worker does not go on with the first one's.
    assert_eq!(validity.look(busy(&[1.0, 0.9]), || None), []);
    for _ in 0..9 {
        assert_eq!((validity.look(busy(&[0.5, 0.95]), || None), validity.reasons()), (vec![], vec![]));
    }
    let ten = Finding::Busy { limit: Ratio::NINE_TENTHS, duration: 10 * SECOND };
    assert_eq!(validity.look(busy(&[0.5, 0.95]), || None), [ten], "said at once");
    assert_eq!(validity.look(busy(&[0.5, 0.95]), || None), [], "and once");
    validity.look(busy(&[0.5, 0.0]), || None);
    assert_eq!(validity.reasons(), [Finding::Busy { limit: Ratio::NINE_TENTHS, duration: 11 * SECOND }], "and stays");
    assert!(!validity.is_saturated());
    assert_eq!(ten.message(), "the generator was saturated: a worker was busy more than 90% of the time for 10s");
    assert!(ten.hint().contains("without a wait time") && ten.hint().contains("busy: 100%"), "{}", ten.hint());
}

#[test]
fn a_look_without_a_reading_changes_no_stretch() {
    let mut validity = validity();
    for _ in 0..9 {
        validity.look(busy(&[1.0]), || None);
        validity.look(Look::default(), || None);
    }
    assert_eq!(validity.look(busy(&[1.0]), || None).len(), 1);
}

#[test]
fn one_arrival_in_a_thousand_may_be_dropped() {
    for (arrivals, dropped, invalid) in [(0, 0, false), (99_900, 100, false), (99_899, 101, true), (0, 1, true)] {
        let mut validity = validity();
        assert_eq!(validity.look(pulse(arrivals, dropped, [0, 0]), || None).len(), usize::from(invalid), "{dropped}");
        assert_eq!(!validity.reasons().is_empty(), invalid, "{dropped}");
    }
    let mut validity = validity();
    let said = messages(&validity.look(pulse(900, 100, [0, 0]), || None));
    assert_eq!(
        said,
        [
            "arrivals were dropped for want of users: 100 of 1000, more than 0.1%; the target did not get the load that was asked for"
        ]
    );
}

#[test]
fn a_shortage_is_one_connection_too_many() {
    let mut validity = validity();
    assert_eq!(validity.look(pulse(10, 0, [0, 0]), || None), []);
    let said = messages(&validity.look(pulse(20, 0, [1, 0]), || None));
    assert_eq!(said, ["file descriptors ran out: 1 connection could not be opened"]);
    let said = messages(&validity.look(pulse(30, 0, [5, 7]), || None));
    assert_eq!(said, ["local ports ran out: 7 connections could not be opened"], "each is said once");
    assert_eq!(
        messages(&validity.reasons()),
        ["file descriptors ran out: 5 connections could not be opened", "local ports ran out: 7 connections could not be opened"]
    );
}

#[test]
fn the_warm_up_is_not_judged_in_the_end() {
    let mut validity = validity();
    (0..12).for_each(|_| drop(validity.look(Look { pulse: pulse(1, 1, [1, 1]).pulse, ..busy(&[1.0]) }, || None)));
    assert_eq!(validity.reasons().len(), 4);
    validity.end_warm_up();
    validity.look(busy(&[1.0]), || None);
    assert_eq!((validity.reasons(), validity.notes()), (vec![], vec![]));
}

#[test]
fn limits_are_the_scenarios() {
    let limits = ValidityLimits {
        schedule_lag: Duration::from_millis(100),
        lag_of_median: Ratio::try_new(1.0).unwrap(),
        busy: Ratio::try_new(0.5).unwrap(),
        busy_for: 2 * SECOND,
        dropped: Ratio::try_new(0.5).unwrap(),
        ..ValidityLimits::default()
    };
    let mut validity = Validity::new(limits);
    let look = |millis: f64, ratio: f64, dropped: u64| Look {
        interval: SECOND,
        busy: vec![ratio],
        pulse: Pulse { lag: lag(&[(100, millis)]), arrivals: 100, dropped, ..Pulse::default() },
    };
    assert_eq!(validity.look(look(99.0, 0.6, 100), ms(1.0)), []);
    assert_eq!(validity.look(look(110.0, 0.5, 100), ms(120.0)), []);
    validity.look(look(110.0, 0.6, 101), ms(105.0));
    validity.look(look(110.0, 0.6, 101), ms(105.0));
    assert_eq!(validity.reasons().len(), 3, "{:?}", validity.reasons());

    // All of the time is no limit, also where two clocks make it a little more.
    let mut endless = Validity::new(ValidityLimits { busy: Ratio::try_new(1.0).unwrap(), ..ValidityLimits::default() });
    (0..30).for_each(|_| drop(endless.look(busy(&[1.001]), || None)));
    assert_eq!(endless.reasons(), []);

    // Not to be judged: said, and no more than a note.
    let mut spared = Validity::new(ValidityLimits { enabled: false, ..ValidityLimits::default() });
    assert_eq!(spared.look(pulse(1, 0, [1, 0]), || None).len(), 1);
    assert_eq!((spared.reasons(), spared.notes().len()), (vec![], 1));
}
