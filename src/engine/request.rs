//! One request step: rendered, sent, checked, recorded.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::activity::Activity;
use super::checks::{self, CheckResult};
use super::lent::Lent;
use super::seen::Response;
use super::supervisor::RunFacts;
use super::tracing::{self, UserTrace};
use super::user::User;
use super::worker::{Context, lock};
use super::{address, auth, stream};
use crate::clock::{self, Instant};
use crate::fault;
use crate::http::events::Events;
use crate::http::multipart::{Part as FormPart, body as form_body, gzip};
use crate::http::{Exchange, Failure, Phases, Prepared, Request, with_path};
use crate::measure::shard::Sample;
use crate::reason::Reason;
use crate::scenario::plan::{Address, Body, Part, PartContent, RequestStep};
use crate::template::budget::{Budget, Limit};
use crate::template::{Random, Response as Seen, Scope, Template};

/// What a step becomes when its templates are rendered.
pub(super) struct Rendered<'a> {
    pub url: Lent<'a, Url>,
    /// In place of the path and query of `url`.
    pub path: Option<String>,
    pub headers: Lent<'a, HeaderMap>,
    pub body: Bytes,
}

impl Rendered<'_> {
    /// The whole URL that is asked for.
    pub(super) fn address(&self) -> Cow<'_, Url> {
        self.path.as_ref().map_or(Cow::Borrowed(&*self.url), |path| Cow::Owned(with_path(&self.url, path)))
    }

    /// It is needed no more.
    pub(super) fn done(self) {
        if let Some(path) = self.path {
            address::spare(path);
        }
    }
}

/// How a request came out.
pub(super) struct Outcome {
    pub checks: Vec<CheckResult>,
    pub failure: Option<(Reason, String)>,
}

impl User {
    /// What is to be sent, or whether the step went well without: its `when` is false, there is no row of data for it, or it could
    /// not be rendered.
    pub(super) fn ready<'a>(&mut self, step: &'a RequestStep) -> Result<Rendered<'a>, bool> {
        self.context.is_doing(Activity::Rendering(step.number));
        let rendered = self.rendered(step);
        self.context.is_doing(Activity::Other);
        match rendered {
            Ok(rendered) => rendered.ok_or(true),
            Err(error) => {
                self.record_unsent(step, &error);
                self.failed(step.on_failure);
                Err(false)
            }
        }
    }

    /// Judges and records what a request came to. Says whether it went well.
    pub(super) fn conclude(
        &mut self,
        step: &RequestStep,
        rendered: &Rendered<'_>,
        exchange: &mut Exchange,
        events: Option<&Events>,
    ) -> bool {
        self.context.is_doing(Activity::Evaluating(step.number));
        fault::may_hang("evaluation");
        let outcome = self.judge(step, rendered, exchange, events);
        self.context.is_doing(Activity::Other);
        self.record(step, rendered, exchange, &outcome);
        // What a user does next begins when it has the response: due at the arrival, it would be measured with our own late read.
        // Pauses and schedules count from the arrival (see `think` and `wait`), and the late read is no part of the task.
        (self.due, self.arrived) = (exchange.read_at, exchange.finished);
        self.excluded += exchange.read_lag();
        let went_well = outcome.failure.is_none();
        checks::spare(outcome.checks);
        if !went_well {
            self.failed(step.on_failure);
        }
        went_well
    }

    /// `None`, if its `when` is false.
    fn rendered<'a>(&mut self, step: &'a RequestStep) -> Result<Option<Rendered<'a>>, String> {
        // Before its `when`, which may look at the row.
        if !step.rows.is_empty() && !self.feed(&step.rows) {
            return Ok(None);
        }
        match self.wanted(step)? {
            true => render(step, &self.scope, &mut self.random, &self.context.run).map(Some),
            false => Ok(None),
        }
    }

    pub(super) fn wanted(&mut self, step: &RequestStep) -> Result<bool, String> {
        step.when.as_ref().map_or(Ok(true), |when| when.is_true(&self.scope, &mut self.random))
    }

    /// Takes out of the response what the scenario wants, evaluates what it expects, and shows the response to later templates.
    pub(super) fn judge(
        &mut self,
        step: &RequestStep,
        rendered: &Rendered<'_>,
        exchange: &mut Exchange,
        events: Option<&Events>,
    ) -> Outcome {
        let streamed = events.zip(step.stream.as_deref()).and_then(|(events, rule)| stream::settle(rule, events, exchange));
        let response = match exchange.result() {
            Ok(response) => response,
            Err(failure) => {
                self.scope.clear_response();
                self.capture_nothing(&step.captures);
                let failure = Some((failure.reason, failure.message.clone()));
                return Outcome { checks: Vec::new(), failure };
            }
        };
        if step.keep_body {
            let body = response.body.clone().unwrap_or_default();
            self.scope.set_response(Seen::new(response.status, response.headers.clone(), body));
        }
        let run = self.context.run.clone();
        let mut seen = Response::new(exchange, Budget::new(Some(exchange.started + step.timeout), Some(run.is_cut())));
        // Before the checks, which may look at it.
        let missed = self.capture(&step.captures, rendered, &mut seen);
        let checks = checks::evaluate(&step.expect, &mut seen, &self.scope, &mut self.random);
        let ended = seen.budget.exceeded() == Some(Limit::Ended);
        drop(seen);
        if ended {
            return Outcome { checks, failure: Some((Reason::Cancelled, CANCELLED.to_owned())) };
        }
        let broken = checks.iter().find_map(|check| check.outcome.as_ref().err().map(|found| (check.id, found)));
        let failure = match broken {
            Some((id, found)) => {
                Some((Reason::Check, format!("{}: {found}", self.context.plan.catalog.checks[id.index()].check)))
            }
            None if response.status >= 400 && !checks::judges_status(&step.expect) => {
                let remark = self.session.remark(&rendered.url, response.status);
                let remark = remark.map_or_else(String::new, |remark| format!("; {remark}"));
                Some((Reason::Status, format!("the status is {}{remark}", response.status)))
            }
            None => streamed.or_else(|| missed.map(|missed| (Reason::Capture, missed))),
        };
        Outcome { checks, failure }
    }

    fn record(&mut self, step: &RequestStep, rendered: &Rendered<'_>, exchange: &Exchange, outcome: &Outcome) {
        let context = self.context.clone();
        let status = match exchange.result() {
            Ok(response) => Some(response.status),
            Err(failure) => failure.status,
        };
        let message = outcome.failure.as_ref().map(|(reason, text)| (*reason, context.run.mask(text)));
        let failure = message.as_ref().map(|(reason, text)| (*reason, text.as_ref()));
        let response = exchange.finished.saturating_duration_since(self.due);
        let lag = exchange.started.saturating_duration_since(self.due.max(self.free));
        self.late += lag + exchange.read_lag() + exchange.unresolved_read_lag;
        let exported = self.export(step, rendered, exchange, failure, response);
        if let Some((reason, text)) = failure
            && context.tracing.tells_failures()
        {
            context.tracing.failed(step, reason, text, status, exported);
        }
        let sample = Sample {
            response,
            service: exchange.finished.saturating_duration_since(exchange.started),
            lag,
            status,
            failure,
            sent_bytes: exchange.sent_bytes,
            received_bytes: exchange.received_bytes,
            redirects: exchange.redirects,
            retried: exchange.retried,
            read_lag: exchange.read_lag(),
            unresolved_read_lag: exchange.unresolved_read_lag,
            phases: &exchange.phases,
            exemplar: exported.map(|span| span.exemplar(exchange.finished)),
        };
        let mut shard = lock(&context.shard);
        shard.request(step.id, &sample);
        shard.lag(lag);
        if let Some(Failure { shortage: Some(shortage), .. }) = &exchange.failure {
            shard.shortage(*shortage);
        }
        for check in &outcome.checks {
            shard.check(check.id, check.outcome.is_ok());
        }
    }

    /// A request that never left, because a template could not be rendered.
    fn record_unsent(&mut self, step: &RequestStep, error: &str) {
        let text = self.context.run.mask(error);
        self.context.tracing.failed(step, Reason::Template, &text, None, None);
        lock(&self.context.shard).unsent(step.id, Reason::Template, &text);
    }
}

pub(super) fn request_of<'a>(step: &'a RequestStep, rendered: &'a Rendered<'a>, prepared: Option<&'a Prepared>) -> Request<'a> {
    Request {
        method: &step.method,
        url: &rendered.url,
        path: rendered.path.as_deref(),
        headers: &rendered.headers,
        body: rendered.body.clone(),
        timeout: step.timeout,
        redirects: step.redirects,
        keep_body: step.keep_body,
        keep_head: step.keep_head,
        prepared,
        events: None,
        trace: None,
    }
}

/// Renders everything of a step that has templates; what has none is borrowed.
pub(super) fn render<'a>(
    step: &'a RequestStep,
    scope: &Scope,
    random: &mut Random,
    run: &RunFacts,
) -> Result<Rendered<'a>, String> {
    let (mut url, mut path) = match &step.address {
        Address::Fixed(url) => (Lent::Borrowed(url), None),
        Address::Rendered { base, template } => {
            let mut text = address::text();
            template.render(scope, random, &mut text)?;
            address::join(base.as_ref(), text)?
        }
    };
    if !step.query.is_empty() {
        let pairs = render_pairs(&step.query, scope, random)?;
        if let Some(path) = path.take() {
            url = Lent::Owned(Box::new(with_path(&url, &path)));
        }
        url.to_mut().query_pairs_mut().extend_pairs(pairs);
    }
    let mut headers = Lent::Borrowed(&step.headers);
    for (name, template) in &step.rendered_headers {
        let mut text = String::new();
        template.render(scope, random, &mut text)?;
        let value = HeaderValue::from_str(&text);
        let mut value = value.map_err(|_| format!("the header `{name}` cannot hold this value: {text:?}"))?;
        value.set_sensitive(*name == header::AUTHORIZATION);
        headers.to_mut().insert(name, value);
    }
    let mut body = match &step.body {
        Body::None => Bytes::new(),
        Body::Text(template) => match template.as_literal() {
            Some(text) => Bytes::copy_from_slice(text.as_bytes()),
            None => text_of(|out| template.render(scope, random, out))?,
        },
        Body::Json(template) => text_of(|out| template.render(scope, random, out))?,
        Body::Form(fields) => {
            let pairs = render_pairs(fields, scope, random)?;
            Bytes::from(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
        }
        Body::File(file) => file.content.clone(),
        Body::Multipart(parts) => multipart(parts, headers.to_mut(), scope, random)?,
    };
    if step.compress {
        body = gzip(&body);
    }
    debug_assert!(!headers.contains_key(header::CONTENT_LENGTH), "the transport writes it");
    let mut rendered = Rendered { url, path, headers, body };
    if let Some(auth) = &step.auth {
        auth::apply(auth, &run.tokens, scope, random, step, &mut rendered)?;
    }
    Ok(rendered)
}

/// A form with files; its boundary, drawn at random, goes into the headers.
fn multipart(parts: &[Part], headers: &mut HeaderMap, scope: &Scope, random: &mut Random) -> Result<Bytes, String> {
    let mut render = |template: &Template| {
        let mut text = String::new();
        template.render(scope, random, &mut text).map(|()| text)
    };
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        let content = match &part.content {
            PartContent::Text(text) => render(text)?,
            PartContent::File(_) => String::new(),
        };
        let mut optional = |template: &Option<Template>| template.as_ref().map(&mut render).transpose();
        texts.push((optional(&part.filename)?, optional(&part.content_type)?, render(&part.name)?, content));
    }
    let rendered: Vec<_> = parts
        .iter()
        .zip(&texts)
        .map(|(part, (filename, content_type, name, text))| FormPart {
            name,
            filename: filename.as_deref(),
            content_type: content_type.as_deref(),
            content: match &part.content {
                PartContent::Text(_) => text.as_bytes(),
                PartContent::File(file) => &file.content,
            },
        })
        .collect();
    let boundary = format!("otload-{:016x}{:016x}", random.bits(), random.bits());
    let kind = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    headers.insert(header::CONTENT_TYPE, kind.map_err(|error| error.to_string())?);
    Ok(form_body(&rendered, &boundary))
}

fn text_of(render: impl FnOnce(&mut String) -> Result<(), String>) -> Result<Bytes, String> {
    let mut text = String::new();
    render(&mut text)?;
    Ok(Bytes::from(text))
}

fn render_pairs(pairs: &[(Template, Template)], scope: &Scope, random: &mut Random) -> Result<Vec<(String, String)>, String> {
    let mut render = |template: &Template| {
        let mut text = String::new();
        template.render(scope, random, &mut text).map(|()| text)
    };
    pairs.iter().map(|(name, value)| Ok((render(name)?, render(value)?))).collect()
}

/// What is said of one that was cut off.
pub(super) const CANCELLED: &str = "the run ended before the response came";

/// A request that is on its way. Dropped before the response is there, it counts as cancelled, with the bytes that went either
/// way until then: the target has counted them too.
///
/// It owns what its user lends it, so that the user can go on while the exchange still lies here.
pub(super) struct InFlight<'a> {
    /// `None` once the exchange has ended.
    context: Option<Rc<Context>>,
    step: &'a RequestStep,
    rendered: &'a Rendered<'a>,
    due: Instant,
    /// When its user could start it.
    free: Instant,
    /// The user's, until the exchange has ended.
    pub trace: Option<Box<UserTrace>>,
    pub exchange: Exchange,
}

impl<'a> InFlight<'a> {
    /// One that starts now.
    pub(super) fn new(user: &mut User, step: &'a RequestStep, rendered: &'a Rendered<'a>) -> Self {
        let started = clock::now();
        let mut trace = user.trace.take();
        if let Some(trace) = &mut trace {
            trace.begin_request(step);
        }
        let (context, exchange) = (Some(user.context.clone()), Exchange::begun(started));
        Self { context, step, rendered, due: user.due, free: user.free, trace, exchange }
    }

    /// The response is there, or what kept it away is known. Gives the user back what is its own.
    pub(super) fn ended(&mut self, user: &mut User) {
        self.context = None;
        user.trace = self.trace.take();
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let Some(context) = self.context.take() else { return };
        let exchange = &self.exchange;
        let exported = self
            .trace
            .as_deref()
            .and_then(UserTrace::request)
            .and_then(|traced| tracing::export_cancelled(&context, self.step, &self.rendered.address(), traced, exchange));
        context.tracing.failed(self.step, Reason::Cancelled, CANCELLED, None, exported);
        let now = clock::now();
        let lag = exchange.started.saturating_duration_since(self.due.max(self.free));
        let sample = Sample {
            response: now.saturating_duration_since(self.due),
            service: now.saturating_duration_since(exchange.started),
            lag,
            status: None,
            failure: Some((Reason::Cancelled, CANCELLED)),
            sent_bytes: exchange.sent_bytes,
            received_bytes: exchange.received_bytes,
            redirects: exchange.redirects,
            retried: exchange.retried,
            read_lag: Duration::ZERO,
            unresolved_read_lag: Duration::ZERO,
            phases: &Phases::NONE,
            exemplar: None,
        };
        let mut shard = lock(&context.shard);
        shard.request(self.step.id, &sample);
        shard.lag(lag);
    }
}
