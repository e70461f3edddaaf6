//! One request and its response on one connection.
//!
//! ```text
//!   the task's turn ──▶ anything there already?  no: the waker is registered, and no system call made
//!                       write the request        one system call
//!   woken by epoll  ──▶ read the response        one system call
//! ```
//!
//! While a large body is written the response is read too: a server may answer early, and often does to refuse.

use std::io;
use std::task::{Context, Poll, ready};

use super::super::events::{Events, Flow};
use super::super::identity::Identity;
use super::super::{Exchange, Failure};
use super::buffers::with_reading;
use super::late::Arrived;
use super::request::Out;
use super::response::{Parser, Progress, Wrong};
use super::stream::Stream;
use super::watch::Phase;
use crate::clock::{self, Instant};

pub(super) struct Turn<'t, 'a> {
    pub(super) stream: &'t mut Stream,
    pub(super) out: &'t mut Out<'a>,
    pub(super) parser: &'t mut Parser,
    pub(super) exchange: &'t mut Exchange,
    pub(super) step: &'t mut Step,
    /// What takes the body, as far as it has come.
    pub(super) events: Option<&'t Events>,
    /// The write side broke. What the server said before may still be read.
    pub(super) broken: &'t mut Option<io::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The connection was idle: it must be open, and have nothing to say.
    Check,
    /// `registered`: the task is woken when there is something to read.
    Write {
        registered: bool,
    },
    Read,
}

/// How it went.
pub(in crate::http) enum Ended {
    /// The response is whole; whether the connection may serve another.
    Whole {
        reusable: bool,
    },
    /// The connection was closed while it was idle, and nothing was written to it.
    Stale,
    Wrong(Wrong),
    Io(io::Error),
}

// === Turn ===

impl Turn<'_, '_> {
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        if *self.step == Step::Check {
            match with_reading(|buffer| self.stream.poll_read(context, buffer)) {
                Poll::Pending => *self.step = Step::Write { registered: true },
                // The end, or something that nobody asked for.
                Poll::Ready(_) => return Poll::Ready(Ended::Stale),
            }
        }
        if let Step::Write { registered } = *self.step {
            match self.poll_write(context) {
                Poll::Ready(Ok(())) => *self.step = Step::Read,
                // Reused and refused at the first byte: it was closed a moment ago, and the server has seen nothing.
                Poll::Ready(Err(())) if registered && self.out.is_untouched() => return Poll::Ready(Ended::Stale),
                // Broken: there may be an answer to read.
                Poll::Ready(Err(())) => *self.step = Step::Read,
                Poll::Pending => *self.step = Step::Write { registered: false },
            }
            if registered {
                return Poll::Pending;
            }
        }
        with_reading(|buffer| self.poll_read(context, buffer))
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ()>> {
        while !self.out.is_done() {
            let (first, second) = self.out.rest();
            match ready!(self.stream.poll_write(context, first, second)) {
                Ok(count) => {
                    self.out.advance(count);
                    self.exchange.sent_bytes += count as u64;
                }
                Err(error) => {
                    self.write_broke(error);
                    return Poll::Ready(Err(()));
                }
            }
        }
        if let Err(error) = ready!(self.stream.poll_flush(context)) {
            self.write_broke(error);
            return Poll::Ready(Err(()));
        }
        self.written();
        Poll::Ready(Ok(()))
    }

    fn write_broke(&mut self, error: io::Error) {
        self.written();
        *self.broken = Some(error);
    }

    /// From now on the response is waited for, unless it has begun already.
    fn written(&mut self) {
        if self.parser.head().is_none() {
            self.exchange.enter(Phase::Wait, clock::now());
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Ended> {
        loop {
            let count = match ready!(self.stream.poll_read(context, buffer)) {
                Ok(0) => return Poll::Ready(self.end()),
                Ok(count) => count,
                Err(error) => return Poll::Ready(Ended::Io(error)),
            };
            let arrived = self.parser.head().is_none().then(|| self.arrived());
            let before = self.parser.received();
            let fed = self.parser.feed(&buffer[..count]);
            self.exchange.received_bytes += self.parser.received() - before;
            if let (Some((arrived, _)), Some(head)) = (arrived, self.parser.head()) {
                self.exchange.course.status = Some(head.status);
                self.exchange.enter(Phase::Receive, arrived.at);
            }
            if let Some(events) = self.events {
                match self.exchange.take_events(events, &self.parser.take_body()) {
                    Flow::More => {}
                    Flow::Enough => {
                        let (arrived, read_at) = self.arrived();
                        self.ended(arrived, read_at);
                        return Poll::Ready(Ended::Whole { reusable: false });
                    }
                    Flow::TooLarge => return Poll::Ready(Ended::Wrong(Wrong::EventTooLarge)),
                }
            }
            match fed {
                Ok(Progress::More) => {}
                Ok(Progress::Done { unused }) => {
                    let (arrived, read_at) = arrived.unwrap_or_else(|| self.arrived());
                    self.ended(arrived, read_at);
                    let stays_open = self.parser.head().is_some_and(|head| head.stays_open);
                    return Poll::Ready(Ended::Whole { reusable: stays_open && unused == 0 && self.is_sent() });
                }
                Err(wrong) => return Poll::Ready(Ended::Wrong(wrong)),
            }
        }
    }

    /// When what has just been read had arrived, and when it was read: now.
    fn arrived(&mut self) -> (Arrived, Instant) {
        let read_at = clock::now();
        // It belongs to the phase underway.
        let earliest = self.exchange.course.watch.since().unwrap_or(self.exchange.started);
        (self.stream.arrived(earliest, read_at), read_at)
    }

    /// What has just been read was the last of the response.
    fn ended(&mut self, arrived: Arrived, read_at: Instant) {
        (self.exchange.finished, self.exchange.read_at) = (arrived.at, read_at);
        self.exchange.unresolved_read_lag += arrived.unresolved;
    }

    /// The server has said all it will say.
    fn end(&mut self) -> Ended {
        match (self.parser.end(), self.broken.take()) {
            (Ok(()), _) => {
                let (arrived, read_at) = self.arrived();
                self.ended(arrived, read_at);
                Ended::Whole { reusable: false }
            }
            (Err(Wrong::Cut), Some(error)) if self.parser.received() == 0 => Ended::Io(error),
            (Err(wrong), _) => Ended::Wrong(wrong),
        }
    }

    fn is_sent(&self) -> bool {
        self.out.is_done() && self.broken.is_none()
    }
}

// === Ended ===

impl Ended {
    /// Why the exchange with `peer` failed.
    pub(super) fn failure(&self, peer: &str, max_body: u64, identity: &Identity) -> Failure {
        match self {
            Self::Wrong(Wrong::Malformed(what)) => Failure::protocol(peer, what),
            Self::Wrong(Wrong::EventTooLarge) => Failure::event_too_large(),
            Self::Wrong(Wrong::TooLarge) => Failure::too_large("body", max_body),
            Self::Wrong(Wrong::Cut) | Self::Stale | Self::Whole { .. } => Failure::closed(peer),
            Self::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(inner) => Failure::tls(inner, peer, identity.asked()),
                None => Failure::broken(error, peer),
            },
        }
    }
}
