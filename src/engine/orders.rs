//! What the workers are told while they run: to end, to pause, and where a load is steered. One value on a watch channel, so
//! that all of them go by the same moments, whenever each of them hears of it.
//!
//! The time of a load stands still while the run is paused:
//!
//! ```text
//!  clock   0----1----2----3----4----5----6----7
//!  paused            |==============|
//!  load    0----1----2              2----3----4      what was due at 3 is due at 6: nothing is late, nothing is skipped
//! ```

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::load::{Course, Steering, Wish};
use crate::scenario::plan::Crew;

/// Whether the workers go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Run,
    /// End tasks, then end.
    Stop,
    /// End now.
    Cut,
}

/// All that they are told.
#[derive(Clone, Debug)]
pub struct Orders {
    pub mode: Mode,
    pub pauses: Pauses,
    /// What has become of each crew's load.
    pub courses: Arc<[Course]>,
}

/// When the run stood still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// How long those took that are over.
    over: Duration,
    since: Option<Instant>,
}

impl Orders {
    /// At the start, of so many crews.
    pub fn new(crews: usize) -> Self {
        Self { mode: Mode::Run, pauses: Pauses::default(), courses: vec![Course::default(); crews].into() }
    }

    /// Steers the load of the crew `of`, in a run that began at `started`, from this moment on. Answers with what that means;
    /// nothing if the load is of the other kind.
    pub(super) fn steer(&mut self, crew: usize, of: &Crew, started: Instant, now: Instant, wish: Wish) -> Option<Steering> {
        // A load that has not begun is steered from its beginning.
        let at = self.pauses.elapsed(started, now).saturating_sub(of.start_after);
        let course = self.courses.get(crew).copied().unwrap_or_default();
        let steering = of.profile.steer(at, &course, wish)?;
        self.set_course(crew, Course { steering: Some(steering), ..course });
        Some(steering)
    }

    /// Changes what has become of one crew's load.
    pub(super) fn set_course(&mut self, crew: usize, course: Course) {
        let mut courses = self.courses.to_vec();
        if let Some(known) = courses.get_mut(crew) {
            *known = course;
            self.courses = courses.into();
        }
    }
}

impl Pauses {
    pub fn are_on(self) -> bool {
        self.since.is_some()
    }

    /// How long those took that are over.
    pub(super) fn over(self) -> Duration {
        self.over
    }

    /// How long they took up to `now`.
    pub fn until(self, now: Instant) -> Duration {
        self.over + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The time of a load that began at `started`.
    pub fn elapsed(self, started: Instant, now: Instant) -> Duration {
        self.since.unwrap_or(now).saturating_duration_since(started).saturating_sub(self.over)
    }

    /// When the load's time is, or will be, `at`; unknown while it stands still.
    pub fn moment(self, started: Instant, at: Duration) -> Option<Instant> {
        if self.are_on() { None } else { Some(started + at + self.over) }
    }

    /// Says whether anything changed.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let changed = self.since.is_none();
        self.since.get_or_insert(now);
        changed
    }

    /// Says whether anything changed.
    pub(super) fn end(&mut self, now: Instant) -> bool {
        let changed = self.are_on();
        *self = Self { over: self.until(now), since: None };
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn the_time_of_a_load_stands_still() {
        let (start, second) = (clock::now(), Duration::from_secs(1));
        let at = |seconds: u32| start + second * seconds;
        let mut pauses = Pauses::default();
        assert_eq!(pauses.elapsed(start, at(2)), 2 * second);
        assert!(pauses.begin(at(2)) && !pauses.begin(at(3)), "the second one is the same pause");
        assert_eq!(
            (pauses.elapsed(start, at(4)), pauses.until(at(4)), pauses.moment(start, 3 * second)),
            (2 * second, 2 * second, None)
        );
        assert!(pauses.end(at(5)) && !pauses.end(at(6)));
        assert_eq!((pauses.elapsed(start, at(6)), pauses.until(at(6))), (3 * second, 3 * second));
        assert_eq!(pauses.moment(start, 3 * second), Some(at(6)));
        pauses.begin(at(7));
        pauses.end(at(8));
        assert_eq!(pauses.elapsed(start, at(9)), 5 * second);
    }
}
