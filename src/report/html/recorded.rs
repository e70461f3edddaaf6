//! Charts of the parts that `intervals.jsonl` holds.

use std::collections::HashMap;

use super::charts::{Charts, Interval, Tally};
use crate::measure::catalog::RequestName;
use crate::measure::quantiles::Quantiles;
use crate::report::intervals::Part;

impl Charts {
    /// Adds a part, whose response and service times are unpacked already, and the response times of all its requests. `places`
    /// has the requests in the order of the charts' names.
    pub(in crate::report) fn add_part(
        &mut self,
        part: &Part,
        unpacked: &[[Quantiles; 2]],
        all: &Quantiles,
        places: &HashMap<RequestName, usize>,
    ) {
        let mut requests = vec![Tally::default(); places.len()];
        for (request, [response, _]) in part.requests.iter().zip(unpacked) {
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
            all: Tally { requests: sent, failures, response: all },
            requests,
        });
    }
}

/// The names as charts show them: with user and task where another line would look the same.
pub(in crate::report) fn shown(names: &[RequestName]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    names.iter().for_each(|name| *counts.entry(&name.request).or_default() += 1);
    let shown = |name: &RequestName| match counts.get(name.request.as_str()) {
        Some(1) => name.request.clone(),
        _ => format!("{} ({}, {})", name.request, name.user, name.task),
    };
    names.iter().map(shown).collect()
}
