//! `otload dashboards`: what it lists and writes, and what it brings into a Grafana that answers as the real one does.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{Finished, Otload, free_address, root};

/// Grafana's API of folders and dashboards, below `/grafana` as behind a proxy, for one token.
struct Grafana {
    address: SocketAddr,
    shared: Arc<Mutex<Store>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Store {
    folders: Vec<String>,
    /// By uid: the folder, the version, and what is kept.
    dashboards: BTreeMap<String, (String, u64, Value)>,
    /// Each request, as `METHOD path`.
    asked: Vec<String>,
    /// The role of the token's account.
    may_write: bool,
    stopping: bool,
}

const TOKEN: &str = "glsa_secret";

// === impl Grafana ===

impl Grafana {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, shared) =
            (listener.local_addr().unwrap(), Arc::new(Mutex::new(Store { may_write: true, ..Store::default() })));
        let store = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if store.lock().unwrap().stopping {
                    return;
                }
                // Who goes away half way is no concern of a server's.
                let _ = stream.and_then(|stream| serve(stream, &store));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    fn push(&self, token: Option<&str>) -> Finished {
        let url = format!("http://{}/grafana/", self.address);
        let env: Vec<_> = token.map(|token| ("GRAFANA_TOKEN", token)).into_iter().collect();
        Otload::command_with_env(&["dashboards", "--push", &url], &env)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().asked)
    }
}

impl Drop for Grafana {
    fn drop(&mut self) {
        self.shared.lock().unwrap().stopping = true;
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request after the other, until the peer closes.
fn serve(mut stream: TcpStream, store: &Mutex<Store>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 65536]);
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut chunk)? {
                0 => return Ok(()),
                read => bytes.extend_from_slice(&chunk[..read]),
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        while bytes.len() < end + length {
            match stream.read(&mut chunk)? {
                0 => return Ok(()),
                read => bytes.extend_from_slice(&chunk[..read]),
            }
        }
        let body = serde_json::from_slice(&bytes[end..end + length]).unwrap_or(Value::Null);
        bytes.drain(..end + length);
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let known = header("authorization").as_deref() == Some(&format!("Bearer {TOKEN}"));
        let (status, answer) = store.lock().unwrap().answer(method, path, known, &body);
        let text = answer.to_string();
        let length = text.len();
        write!(stream, "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}")?;
    }
}

impl Store {
    fn answer(&mut self, method: &str, path: &str, known: bool, body: &Value) -> (u16, Value) {
        self.asked.push(format!("{method} {path}"));
        let Some(path) = path.strip_prefix("/grafana/api") else { return (404, json!({"message": "Not found"})) };
        if !known {
            return (401, json!({"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401}));
        }
        if method == "POST" && !self.may_write {
            return (
                403,
                json!({"message": "You'll need additional permissions to perform this action.", "title": "Access denied"}),
            );
        }
        let (kind, uid) = path.trim_start_matches('/').rsplit_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        match (method, kind, uid) {
            ("GET", "folders", uid) if self.folders.iter().any(|folder| folder == uid) => {
                (200, json!({"uid": uid, "title": uid}))
            }
            ("GET", "folders", _) => (404, json!({"message": "folder not found", "status": "not-found"})),
            ("POST", "folders", "") => {
                let uid = body["uid"].as_str().unwrap().to_owned();
                if self.folders.contains(&uid) {
                    return (409, json!({"message": "a folder with the same name already exists"}));
                }
                self.folders.push(uid.clone());
                (200, json!({"uid": uid, "title": body["title"]}))
            }
            ("GET", "dashboards/uid", uid) => match self.dashboards.get(uid) {
                Some((folder, version, dashboard)) => {
                    let mut dashboard = dashboard.clone();
                    (dashboard["id"], dashboard["version"]) = (json!(7), json!(version));
                    (200, json!({"meta": {"folderUid": folder, "version": version}, "dashboard": dashboard}))
                }
                None => (404, json!({"message": "Dashboard not found"})),
            },
            ("POST", "dashboards", "db") => self.save(body),
            _ => (404, json!({"message": "Not found"})),
        }
    }

    fn save(&mut self, body: &Value) -> (u16, Value) {
        let (folder, dashboard) = (body["folderUid"].as_str().unwrap_or_default(), &body["dashboard"]);
        if !self.folders.iter().any(|known| known == folder) {
            return (400, json!({"message": "folder not found"}));
        }
        let uid = dashboard["uid"].as_str().unwrap();
        let version = self.dashboards.get(uid).map_or(0, |(_, version, _)| *version);
        if version > 0 && body["overwrite"] != true {
            return (412, json!({"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}));
        }
        self.dashboards.insert(uid.to_owned(), (folder.to_owned(), version + 1, as_go(dashboard)));
        (200, json!({"uid": uid, "status": "success", "version": version + 1, "url": format!("/grafana/d/{uid}/x")}))
    }
}

/// Numbers as Go writes them: without a fraction that is none.
fn as_go(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 => json!(float as i64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(as_go).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(|(key, value)| (key.clone(), as_go(value))).collect()),
        _ => value.clone(),
    }
}

// === tests ===

const UIDS: [&str; 5] = ["otload-compare", "otload-generator", "otload-overview", "otload-request", "otload-soak"];

#[test]
fn dashboards_are_pushed_once_and_renewed_when_they_differ() {
    let grafana = Grafana::start();
    let first = grafana.push(Some(TOKEN)).expect_code(0);
    assert_eq!(first.stdout.lines().filter(|line| line.starts_with("created ")).count(), 5, "{}", first.stdout);
    let overview = format!("http://{}/grafana/d/otload-overview", grafana.address);
    assert!(first.stdout.contains(&overview), "{}", first.stdout);
    {
        let store = grafana.shared.lock().unwrap();
        assert_eq!(store.folders, ["otload"]);
        assert_eq!(store.dashboards.keys().collect::<Vec<_>>(), UIDS);
        let (folder, version, kept) = &store.dashboards["otload-overview"];
        let shipped: Value =
            serde_json::from_str(&std::fs::read_to_string(root().join("dashboards/overview.json")).unwrap()).unwrap();
        assert_eq!((folder.as_str(), *version, kept), ("otload", 1, &as_go(&shipped)));
    }
    assert_eq!(grafana.asked().iter().filter(|asked| asked.starts_with("POST")).count(), 6);

    // Again: nothing is written.
    let again = grafana.push(Some(TOKEN)).expect_code(0);
    assert_eq!(again.stdout.lines().filter(|line| line.starts_with("unchanged ")).count(), 5, "{}", again.stdout);
    assert_eq!(grafana.asked().iter().filter(|asked| asked.starts_with("POST")).count(), 0);

    // One was changed, and one moved to another folder.
    {
        let mut store = grafana.shared.lock().unwrap();
        store.dashboards.get_mut("otload-soak").unwrap().2["title"] = json!("mine");
        store.dashboards.get_mut("otload-request").unwrap().0 = "elsewhere".to_owned();
    }
    let renewed = grafana.push(Some(TOKEN)).expect_code(0);
    assert_eq!(renewed.stdout.lines().filter(|line| line.starts_with("updated ")).count(), 2, "{}", renewed.stdout);
    let store = grafana.shared.lock().unwrap();
    assert_eq!((&store.dashboards["otload-soak"].1, &store.dashboards["otload-soak"].2["title"]), (&2, &json!("otload: soak")));
    assert_eq!(store.dashboards["otload-request"].0, "otload");
}

#[test]
fn a_token_may_lie_in_a_file() {
    let grafana = Grafana::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let url = format!("http://{}/grafana", grafana.address);
    let args = ["dashboards", "--push", &url, "--token-file", file.to_str().unwrap()];
    Otload::command(&args).expect_code(0);
    assert_eq!(grafana.shared.lock().unwrap().dashboards.len(), 5);
    std::fs::remove_file(&file).unwrap();
    let finished = Otload::command(&args).expect_code(2);
    assert!(finished.stderr.contains("cannot read --token-file"), "{}", finished.stderr);
}

#[test]
fn what_grafana_has_against_it_is_said_with_a_remedy() {
    let grafana = Grafana::start();
    let said = |finished: Finished, wanted: &[&str]| {
        let finished = finished.expect_code(4);
        wanted.iter().for_each(|part| assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr));
        assert!(!finished.stderr.contains(TOKEN) && finished.stdout.is_empty(), "{}", finished.stderr);
    };
    said(grafana.push(None), &["status 401 (Invalid API key)", "GRAFANA_TOKEN"]);
    said(grafana.push(Some("glsa_other")), &["status 401 (Invalid API key)", "has expired"]);
    grafana.shared.lock().unwrap().may_write = false;
    said(grafana.push(Some(TOKEN)), &["refuses to make the folder `otload`: status 403", "role Editor"]);
    grafana.shared.lock().unwrap().may_write = true;
    let at = |url: &str| Otload::command_with_env(&["dashboards", "--push", url], &[("GRAFANA_TOKEN", TOKEN)]);
    // Without the path that it is served below.
    said(at(&format!("http://{}", grafana.address)), &["status 404", "served below a path"]);
    said(at(&format!("http://{}", free_address())), &["cannot talk to Grafana at http://127.0.0.1:", "is it up?"]);
    assert_eq!(grafana.shared.lock().unwrap().dashboards.len(), 0);
    for (url, wanted) in [("127.0.0.1:3000", "is it"), ("ftp://host", "not `http` or `https`")] {
        let finished = at(url).expect_code(2);
        assert!(
            finished.stderr.contains("--push") && (wanted == "is it" || finished.stderr.contains(wanted)),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn they_are_listed_and_written_as_they_are_committed() {
    let listed = Otload::command(&["dashboards"]).expect_code(0);
    let dir = tempfile::tempdir().unwrap();
    Otload::command(&["dashboards", "--write", dir.path().to_str().unwrap()]).expect_code(0);
    let mut files = 0;
    for line in listed.stdout.lines() {
        let path = line.split(' ').next().unwrap();
        let read = |folder: &std::path::Path| std::fs::read_to_string(folder.join(path)).unwrap();
        assert_eq!(read(dir.path()), read(&root().join("dashboards")), "{path}");
        files += 1;
    }
    assert!(files >= 6, "{}", listed.stdout);
}

#[test]
fn thresholds_of_a_scenario_are_lines_in_the_panels_that_show_them() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("cars.yaml");
    let thresholds = "thresholds: [p95 < 300ms, 'p99 of \"GET /cars\" < 1s', service.p95 < 2s, failure_ratio < 1%, rps > 10/s, \
                      {that: checks > 99%, name: checks hold}]";
    let tasks = "tasks: [{get: /cars, expect: {status: 200}}]";
    let text = format!("host: http://127.0.0.1:1\nusers: [{{name: U, {tasks}}}]\nload: {{users: 1}}\n{thresholds}\n");
    std::fs::write(&scenario, text).unwrap();
    let folder = dir.path().join("written");
    let args = ["dashboards", "--write", folder.to_str().unwrap(), "--scenario", scenario.to_str().unwrap()];
    Otload::command(&args).expect_code(0);
    let lines = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let mut lines = Vec::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                if text(&target["legendFormat"]).starts_with("limit: ") {
                    lines.push((text(&panel["title"]), text(&target["legendFormat"]), text(&target["expr"])));
                }
            }
        }
        lines
    };
    let run = "test=\"$test\",run_id=\"$run_id\"";
    let line = |title: &str, threshold: &str, limit: &str| {
        let quoted = threshold.replace('"', "\\\"");
        let expr = format!("max(otload_threshold_limit{{{run},threshold=\"{quoted}\"}}) or on() vector({limit})");
        (title.to_owned(), format!("limit: {threshold}"), expr)
    };
    assert_eq!(
        lines("overview.json"),
        [line("Requests a second, by result", "rps > 10/s", "10"), line("Response time", "p95 < 300ms", "0.3")]
    );
    assert_eq!(
        lines("request.json"),
        [
            line("Response and service time", "service.p95 < 2s", "2"),
            line("p95 of each request", "p99 of \"GET /cars\" < 1s", "1")
        ]
    );
    assert_eq!(lines("soak.json"), [line("Failures, over 5 minutes, 1 hour and 6 hours", "failure_ratio < 1%", "0.01")]);
    assert_eq!(lines("generator.json").len() + lines("compare.json").len(), 0);

    // A scenario that is wrong is no reason to write half of it.
    std::fs::write(&scenario, "users: []\n").unwrap();
    let finished = Otload::command(&args).expect_code(2);
    assert!(finished.stderr.contains("error:"), "{}", finished.stderr);
}
