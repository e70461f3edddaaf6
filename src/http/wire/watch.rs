//! Where an exchange is and since when, so that each phase gets its time even when it is cut off.

use super::super::Exchange;
use super::super::request::add;
use super::super::transport::Stage;
use crate::clock::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Phase {
    Dns,
    Connect,
    Tls,
    Send,
    Wait,
    Receive,
}

/// The phase underway.
#[derive(Debug, Default)]
pub(in crate::http) struct Watch(Option<(Phase, Instant)>);

// === Watch ===

impl Watch {
    /// When the phase underway began.
    pub(super) fn since(&self) -> Option<Instant> {
        self.0.map(|(_, since)| since)
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        self.0.map(|(phase, _)| phase)
    }
}

// === Exchange ===

impl Exchange {
    /// Ends the phase underway at `now`, and begins `phase`.
    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        self.leave(now);
        self.course.stage = match phase {
            Phase::Dns | Phase::Connect | Phase::Tls => Stage::Connecting,
            Phase::Send => Stage::Sending,
            Phase::Wait => Stage::Waiting,
            Phase::Receive => Stage::Receiving,
        };
        self.course.watch.0 = Some((phase, now));
    }

    /// Ends the phase underway.
    pub(in crate::http) fn leave(&mut self, now: Instant) {
        let Some((phase, since)) = self.course.watch.0.take() else { return };
        let phases = &mut self.phases;
        let sum = match phase {
            Phase::Dns => &mut phases.dns,
            Phase::Connect => &mut phases.connect,
            Phase::Tls => &mut phases.tls,
            Phase::Send => &mut phases.send,
            Phase::Wait => &mut phases.wait,
            Phase::Receive => &mut phases.receive,
        };
        add(sum, now.saturating_duration_since(since));
    }
}
