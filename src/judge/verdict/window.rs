//! A window that slides over the run, a step at a time, in bounded memory.
//!
//! ```text
//!   kept:   0     1     2     3     4          sums up to then, a step apart
//!           ├─────┼─────┼─────┼─────┤
//!                       └──────────────┤ now   the window: since the last one that is old enough
//! ```
//!
//! Steps are a second, or a sixtieth of a window that is longer than a minute. So at most 62 sums are kept, and a window is up
//! to a sixtieth longer than asked for when it is judged between two steps. A sum is a histogram of 2 KiB for each block
//! of bins that its durations fall into, some 20 to 100 KiB; thresholds that look at the same share it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::sum::Sum;

#[derive(Clone, Debug)]
pub(super) struct Window {
    length: Duration,
    step: Duration,
    /// Sums and when they were taken, oldest first; none that a later one makes useless.
    earlier: VecDeque<(Duration, Arc<Sum>)>,
}

const SHORTEST_STEP: Duration = Duration::from_secs(1);
/// A window has at most so many steps, and those of seconds.
const STEPS: u32 = 60;
/// A look comes a little early or late.
const TOLERANCE: Duration = Duration::from_millis(100);

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let mut window = Self { length, step: SHORTEST_STEP.max(length / STEPS), earlier: VecDeque::new() };
        window.clear();
        window
    }

    /// Begins anew: nothing has happened up to the moment zero.
    pub(super) fn clear(&mut self) {
        self.earlier = VecDeque::from([(Duration::ZERO, Arc::default())]);
    }

    /// What fell into the window that ends now, and how long that really is; `None` while it is not full.
    pub(super) fn since(&mut self, now: Duration, sum: &Sum) -> Option<(Sum, Duration)> {
        let is_old = |at: Duration, length: Duration| (now + TOLERANCE).saturating_sub(at) >= length;
        while self.earlier.get(1).is_some_and(|(at, _)| is_old(*at, self.length)) {
            self.earlier.pop_front();
        }
        let (at, earlier) = self.earlier.front().filter(|(at, _)| is_old(*at, self.length))?;
        Some((sum.since(earlier), now.saturating_sub(*at)))
    }

    /// Remembers how things stood now, if a step has passed.
    pub(super) fn keep(&mut self, now: Duration, sum: &Arc<Sum>) {
        let last = self.earlier.back().map_or(Duration::ZERO, |(at, _)| *at);
        if now + TOLERANCE >= last + self.step {
            self.earlier.push_back((now, Arc::clone(sum)));
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.earlier.len()
    }
}
