//! Charts of the parts that `intervals.jsonl` holds.

use std::collections::HashMap;

use super::charts::{Charts, Interval, Tally};
use crate::measure::catalog::RequestName;
use crate::measure::quantiles::Quantiles;
use crate::report::intervals::{Part, Recorded, RequestPart};

impl Charts {
    /// Unpacks one part after the other.
    pub fn of(recorded: &Recorded) -> Self {
        let mut places: HashMap<RequestName, usize> = HashMap::new();
        let mut names = Vec::new();
        for request in recorded.parts.iter().flat_map(|part| &part.requests) {
            places.entry(request.name()).or_insert_with_key(|name| {
                names.push(name.clone());
                names.len() - 1
            });
        }
        let seconds = recorded.parts.last().map_or(0.0, |part| part.run.at + part.run.seconds);
        let mut charts = Self::new(seconds, names.iter().map(|name| shown(name, &names)).collect());
        recorded.parts.iter().for_each(|part| charts.add_part(part, &places));
        charts
    }

    fn add_part(&mut self, part: &Part, places: &HashMap<RequestName, usize>) {
        let response: Vec<Quantiles> = part.requests.iter().map(RequestPart::response_times).collect();
        let mut all = Quantiles::default();
        response.iter().for_each(|response| all.add(response));
        let mut requests = vec![Tally::default(); places.len()];
        for (request, response) in part.requests.iter().zip(&response) {
            if let Some(place) = places.get(&request.name()).and_then(|place| requests.get_mut(*place)) {
                *place = Tally { requests: request.requests, failures: request.failures, response };
            }
        }
        let (sent, failures) = (requests.iter().map(|one| one.requests).sum(), requests.iter().map(|one| one.failures).sum());
        self.add(&Interval {
            at: part.run.at,
            seconds: part.run.seconds,
            users: part.run.users,
            phase: if part.run.warm_up { "warm_up" } else { &part.run.phase },
            all: Tally { requests: sent, failures, response: &all },
            requests,
        });
    }
}

/// With user and task where another line would look the same.
fn shown(name: &RequestName, all: &[RequestName]) -> String {
    match all.iter().filter(|other| other.request == name.request).count() {
        1 => name.request.clone(),
        _ => format!("{} ({}, {})", name.request, name.user, name.task),
    }
}
