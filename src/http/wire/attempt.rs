//! One try to send a request over one connection: what it holds while the response is awaited, and what follows.

use std::io;
use std::task::{Context, Poll};

use http::Method;
use url::Url;

use super::super::events::Events;
use super::super::identity::Identity;
use super::super::trail::{HopEnd, Trail};
use super::super::transport::peer;
use super::super::{Exchange, Failure};
use super::Conn;
use super::request::Out;
use super::response::{Asked, Parser};
use super::turn::{Ended, Step, Turn};
use super::watch::Phase;
use crate::clock;
use crate::reason::Reason;

/// One request on one connection, and what came back so far.
#[derive(Debug)]
pub(in crate::http) struct Attempt<'a> {
    /// `None` when it has been taken, or is of no more use.
    conn: Option<Box<Conn>>,
    out: Out<'a>,
    parser: Parser,
    step: Step,
    /// The write side broke. What the server said before may still be read.
    broken: Option<io::Error>,
    /// The connection has served before.
    reused: bool,
}

/// What follows an attempt.
pub(in crate::http) enum After {
    /// Nothing: there is a response, or a failure.
    Over(Result<(), Failure>),
    /// It is to be made once more, on a new connection.
    Again,
}

// === Attempt ===

impl<'a> Attempt<'a> {
    /// On a connection that was idle, from the moment when the hop began.
    pub(in crate::http) fn reusing(conn: Box<Conn>, out: Out<'a>, asked: Asked, exchange: &mut Exchange) -> Self {
        let began = exchange.course.hop_began.unwrap_or(exchange.started);
        exchange.enter(Phase::Send, began);
        Self::new(conn, out, asked, Step::Check, exchange)
    }

    /// On a new connection.
    pub(super) fn opening(conn: Box<Conn>, out: Out<'a>, asked: Asked, exchange: &mut Exchange) -> Self {
        Self::new(conn, out, asked, Step::Write { registered: false }, exchange)
    }

    fn new(conn: Box<Conn>, out: Out<'a>, asked: Asked, step: Step, exchange: &mut Exchange) -> Self {
        if let Some(trail) = &mut exchange.course.trail {
            trail.set_peer(conn.peer);
        }
        exchange.response.peer = Some(conn.peer);
        Self { conn: Some(conn), out, parser: Parser::new(asked), step, broken: None, reused: step == Step::Check }
    }

    pub(in crate::http) fn poll(
        &mut self,
        context: &mut Context<'_>,
        events: Option<&Events>,
        exchange: &mut Exchange,
    ) -> Poll<Ended> {
        let Self { conn: Some(conn), out, parser, step, broken, .. } = self else { return Poll::Ready(Ended::Stale) };
        Turn { stream: &mut conn.stream, out, parser, exchange, events, step, broken }.poll(context)
    }

    /// Takes what has come into `exchange`, or what went wrong with the request of `method` to `url`.
    pub(in crate::http) fn finish(
        &mut self,
        ended: Ended,
        (method, url): (&Method, &Url),
        identity: &Identity,
        exchange: &mut Exchange,
    ) -> After {
        let reusable = matches!(ended, Ended::Whole { reusable: true }) && !self.out.closes;
        let conn = self.conn.take().filter(|_| reusable);
        match ended {
            Ended::Whole { .. } if self.parser.finish(&mut exchange.response) => {
                self.conn = conn;
                After::Over(Ok(()))
            }
            Ended::Whole { .. } => After::Over(Err(Failure::closed(&peer(url)))),
            Ended::Stale if self.reused => After::Again,
            ended => {
                let unanswered = self.reused && self.parser.received() == 0;
                let failure = ended.failure(&peer(url), self.parser.max_body(), identity);
                let is_gone = matches!(failure.reason, Reason::Closed | Reason::Reset);
                match unanswered && is_gone {
                    true if method.is_idempotent() => {
                        exchange.retried += 1;
                        self.again((method, url), failure, exchange);
                        After::Again
                    }
                    true => {
                        let message = failure.message
                            + "; the connection had been kept alive, maybe for longer than the server keeps it, and a "
                            + method.as_str()
                            + " is not repeated";
                        After::Over(Err(Failure { message, ..failure }))
                    }
                    false => After::Over(Err(Failure { status: self.parser.head().map(|head| head.status), ..failure })),
                }
            }
        }
    }

    /// The connection, if it may serve another request; once it has [finished](Self::finish).
    pub(in crate::http) fn take_connection(&mut self) -> Option<Box<Conn>> {
        self.conn.take()
    }

    /// The request, as if nothing had been written, for another connection.
    pub(super) fn into_request(mut self) -> Out<'a> {
        self.out.rewind();
        self.out
    }

    /// What was sent is sent once more: in a trace, as a span of its own.
    fn again(&mut self, (method, url): (&Method, &Url), failure: Failure, exchange: &mut Exchange) {
        if exchange.course.trail.is_none() {
            return;
        }
        let now = clock::now();
        exchange.leave(now);
        let started = exchange.course.hop_began.unwrap_or(exchange.started);
        let url = (exchange.redirects > 0).then_some(url);
        let failure = Some((failure.reason, failure.message.into()));
        exchange.end_hop(HopEnd { started, finished: now, method, url, status: None, version: None, failure });
        exchange.next_hop();
        exchange.course.hop_began = Some(now);
        if let Some(head) = exchange.course.trail.as_deref().and_then(Trail::head) {
            self.out.set_span(head.span);
        }
    }
}
