//! What looking into one response may cost, in time and in memory.
//!
//! The target chooses its response, so the work that a page or a document makes is not the scenario's alone. Whoever works on a
//! response asks between two steps whether the budget holds, and each step is linear in what it looks at.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{self, Instant};
use crate::units::format_duration;

/// Of captures, checks and what templates parse of one response. A worker looks into one response at a time.
pub struct Budget<'a> {
    /// When it runs out is known when it is first asked: most responses never ask.
    deadline: Cell<Option<Instant>>,
    /// The end of the request's `timeout`.
    timeout: Option<Instant>,
    bytes_left: Cell<usize>,
    exceeded: Cell<Option<Limit>>,
    /// The run does not wait any longer.
    ended: Option<&'a AtomicBool>,
    /// How often time was asked for since the last look at the clock.
    asked: Cell<u32>,
}

/// What has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Time,
    Memory,
    /// A page is nested deeper than this.
    Depth(usize),
    /// The run has ended.
    Ended,
}

/// So long a response may be looked into in any case.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// Half of a worker's 64 MiB: the other half is for what templates parse, see [`json_fits`].
pub const MEMORY: usize = 32 << 20;

// === Budget ===

impl<'a> Budget<'a> {
    /// Until `timeout`, but at least a second from now; no longer than `ended` is false.
    pub fn new(timeout: Option<Instant>, ended: Option<&'a AtomicBool>) -> Self {
        Self {
            deadline: Cell::new(None),
            timeout,
            bytes_left: Cell::new(MEMORY),
            exceeded: Cell::new(None),
            ended,
            asked: Cell::new(0),
        }
    }

    /// Whether there is time left; asked before each step.
    pub fn has_time(&self) -> bool {
        if self.exceeded.get().is_some() {
            return false;
        }
        if self.ended.is_some_and(|ended| ended.load(Ordering::Relaxed)) {
            self.exceeded.set(Some(Limit::Ended));
            return false;
        }
        let now = clock::now();
        let deadline = self.deadline.get().unwrap_or_else(|| {
            let least = now + LEAST_TIME;
            self.timeout.map_or(least, |timeout| timeout.max(least))
        });
        self.deadline.set(Some(deadline));
        if now >= deadline {
            self.exceeded.set(Some(Limit::Time));
        }
        now < deadline
    }

    /// As [`Self::has_time`], for steps that take less than a microsecond.
    pub fn has_time_for_short(&self) -> bool {
        let asked = self.asked.get().wrapping_add(1);
        self.asked.set(asked);
        if asked.is_multiple_of(64) { self.has_time() } else { self.exceeded.get().is_none() }
    }

    /// Takes so many bytes; says whether there were as many.
    pub fn take(&self, bytes: usize) -> bool {
        match self.bytes_left.get().checked_sub(bytes) {
            Some(left) => {
                self.bytes_left.set(left);
                self.exceeded.get().is_none()
            }
            None => {
                if self.exceeded.get().is_none() {
                    self.exceeded.set(Some(Limit::Memory));
                }
                false
            }
        }
    }

    /// Gives back what is held no longer.
    pub fn give_back(&self, bytes: usize) {
        self.bytes_left.set(self.bytes_left.get().saturating_add(bytes));
    }

    /// Notes that something has run out that only its user knows of.
    pub fn exceed(&self, limit: Limit) {
        if self.exceeded.get().is_none() {
            self.exceeded.set(Some(limit));
        }
    }

    pub fn exceeded(&self) -> Option<Limit> {
        self.exceeded.get()
    }

    /// # Errors
    /// Something has run out; says what, and what helps.
    pub fn check(&self) -> Result<(), String> {
        match self.exceeded.get() {
            None => Ok(()),
            Some(limit) => Err(limit.message()),
        }
    }
}

impl Default for Budget<'_> {
    fn default() -> Self {
        Self::new(None, None)
    }
}

// === Limit ===

impl Limit {
    fn message(self) -> String {
        match self {
            Self::Time => format!(
                "to look into the response took longer than the rest of the request's `timeout`, and than {}; look for less, \
                 or have the target send less",
                format_duration(LEAST_TIME)
            ),
            Self::Memory => format!(
                "to look into the response would take more than {} MiB; look for less, or have the target send less",
                MEMORY >> 20
            ),
            Self::Depth(most) => {
                format!("the page nests elements more than {most} deep; look for less, or have the target send less")
            }
            Self::Ended => "the run ended before the response was looked into".to_owned(),
        }
    }
}

// === JSON ===

/// About how many bytes a JSON text takes when it is parsed, at least.
///
/// ```text
///  [0,0,0,…     2 bytes each, and a value of 72 with what a list keeps in reserve
///  {"a":0,…     a member: its name has an allocation, and the index of the map has its share
/// ```
pub fn parsed_size(text: &[u8]) -> usize {
    const VALUE: usize = 128;
    const MEMBER: usize = 192;
    const CONTAINER: usize = 64;
    // No byte costs more.
    let most = text.len().saturating_mul(VALUE);
    if most <= MEMORY / 64 {
        return most;
    }
    let (mut size, mut bytes) = (text.len(), text.iter());
    while let Some(byte) = bytes.next() {
        size = size.saturating_add(match byte {
            b',' => VALUE,
            b':' => MEMBER,
            b'[' | b'{' => VALUE + CONTAINER,
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
                0
            }
            _ => 0,
        });
    }
    size
}

/// # Errors
/// The parsed document would not fit into what a template may take.
pub fn json_fits(text: &[u8]) -> Result<(), String> {
    if parsed_size(text) <= MEMORY { Ok(()) } else { Err(Limit::Memory.message()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_out_stays_so() {
        let budget = Budget::default();
        assert!(budget.take(MEMORY) && budget.has_time());
        budget.give_back(5);
        assert!(budget.take(5) && !budget.take(1));
        assert!(!budget.has_time() && budget.exceeded() == Some(Limit::Memory));
        let ended = AtomicBool::new(false);
        let budget = Budget::new(None, Some(&ended));
        assert!(budget.has_time());
        ended.store(true, Ordering::Relaxed);
        assert!(!budget.has_time() && budget.exceeded() == Some(Limit::Ended));
    }

    #[test]
    fn the_size_of_parsed_json_is_not_underestimated() {
        let n = 300_000;
        for (unit, least) in [("0,", 72), ("[],", 72), ("{\"a\":0},", 150), ("\"\",", 72)] {
            let text = format!("[{}0]", unit.repeat(n));
            assert!(parsed_size(text.as_bytes()) > n * least, "{unit}");
        }
        let text = format!("\"{}\"", "[,:{\\\"".repeat(n));
        assert_eq!(parsed_size(text.as_bytes()), text.len(), "what is in a string is text");
        assert!(json_fits(format!("[{}0]", "0,".repeat(1 << 20)).as_bytes()).is_err());
    }
}
