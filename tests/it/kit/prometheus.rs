//! The real Prometheus, scraping one address every second.
//!
//! Which form it asks for is not a setting in 2.42, so it follows from how it is started:
//!
//! | [`Form`] | how |
//! |---|---|
//! | `Protobuf` | `--enable-feature=native-histograms` |
//! | `OpenMetrics` | without it |
//! | `Text` | through a relay that asks for text 0.0.4 on its behalf |
//! | `Both` | Prometheus 3.5 of Debian's later suite (`tests/forky.sh`), which can keep classic buckets beside native histograms |
//!
//! It always lets 5 s pass before its first scrape: start it before the run, or let the run last longer than that.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use url::form_urlencoded::Serializer;

use super::{Process, free_address, get, wait_for};

/// In which form metrics are scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Protobuf,
    OpenMetrics,
    Text,
    /// Protobuf, of which classic buckets are kept too.
    Both,
}

#[derive(Debug)]
pub(crate) struct Prometheus {
    address: SocketAddr,
    process: Process,
    _relay: Option<Relay>,
    _dir: TempDir,
}

/// One series of an answer.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Value,
    /// The number; of a native histogram its count.
    pub(crate) value: f64,
}

// === impl Prometheus ===

impl Prometheus {
    /// Scrapes `http://target/metrics`, also before anything listens there.
    pub(crate) fn start(target: SocketAddr, form: Form) -> Self {
        Self::start_beside(target, form, None)
    }

    /// Likewise, and another program too.
    pub(crate) fn start_beside(target: SocketAddr, form: Form, other: Option<SocketAddr>) -> Self {
        let relay = (form == Form::Text).then(|| Relay::start(target, "text/plain;version=0.0.4"));
        let target = relay.as_ref().map_or(target, |relay| relay.address);
        let (program, both) = match form {
            Form::Both => {
                let program = newer().unwrap_or_else(|| panic!("`bash tests/forky.sh prometheus` fetches it"));
                (program, "always_scrape_classic_histograms: true, ")
            }
            _ => (PathBuf::from("prometheus"), ""),
        };
        let other = other.map_or_else(String::new, |address| {
            format!(", {{job_name: other, honor_labels: true, static_configs: [{{targets: ['{address}']}}]}}")
        });
        let jobs = format!("[{{job_name: otload, {both}static_configs: [{{targets: ['{target}']}}]}}{other}]");
        let config = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: {jobs}\n");
        let feature = match form {
            Form::Protobuf | Form::Both => "--enable-feature=native-histograms,exemplar-storage",
            Form::OpenMetrics | Form::Text => "--enable-feature=exemplar-storage",
        };
        Self { _relay: relay, ..Self::launch(&program, &config, &[feature]) }
    }

    /// Any version, with a configuration and flags of its own.
    pub(crate) fn launch(program: &Path, config: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let address = free_address();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(flags);
        let mut process = Process::spawn(&mut command);
        wait_for("Prometheus to be ready", Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "Prometheus ended: {}", process.stderr.text());
            get(address, "/-/ready", &[]).ok().filter(|answer| answer.status == 200)
        });
        Self { address, process, _relay: None, _dir: dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// An instant query. The series of a target that has gone are stale: ask for `last_over_time(x[1h])` after a run.
    #[track_caller]
    pub(crate) fn query(&self, expression: &str) -> Vec<Sample> {
        let query = Serializer::new(String::new()).append_pair("query", expression).finish();
        let answer = self.api(&format!("/api/v1/query?{query}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let sample = |labels: &Value, value: &Value| Sample {
            labels: labels.clone(),
            value: value.as_str().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{expression}: {answer}")),
        };
        let result = &answer["data"]["result"];
        if answer["data"]["resultType"] == "scalar" {
            return vec![sample(&Value::Null, &result[1])];
        }
        let series = result.as_array().unwrap().iter();
        let number =
            |one: &Value| one.get("value").map_or_else(|| one["histogram"][1]["count"].clone(), |value| value[1].clone());
        series.map(|one| sample(&one["metric"], &number(one))).collect()
    }

    /// The value of a query that has one series at most.
    #[track_caller]
    pub(crate) fn value(&self, expression: &str) -> Option<f64> {
        let samples = self.query(expression);
        assert!(samples.len() <= 1, "`{expression}` has {} series", samples.len());
        samples.first().map(|sample| sample.value)
    }

    /// Asks until the query has a value that fits; panics after 20 s with the last one.
    #[track_caller]
    pub(crate) fn wait_for(&self, expression: &str, fits: impl Fn(f64) -> bool) -> f64 {
        let mut last = None;
        let started = otload::clock::now();
        while started.elapsed() < Duration::from_secs(20) {
            last = self.value(expression);
            match last {
                Some(value) if fits(value) => return value,
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        panic!("`{expression}` was {last:?} at last; the log says\n{}", self.process.stderr.text());
    }

    /// When otload was last scraped, for `@`: there its series are not stale, native histograms (which `last_over_time` of
    /// 2.42 does not take) included.
    #[track_caller]
    pub(crate) fn last_scrape(&self) -> f64 {
        let answer = self.api("/api/v1/query?query=otload_run_start_time_seconds%5B1h%5D");
        let last = answer["data"]["result"][0]["values"].as_array().and_then(|values| values.last());
        last.and_then(|point| point[0].as_f64()).unwrap_or_else(|| panic!("it never scraped otload: {answer}"))
    }

    /// The exemplars of the series that the selector names, of the last hour: each entry has `seriesLabels` and `exemplars`.
    #[track_caller]
    pub(crate) fn exemplars(&self, selector: &str) -> Vec<Value> {
        let now = otload::clock::timestamp().unix_seconds();
        let query = Serializer::new(String::new())
            .append_pair("query", selector)
            .append_pair("start", &(now - 3600.0).to_string())
            .append_pair("end", &(now + 60.0).to_string())
            .finish();
        let answer = self.api(&format!("/api/v1/query_exemplars?{query}"));
        assert_eq!(answer["status"], "success", "{selector}: {answer}");
        answer["data"].as_array().cloned().unwrap_or_default()
    }

    /// Any path of the API, as JSON.
    pub(crate) fn api(&self, path: &str) -> Value {
        get(self.address, path, &[]).unwrap().json()
    }

    /// The last scrape's error; empty when it went well.
    pub(crate) fn scrape_error(&self) -> String {
        let targets = self.api("/api/v1/targets");
        targets["data"]["activeTargets"][0]["lastError"].as_str().unwrap_or_default().to_owned()
    }

    /// Lines of its log that are warnings or errors.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let log = self.process.stderr.text();
        let bad = |line: &&str| line.contains("level=warn") || line.contains("level=error");
        log.lines().filter(bad).map(str::to_owned).collect()
    }
}

/// Prometheus 3 of Debian's later suite, if `tests/forky.sh` could fetch it.
pub(crate) fn newer() -> Option<PathBuf> {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from);
    Some(cache.join("otload-tools/forky/prometheus/usr/bin/prometheus")).filter(|program| program.exists())
}

// === relay ===

/// Fetches from `target` with an `Accept` of its own and hands on what comes.
#[derive(Debug)]
struct Relay {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(target: SocketAddr, accept: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(SeqCst) {
                    return;
                }
                // A scraper that has gone away is no concern of the relay's.
                let _ = stream.and_then(|stream| hand_on(stream, target, accept));
            }
        });
        Self { address, stopping, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn hand_on(mut stream: TcpStream, target: SocketAddr, accept: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => head.extend_from_slice(&chunk[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/");
    let answer = get(target, path, &[("accept", accept)])?;
    let kind = answer.header("content-type").unwrap_or_default();
    let (status, length) = (answer.status, answer.body.len());
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(&answer.body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{CountingTarget, Delays, Form, Prometheus};

    #[test]
    fn it_scrapes_and_answers_in_the_chosen_form() {
        let text = "# TYPE cars counter\ncars_total{brand=\"Tesla\"} 3\ncars_total{brand=\"Fiat\"} 4\n";
        let start = |form, kind, end| {
            let target = CountingTarget::start_with(Delays::none(), kind, format!("{text}{end}"));
            (Prometheus::start(target.address(), form), target)
        };
        // Prometheus lets 5 s pass before its first scrape, so both wait together.
        let all = [
            start(Form::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF\n"),
            start(Form::Text, "text/plain; version=0.0.4", ""),
        ];
        for (prometheus, _target) in &all {
            assert_eq!(prometheus.wait_for("sum(cars_total)", |value| value > 0.0), 7.0);
            let tesla = prometheus.query("cars_total{brand='Tesla'}");
            assert_eq!((tesla.len(), tesla[0].value, &tesla[0].labels["brand"]), (1, 3.0, &Value::from("Tesla")));
            assert_eq!((prometheus.value("scalar(sum(cars_total))"), prometheus.value("planes_total")), (Some(7.0), None));
            assert_eq!((prometheus.scrape_error(), prometheus.warnings()), (String::new(), Vec::new()));
            assert!(prometheus.address().ip().is_loopback());
        }
    }

    #[test]
    fn it_asks_for_what_the_form_says() {
        let start = |form| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            (Prometheus::start(listener.local_addr().unwrap(), form), listener)
        };
        let all = [
            (start(Form::Protobuf), "application/vnd.google.protobuf"),
            (start(Form::OpenMetrics), "application/openmetrics-text"),
            (start(Form::Text), "text/plain;version=0.0.4"),
        ];
        for ((_prometheus, listener), wanted) in &all {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
            let accept = head.lines().find_map(|line| line.strip_prefix("accept: ")).unwrap();
            assert!(accept.starts_with(wanted), "{accept}");
        }
        // The relay waits for an answer; without the listeners it has none to wait for.
        let (prometheuses, listeners): (Vec<_>, Vec<_>) = all.into_iter().map(|(pair, _)| pair).unzip();
        drop(listeners);
        drop(prometheuses);
    }

    #[test]
    fn a_bad_exposition_is_seen() {
        let target = CountingTarget::start_with(Delays::none(), "text/plain; version=0.0.4", "cars_total three\n");
        let prometheus = Prometheus::start(target.address(), Form::OpenMetrics);
        wait_for("the scrape to fail", Duration::from_secs(10), || (!prometheus.scrape_error().is_empty()).then_some(()));
        assert_eq!(prometheus.value("up"), Some(0.0));
        assert!(prometheus.query("cars_total").is_empty());
    }
}
