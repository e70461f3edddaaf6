//! The live view: what somebody at a terminal sees while a run goes on.
//!
//! ```text
//!  Snapshot each second ─ View::look ─▶ View ─ draw ─▶ a frame ─ screen ─▶ the terminal
//!                              keys ──▶  │ scroll, help
//! ```
//!
//! [`View`] and [`draw`] are pure: they know no terminal and no clock. [`screen`] has the terminal, and gives it back.

mod draw;
mod figures;
pub mod keys;
pub mod screen;

use std::collections::VecDeque;

use crate::measure::measured::Measured;
use crate::measure::snapshot::Snapshot;

pub use draw::draw;

/// All that a frame shows.
pub struct View {
    snapshot: Snapshot,
    measured: Measured,
    /// Second by second, the newest last.
    history: VecDeque<Second>,
    /// Lines, the newest last.
    messages: Vec<String>,
    /// How many rows of the table are above those that are seen.
    scroll: usize,
    help: bool,
    colour: bool,
}

/// What came between two looks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Second {
    rps: f64,
    failures_per_second: f64,
    /// p50, p95 and p99 in seconds.
    times: Option<[f64; 3]>,
}

/// What a key does to the view alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Rows down, or up if negative.
    Rows(isize),
    Top,
    Bottom,
    Help,
}

/// The five minutes that the widest terminals have columns for.
const HISTORY: usize = 300;

impl View {
    pub fn new(snapshot: Snapshot, colour: bool) -> Self {
        let measured = snapshot.measured();
        Self { snapshot, measured, history: VecDeque::new(), messages: Vec::new(), scroll: 0, help: false, colour }
    }

    /// Takes in a snapshot with `Detail::Full`.
    pub fn look(&mut self, now: Snapshot) {
        let interval = now.since(&self.snapshot);
        let over = interval.elapsed.as_secs_f64();
        // In a pause no time passes, and nothing comes.
        let rate = |count: u64| if over > 0.0 { count as f64 / over } else { 0.0 };
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Second {
            rps: rate(interval.requests),
            failures_per_second: rate(interval.failures),
            times: interval.response.map(|times| [times.p50, times.p95, times.p99]),
        });
        self.measured = now.measured();
        self.snapshot = now;
    }

    pub fn tell(&mut self, messages: Vec<String>) {
        self.messages = messages;
    }

    /// Whether the help is in front.
    pub fn helps(&self) -> bool {
        self.help
    }

    pub fn turn(&mut self, turn: Turn) {
        let last = self.snapshot.catalog.requests.len().saturating_sub(1);
        self.scroll = match turn {
            Turn::Rows(by) => self.scroll.saturating_add_signed(by).min(last),
            Turn::Top => 0,
            Turn::Bottom => last,
            Turn::Help => {
                self.help = !self.help;
                self.scroll
            }
        };
    }
}

#[cfg(test)]
mod tests;
