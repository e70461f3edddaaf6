//! What a worker has measured and not yet sorted into its histograms.
//!
//! A request touches some thirty cache lines of counters, which the target and the kernel have pushed out of the cache since the
//! last one of the same name: with 200 tasks that takes 360 ns more than with one. So the hot path writes one line of notes, and
//! some hundreds of them are sorted in at once, so that the processor may overlap the waiting for memory.

use std::time::Duration;

use super::catalog::{RequestId, TaskId};
use super::histogram::{Point, nanos};
use super::shard::Sample;
use super::totals::{Ending, RequestCounters};
use crate::phases::{Part, Phases};

/// Notes in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub(super) requests: Vec<Note>,
    pub(super) tasks: Vec<TaskNote>,
    /// In nanoseconds.
    pub(super) lags: Vec<u64>,
    /// Of responses that were read later than they arrived, in nanoseconds.
    pub(super) read_lags: Vec<u64>,
    /// Responses that were not.
    pub(super) prompt_reads: u64,
    /// Kept for its allocation.
    pub(super) points: Vec<(usize, [Point; 2], [u64; 2])>,
}

/// A request that went well, as nearly all do, and of which no span is exported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    response_nanos: u64,
    service_nanos: u64,
    pub(super) request: RequestId,
    /// By how much it started late.
    lag_nanos: u32,
    sent_bytes: u32,
    received_bytes: u32,
    /// In nanoseconds, by [`USUAL`]; [`NO_PHASE`] where there was none.
    phases: [u32; USUAL.len()],
    status: u16,
    /// In microseconds, rounded up.
    unresolved_read_lag: u16,
}

/// The phases of a request on a connection that was kept, of which nobody waited more than four seconds for one.
pub(super) const USUAL: [Part; 3] = [Part::Send, Part::Wait, Part::Receive];

const NO_PHASE: u32 = u32::MAX;

/// One cache line at most, with a part of the next: see above.
const _: () = assert!(size_of::<Note>() <= 48);

#[derive(Clone, Copy, Debug)]
pub(super) struct TaskNote {
    pub(super) nanos: u64,
    pub(super) task: TaskId,
    pub(super) ok: bool,
}

/// So many are sorted in at once: enough that of 200 names most come more than once and find their records in the cache, few enough
/// to be done in some tens of microseconds. With 64 a request of 200 tasks had 0.94 of the speed of one with one task, with
/// 512 it has 0.96, and no more with 1024.
const ROOM: usize = 512;

// === Pending ===

impl Pending {
    pub(super) fn is_full(&self) -> bool {
        self.requests.len() >= ROOM || self.tasks.len() >= ROOM || self.lags.len() >= ROOM || self.read_lags.len() >= ROOM
    }
}

// === Note ===

impl Note {
    /// `None` for one that has more to it than a note holds.
    pub(super) fn of(request: RequestId, sample: &Sample<'_>) -> Option<Self> {
        match *sample {
            Sample {
                response, service, status: Some(status), failure: None, redirects: 0, retried: 0, exemplar: None, ..
            } => Some(Self {
                response_nanos: nanos(response),
                service_nanos: nanos(service),
                request,
                lag_nanos: u32::try_from(nanos(sample.lag)).ok()?,
                phases: usual(sample.phases)?,
                sent_bytes: u32::try_from(sample.sent_bytes).ok()?,
                received_bytes: u32::try_from(sample.received_bytes).ok()?,
                status,
                unresolved_read_lag: u16::try_from(sample.unresolved_read_lag.as_nanos().div_ceil(1000)).ok()?,
            }),
            _ => None,
        }
    }

    /// Response and service time, in nanoseconds.
    pub(super) fn times(&self) -> [u64; 2] {
        [self.response_nanos, self.service_nanos]
    }

    /// The generator's own part of the response and service time, in nanoseconds.
    pub(super) fn generator_parts(&self) -> [u64; 2] {
        let unresolved = u64::from(self.unresolved_read_lag) * 1000;
        [u64::from(self.lag_nanos) + unresolved, unresolved]
    }

    /// How long one of the [`USUAL`] took, in nanoseconds.
    pub(super) fn phase(&self, usual: usize) -> Option<u64> {
        Some(self.phases[usual]).filter(|nanos| *nanos != NO_PHASE).map(u64::from)
    }

    pub(super) fn count(&self, counters: &mut RequestCounters) {
        counters.statuses.count(Some(self.status), Ending::Success);
        counters.sent_bytes += u64::from(self.sent_bytes);
        counters.received_bytes += u64::from(self.received_bytes);
    }
}

/// `None` if there are others, or one is too long.
fn usual(phases: &Phases) -> Option<[u32; USUAL.len()]> {
    let Phases { dns: None, connect: None, tls: None, first_event: None, send, wait, receive } = *phases else { return None };
    let short = |phase: Option<Duration>| match phase {
        None => Some(NO_PHASE),
        Some(phase) => u32::try_from(nanos(phase)).ok().filter(|nanos| *nanos != NO_PHASE),
    };
    Some([short(send)?, short(wait)?, short(receive)?])
}
