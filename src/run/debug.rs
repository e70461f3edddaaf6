//! Every task once, for people to look at: what `otload check --once` prints.

use std::fmt::Write as _;
use std::sync::Arc;

use http::HeaderMap;

use super::Failed;
use super::stage::start_demo;
use crate::diagnostic::Diagnostic;
use crate::engine::{self, Seen};
use crate::http::{Client, Exchange, Request};
use crate::printable::{self, one_line};
use crate::scenario::plan::Plan;
use crate::units::{format_duration, format_size};

/// Bodies are shown up to this many characters.
const SHOWN: usize = 2000;

/// And values up to this many.
const SHOWN_OF_A_VALUE: usize = 200;

/// Runs every task once and hands the account of it to `print`, secrets masked. Returns how many requests failed.
///
/// # Errors
/// When nothing could be run.
pub fn once(plan: &Arc<Plan>, demo: bool, seed: u64, print: &mut dyn FnMut(&str)) -> Result<usize, Failed> {
    let client = Client::try_new(&plan.http).map_err(Failed::Refused)?;
    let _demo = if demo { Some(start_demo(plan).map_err(Failed::Broken)?) } else { None };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::Broken(Diagnostic::error(format!("cannot start an event loop: {error}"))))?;
    let failures = runtime.block_on(engine::run_once(plan, &client, seed, |seen| {
        print(&super::without_secrets(plan, &without_credentials(&seen, describe(&seen, plan))));
    }));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    Ok(failures)
}

/// What a header such as `authorization` holds is `***`, wherever it stands: a target may say it again.
fn without_credentials(seen: &Seen<'_>, mut text: String) -> String {
    let Seen::Request { request, .. } = seen else { return text };
    for value in request.headers.values().filter(|value| value.is_sensitive()) {
        let Ok(value) = value.to_str() else { continue };
        // `Basic`, `Bearer` may be seen.
        let secret = value.split_once(' ').map_or(value, |(_, secret)| secret);
        if secret.len() > 3 {
            text = text.replace(secret, "***");
        }
    }
    text
}

fn describe(seen: &Seen<'_>, plan: &Plan) -> String {
    let mut out = String::new();
    match seen {
        Seen::Task { user, task } => {
            let _ = writeln!(out, "\n── {} · {} ──", one_line(user), one_line(task));
        }
        Seen::Flow(way) => {
            let _ = writeln!(out, "· {}", shortened(way));
        }
        Seen::Failed { line, why } => {
            let _ = writeln!(out, "✗ line {line}: {}", one_line(why));
        }
        Seen::Skipped(step) => {
            let _ = writeln!(out, "{}: skipped, its `when` is not true", one_line(&step.name));
        }
        Seen::Unsent { step, error } => {
            let _ = writeln!(out, "{}: not sent\n✗ template: {}", one_line(&step.name), one_line(error));
        }
        Seen::Request { step, request, exchange, checks, captured, failure } => {
            let _ = writeln!(out, "{}", one_line(&step.name));
            describe_request(&mut out, request, plan);
            describe_exchange(&mut out, exchange, plan);
            for (name, value) in captured {
                let _ = writeln!(out, "= {}: {}", one_line(name), shortened(value));
            }
            for (name, found) in checks {
                let name = one_line(name);
                let _ = match found {
                    Ok(None) => writeln!(out, "✓ {name}"),
                    Ok(Some(found)) => writeln!(out, "✓ {name}: {}", one_line(found)),
                    Err(found) => writeln!(out, "✗ {name}: {}", one_line(found)),
                };
            }
            // What a check says is said above.
            if let Some(failure) = failure.as_ref().filter(|_| checks.iter().all(|(_, found)| found.is_ok())) {
                let _ = writeln!(out, "✗ {}", one_line(&failure.to_string()));
            }
        }
    }
    out
}

/// A value on one line.
fn shortened(value: &str) -> String {
    let start: String = value.chars().take(SHOWN_OF_A_VALUE).collect();
    let shown = one_line(&start);
    if start.len() < value.len() { format!("{shown}… ({} in all)", format_size(value.len() as u64)) } else { shown }
}

fn describe_request(out: &mut String, request: &Request<'_>, plan: &Plan) {
    let mut url = request.address().into_owned();
    if url.password().is_some() {
        let _ = url.set_password(Some("***"));
    }
    let _ = writeln!(out, "> {} {url}", request.method);
    if let Some(head) = request.trace {
        let _ = writeln!(out, "> trace {}, span {}", head.trace, head.span);
    }
    describe_headers(out, '>', request.headers);
    if !request.body.is_empty() {
        describe_body(out, '>', &super::without_secrets(plan, &String::from_utf8_lossy(&request.body)));
    }
}

fn describe_exchange(out: &mut String, exchange: &Exchange, plan: &Plan) {
    let took = format_duration(exchange.finished.saturating_duration_since(exchange.started));
    match exchange.result() {
        Ok(response) => {
            let reason =
                http::StatusCode::from_u16(response.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
            let _ = writeln!(
                out,
                "< {:?} {} {reason} · {took} · {}",
                response.version,
                response.status,
                format_size(exchange.received_bytes)
            );
            if let Some(url) = &response.url {
                let _ = writeln!(out, "< after {} redirects, from {url}", exchange.redirects);
            }
            if let Some(first) = exchange.phases.first_event {
                let _ = writeln!(out, "< first event after {}, last one:", format_duration(first));
            }
            describe_headers(out, '<', &response.headers);
            describe_body(out, '<', &super::without_secrets(plan, &response.text()));
        }
        Err(failure) => {
            let _ = writeln!(out, "< nothing · {took} · {}", failure.reason);
        }
    }
}

fn describe_headers(out: &mut String, sign: char, headers: &HeaderMap) {
    for (name, value) in headers {
        let _ = writeln!(out, "{sign} {name}: {}", one_line(&String::from_utf8_lossy(value.as_bytes())));
    }
}

/// `text` is without secrets already: where it is cut, one could not be seen any more.
fn describe_body(out: &mut String, sign: char, text: &str) {
    if text.is_empty() {
        return;
    }
    let shown: String = text.chars().take(SHOWN).collect();
    for line in shown.lines() {
        let _ = writeln!(out, "{sign} {}", printable::lines(line));
    }
    if shown.len() < text.len() {
        let _ = writeln!(out, "{sign} … ({} in all)", format_size(text.len() as u64));
    }
}
