//! `intervals.jsonl`: a run in parts of ten seconds, written as it goes, so that a killed run loses no more than the last part.
//!
//! ```text
//!  {"kind":"meta", ...}                 once: whose parts these are
//!  {"kind":"request","at":0, ...}       of each part: a line for each request that was made in it
//!  {"kind":"run","at":0, ...}           and one of the run, which closes the part
//! ```
//!
//! Without those of the warm-up, parts make up what `summary.json` says, to the last digit: counts and sums are added, minimum
//! and maximum are the outermost, and the bins of the histograms are those that the summary's quantiles come from. A part that
//! was not closed is left out by the reader, which says so.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, Read as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::catalog::RequestName;
use crate::measure::delta::RequestDelta;
use crate::measure::hdr::Packed;
use crate::measure::quantiles::Quantiles;
use crate::measure::snapshot::{RunInfo, Snapshot};
use crate::reason::Reason;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Meta(Meta),
    Request(Box<RequestPart>),
    Run(Box<RunPart>),
}

/// What is the same for the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Of the lines that follow: [`FORMAT`].
    pub format: u32,
    pub run_id: String,
    pub test: String,
    pub host: String,
    /// Of otload.
    pub version: String,
    pub scenario_sha256: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub warm_up_seconds: f64,
}

/// One request in one part. Requests of setup are in the first part, those of teardown in the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestPart {
    /// When the part begins, in seconds of the load's time, which stands still in pauses; and how long it is.
    pub at: f64,
    pub seconds: f64,
    pub user: String,
    pub task: String,
    pub request: String,
    pub method: String,
    /// The part is of the warm-up, and does not count.
    pub warm_up: bool,
    pub requests: u64,
    pub failures: u64,
    pub statuses: BTreeMap<String, u64>,
    pub reasons: BTreeMap<String, u64>,
    /// For a reason one of the messages, when it is new.
    pub examples: BTreeMap<String, String>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub redirects: u64,
    pub retried: u64,
    pub response: Option<Packed>,
    pub service: Option<Packed>,
}

/// The run in one part. What is no count is as of its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPart {
    pub at: f64,
    pub seconds: f64,
    pub warm_up: bool,
    pub phase: String,
    pub users: u64,
    pub users_target: u64,
    pub peak_users: u64,
    pub paused_seconds: f64,
    pub lag: Option<Packed>,
    /// In seconds, for those who do not read histograms.
    pub lag_p50: Option<f64>,
    pub lag_p99: Option<f64>,
    pub cpu_ratio: Option<f64>,
    pub busy_ratio: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub arrivals_dropped: u64,
    pub connections_opened: u64,
    pub durations_clamped: u64,
    pub valid: bool,
    pub thresholds: Vec<ThresholdPart>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdPart {
    pub name: String,
    pub state: String,
    /// In its unit; `null` without data.
    pub value: Option<f64>,
}

/// A file of parts, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub meta: Meta,
    pub parts: Vec<Part>,
    /// What is missing at the end, a sentence.
    pub torn: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub run: RunPart,
    pub requests: Vec<RequestPart>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// From 1.
    pub line: usize,
    pub message: String,
}

pub const FORMAT: u32 = 1;

/// How long a part is.
pub const LENGTH: Duration = Duration::from_secs(10);

/// No line is longer: two histograms with all of their bins are a tenth of it.
const LONGEST: u64 = 8 << 20;

// === Writing ===

/// The first line.
///
/// # Errors
/// None that can happen.
pub fn first_line(run: &RunInfo, warm_up: Duration) -> Result<String, serde_json::Error> {
    let meta = Meta {
        format: FORMAT,
        run_id: run.run_id.clone(),
        test: run.test.clone(),
        host: run.host.clone(),
        version: run.version.clone(),
        scenario_sha256: run.scenario_sha256.clone(),
        started_at: run.started_at.rfc3339(),
        warm_up_seconds: warm_up.as_secs_f64(),
    };
    Ok(serde_json::to_string(&Line::Meta(meta))? + "\n")
}

/// The lines of what came between two snapshots with `Detail::Full`. When the warm-up ended in between, they are of what came
/// after its end.
///
/// # Errors
/// None that can happen.
pub fn lines(before: &Snapshot, now: &Snapshot, warm_up: Duration) -> Result<String, serde_json::Error> {
    let delta = now.delta(before);
    let end = now.facts.elapsed;
    let begin = if now.is_warm() && !before.is_warm() { end.saturating_sub(now.facts.measured) } else { before.facts.elapsed };
    let (at, seconds) = (begin.as_secs_f64(), end.saturating_sub(begin).as_secs_f64());
    let warm_up = !warm_up.is_zero() && !now.is_warm();
    let mut text = String::new();
    for (name, request) in now.catalog.requests.iter().zip(&delta.requests) {
        let (requests, failures) = request.counters.requests_and_failures();
        if requests > 0 || request.response.count() > 0 {
            let part = RequestPart::new(name, request, (requests, failures), (at, seconds, warm_up));
            text += &(serde_json::to_string(&Line::Request(Box::new(part)))? + "\n");
        }
    }
    let (facts, health) = (&now.facts, now.facts.health);
    let lag = delta.lag.times_at([0.5, 0.99]);
    let users: i64 = now.totals.users.iter().flatten().sum();
    let run = RunPart {
        at,
        seconds,
        warm_up,
        phase: facts.phase.name().to_owned(),
        users: u64::try_from(users).unwrap_or(0),
        users_target: now.totals.users_target.iter().sum(),
        peak_users: facts.peak_users,
        paused_seconds: facts.paused.as_secs_f64(),
        lag: Packed::of(&delta.lag),
        lag_p50: lag.map(|[p50, _]| p50),
        lag_p99: lag.map(|[_, p99]| p99),
        cpu_ratio: health.cpu_ratio,
        busy_ratio: health.busy_ratio,
        resident_bytes: health.resident_bytes,
        arrivals_dropped: delta.arrivals_dropped,
        connections_opened: delta.connections_opened,
        durations_clamped: delta.clamped,
        valid: facts.valid,
        thresholds: facts.thresholds.iter().map(ThresholdPart::of).collect(),
    };
    text += &(serde_json::to_string(&Line::Run(Box::new(run)))? + "\n");
    Ok(text)
}

impl ThresholdPart {
    fn of(state: &crate::measure::threshold::ThresholdState) -> Self {
        Self { name: state.rule.name.clone(), state: state.judgement.name().to_owned(), value: state.value }
    }
}

impl RequestPart {
    fn new(
        name: &RequestName,
        delta: &RequestDelta,
        (requests, failures): (u64, u64),
        (at, seconds, warm_up): (f64, f64, bool),
    ) -> Self {
        let mut statuses = BTreeMap::new();
        for (status, _, count) in delta.counters.statuses.iter() {
            *statuses.entry(status.to_string()).or_default() += count;
        }
        let reasons = Reason::ALL.into_iter().zip(delta.counters.reasons).filter(|(_, count)| *count > 0);
        let examples = delta.examples.iter().map(|(reason, text)| (reason.name().to_owned(), text.to_string()));
        Self {
            at,
            seconds,
            user: name.user.clone(),
            task: name.task.clone(),
            request: name.request.clone(),
            method: name.method.clone(),
            warm_up,
            requests,
            failures,
            statuses,
            reasons: reasons.map(|(reason, count)| (reason.name().to_owned(), count)).collect(),
            examples: examples.collect(),
            bytes_sent: delta.counters.sent_bytes,
            bytes_received: delta.counters.received_bytes,
            redirects: delta.counters.redirects,
            retried: delta.counters.retried,
            response: Packed::of(&delta.response),
            service: Packed::of(&delta.service),
        }
    }

    pub fn name(&self) -> RequestName {
        RequestName {
            user: self.user.clone(),
            task: self.task.clone(),
            request: self.request.clone(),
            method: self.method.clone(),
        }
    }

    /// Empty without values; the reader has seen that the form is right.
    pub fn response_times(&self) -> Quantiles {
        self.response.as_ref().and_then(Packed::quantiles).unwrap_or_default()
    }

    pub fn service_times(&self) -> Quantiles {
        self.service.as_ref().and_then(Packed::quantiles).unwrap_or_default()
    }
}

// === Reading ===

impl Recorded {
    /// Reads a file of parts. A last part that is not whole is left out.
    ///
    /// # Errors
    /// Names the first line that is not as it should be.
    pub fn read(mut file: impl BufRead) -> Result<Self, Unreadable> {
        let mut lines = 0;
        let mut next = || {
            lines += 1;
            Read::next(&mut file, lines)
        };
        let unreadable = |line, message: &str| Unreadable { line, message: message.to_owned() };
        let meta = match next()? {
            Some(Read { content: Ok(Line::Meta(meta)), .. }) if meta.format == FORMAT => meta,
            Some(Read { line, content: Ok(Line::Meta(_)), .. }) => {
                return Err(unreadable(line, "this format is of another version of otload"));
            }
            Some(Read { line, content: Err(message), .. }) => return Err(Unreadable { line, message }),
            Some(Read { line, .. }) => return Err(unreadable(line, "the first line is to say whose file this is")),
            None => return Err(unreadable(1, "it is empty")),
        };
        let (mut parts, mut requests, mut torn) = (Vec::new(), Vec::new(), false);
        while let Some(Read { line, content, whole }) = next()? {
            match content {
                // Without its end it may be cut off within a number, even if it can be read.
                _ if !whole => torn = true,
                Ok(Line::Request(request)) => requests.push(*request),
                Ok(Line::Run(run)) => parts.push(Part { run: *run, requests: std::mem::take(&mut requests) }),
                Ok(Line::Meta(_)) => return Err(unreadable(line, "another run begins here")),
                Err(message) => return Err(Unreadable { line, message }),
            }
        }
        let after = parts.last().map_or(0.0, |part: &Part| part.run.at + part.run.seconds);
        let torn = (torn || !requests.is_empty()).then(|| {
            format!("the last interval was not written to its end and is left out: all before second {after:.0} is there")
        });
        Ok(Self { meta, parts, torn })
    }

    /// Those that count.
    pub fn measured(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !part.run.warm_up)
    }
}

/// A line as it was read.
struct Read {
    line: usize,
    content: Result<Line, String>,
    /// It has its end.
    whole: bool,
}

impl Read {
    fn next(file: &mut impl BufRead, line: usize) -> Result<Option<Self>, Unreadable> {
        let mut bytes = Vec::new();
        match file.take(LONGEST).read_until(b'\n', &mut bytes) {
            Ok(read) if read as u64 == LONGEST => Err(Unreadable { line, message: "it has no end".to_owned() }),
            Err(error) => Err(Unreadable { line, message: error.to_string() }),
            Ok(0) => Ok(None),
            Ok(_) => {
                let content = serde_json::from_slice::<Line>(&bytes).map_err(|error| error.to_string());
                Ok(Some(Self { line, content: content.and_then(Line::checked), whole: bytes.ends_with(b"\n") }))
            }
        }
    }
}

impl Line {
    fn checked(self) -> Result<Self, String> {
        let packed = match &self {
            Self::Meta(_) => vec![],
            Self::Request(part) => vec![&part.response, &part.service],
            Self::Run(part) => vec![&part.lag],
        };
        let good = packed.into_iter().flatten().all(|packed| packed.quantiles().is_some());
        if good { Ok(self) } else { Err("a histogram in it is none".to_owned()) }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

#[cfg(test)]
mod tests;
