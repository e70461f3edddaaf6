//! What is compared of a run that is read from its intervals.

use super::{Interval, Request, Run};
use crate::report::intervals::{LENGTH, Recorded};

impl Run {
    /// Without the warm-up; and without a last part that is too short to be like the others, unless all are. Where a request was
    /// not made, its interval is an empty one. `valid` is what is known better than the parts know it.
    pub fn of(recorded: &Recorded, valid: Option<bool>) -> Self {
        let parts: Vec<_> = recorded.measured().filter(|part| part.run.seconds >= LENGTH.as_secs_f64() / 2.0).collect();
        let mut requests: Vec<Request> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            for line in &part.requests {
                let name = line.name();
                let place = requests.iter().position(|request| request.name == name).unwrap_or_else(|| {
                    let empty = |seconds| Interval { seconds, ..Interval::default() };
                    let intervals = parts.iter().map(|part| empty(part.run.seconds)).collect();
                    requests.push(Request { name, intervals });
                    requests.len() - 1
                });
                let interval = &mut requests[place].intervals[at];
                (interval.requests, interval.failures) = (line.requests, line.failures);
                interval.times = line.response_times();
            }
        }
        let last = recorded.parts.last().map(|part| &part.run);
        Self {
            run_id: recorded.meta.run_id.clone(),
            test: recorded.meta.test.clone(),
            host: recorded.meta.host.clone(),
            started_at: recorded.meta.started_at.clone(),
            scenario_sha256: recorded.meta.scenario_sha256.clone(),
            peak_users: last.map_or(0, |run| run.peak_users),
            valid: valid.or(last.map(|run| run.valid)).unwrap_or(false),
            requests,
        }
    }
}
