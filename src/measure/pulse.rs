//! What is looked at to judge the generator itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::reason::Shortage;

use super::generator_shift::SplitTimes;
use super::histogram::Histogram;
use super::shard::{Figures, Shard};

/// What was measured since the end of the warm-up, as far as it tells of the generator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Arrivals of an open load: those that found a user, and those that found none.
    pub arrivals: u64,
    pub dropped: u64,
    /// Iterations that a schedule asked for and that never began.
    pub overdue: u64,
    /// Connections that failed for want of something, by the number of its [`Shortage`].
    pub shortages: [u64; Shortage::ALL.len()],
}

// === Pulse ===

impl Pulse {
    /// The sum over all shards, one after the other.
    pub fn take(shards: &[Arc<Mutex<Shard>>]) -> Self {
        let mut pulse = Self::default();
        shards.iter().for_each(|shard| pulse.add(&mut lock(shard)));
        pulse
    }

    fn add(&mut self, shard: &mut Shard) {
        let Figures { totals, baseline: before, .. } = shard.figures();
        let tasks: u64 = totals.tasks.iter().flatten().map(Histogram::count).sum();
        self.arrivals += tasks - before.map_or(0, |before| before.tasks.iter().flatten().sum());
        self.dropped +=
            totals.arrivals_dropped.iter().sum::<u64>() - before.map_or(0, |before| before.arrivals_dropped.iter().sum());
        self.overdue +=
            totals.iterations_overdue.iter().sum::<u64>() - before.map_or(0, |before| before.iterations_overdue.iter().sum());
        for (of, count) in totals.shortages.into_iter().enumerate() {
            self.shortages[of] += count - before.map_or(0, |before| before.shortages[of]);
        }
    }
}

/// Response times of each request since the end of the warm-up, by their ids. A worker is kept from recording for one request at
/// a time.
pub fn times(shards: &[Arc<Mutex<Shard>>]) -> Vec<SplitTimes> {
    let mut all: Vec<SplitTimes> = Vec::new();
    for shard in shards {
        let requests = lock(shard).figures().summary.requests.len();
        all.resize(all.len().max(requests), SplitTimes::default());
        for (at, all) in all.iter_mut().enumerate() {
            let shard = &mut lock(shard);
            let times = shard.figures().summary.requests.get(at);
            times.into_iter().for_each(|times| all.add(&SplitTimes::new(&times.response, &times.shift)));
        }
    }
    all
}

/// A worker that panicked has left whole numbers behind.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::catalog::{RequestId, TaskId};
    use crate::measure::quantiles::Quantiles;
    use crate::measure::shard::Sample;
    use crate::measure::snapshot::tests::catalog;

    #[test]
    fn it_is_what_came_after_the_warm_up_in_all_shards() {
        let ms = Duration::from_millis;
        let act = |shard: &mut Shard, millis| {
            let response = ms(millis);
            let sample = Sample {
                response,
                service: response,
                lag: response / 2,
                status: Some(200),
                failure: None,
                sent_bytes: 0,
                received_bytes: 0,
                redirects: 0,
                retried: 0,
                read_lag: Duration::ZERO,
                unresolved_read_lag: Duration::ZERO,
                phases: &crate::phases::Phases::NONE,
                exemplar: None,
            };
            shard.request(RequestId(0), &sample);
            shard.task(TaskId(0), true, response);
            shard.lag(response);
            shard.shortage(Shortage::Ports);
        };
        let (mut a, mut b) = (Shard::new(&catalog()), Shard::new(&catalog()));
        act(&mut a, 900);
        a.end_warm_up();
        act(&mut a, 10);
        act(&mut b, 20);
        act(&mut b, 30);
        let shards = [a, b].map(|shard| Arc::new(Mutex::new(shard)));
        let pulse = Pulse::take(&shards);
        assert_eq!((pulse.arrivals, pulse.dropped, pulse.shortages), (3, 0, [0, 3]));
        let all = times(&shards);
        let ends = |times: &Quantiles| times.times().map(|times| (times.min, times.max));
        assert_eq!(ends(&all[0].measured), Some((0.01, 0.03)));
        assert!(ends(&all[0].without_generator).is_some_and(|(min, max)| min == 0.005 && (max - 0.015).abs() < 15e-6));
        assert_eq!(all.len(), catalog().requests.len());
        assert_eq!(Pulse::take(&shards), pulse, "nothing is drained by being read");
    }
}
