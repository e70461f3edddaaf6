//! The routes: which there are, what each takes, and what it answers. `openapi.json` says the same for programs.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::command::{Command, Effect, Order, Refusal};
use super::command::{Scale, Start};
use super::guard::Access;

/// What there is to read of a run, and where it can be told something.
pub trait Answers: Send + Sync + 'static {
    /// Whether it does what it is there for.
    ///
    /// # Errors
    /// What has broken down, so that it does not.
    fn health(&self) -> Result<(), String> {
        Ok(())
    }
    /// The metrics as `accept` asks for them: (content type, body).
    fn metrics(&self, accept: &str) -> (String, Vec<u8>);
    /// The state of the run, as JSON.
    fn status(&self) -> String;
    /// The statistics table, as JSON.
    fn requests(&self) -> Result<String, Refusal>;
    /// Where orders go; nowhere while there is no run.
    fn orders(&self) -> Option<mpsc::Sender<Order>>;
    /// What starts runs, if it is a daemon that answers.
    fn daemon(&self) -> Option<Arc<dyn Daemon>> {
        None
    }
}

/// One that waits, and starts runs.
pub trait Daemon: Send + Sync {
    /// Reads files, on a thread of its own.
    fn scenarios(self: Arc<Self>) -> Answer;
    fn runs(&self) -> Value;
    fn run(&self, id: &str) -> Option<Value>;
    /// Reads files, on a thread of its own.
    fn start(self: Arc<Self>, start: Start) -> Answer;
}

/// What comes later.
pub type Answer = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send>>;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Index,
    Metrics,
    Health,
    Status,
    Requests,
    OpenApi,
    Scale,
    Pause,
    Resume,
    Stop,
    Annotate,
    Scenarios,
    Runs,
    Run,
    Start,
}

const ROUTES: &[(&str, &str, Route)] = &[
    ("GET", "/", Route::Index),
    ("GET", "/metrics", Route::Metrics),
    ("GET", "/healthz", Route::Health),
    ("GET", "/api/v1/status", Route::Status),
    ("GET", "/api/v1/requests", Route::Requests),
    ("GET", "/api/v1/openapi.json", Route::OpenApi),
    ("POST", "/api/v1/scale", Route::Scale),
    ("POST", "/api/v1/pause", Route::Pause),
    ("POST", "/api/v1/resume", Route::Resume),
    ("POST", "/api/v1/stop", Route::Stop),
    ("POST", "/api/v1/annotate", Route::Annotate),
    ("GET", "/api/v1/scenarios", Route::Scenarios),
    ("GET", "/api/v1/runs", Route::Runs),
    ("POST", "/api/v1/runs", Route::Start),
    ("GET", "/api/v1/runs/{id}", Route::Run),
];

const OPENAPI: &str = include_str!("openapi.json");

/// A run that does not answer for so long is ending, or hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The longest remark.
const LONGEST_REMARK: usize = 1000;

/// Who may read what is at this path.
pub(super) fn access(path: &str) -> Access {
    match path {
        "/metrics" | "/healthz" => Access::Everybody,
        "/" => Access::NoForeignPage,
        _ => Access::Control,
    }
}

pub(super) fn routes(answers: Arc<dyn Answers>) -> Router {
    let mut router = Router::new();
    for (method, path, route) in ROUTES {
        let filter = if *method == "POST" { MethodFilter::POST } else { MethodFilter::GET };
        let handler = move |State(answers): State<Arc<dyn Answers>>,
                            id: Option<Path<String>>,
                            headers: HeaderMap,
                            body: Bytes| async move {
            let id = id.map(|Path(id)| id).unwrap_or_default();
            answer(*route, &*answers, &id, &headers, &body).await.unwrap_or_else(|refusal| refused(&refusal))
        };
        router = router.route(path, on(filter, handler));
    }
    let unknown = || async {
        refused(&Refusal::new(StatusCode::NOT_FOUND, "there is nothing here").hint("/api/v1/openapi.json lists what there is"))
    };
    let wrong_method = || async { refused(&Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method")) };
    router.fallback(unknown).method_not_allowed_fallback(wrong_method).with_state(answers)
}

pub(super) fn refused(refusal: &Refusal) -> Response {
    (refusal.status, [(header::CONTENT_TYPE, "application/json")], format!("{}\n", refusal.json())).into_response()
}

async fn answer(route: Route, answers: &dyn Answers, id: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
    let daemon = || {
        answers.daemon().ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, "this otload does one run and starts no others")
                .hint("`otload serve` is the daemon that does")
        })
    };
    Ok(match route {
        Route::Index => page(),
        Route::Metrics => metrics(answers, headers),
        Route::Health => match answers.health() {
            Ok(()) => "ok\n".into_response(),
            Err(cause) => (StatusCode::SERVICE_UNAVAILABLE, format!("{cause}\n")).into_response(),
        },
        Route::Status => json_text(answers.status()),
        Route::Requests => json_text(answers.requests()?),
        Route::OpenApi => json_text(OPENAPI.to_owned()),
        Route::Scale => json(&order(answers, Command::Scale(parse::<Scale>(body)?)).await?),
        Route::Pause => json(&order(answers, Command::Pause).await?),
        Route::Resume => json(&order(answers, Command::Resume).await?),
        Route::Stop => json(&order(answers, Command::Stop).await?),
        Route::Annotate => json(&order(answers, Command::Annotate(remark(body)?)).await?),
        Route::Scenarios => json(&daemon()?.scenarios().await?),
        Route::Runs => json(&daemon()?.runs()),
        Route::Run => match daemon()?.run(id) {
            Some(run) => json(&run),
            None => {
                let unknown = Refusal::new(StatusCode::NOT_FOUND, format!("there is no run `{id}`"));
                return Err(unknown.hint("/api/v1/runs lists those that are remembered"));
            }
        },
        Route::Start => (StatusCode::CREATED, json(&daemon()?.start(parse(body)?).await?)).into_response(),
    })
}

/// Hands a command to the run, and waits for what comes of it.
async fn order(answers: &dyn Answers, command: Command) -> Result<Value, Refusal> {
    let orders = answers.orders().ok_or_else(Refusal::over)?;
    let (answer, answered) = oneshot::channel();
    let told = async {
        orders.send(Order { command, answer }).await.map_err(|_| Refusal::over())?;
        // Dropped unanswered when the run ends.
        answered.await.map_err(|_| Refusal::over())?
    };
    let Effect(value) = tokio::time::timeout(ANSWER_WITHIN, told).await.map_err(|_| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the run did not answer within 5 seconds")
            .hint("ask for its status, and try again")
    })??;
    Ok(value)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::wrong(format!("the body is not what is expected here: {error}")).hint("/api/v1/openapi.json describes it")
    })
}

/// One line.
fn remark(body: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Annotate {
        text: String,
    }
    let text = parse::<Annotate>(body)?.text;
    let line =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.chars().count() {
        0 => Err(Refusal::wrong("the text is empty")),
        count if count > LONGEST_REMARK => {
            Err(Refusal::wrong(format!("the text has {count} characters, more than the {LONGEST_REMARK} that are kept")))
        }
        _ => Ok(line),
    }
}

fn metrics(answers: &dyn Answers, headers: &HeaderMap) -> Response {
    // Several `accept` lines mean one list.
    let accept: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let (content_type, body) = answers.metrics(&accept.join(","));
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn json(value: &Value) -> Response {
    json_text(format!("{value}\n"))
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn page() -> Response {
    let page = "<!doctype html><title>otload</title><h1>otload</h1><ul><li><a href=\"/metrics\">/metrics</a> for Prometheus\
                <li><a href=\"/api/v1/status\">/api/v1/status</a> of the run<li><a href=\"/api/v1/requests\">/api/v1/requests</a>, the \
                statistics<li><a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>, all that can be asked for\
                <li><a href=\"/healthz\">/healthz</a></ul>\n";
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    #[test]
    fn the_openapi_document_has_every_route_and_no_other() {
        let document = document();
        let described: BTreeSet<_> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let served: BTreeSet<_> = ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(described, served);
    }

    #[test]
    fn the_openapi_document_holds_together() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{path}");
                let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
                assert!(statuses.iter().any(|status| status.starts_with('2')), "{path}");
                assert_eq!(statuses.contains(&"403"), access(path) != Access::Everybody, "{method} {path}: {statuses:?}");
                assert_eq!(path.contains("{id}"), operation["parameters"][0]["name"] == "id", "{path}");
            }
        }
        // Every reference leads somewhere.
        let mut left = vec![&document];
        let mut references = 0;
        while let Some(value) = left.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                references += 1;
                assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
            }
            match value {
                Value::Object(map) => left.extend(map.values()),
                Value::Array(list) => left.extend(list),
                _ => {}
            }
        }
        assert!(references > 10);
    }

    #[test]
    fn what_the_document_describes_is_what_is_read() {
        let document = document();
        let keys = |name: &str| {
            let properties = document["components"]["schemas"][name]["properties"].as_object().unwrap();
            properties.keys().cloned().collect::<BTreeSet<_>>()
        };
        // The message of an unknown key lists those that are known.
        let known = |error: String| error.split('`').skip(3).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(keys("Scale"), known(parse::<Scale>(br#"{"?": 1}"#).unwrap_err().error));
        assert_eq!(keys("Start"), known(parse::<Start>(br#"{"?": 1}"#).unwrap_err().error));
        assert_eq!(keys("Overrides"), known(parse::<Start>(br#"{"scenario": "a", "overrides": {"?": 1}}"#).unwrap_err().error));
    }

    #[test]
    fn remarks_are_one_line() {
        assert_eq!(remark(br#"{"text": " deployed\n\tv2 \u001b[31m "}"#).unwrap(), "deployed v2 [31m");
        for body in [&br#"{"text": " \n"}"#[..], br#"{"text": 5}"#, br#"{}"#, b"", br#"{"text": "a", "more": 1}"#] {
            assert_eq!(remark(body).unwrap_err().status, StatusCode::BAD_REQUEST);
        }
        let long = json!({ "text": "x".repeat(1001) }).to_string();
        assert!(remark(long.as_bytes()).unwrap_err().error.contains("1001 characters"));
    }
}
