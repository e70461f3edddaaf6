//! Whether the generator itself was the bottleneck. It is told of the generator's health as the run goes, and answers with
//! the reasons for which the run is invalid.

use std::time::Duration;

use crate::units::format_duration;

/// A worker that was saturated for this long without a break has not kept up.
pub const LONGEST_SATURATION: Duration = Duration::from_secs(10);

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub struct Validity {
    saturated_for: Duration,
    longest: Duration,
}

/// Why a run is invalid; its text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// A worker was busy more than 90 % of the time, for this long.
    Saturated(Duration),
}

// === impl Validity ===

impl Validity {
    /// Notes whether a worker was saturated in the last `interval`. Answers with what has become invalid just now.
    pub fn observe(&mut self, interval: Duration, saturated: bool) -> Option<Invalid> {
        self.saturated_for = if saturated { self.saturated_for + interval } else { Duration::ZERO };
        let was_valid = self.longest < LONGEST_SATURATION;
        self.longest = self.longest.max(self.saturated_for);
        (was_valid && self.longest >= LONGEST_SATURATION).then_some(Invalid::Saturated(self.longest))
    }

    /// All reasons; none for a run that can be believed.
    pub fn reasons(&self) -> Vec<Invalid> {
        (self.longest >= LONGEST_SATURATION).then_some(Invalid::Saturated(self.longest)).into_iter().collect()
    }
}

impl Invalid {
    /// What happened.
    pub fn message(self) -> String {
        match self {
            Self::Saturated(duration) => {
                format!(
                    "the generator was saturated: a worker was busy more than 90 % of the time for {}",
                    format_duration(duration)
                )
            }
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Saturated(_) => {
                "give it more --workers or another machine, or lower the load; the latencies include its own delays"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_without_a_break_are_too_long() {
        let second = Duration::from_secs(1);
        let mut validity = Validity::default();
        for _ in 0..9 {
            assert_eq!(validity.observe(second, true), None);
        }
        assert_eq!(validity.observe(second, false), None, "a break begins the count anew");
        for _ in 0..9 {
            assert_eq!(validity.observe(second, true), None);
        }
        assert_eq!(validity.reasons(), []);
        assert_eq!(validity.observe(second, true), Some(Invalid::Saturated(10 * second)), "said at once");
        assert_eq!(validity.observe(second, true), None, "and once");
        validity.observe(second, false);
        assert_eq!(validity.reasons(), [Invalid::Saturated(11 * second)], "what was invalid stays so");
    }
}
