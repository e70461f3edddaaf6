//! The target that answers nothing: it is warned of after the first seconds of the load, and not only in the summary.

use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::judge::outcome::dominant;
use crate::measure::snapshot::Snapshot;
use crate::measure::totals::UserState;

/// Looks at the first requests of a run.
#[derive(Debug, Default)]
pub(super) struct SilenceWatch {
    over: bool,
}

/// For so long nothing has succeeded when it is warned of.
const PATIENCE: Duration = Duration::from_secs(5);

impl SilenceWatch {
    /// Whether a snapshot with all details is worth taking.
    pub(super) fn wants(&self, elapsed: Duration) -> bool {
        !self.over && elapsed >= PATIENCE
    }

    /// The warning, once. The watch ends with it, or with the first success.
    pub(super) fn look(&mut self, snapshot: &Snapshot) -> Option<Diagnostic> {
        let of_users = |user: &str| !matches!(user, "setup" | "teardown");
        let all = snapshot.catalog.requests.iter().zip(&snapshot.totals.requests).filter(|(name, _)| of_users(&name.user));
        let (requests, failures) = all.fold((0, 0), |(requests, failures), (_, totals)| {
            let (more, failed) = totals.counters.requests_and_failures();
            (requests + more, failures + failed)
        });
        let busy: i64 = snapshot.totals.users.iter().map(|states| states[UserState::Running as usize]).sum();
        if requests == 0 && busy <= 0 {
            // Nobody has asked the target for anything yet.
            return None;
        }
        self.over = true;
        if failures < requests {
            return None;
        }
        let elapsed = snapshot.facts.elapsed.as_secs();
        let problem = if requests == 0 {
            let message = format!("the target has answered nothing in the first {elapsed} s: no request has ended yet");
            Diagnostic::warning(message).hint("it may be down or very slow; `otload check --once` shows one exchange")
        } else {
            let why = dominant(snapshot.measured().requests.iter());
            let message = format!("nothing has succeeded in the first {elapsed} s: {requests} requests failed{why}");
            Diagnostic::warning(message).hint("check `host` and the target; `otload check --once` shows one exchange")
        };
        Some(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::catalog::{RequestId, UserId};
    use crate::measure::shard::{Sample, Shard};
    use crate::measure::snapshot::Detail;
    use crate::measure::snapshot::tests::{PHASES, catalog, facts};
    use crate::reason::Reason;

    fn snapshot(shard: &mut Shard) -> Snapshot {
        let mut facts = facts();
        facts.elapsed = Duration::from_secs(6);
        let mut snapshot = Snapshot::empty(&catalog(), facts);
        snapshot.add(shard, Detail::Full);
        snapshot
    }

    fn request(shard: &mut Shard, failure: Option<(Reason, &str)>) {
        let time = Duration::from_millis(1);
        let (status, phases) = (failure.is_none().then_some(200), &PHASES);
        let sample = Sample {
            response: time,
            service: time,
            status,
            failure,
            sent_bytes: 0,
            received_bytes: 0,
            redirects: 0,
            retried: 0,
            read_lag: Duration::ZERO,
            unresolved_read_lag: Duration::ZERO,
            lag: Duration::ZERO,
            phases,
            exemplar: None,
        };
        shard.request(RequestId(0), &sample);
    }

    #[test]
    fn a_target_without_a_success_is_warned_of_once_with_the_reason() {
        let (mut watch, mut shard) = (SilenceWatch::default(), Shard::new(&catalog()));
        assert!(!watch.wants(Duration::from_secs(4)) && watch.wants(Duration::from_secs(5)));
        assert!(watch.look(&snapshot(&mut shard)).is_none() && watch.wants(Duration::from_secs(6)), "nobody is there yet");
        request(&mut shard, Some((Reason::ConnectRefused, "connection refused")));
        let warning = watch.look(&snapshot(&mut shard)).unwrap();
        let expected =
            "nothing has succeeded in the first 6 s: 1 requests failed, with reason connect_refused (connection refused)";
        assert_eq!(warning.message, expected);
        assert!(!watch.wants(Duration::from_secs(7)), "once");
    }

    #[test]
    fn one_success_is_enough_and_a_request_without_an_end_is_silence() {
        let (mut watch, mut shard) = (SilenceWatch::default(), Shard::new(&catalog()));
        request(&mut shard, None);
        request(&mut shard, Some((Reason::Status, "500")));
        assert!(watch.look(&snapshot(&mut shard)).is_none() && !watch.wants(Duration::from_secs(6)));
        let (mut watch, mut shard) = (SilenceWatch::default(), Shard::new(&catalog()));
        shard.user(UserId(0), None, Some(UserState::Running));
        assert!(watch.look(&snapshot(&mut shard)).unwrap().message.contains("no request has ended yet"));
    }
}
