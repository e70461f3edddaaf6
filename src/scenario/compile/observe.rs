//! `observe`: where telemetry goes. What the file leaves open the environment may still say, when the run starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, header};
use url::Url;

use super::text::After;
use super::{Compiler, request};
use crate::export::otlp::settings::{
    Compression, Headers, INTERVAL, Keep, Logs, Metrics, Observe, Per, Protocol, QUEUE, Target, Traces,
};
use crate::measure::name;
use crate::scenario::document::observe as form;
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::values::Pairs;
use crate::template::{Random, Scope, Template};
use crate::units::Ratio;

/// The values of the file's `variables`.
type Variables = BTreeMap<String, serde_json::Value>;

/// As many spans or records may wait at most: about a gigabyte.
const LONGEST_QUEUE: u32 = 1_000_000;

/// What changes while a run goes on, and so is not known when the exporter starts.
const VARYING: &[&str] = &["user_id", "iteration", "run_id", "loop_index"];

impl Compiler<'_> {
    pub(super) fn observe(&mut self, field: &Field<form::Observe>, variables: &Variables) -> Observe {
        let Some(observe) = field.value() else { return Observe::default() };
        if observe.traces.value().is_some() {
            self.warn_of_own_traces();
        }
        let labels = observe.metrics.value().and_then(|metrics| metrics.labels.value());
        Observe {
            labels: labels.map(|pairs| self.labels(pairs)).unwrap_or_default(),
            traces: observe.traces.value().map(|traces| self.traces(traces, variables)),
            metrics: observe.otlp_metrics.value().map(|metrics| Metrics {
                target: self.collector(metrics.collector(), variables),
                interval: self.more_than_zero(&metrics.interval, "interval").unwrap_or(INTERVAL),
            }),
            logs: observe
                .otlp_logs
                .value()
                .map(|logs| Logs { target: self.collector(logs.collector(), variables), queue: self.queue(&logs.queue) }),
        }
    }

    /// A request has one parent: the one that the scenario names, or the span that otload exports.
    fn warn_of_own_traces(&mut self) {
        let mut places = std::mem::take(&mut self.own_traces);
        // One that stands behind an anchor has been read more than once.
        places.sort_by_key(|place| place.start);
        places.dedup();
        for place in places {
            self.warn(
                &place,
                "a request with a `traceparent` of its own is not traced",
                "remove the header: with `observe.traces` otload writes it, and exports the span that it names",
            );
        }
    }

    fn labels(&mut self, pairs: &Pairs<String>) -> Vec<(String, String)> {
        let mut labels = Vec::new();
        for (key, value) in &pairs.0 {
            let name = key.name.as_str();
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name::is_reserved(name) {
                self.push(
                    &key.range,
                    format!("the label `{name}` has a meaning of its own in otload's metrics"),
                    "choose another name",
                );
            } else if !name.chars().all(word) || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                let hint = "Prometheus takes letters, digits and `_`, and no digit first";
                self.push(&key.range, format!("`{name}` cannot be the name of a label"), hint);
            } else if self.check_name(value, "a label's value") {
                labels.push((name.to_owned(), value.value.clone()));
            }
        }
        labels
    }

    fn traces(&mut self, traces: &form::ObserveTraces, variables: &Variables) -> Traces {
        Traces {
            target: self.collector(traces.collector(), variables),
            sample: traces.sample.value().copied().unwrap_or(Ratio::HUNDREDTH),
            keep: traces.keep.value().map(|keep| self.keep(keep)).unwrap_or_default(),
            propagate_all: traces.propagate.value() == Some(&form::Propagate::All),
            per: match traces.per.value() {
                None | Some(form::TracePer::Task) => Per::Task,
                Some(form::TracePer::Request) => Per::Request,
            },
            baggage: traces.baggage.value().copied().unwrap_or(false),
            queue: self.queue(&traces.queue),
            ui: traces.ui.given().and_then(|ui| self.ui(ui)),
        }
    }

    fn keep(&mut self, keep: &form::Keep) -> Keep {
        Keep {
            errors: keep.errors.value().copied().unwrap_or(false),
            slower_than: self.more_than_zero(&keep.slower_than, "slower_than"),
        }
    }

    fn queue(&mut self, field: &Field<u32>) -> u32 {
        let Some(queue) = field.given() else { return QUEUE };
        if queue.value == 0 {
            self.push(
                &queue.range,
                "`queue` cannot be zero",
                format!("nothing could wait for the collector; the default is {QUEUE}"),
            );
        } else if queue.value > LONGEST_QUEUE {
            let hint = format!("it is kept in memory; the default is {QUEUE}");
            self.push(&queue.range, format!("at most {LONGEST_QUEUE} may wait for the collector"), hint);
        }
        queue.value
    }

    fn ui(&mut self, ui: &Placed<String>) -> Option<String> {
        let example = "write it like `http://127.0.0.1:16686/trace/{trace_id}`";
        if !ui.value.contains("{trace_id}") {
            self.push(&ui.range, "`ui` has no `{trace_id}`, so all links would be the same", example);
            return None;
        }
        match Url::parse(&ui.value.replace("{trace_id}", "0")) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Some(ui.value.clone()),
            _ => {
                self.push(&ui.range, format!("`{}` is not a URL that a browser opens", ui.value), example);
                None
            }
        }
    }

    fn collector(&mut self, form: form::Collector<'_>, variables: &Variables) -> Target {
        let tls = form.tls.value();
        if let Some(tls) = tls {
            self.certificate_and_key(&tls.cert, &tls.key);
        }
        Target {
            endpoint: form.endpoint.given().and_then(|endpoint| self.endpoint(endpoint)),
            protocol: form.protocol.value().map(|protocol| match protocol {
                form::OtlpProtocol::Grpc => Protocol::Grpc,
                form::OtlpProtocol::Http => Protocol::Http,
            }),
            headers: form.headers.value().map(|pairs| self.constant_headers(pairs, variables)).unwrap_or_default(),
            compression: form.compression.value().map(|compression| match compression {
                form::OtlpCompression::None => Compression::None,
                form::OtlpCompression::Gzip => Compression::Gzip,
            }),
            timeout: self.more_than_zero(form.timeout, "timeout"),
            ca: tls.and_then(|tls| self.file(&tls.ca)),
            cert: tls.and_then(|tls| self.file(&tls.cert)),
            key: tls.and_then(|tls| self.file(&tls.key)),
        }
    }

    fn endpoint(&mut self, endpoint: &Placed<String>) -> Option<Url> {
        let text = endpoint.value.as_str();
        let (message, hint) = match Url::parse(text) {
            _ if text.contains("{{") => (
                "`endpoint` cannot hold a template".to_owned(),
                "leave it out, and set the environment variable OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
            ),
            Ok(url) if matches!(url.scheme(), "http" | "https") => {
                if !url.username().is_empty() || url.password().is_some() {
                    let hint = "give them by a header: `headers: {authorization: \"Basic {{ env.NAME }}\"}`";
                    ("`endpoint` cannot hold user and password".to_owned(), hint.to_owned())
                } else {
                    return Some(url);
                }
            }
            Ok(url) if text.contains("://") => {
                (format!("OTLP is not spoken over `{}`", url.scheme()), "use http or https; also for gRPC".to_owned())
            }
            _ if Url::parse(&format!("http://{text}")).is_ok_and(|url| url.port().is_some()) => {
                (format!("`{text}` has no scheme"), format!("write `http://{text}`"))
            }
            _ => (format!("`{text}` is not a URL"), "write it like `http://127.0.0.1:4317`".to_owned()),
        };
        self.push(&endpoint.range, message, hint);
        None
    }

    /// Headers whose values are known before the run.
    fn constant_headers(&mut self, pairs: &Pairs<String>, variables: &Variables) -> Headers {
        let mut headers: Vec<(String, String)> = Vec::new();
        for (key, value) in &pairs.0 {
            let constant = self.constant_text(value, variables);
            let Some(name) = self.header_name(&key.name, &key.range) else { continue };
            if is_ours(&name) {
                let message = format!("the header `{name}` is written by otload itself");
                self.push(&key.range, message, "remove it");
            } else if headers.iter().any(|(known, _)| *known == name.as_str()) {
                let hint = "names of headers do not tell capitals from small letters; keep one";
                self.push(&key.range, format!("the header `{name}` is here twice"), hint);
            } else if let Some(constant) = constant {
                if request::header_value(&constant).is_none() {
                    let hint = "remove line breaks and control characters";
                    self.push(&value.range, "a header's value is one line of visible characters", hint);
                }
                headers.push((name.as_str().to_owned(), constant));
            }
        }
        Headers(headers)
    }

    /// The text of a template that says the same whenever it is rendered.
    fn constant_text(&mut self, text: &Placed<String>, variables: &Variables) -> Option<String> {
        let template = self.template(text, After::Nothing)?;
        let hint = "use `env.NAME` or a variable";
        if let Some(varying) = template.references().iter().find(|reference| VARYING.contains(&&*reference.root)) {
            let message = format!("`{}` is not known here: this is rendered once, before the run", varying.root);
            self.push(&text.range, message, hint);
            return None;
        }
        let scope = Scope::new(Arc::new(self.constants(variables.clone())), 0);
        match (rendered(&template, &scope, 1), rendered(&template, &scope, 2)) {
            (Ok(once), Ok(again)) if once == again => Some(once),
            (Ok(_), _) => {
                self.push(&text.range, "this must be the same each time it is rendered", hint);
                None
            }
            (Err(message), _) => {
                self.push(&text.range, message, hint);
                None
            }
        }
    }
}

fn rendered(template: &Template, scope: &Scope, seed: u64) -> Result<String, String> {
    let mut text = String::new();
    template.render(scope, &mut Random::new(seed, 0), &mut text)?;
    Ok(text)
}

/// Headers that follow from the message and the protocol.
fn is_ours(name: &HeaderName) -> bool {
    [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::HOST,
        header::TE,
    ]
    .contains(name)
        || name.as_str().starts_with("grpc-")
}
