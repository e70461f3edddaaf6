//! How far a run has been told to end, and by whom: the first time counts, later ones only make it harsher.

use std::time::Duration;

use crate::engine::Mode;
use crate::measure::outcome::{RunEnd, Stop, StopCause};

/// The end of a run, as far as it has been asked for.
#[derive(Debug)]
pub(super) struct Ending {
    mode: Mode,
    stop: Option<Stop>,
    cut: Option<Stop>,
    /// The load has ended by itself: from here on only a second request changes how the run ended.
    load_over: bool,
}

impl Ending {
    pub(super) fn new() -> Self {
        Self { mode: Mode::Run, stop: None, cut: None, load_over: false }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Asks for a graceful end, at a moment of the load. Answers whether that is news.
    pub(super) fn stop(&mut self, cause: StopCause, at: Duration) -> bool {
        let is_news = self.mode == Mode::Run;
        if is_news {
            self.mode = Mode::Stop;
            self.stop = (!self.load_over).then_some(Stop { cause, at });
        }
        is_news
    }

    /// A signal: the first one stops, the second one cuts off.
    pub(super) fn interrupt(&mut self, cause: StopCause, at: Duration) {
        if !self.stop(cause, at) {
            self.mode = Mode::Cut;
            self.cut.get_or_insert(Stop { cause, at });
        }
    }

    /// Workers did not end in time and were left behind, at a moment of the load.
    pub(super) fn leave_behind(&mut self, at: Duration) {
        let cause = self.stop.map_or(StopCause::Deadline, |stop| stop.cause);
        self.cut.get_or_insert(Stop { cause, at });
    }

    /// The last user has ended.
    pub(super) fn load_ended(&mut self) {
        self.load_over = true;
    }

    /// How the run ended, given how long it was to last. A stop that came while the last users ended their tasks, after the planned
    /// end, changed nothing.
    pub(super) fn end(&self, planned: Option<Duration>) -> RunEnd {
        let early = |stop: &Stop| planned.is_none_or(|planned| stop.at < planned);
        match (self.cut, self.stop.filter(early)) {
            (Some(cut), _) => RunEnd::Interrupted(cut),
            (None, Some(stop)) => RunEnd::Stopped(stop),
            (None, None) => RunEnd::Finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TERM: StopCause = StopCause::Signal("SIGTERM");

    #[test]
    fn who_stops_a_run_first_is_remembered() {
        let mut ending = Ending::new();
        assert_eq!((ending.end(None), ending.mode()), (RunEnd::Finished, Mode::Run));
        assert!(ending.stop(StopCause::Api, 3 * SECOND) && !ending.stop(StopCause::Key, 4 * SECOND));
        let stop = Stop { cause: StopCause::Api, at: 3 * SECOND };
        assert_eq!((ending.end(Some(30 * SECOND)), ending.mode()), (RunEnd::Stopped(stop), Mode::Stop));
        ending.interrupt(TERM, 5 * SECOND);
        ending.interrupt(TERM, 6 * SECOND);
        let cut = Stop { cause: TERM, at: 5 * SECOND };
        assert_eq!((ending.end(Some(30 * SECOND)), ending.mode()), (RunEnd::Interrupted(cut), Mode::Cut));
    }

    #[test]
    fn a_stop_after_the_planned_end_or_in_teardown_stops_nothing() {
        let mut ending = Ending::new();
        ending.interrupt(TERM, 31 * SECOND);
        assert_eq!(ending.end(Some(30 * SECOND)), RunEnd::Finished);
        assert!(matches!(ending.end(None), RunEnd::Stopped(_)), "a run without an end is always stopped");
        let mut ending = Ending::new();
        ending.load_ended();
        ending.interrupt(TERM, 2 * SECOND);
        assert_eq!((ending.end(Some(30 * SECOND)), ending.mode()), (RunEnd::Finished, Mode::Stop));
        ending.interrupt(TERM, 2 * SECOND);
        assert!(matches!(ending.end(Some(30 * SECOND)), RunEnd::Interrupted(_)));
    }
}
