//! Why a generator was late: what its workers did with their time, and what kept them from it.
//!
//! | cause | how it is told |
//! |---|---|
//! | other programs | workers were ready to run and waited for a processor (`/proc/self/task/*/schedstat`, else `/proc/pressure/cpu`) |
//! | the hypervisor | the machine's processors were given to other machines (steal in `/proc/stat`) |
//! | the workers themselves | they ran nearly all the time |
//! | the process was stopped | an event loop stood still, and nothing of the above explains it |

use std::time::Duration;

use crate::units::format_duration;

/// What workers did with their time, and what kept them from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Strain {
    pub elapsed: Duration,
    /// The worker that waited longest for a processor: how long it waited, and how long it ran.
    pub waited: Duration,
    pub ran: Duration,
    /// What the hypervisor took, as an average of all processors.
    pub stolen: Duration,
    /// The longest time by which an event loop came round too late.
    pub gap: Duration,
    /// Gaps that neither waiting nor stealing explains, added up.
    pub stopped: Duration,
}

/// Why the generator was late. Shares are of the time that was looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    OtherPrograms { waited: f64 },
    Hypervisor { stolen: f64 },
    Busy { ran: f64 },
    Stopped { longest: Duration },
    Unknown,
}

/// A worker that runs or wants to run for more of its time is the bottleneck itself.
const SATURATED: f64 = 0.8;

/// A smaller share of the time explains nothing.
const LEAST: f64 = 0.005;

/// A gap that is not longer is no stop.
const SHORTEST_STOP: Duration = Duration::from_millis(5);

// === Strain ===

impl Strain {
    /// Adds the next stretch of time.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        let explained = next.waited + next.stolen;
        let is_stop = next.gap > SHORTEST_STOP && next.gap > 2 * explained;
        let stopped = next.stopped + if is_stop { next.gap } else { Duration::ZERO };
        Self {
            elapsed: self.elapsed + next.elapsed,
            waited: self.waited + next.waited,
            ran: self.ran + next.ran,
            stolen: self.stolen + next.stolen,
            gap: self.gap.max(next.gap),
            stopped: self.stopped + stopped,
        }
    }

    /// What explains most of the lateness.
    pub fn cause(&self) -> Cause {
        let share = |part: Duration| part.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9);
        let [waited, ran, stolen, stopped] = [self.waited, self.ran, self.stolen, self.stopped].map(share);
        if ran + waited > SATURATED {
            return if waited > 0.1 { Cause::OtherPrograms { waited } } else { Cause::Busy { ran } };
        }
        let most = waited.max(stolen).max(stopped);
        match most {
            _ if most < LEAST => Cause::Unknown,
            _ if most == stopped => Cause::Stopped { longest: self.gap },
            _ if most == stolen => Cause::Hypervisor { stolen },
            _ => Cause::OtherPrograms { waited },
        }
    }
}

// === Cause ===

impl Cause {
    /// What happened, to come after a semicolon.
    pub fn message(self) -> String {
        let percent = |share: f64| match share * 100.0 {
            percent if percent < 9.95 => format!("{percent:.1}%"),
            percent => format!("{percent:.0}%"),
        };
        match self {
            Self::OtherPrograms { waited } => {
                format!("other programs used the processor: a worker waited for it {} of the time", percent(waited))
            }
            Self::Hypervisor { stolen } => {
                format!("the hypervisor gave the processors to others {} of the time", percent(stolen))
            }
            Self::Busy { ran } => format!("the workers themselves were busy {} of the time", percent(ran)),
            Self::Stopped { longest } => format!(
                "the process was stopped: it stood still for up to {} while the processor was free",
                format_duration(Duration::from_millis(longest.as_millis() as u64).max(Duration::from_millis(1)))
            ),
            Self::Unknown => "the system does not tell why".to_owned(),
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::OtherPrograms { .. } => {
                "stop other programs on this machine or use another one, give otload cores of its own (`taskset`), or a higher \
                 priority (`nice -n -5`)"
            }
            Self::Hypervisor { .. } => "use a machine with processors of its own, or one that is less crowded",
            Self::Busy { .. } => "give it more --workers or another machine, or lower the load",
            Self::Stopped { .. } => {
                "look for SIGSTOP, a debugger, or a container or machine that was frozen or had used up its processor quota"
            }
            Self::Unknown => {
                "give it more --workers or a machine that nothing else uses, start users more slowly (`spawn_rate`), or lower the \
                 load"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn second(waited: u64, ran: u64, stolen: u64, gap: u64) -> Strain {
        Strain { elapsed: MS(1000), waited: MS(waited), ran: MS(ran), stolen: MS(stolen), gap: MS(gap), stopped: MS(0) }
    }

    #[test]
    fn each_cause_is_told_from_the_others() {
        for (name, seconds, wanted) in [
            ("two busy neighbors", [second(380, 200, 0, 12); 3], "a worker waited for it 38% of the time"),
            ("neighbors of a worker without a pause", [second(380, 620, 0, 12); 3], "a worker waited for it 38% of the time"),
            ("a worker without a pause", [second(20, 970, 0, 3); 3], "the workers themselves were busy 97% of the time"),
            ("a crowded host", [second(10, 200, 70, 40); 3], "the hypervisor gave the processors to others 7.0% of the time"),
            ("SIGSTOP once", [second(2, 100, 0, 1), second(2, 100, 0, 700), second(2, 100, 0, 1)], "stood still for up to 700ms"),
            ("short stops", [second(2, 100, 0, 30); 3], "stood still for up to 30ms"),
            // A gap while it waited for the processor is no stop.
            ("a neighbor with long slices", [second(90, 100, 0, 60); 3], "a worker waited for it 9.0% of the time"),
            ("nothing to see", [second(1, 100, 0, 1); 3], "the system does not tell why"),
        ] {
            let cause = seconds.into_iter().fold(Strain::default(), Strain::and).cause();
            assert!(cause.message().contains(wanted), "{name}: {}", cause.message());
            assert!(!cause.hint().is_empty());
        }
        assert_eq!(Strain::default().cause(), Cause::Unknown);
    }
}
