//! What went wrong in steps that send nothing, and so in no request: it belongs to no series of requests. Its task has failed,
//! which is counted; why, stands here, and in `otload.log`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// By line of the scenario; there are no more than it has steps.
#[derive(Default)]
pub(super) struct Mishaps(Mutex<BTreeMap<usize, (u64, String)>>);

/// What is kept of a text, in characters.
const LONGEST: usize = 300;

impl Mishaps {
    /// Counts one; of each line the first text is kept.
    pub(super) fn note(&self, line: usize, why: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(line).or_insert_with(|| (0, why.chars().take(LONGEST).collect())).0 += 1;
    }

    /// A sentence for each line.
    pub(super) fn told(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(line, (count, why)): (&usize, &(u64, String))| {
            let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
            format!("the step in line {line} failed {times}: {why}")
        };
        all.iter().map(of).collect()
    }
}
