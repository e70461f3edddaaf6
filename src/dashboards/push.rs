//! Brings the dashboards into Grafana by its HTTP API, into a folder of their own. What is there already and is the same is left
//! alone; what differs is overwritten, for the dashboards cannot be edited there anyway.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::File;
use crate::diagnostic::Diagnostic;
use crate::http::{Client, Request, Session, Settings, TlsSettings};

/// The folder, and its uid.
const FOLDER: &str = "otload";

const TIMEOUT: Duration = Duration::from_secs(15);
const LARGEST_ANSWER: u64 = 16 << 20;

/// Which Grafana, and who asks.
#[derive(Debug)]
pub struct Grafana {
    /// Its own address, `http://127.0.0.1:3000` or with a path below which it is served.
    base: Url,
    token: Option<HeaderValue>,
    /// A PEM file of authorities that are trusted besides the platform's.
    ca: Option<std::path::PathBuf>,
}

/// What became of one dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub title: String,
    pub done: Done,
    /// Where it is seen.
    pub url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Created,
    Updated,
    Unchanged,
}

struct Talk<'a> {
    grafana: &'a Grafana,
    session: Session,
}

// === Grafana ===

impl Grafana {
    /// # Errors
    /// When the address is none, or the token has signs that cannot be sent.
    pub fn try_new(base: &str, token: Option<&str>, ca: Option<std::path::PathBuf>) -> Result<Self, Diagnostic> {
        let wrong = |why: String| {
            Diagnostic::error(format!("`--push {base}`: {why}")).hint("write the address of Grafana, like http://127.0.0.1:3000")
        };
        let url = Url::parse(base).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(format!("its scheme is `{}`, not `http` or `https`", url.scheme())));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it may not have a query or a fragment".to_owned()));
        }
        let token = token.map(|token| HeaderValue::from_str(&format!("Bearer {}", token.trim()))).transpose();
        let token = token.map_err(|_| {
            Diagnostic::error("the token has signs that a header cannot carry")
                .hint("give the token of a service account, `glsa_…`, alone")
        })?;
        Ok(Self { base: url, token, ca })
    }

    /// Pushes those of the files that are dashboards.
    ///
    /// # Errors
    /// What Grafana, or the way to it, has against it. What was pushed before stays.
    pub fn push(&self, files: &[File]) -> Result<Vec<Pushed>, Diagnostic> {
        let tls = TlsSettings { ca: self.ca.clone(), ..TlsSettings::default() };
        let settings = Settings { max_body: LARGEST_ANSWER, connect_timeout: TIMEOUT, tls, ..Settings::default() };
        let client = Client::try_new(&settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Diagnostic::error(format!("cannot start an event loop: {error}")))?;
        let pushed = runtime.block_on(async {
            let mut talk = Talk { grafana: self, session: client.session() };
            talk.folder().await?;
            let mut pushed = Vec::new();
            for dashboard in files.iter().filter_map(dashboard) {
                pushed.push(talk.dashboard(dashboard).await?);
            }
            Ok(pushed)
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        pushed
    }

    /// As it may be shown.
    fn shown(&self) -> String {
        let mut url = self.base.clone();
        // These fail only for URLs that cannot have any.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn unreachable(&self, why: &str) -> Diagnostic {
        Diagnostic::error(format!("cannot talk to Grafana at {}: {why}", self.shown())).hint("is this its address, and is it up?")
    }

    /// An answer that is no success, in words.
    fn refused(&self, what: &str, status: StatusCode, answer: &[u8]) -> Diagnostic {
        let said = serde_json::from_slice::<Value>(answer).ok().and_then(|answer| Some(answer["message"].as_str()?.to_owned()));
        let said = said.map_or_else(String::new, |said| {
            format!(" ({})", said.chars().filter(|c| !c.is_control()).take(200).collect::<String>())
        });
        let problem = Diagnostic::error(format!("Grafana at {} refuses {what}: status {}{said}", self.shown(), status.as_u16()));
        problem.hint(match status.as_u16() {
            401 if self.token.is_none() => "it wants to know who asks: put the token of a service account into GRAFANA_TOKEN, or into a file that --token-file names",
            401 => "the token is not one of this Grafana's, or has expired",
            403 => "the service account needs the role Editor, or the permissions folders:create and dashboards:write",
            404 => "is this the address of Grafana itself? One that is served below a path is given with it, like http://host/grafana",
            412 => "a dashboard of this name or uid is there already and belongs to something else, such as a plugin",
            400 => "a dashboard that is provisioned from files cannot be overwritten: change its file, or delete it there first",
            300..=399 => "give the address that it leads to: the token is not sent on to another one",
            500..=599 => "its log says why",
            _ => "its log may say why",
        })
    }
}

// === Talk ===

impl Talk<'_> {
    /// Makes the folder unless it is there.
    async fn folder(&mut self) -> Result<(), Diagnostic> {
        let (status, answer) = self.ask(Method::GET, &format!("/api/folders/{FOLDER}"), None).await?;
        match status {
            StatusCode::OK => return Ok(()),
            // Grafana's own: a server that is none answers with a page.
            StatusCode::NOT_FOUND if serde_json::from_slice::<Value>(&answer).is_ok() => {}
            _ => return Err(self.grafana.refused("to look for the folder", status, &answer)),
        }
        let wanted = json!({"uid": FOLDER, "title": FOLDER});
        let (status, answer) = self.ask(Method::POST, "/api/folders", Some(&wanted)).await?;
        if status.is_success() {
            Ok(())
        } else {
            Err(self.grafana.refused(&format!("to make the folder `{FOLDER}`"), status, &answer))
        }
    }

    async fn dashboard(&mut self, dashboard: Value) -> Result<Pushed, Diagnostic> {
        let text = |key: &str| dashboard[key].as_str().unwrap_or_default().to_owned();
        let (uid, title) = (text("uid"), text("title"));
        let (status, answer) = self.ask(Method::GET, &format!("/api/dashboards/uid/{uid}"), None).await?;
        let there = match status {
            StatusCode::OK => {
                Some(serde_json::from_slice::<Value>(&answer).map_err(|error| self.grafana.unreachable(&error.to_string()))?)
            }
            StatusCode::NOT_FOUND => None,
            _ => return Err(self.grafana.refused(&format!("to look for {title}"), status, &answer)),
        };
        let url = format!("{}/d/{uid}", self.grafana.shown());
        if there.as_ref().is_some_and(|there| there["meta"]["folderUid"] == FOLDER && same(&there["dashboard"], &dashboard)) {
            return Ok(Pushed { title, done: Done::Unchanged, url });
        }
        let message = format!("otload {}", env!("CARGO_PKG_VERSION"));
        let wanted = json!({"dashboard": dashboard, "folderUid": FOLDER, "overwrite": true, "message": message});
        let (status, answer) = self.ask(Method::POST, "/api/dashboards/db", Some(&wanted)).await?;
        if !status.is_success() {
            return Err(self.grafana.refused(&format!("to take {title}"), status, &answer));
        }
        Ok(Pushed { title, done: if there.is_some() { Done::Updated } else { Done::Created }, url })
    }

    async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Bytes), Diagnostic> {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        if let Some(token) = &self.grafana.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = Request {
            method: &method,
            url: &self.grafana.url(path),
            path: None,
            headers: &headers,
            body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
            timeout: TIMEOUT,
            redirects: 0,
            keep_body: true,
            keep_head: false,
            events: None,
            prepared: None,
            trace: None,
        };
        let response =
            self.session.exchange(&request).await.into_result().map_err(|failure| self.grafana.unreachable(&failure.message))?;
        let status = StatusCode::from_u16(response.status).map_err(|error| self.grafana.unreachable(&error.to_string()))?;
        Ok((status, response.body.unwrap_or_default()))
    }
}

/// The dashboard that a file holds; rules are Prometheus' affair.
fn dashboard(file: &File) -> Option<Value> {
    if !file.path.ends_with(".json") {
        return None;
    }
    let dashboard: Value = serde_json::from_str(&file.contents).ok()?;
    dashboard["uid"].is_string().then_some(dashboard)
}

/// Whether Grafana has the same already: all but what it counts itself, and however it writes numbers.
fn same(there: &Value, ours: &Value) -> bool {
    match (there, ours) {
        (Value::Object(there), Value::Object(ours)) => {
            let counted = |key: &String| !matches!(key.as_str(), "version");
            // It adds its own `id` to the whole; panels have ours.
            let extra = |key: &String| key == "id" && !ours.contains_key(key);
            there.keys().filter(|key| counted(key) && !extra(key)).all(|key| ours.contains_key(key))
                && ours
                    .iter()
                    .filter(|(key, _)| counted(key))
                    .all(|(key, value)| there.get(key).is_some_and(|there| same(there, value)))
        }
        (Value::Array(there), Value::Array(ours)) => there.len() == ours.len() && there.iter().zip(ours).all(|(a, b)| same(a, b)),
        (Value::Number(there), Value::Number(ours)) => there.as_f64() == ours.as_f64(),
        _ => there == ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grafana_counts_and_how_it_writes_numbers_is_no_difference() {
        let ours = json!({"uid": "a", "version": 1, "panels": [{"id": 1, "max": 1.0}]});
        assert!(same(&json!({"id": 42, "uid": "a", "version": 7, "panels": [{"id": 1, "max": 1}]}), &ours));
        for other in [
            json!({"uid": "a", "panels": [{"id": 2, "max": 1}]}),
            json!({"uid": "a", "panels": [{"id": 1}]}),
            json!({"uid": "a", "panels": [{"id": 1, "max": 1, "min": 0}]}),
            json!({"uid": "a", "panels": []}),
        ] {
            assert!(!same(&other, &ours), "{other}");
        }
    }

    #[test]
    fn addresses_and_tokens_are_looked_at() {
        for bad in ["", "127.0.0.1:3000", "ftp://a", "http://a/?x=1", "http://a/#x"] {
            assert!(Grafana::try_new(bad, None, None).is_err(), "{bad}");
        }
        assert!(Grafana::try_new("http://a", Some("a\nb"), None).is_err());
        let below = Grafana::try_new("https://me:secret@host/grafana/", Some("glsa_x\n"), None).unwrap();
        assert_eq!(below.url("/api/folders").path(), "/grafana/api/folders");
        assert_eq!(below.shown(), "https://host/grafana");
    }
}
