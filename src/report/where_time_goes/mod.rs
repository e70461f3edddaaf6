//! "Where did the time go": the response time of traced requests, taken apart with what the servers' spans say.
//!
//! ```text
//!  should have started      really started                                             last byte
//!  │                        │                                                          │
//!  │◀─────── generator ────▶│◀──────────────────── our client span ───────────────────▶│
//!  │                        │◀─ network: before ─▶│◀──── server span ────▶│◀─ after ──▶│
//! ```
//!
//! Network is the difference of two *durations*, so it holds whatever the clocks of the hosts say. It includes all that is not
//! the server's span: connecting, the server's accept backlog, whatever stands between. [`split`] does this for one request,
//! [`self_time`] says what the server did meanwhile, and here the requests are put together. All of it is pure.

mod html;
mod notes;
mod self_time;
mod split;
mod text;

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::store::StoredTrace;
use super::traces::{Notable, Traces};
use crate::trace::TraceId;
use split::{Served, Split};

pub use html::write as html;
pub use text::write as text;

/// What of `summary.json` is needed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Summary {
    pub run_id: String,
    pub test: String,
    pub started_at: String,
    /// `None` in a run without traces.
    pub traces: Option<Traces>,
}

/// What became of the attempt to get a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Trace(StoredTrace),
    /// The store does not know it.
    Unknown,
    /// It could not be got, and why.
    Failed(String),
}

/// Where the time went, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub test: String,
    pub run_id: String,
    pub started_at: String,
    /// Where the traces come from.
    pub store: String,
    /// The slowest mean first.
    pub requests: Vec<Row>,
    /// All of them together; `None` when no trace was found.
    pub all: Option<Means>,
    /// Where the servers' time went; the largest first.
    pub places: Vec<Place>,
    /// Each request, the slowest first.
    pub each: Vec<One>,
    pub absent: Vec<Absent>,
    /// What a reader should know, a sentence each.
    pub notes: Vec<String>,
}

/// All traced requests of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub method: String,
    pub name: String,
    pub means: Means,
}

/// Seconds, as means over all of the requests, so that the parts sum to the total.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Means {
    pub count: usize,
    /// Those that have a server span.
    pub served: usize,
    /// Response time.
    pub total: f64,
    /// Until the request really started.
    pub generator: f64,
    /// Earlier hops: redirects that were followed, a request that was sent again.
    pub hops: f64,
    /// The last hop of those that have a server span, without that.
    pub network: f64,
    /// The server spans.
    pub server: f64,
    /// The last hop of those that have none: network and server, nobody knows how much of each.
    pub unknown: f64,
    /// The network's part before and after the server's span, over those whose clocks allow it.
    pub sides: Option<(f64, f64)>,
}

/// Spans of one name in one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub service: String,
    pub span: String,
    pub count: usize,
    /// Seconds for each request that has a server span.
    pub mean: f64,
    /// Of all self times.
    pub share: f64,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct One {
    pub method: String,
    pub name: String,
    /// Its status, or why it failed.
    pub result: String,
    pub trace: TraceId,
    /// Where people look at it.
    pub link: Option<String>,
    pub means: Means,
}

/// A trace that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    pub trace: TraceId,
    pub link: Option<String>,
    pub why: String,
}

/// As many names of spans are listed; the others are one row.
const PLACES: usize = 30;

/// Puts together what was found of the `most` slowest and of as many failed traces.
pub fn account(summary: &Summary, store: &str, most: usize, found: &HashMap<TraceId, Found>) -> Account {
    let none = Traces::default();
    let traces = summary.traces.as_ref().unwrap_or(&none);
    let (mut absent, mut splits, mut spent) = (Vec::<Absent>::new(), Vec::new(), BTreeMap::new());
    for notable in traces.notable(most) {
        let trace = notable.trace_id;
        let why = match found.get(&trace) {
            Some(Found::Trace(stored)) if !stored.spans.is_empty() => {
                let split = Split::of(notable, stored);
                if let Some(served) = &split.served {
                    self_time::add(&mut spent, stored, served.span);
                }
                splits.push((notable, split));
                continue;
            }
            Some(Found::Failed(why)) => why.clone(),
            _ => "not in the store".to_owned(),
        };
        if !absent.iter().any(|known| known.trace == trace) {
            absent.push(Absent { trace, link: traces.link(trace), why });
        }
    }
    splits.sort_by(|(a, _), (b, _)| b.response_time_seconds.total_cmp(&a.response_time_seconds));
    let each = splits.iter().map(|(notable, split)| One {
        method: notable.method.clone(),
        name: notable.name().to_owned(),
        result: notable.result(),
        trace: notable.trace_id,
        link: traces.link(notable.trace_id),
        means: Means::of(&[split]),
    });
    let all: Vec<&Split> = splits.iter().map(|(_, split)| split).collect();
    Account {
        test: summary.test.clone(),
        run_id: summary.run_id.clone(),
        started_at: summary.started_at.clone(),
        store: store.to_owned(),
        requests: rows(&splits),
        all: (!all.is_empty()).then(|| Means::of(&all)),
        places: places(spent, all.iter().filter(|split| split.served.is_some()).count()),
        each: each.collect(),
        notes: notes::of(&all, &absent),
        absent,
    }
}

/// By request. Where two of different users or tasks would look the same, these are named.
fn rows(splits: &[(&Notable, Split)]) -> Vec<Row> {
    let mut groups: BTreeMap<[&str; 4], (&Notable, Vec<&Split>)> = BTreeMap::new();
    for (notable, split) in splits {
        let key = [&*notable.method, &*notable.request, &*notable.user, &*notable.task];
        groups.entry(key).or_insert_with(|| (notable, Vec::new())).1.push(split);
    }
    let same = |key: &[&str; 4]| groups.keys().filter(|other| other[..2] == key[..2]).count();
    let mut rows: Vec<Row> = groups
        .iter()
        .map(|(key, (notable, splits))| {
            let name = notable.name();
            let name = if same(key) > 1 { format!("{name} ({}, {})", notable.user, notable.task) } else { name.to_owned() };
            Row { method: notable.method.clone(), name, means: Means::of(splits) }
        })
        .collect();
    rows.sort_by(|a, b| b.means.total.total_cmp(&a.means.total));
    rows
}

fn places(spent: self_time::Spent, served: usize) -> Vec<Place> {
    let sum: i128 = spent.values().map(|(_, nanos)| nanos).sum();
    let mut all: Vec<_> = spent.into_iter().collect();
    all.sort_by_key(|(_, (_, nanos))| std::cmp::Reverse(*nanos));
    if all.len() > PLACES {
        let rest = all.split_off(PLACES - 1);
        let (count, nanos) = rest.iter().fold((0, 0), |(count, nanos), (_, more)| (count + more.0, nanos + more.1));
        all.push(((String::new(), format!("{} others", rest.len())), (count, nanos)));
    }
    let place = |((service, span), (count, nanos)): ((String, String), (usize, i128))| Place {
        service,
        span,
        count,
        mean: nanos as f64 / 1e9 / served.max(1) as f64,
        share: if sum > 0 { nanos as f64 / sum as f64 } else { 0.0 },
    };
    all.into_iter().map(place).collect()
}

// === Account ===

impl Account {
    /// Whether earlier hops are worth a column.
    fn has_hops(&self) -> bool {
        self.each.iter().any(|one| one.means.has_hops()) || self.requests.iter().any(|row| row.means.has_hops())
    }
}

// === Means ===

impl Means {
    fn of(splits: &[&Split]) -> Self {
        let mean = |of: &dyn Fn(&Split) -> f64| splits.iter().map(|split| of(split)).sum::<f64>() / splits.len().max(1) as f64;
        let served: Vec<&Served> = splits.iter().filter_map(|split| split.served.as_ref()).collect();
        let sides: Vec<(f64, f64)> = served.iter().filter_map(|served| served.sides).collect();
        let side = |of: fn(&(f64, f64)) -> f64| sides.iter().map(of).sum::<f64>() / sides.len() as f64;
        Self {
            count: splits.len(),
            served: served.len(),
            total: mean(&Split::total),
            generator: mean(&|split| split.generator),
            hops: mean(&|split| split.hops),
            network: mean(&|split| split.served.as_ref().map_or(0.0, |served| served.network)),
            server: mean(&|split| split.served.as_ref().map_or(0.0, |served| served.server)),
            unknown: mean(&|split| if split.served.is_some() { 0.0 } else { split.client }),
            sides: (!sides.is_empty()).then(|| (side(|sides| sides.0), side(|sides| sides.1))),
        }
    }

    /// The network's and the server's part; `None` when nothing is known of them.
    fn parts(&self) -> [Option<f64>; 2] {
        [self.network, self.server].map(|part| Some(part).filter(|_| self.served > 0))
    }

    /// What cannot be told apart; `None` when all can.
    fn unknown(&self) -> Option<f64> {
        Some(self.unknown).filter(|_| self.served < self.count)
    }

    /// Whether earlier hops took more than a rounding error.
    fn has_hops(&self) -> bool {
        self.hops > 0.01 * self.total
    }
}

#[cfg(test)]
mod tests;
