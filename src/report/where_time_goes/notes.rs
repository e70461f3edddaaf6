//! What a reader must know to read the account rightly, a sentence each.

use super::Absent;
use super::split::Split;

pub(super) fn of(splits: &[&Split], absent: &[Absent]) -> Vec<String> {
    let count = |of: &dyn Fn(&Split) -> bool| splits.iter().filter(|split| of(split)).count();
    let total = splits.len();
    let mut notes = vec!["these are the slowest and the failed of the exported traces, not a sample of all requests".to_owned()];
    let served = count(&|split| split.served.is_some());
    if served > 0 {
        notes.push(
            "clocks of hosts differ: network is a difference of durations, and holds; before and after the server's span are \
             given only where that lies within ours, and are as good as the clocks"
                .to_owned(),
        );
    }
    if served < total {
        notes.push(format!(
            "{} of {total} have no server span: the server does not continue the trace (`traceparent`), does not sample it, or \
             its spans are not in the store yet",
            total - served
        ));
    }
    let unknown = count(&|split| !split.own);
    if unknown > 0 {
        notes.push(format!("of {unknown} of {total} our own span is not in the store: the service time stands for its duration"));
    }
    let overrun = count(&|split| split.served.as_ref().is_some_and(|served| served.overrun));
    if overrun > 0 {
        notes.push(format!(
            "in {overrun} of {served} the server's span is longer than ours, as when it goes on after the response: what is \
             beyond is left out, and no time is left for the network"
        ));
    }
    if !absent.is_empty() {
        notes.push(
            "a trace is not in the store when the collector or the store did not sample it, when it is not there yet, or not any more"
                .to_owned(),
        );
    }
    notes
}
