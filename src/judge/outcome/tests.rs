//! Tables of what was asked of a run and what came of it.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::measure::catalog::{Catalog, RequestId};
use crate::measure::shard::{Sample, Shard};
use crate::measure::snapshot::Detail;
use crate::measure::snapshot::tests::{PHASES, facts};
use crate::measure::threshold::ThresholdRule;
use crate::units::Quantity;

/// A login in setup, and a page.
fn catalog() -> Arc<Catalog> {
    let mut catalog = Catalog::default();
    let user = catalog.add_user("U");
    catalog.add_task(user, "t");
    catalog.add_request("U", "t", "GET /page", "GET");
    catalog.add_request("setup", "setup", "POST /login", "POST");
    Arc::new(catalog)
}

/// Requests by their number, and how each of them failed.
fn run(requests: &[(u32, Option<(Reason, &str)>)]) -> Snapshot {
    let mut shard = Shard::new(&catalog());
    for (request, failure) in requests {
        let time = Duration::from_millis(1);
        let sample = Sample {
            response: time,
            service: time,
            status: failure.is_none().then_some(200),
            failure: *failure,
            sent_bytes: 0,
            received_bytes: 0,
            redirects: 0,
            retried: 0,
            read_lag: Duration::ZERO,
            unresolved_read_lag: Duration::ZERO,
            lag: Duration::ZERO,
            phases: &PHASES,
            exemplar: None,
        };
        shard.request(RequestId(*request), &sample);
    }
    let mut facts = facts();
    (facts.elapsed, facts.measured) = (Duration::from_secs(1), Duration::from_secs(1));
    let mut snapshot = Snapshot::empty(&catalog(), facts);
    snapshot.add(&mut shard, Detail::Full);
    snapshot
}

fn state(judgement: Judgement, lag_proof: bool) -> ThresholdState {
    let rule = ThresholdRule {
        name: "failure_ratio < 1%".into(),
        that: "failure_ratio < 1%".into(),
        scope: "all requests".into(),
        quantity: Quantity::Ratio,
        comparison: "<",
        limit: 0.01,
        over: None,
        after: Duration::ZERO,
        abort: false,
        lag_proof,
    };
    ThresholdState { judgement, value: Some(0.5), ..ThresholdState::new(Arc::new(rule)) }
}

const NOTHING_ASKED: Evidence<'static> = Evidence {
    validity: Validity::Valid,
    thresholds: &[],
    drift: Drift::NotAsked,
    fail_on_errors: false,
    teardown_failed: false,
    interrupted: false,
};

const REFUSED: Option<(Reason, &str)> = Some((Reason::ConnectRefused, "connection refused"));
const NOT_FOUND: Option<(Reason, &str)> = Some((Reason::Status, "status 404"));

fn judged(evidence: Evidence<'_>, requests: &[(u32, Option<(Reason, &str)>)]) -> (RunVerdict, Vec<(CauseKind, String)>) {
    let snapshot = run(requests);
    let (verdict, causes) = judge(evidence, &snapshot, &snapshot.measured());
    (verdict, causes.into_iter().map(|cause| (cause.kind, cause.message)).collect())
}

#[test]
fn without_anything_asked_a_run_is_not_judged() {
    assert_eq!(judged(NOTHING_ASKED, &[(0, None), (0, NOT_FOUND)]), (RunVerdict::NotJudged, vec![]));
    assert_eq!(judged(NOTHING_ASKED, &[]), (RunVerdict::NotJudged, vec![]));
}

#[test]
fn a_run_in_which_nothing_succeeded_has_failed_and_says_why() {
    let cause = "nothing succeeded: all 3 requests failed, mostly with reason connect_refused (connection refused)";
    let failed = (RunVerdict::Failed, vec![(CauseKind::NothingSucceeded, cause.to_owned())]);
    assert_eq!(judged(NOTHING_ASKED, &[(0, REFUSED), (0, REFUSED), (0, NOT_FOUND)]), failed);
    // A login of setup that works is no success of the load.
    assert_eq!(judged(NOTHING_ASKED, &[(1, None), (0, REFUSED), (0, REFUSED), (0, NOT_FOUND)]), failed);
    // Late is not deaf; but for want of descriptors the generator itself has failed.
    let late = Evidence { validity: Validity::Late, ..NOTHING_ASKED };
    assert_eq!(judged(late, &[(0, REFUSED), (0, REFUSED), (0, NOT_FOUND)]), failed);
    let short = Evidence { validity: Validity::Short, fail_on_errors: true, ..NOTHING_ASKED };
    assert_eq!(judged(short, &[(0, REFUSED)]), (RunVerdict::NotJudged, vec![]));
    // What was cut off by hand says nothing.
    let cut = Evidence { interrupted: true, ..NOTHING_ASKED };
    let cancelled = Some((Reason::Cancelled, "the run ended"));
    assert_eq!(judged(cut, &[(0, cancelled)]), (RunVerdict::NotJudged, vec![]));
    assert_eq!(judged(NOTHING_ASKED, &[(0, cancelled)]).0, RunVerdict::Failed, "by itself it never answered");
    assert_eq!(judged(cut, &[(0, cancelled), (0, NOT_FOUND)]).0, RunVerdict::Failed);
}

#[test]
fn errors_fail_a_run_that_is_to_fail_on_them() {
    let strict = Evidence { fail_on_errors: true, ..NOTHING_ASKED };
    assert_eq!(judged(strict, &[(0, None)]), (RunVerdict::Passed, vec![]));
    let cause = "1 of 2 requests failed, with reason status (status 404), and the run fails on any error";
    assert_eq!(judged(strict, &[(0, None), (0, NOT_FOUND)]), (RunVerdict::Failed, vec![(CauseKind::Errors, cause.to_owned())]));
    // A failed login counts, and so does teardown.
    assert_eq!(judged(strict, &[(0, None), (1, NOT_FOUND)]).0, RunVerdict::Failed);
    let teardown = Evidence { teardown_failed: true, ..strict };
    assert_eq!(judged(teardown, &[(0, None)]).1[0].1, "teardown failed, and the run fails on any error");
    let cut = Evidence { interrupted: true, ..strict };
    assert_eq!(judged(cut, &[(0, None), (0, Some((Reason::Cancelled, "the run ended")))]).0, RunVerdict::NotJudged);
}

#[test]
fn in_a_run_that_is_not_valid_only_what_lag_cannot_cause_fails() {
    let verdict = |validity, judgement, lag_proof| {
        let thresholds = [state(judgement, lag_proof)];
        let evidence = Evidence { validity, thresholds: &thresholds, ..NOTHING_ASKED };
        let now = so_far(evidence, 0);
        (judged(evidence, &[(0, None)]).0, now)
    };
    use Judgement::{Broken, Holds, NoData};
    use RunVerdict::{Failed, NotJudged, Passed};
    for (validity, judgement, lag_proof, end, now) in [
        (Validity::Valid, Holds, true, Passed, Passed),
        (Validity::Valid, Broken, false, Failed, Failed),
        (Validity::Valid, NoData, false, Failed, Passed),
        (Validity::Late, Holds, true, NotJudged, NotJudged),
        (Validity::Late, Broken, false, NotJudged, NotJudged),
        (Validity::Late, Broken, true, Failed, Failed),
        (Validity::Late, NoData, true, NotJudged, NotJudged),
        (Validity::Short, Broken, true, NotJudged, NotJudged),
    ] {
        assert_eq!(verdict(validity, judgement, lag_proof), (end, now), "{validity:?} {judgement:?} {lag_proof}");
    }
    let thresholds = [state(Broken, true)];
    let (_, causes) = judged(Evidence { thresholds: &thresholds, ..NOTHING_ASKED }, &[(0, None)]);
    assert_eq!(causes, [(CauseKind::Threshold, "threshold failed: failure_ratio < 1%: it was 50%".to_owned())]);
}

#[test]
fn drift_fails_a_valid_run_if_it_was_asked_for() {
    for (drift, validity, verdict) in [
        (Drift::Steady, Validity::Valid, RunVerdict::Passed),
        (Drift::Regressed, Validity::Valid, RunVerdict::Failed),
        (Drift::TooShort, Validity::Valid, RunVerdict::Failed),
        (Drift::Regressed, Validity::Late, RunVerdict::NotJudged),
    ] {
        assert_eq!(judged(Evidence { drift, validity, ..NOTHING_ASKED }, &[(0, None)]).0, verdict, "{drift:?} {validity:?}");
    }
}
