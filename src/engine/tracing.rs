//! A user's traces: decided at the head, told to the target, and handed to the exporter when they have ended.
//!
//! ```text
//!  per: task      a task's iteration is a trace      task span ─┬─ request span (each hop)
//!                                                               └─ request span
//!  per: request   each request is one                request span (each hop)
//! ```
//!
//! What is done outside of a task (setup, teardown) is traced as with `per: request`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use url::Url;

use super::request::Rendered;
use super::user::User;
use super::worker::Context;
use crate::clock::{self, Instant};
use crate::export::otlp::settings::{Keep, Per, Traces};
use crate::http::{Exchange, Phases, SeenHop, TraceHead};
use crate::measure::catalog::{Catalog, TaskId, TaskName};
use crate::measure::exemplar::Traced as Exemplified;
use crate::reason::Reason;
use crate::scenario::plan::RequestStep;
use crate::trace::queue::Queue;
use crate::trace::{FailureLog, Hop, Ids, Kind, Span, SpanId, TraceId, TraceList, Traced};

/// What all workers share: what is traced, and where it goes.
#[derive(Debug)]
pub struct Tracing {
    rules: Option<Rules>,
    failures: Option<Queue<FailureLog>>,
    /// Ids begin here: another number in each run.
    seed: u64,
    /// How many streams of ids have been handed out. Not the users' numbers: of users that come one after the other, many have
    /// the same, and setup and teardown too.
    streams: AtomicU64,
    /// Requests whose span was taken.
    notable: Mutex<TraceList>,
}

#[derive(Debug)]
struct Rules {
    spans: Queue,
    sample: f64,
    keep: Keep,
    propagate_all: bool,
    per: Per,
    /// By task.
    baggage: Vec<HeaderValue>,
}

/// A user's part.
pub(super) struct UserTrace {
    shared: Arc<Tracing>,
    ids: Ids,
    /// What it does.
    doing: Option<TaskId>,
    /// The task underway, if that is a trace.
    task: Option<TaskTrace>,
    /// The request underway. In here, so that it is neither moved about nor allocated anew for each request.
    request: Option<RequestTrace>,
}

struct TaskTrace {
    task: TaskId,
    /// `None`: whatever becomes of it, it is not exported.
    started: Option<Instant>,
    trace: TraceId,
    span: SpanId,
    sampled: bool,
    /// A request was kept, so its parent is to be there too.
    kept: bool,
    ok: bool,
}

/// A request underway. Dropped before it has ended, it is exported as cancelled.
pub(super) struct RequestTrace {
    pub head: TraceHead,
    parent: Option<SpanId>,
    sampled: bool,
}

/// What a request was exported as.
#[derive(Clone, Copy)]
pub(super) struct Exported {
    pub trace: TraceId,
    pub span: SpanId,
    sampled: bool,
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What may stand in a value of `baggage` as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

// === Tracing ===

impl Tracing {
    /// `traces` with the queue to their exporter, and the queue of failures, as far as they are wanted.
    pub fn new(
        traces: Option<(&Traces, Queue)>,
        failures: Option<Queue<FailureLog>>,
        catalog: &Catalog,
        run_id: &str,
        seed: u64,
    ) -> Arc<Self> {
        let rules = traces.map(|(traces, spans)| Rules {
            spans,
            sample: traces.sample.get(),
            keep: traces.keep,
            propagate_all: traces.propagate_all,
            per: traces.per,
            baggage: if traces.baggage { baggage(catalog, run_id) } else { Vec::new() },
        });
        Arc::new(Self { rules, failures, seed, streams: AtomicU64::new(0), notable: Mutex::default() })
    }

    /// Nothing is traced, and no failure is told.
    pub fn off() -> Arc<Self> {
        Arc::new(Self { rules: None, failures: None, seed: 0, streams: AtomicU64::new(0), notable: Mutex::default() })
    }

    /// The slowest and the failed requests among those whose span was taken.
    pub fn notable(&self) -> TraceList {
        self.list().clone()
    }

    fn list(&self) -> MutexGuard<'_, TraceList> {
        self.notable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new user's part, and the ids of the later hops of its requests.
    pub(super) fn user(self: &Arc<Self>) -> Option<(Box<UserTrace>, Ids)> {
        self.rules.as_ref()?;
        let user = UserTrace { shared: self.clone(), ids: self.ids(), doing: None, task: None, request: None };
        Some((Box::new(user), self.ids()))
    }

    /// A stream of ids that nobody else has.
    fn ids(&self) -> Ids {
        Ids::new(self.seed, self.streams.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn tells_failures(&self) -> bool {
        self.failures.is_some()
    }

    /// A request failed. `message` is masked.
    pub(super) fn failed(&self, step: &RequestStep, reason: Reason, message: &str, status: Option<u16>, span: Option<Exported>) {
        if let Some(failures) = &self.failures {
            failures.offer(FailureLog {
                time: clock::timestamp(),
                request: step.id.0,
                reason,
                message: message.into(),
                status,
                trace: span.map(|span| (span.trace, span.span)),
                sampled: span.is_some_and(|span| span.sampled),
            });
        }
    }
}

/// A value of `baggage`.
fn value(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, PLAIN)
}

/// For each task what servers may tell it by (W3C Baggage).
fn baggage(catalog: &Catalog, run_id: &str) -> Vec<HeaderValue> {
    let of_task = |task: &TaskName| {
        let user = catalog.users.get(task.user.index()).map_or("", String::as_str);
        let text = format!("otload.run_id={},otload.user={},otload.task={}", value(run_id), value(user), value(&task.name));
        // Nothing but ASCII is left.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("otload.run_id="))
    };
    catalog.tasks.iter().map(of_task).collect()
}

// === Exported ===

impl Exported {
    /// For the bucket that the request fell into.
    pub(super) fn exemplar(self, finished: Instant) -> Exemplified {
        Exemplified { trace: self.trace, span: self.span, at: clock::timestamp_of(finished) }
    }
}

// === UserTrace ===

impl UserTrace {
    fn rules(&self) -> Option<&Rules> {
        self.shared.rules.as_ref()
    }

    /// A task begins.
    pub(super) fn begin_task(&mut self, task: TaskId) {
        self.doing = Some(task);
        let Some(rules) = &self.shared.rules else { return };
        if rules.per == Per::Request {
            return;
        }
        let sampled = self.ids.chosen(rules.sample);
        // One that is never exported need not know when it began.
        let started = (sampled || rules.keep != Keep::default()).then(clock::now);
        let (trace, span) = (self.ids.trace(), self.ids.span());
        self.end_task();
        self.task = Some(TaskTrace { task, started, trace, span, sampled, kept: false, ok: false });
    }

    /// The task underway went well or not, and has ended now.
    pub(super) fn task_ended(&mut self, ok: bool) {
        self.doing = None;
        if let Some(task) = &mut self.task {
            task.ok = ok;
        }
        self.end_task();
    }

    fn end_task(&mut self) {
        let Some(task) = self.task.take() else { return };
        if !task.sampled && !task.kept {
            return;
        }
        let (Some(started), Some(rules)) = (task.started, self.rules()) else { return };
        rules.spans.offer(Span {
            trace: task.trace,
            id: task.span,
            parent: None,
            sampled: task.sampled || rules.propagate_all,
            started: clock::timestamp_of(started),
            duration: clock::now().saturating_duration_since(started),
            kind: Kind::Task { task: task.task.0, ok: task.ok },
        });
    }

    /// A request begins. One that the scenario gives a `traceparent` of its own belongs to that trace, which is not ours to export.
    pub(super) fn begin_request(&mut self, step: &RequestStep) {
        self.request = self.request_of(step);
    }

    /// The request underway.
    pub(super) fn request(&self) -> Option<&RequestTrace> {
        self.request.as_ref()
    }

    fn request_of(&mut self, step: &RequestStep) -> Option<RequestTrace> {
        if step.headers.contains_key(&TRACEPARENT) || step.rendered_headers.iter().any(|(name, _)| *name == TRACEPARENT) {
            return None;
        }
        let rules = self.shared.rules.as_ref()?;
        let (trace, parent, sampled) = match &self.task {
            Some(task) => (task.trace, Some(task.span), task.sampled),
            None => (self.ids.trace(), None, self.ids.chosen(rules.sample)),
        };
        let head = TraceHead {
            trace,
            span: self.ids.span(),
            sampled: sampled || rules.propagate_all,
            recorded: sampled || rules.keep != Keep::default(),
            baggage: self.doing.and_then(|task| rules.baggage.get(task.index())).cloned(),
        };
        Some(RequestTrace { head, parent, sampled })
    }
}

impl Drop for UserTrace {
    /// A task that was cut off has failed.
    fn drop(&mut self) {
        self.end_task();
    }
}

// === User ===

impl User {
    /// Hands what the target saw of a request to the exporter, if it is one of those that are wanted. Answers with the span of
    /// the last hop, if it was taken.
    pub(super) fn export(
        &mut self,
        step: &RequestStep,
        rendered: &Rendered<'_>,
        exchange: &Exchange,
        message: Option<(Reason, &str)>,
        response: Duration,
    ) -> Option<Exported> {
        let user = self.trace.as_deref_mut()?;
        let (rules, traced) = (user.shared.rules.as_ref()?, user.request.as_ref()?);
        let keep = rules.keep;
        let is_slow = keep.slower_than.is_some_and(|limit| response > limit);
        let wanted = traced.sampled || is_slow || (keep.errors && message.is_some());
        if !wanted {
            return None;
        }
        if let Some(task) = &mut user.task {
            task.kept = true;
        }
        let (hops, address) = (self.session.hops(), rendered.address());
        let mut last = None;
        for (number, hop) in hops.iter().enumerate() {
            let is_last = number + 1 == hops.len();
            let failure = match (&hop.failure, is_last) {
                (Some((reason, text)), _) => Some((*reason, self.context.run.mask(text).into())),
                (None, true) => message.map(|(reason, text)| (reason, text.into())),
                (None, false) => None,
            };
            let seen = Seen { url: &address, traced, step, number: number as u32, failure };
            let taken = rules.spans.offer(seen.span(hop, |text| self.context.run.mask(text).into()));
            last =
                (is_last && taken).then_some(Exported { trace: traced.head.trace, span: hop.span, sampled: traced.head.sampled });
        }
        if let (Some(exported), Some(hop)) = (last, hops.last()) {
            user.shared.list().offer(Traced {
                trace: exported.trace,
                span: exported.span,
                request: step.id.0,
                status: hop.status,
                reason: message.map(|(reason, _)| reason),
                response,
                service: exchange.finished.saturating_duration_since(exchange.started),
                started: clock::timestamp_of(exchange.started),
            });
        }
        last
    }
}

/// A request that was cut off, as the target saw its first hop. Answers with its span, if that was taken.
pub(super) fn export_cancelled(
    context: &Context,
    step: &RequestStep,
    url: &Url,
    traced: &RequestTrace,
    exchange: &Exchange,
) -> Option<Exported> {
    let rules = context.tracing.rules.as_ref()?;
    if !traced.sampled && !rules.keep.errors {
        return None;
    }
    let hop = Hop {
        request: step.id.0,
        resend: 0,
        method: step.method.clone(),
        url: context.run.mask(url.as_str()).into(),
        peer: None,
        status: None,
        version: None,
        failure: Some((Reason::Cancelled, super::request::CANCELLED.into())),
        sent_bytes: exchange.sent_bytes,
        received_bytes: exchange.received_bytes,
        phases: Vec::new(),
    };
    let TraceHead { trace, span, sampled, .. } = traced.head;
    let taken = rules.spans.offer(Span {
        trace,
        id: span,
        parent: traced.parent,
        sampled,
        started: clock::timestamp_of(exchange.started),
        duration: clock::now().saturating_duration_since(exchange.started),
        kind: Kind::Request(Box::new(hop)),
    });
    taken.then_some(Exported { trace, span, sampled })
}

/// What a hop's span is made of.
struct Seen<'a> {
    url: &'a Url,
    traced: &'a RequestTrace,
    step: &'a RequestStep,
    number: u32,
    failure: Option<(Reason, Box<str>)>,
}

impl Seen<'_> {
    fn span(self, hop: &SeenHop, mask: impl Fn(&str) -> Box<str>) -> Span {
        let url = hop.url.as_deref().unwrap_or(self.url);
        let kind = Kind::Request(Box::new(Hop {
            request: self.step.id.0,
            resend: self.number,
            method: hop.method.clone(),
            url: mask(url.as_str()),
            peer: hop.peer,
            status: hop.status,
            version: hop.version.and_then(version),
            failure: self.failure,
            sent_bytes: hop.sent_bytes,
            received_bytes: hop.received_bytes,
            phases: phases(&hop.phases),
        }));
        Span {
            trace: self.traced.head.trace,
            id: hop.span,
            parent: self.traced.parent,
            sampled: self.traced.head.sampled,
            started: clock::timestamp_of(hop.started),
            duration: hop.finished.saturating_duration_since(hop.started),
            kind,
        }
    }
}

/// As `network.protocol.version` has it.
fn version(version: http::Version) -> Option<&'static str> {
    match version {
        http::Version::HTTP_10 => Some("1.0"),
        http::Version::HTTP_11 => Some("1.1"),
        http::Version::HTTP_2 => Some("2"),
        http::Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// One after the other, with the moment at which each was over.
fn phases(phases: &Phases) -> Vec<(&'static str, Duration)> {
    let all = [
        ("dns", phases.dns),
        ("connect", phases.connect),
        ("tls", phases.tls),
        ("send", phases.send),
        ("wait", phases.wait),
        ("receive", phases.receive),
    ];
    let first_event = phases.first_event.map(|at| ("first_event", at));
    let mut at = Duration::ZERO;
    let there = all.into_iter().filter_map(|(name, took)| Some((name, took?)));
    there
        .map(|(name, took)| {
            at += took;
            (name, at)
        })
        .chain(first_event)
        .collect()
}
