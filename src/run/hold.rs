//! For how long the load has been held as it is. Alerts compare a run with its own beginning, which only says something of a load
//! that is still the same: users, rate and all.

use std::time::Duration;

use crate::load::Course;
use crate::measure::snapshot::Phase;

/// One who watches the load; looks may come at any time.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Since when, in the time of the load, and what was held.
    since: Option<(Duration, Level)>,
}

/// What must not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// That there are to be.
    pub(super) users: u64,
    /// When somebody steered it last, in the time of the load.
    pub(super) steered_at: Option<Duration>,
    /// A pause is a change, and back.
    pub(super) paused: Duration,
}

impl Hold {
    /// At `elapsed` of the load; zero outside of the steady phase.
    pub(super) fn look(&mut self, phase: Phase, elapsed: Duration, level: Level) -> Duration {
        if phase != Phase::Steady {
            self.since = None;
            return Duration::ZERO;
        }
        let since = match self.since {
            Some((since, known)) if known == level => since,
            _ => elapsed,
        };
        self.since = Some((since, level));
        elapsed.saturating_sub(since)
    }
}

impl Level {
    pub(super) fn of(users: u64, courses: &[Course], paused: Duration) -> Self {
        Self { users, steered_at: courses.iter().filter_map(Course::since).max(), paused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn level(users: u64) -> Level {
        Level { users, steered_at: None, paused: Duration::ZERO }
    }

    #[test]
    fn it_begins_with_the_steady_phase_and_ends_with_it() {
        let mut hold = Hold::default();
        let at = |hold: &mut Hold, phase, seconds| hold.look(phase, SECOND * seconds, level(4)).as_secs();
        let phases = [(Phase::WarmUp, 1), (Phase::Ramp, 5), (Phase::Steady, 7), (Phase::Steady, 9), (Phase::Steady, 60)];
        assert_eq!(phases.map(|(phase, seconds)| at(&mut hold, phase, seconds)), [0, 0, 0, 2, 53]);
        let phases = [(Phase::RampDown, 61), (Phase::Steady, 62), (Phase::Steady, 64), (Phase::Done, 70)];
        assert_eq!(phases.map(|(phase, seconds)| at(&mut hold, phase, seconds)), [0, 0, 2, 0]);
    }

    #[test]
    fn another_load_and_a_pause_begin_it_anew() {
        let mut hold = Hold::default();
        let steered = |at| Level { steered_at: Some(SECOND * at), ..level(4) };
        let paused = Level { paused: SECOND, ..steered(40) };
        let levels = [(0, level(4)), (10, level(4)), (20, level(5)), (30, level(5)), (40, steered(40)), (45, steered(40))];
        let held = levels.map(|(at, level)| hold.look(Phase::Steady, SECOND * at, level).as_secs());
        assert_eq!(held, [0, 10, 0, 10, 0, 5]);
        // The pause was over before anybody looked.
        assert_eq!([50, 52].map(|at| hold.look(Phase::Steady, SECOND * at, paused).as_secs()), [0, 2]);
    }
}
