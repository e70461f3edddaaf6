//! What a server did: for each span below (and with) the server's, the time in which none of its children was underway.
//!
//! ```text
//!  server   ├───────────────────────────────┤     self: a + c + e
//!  child 1      ├─────────┤                       self: b
//!  child 2                   ├──────────────────  async: only what is within the parent counts, d
//!           a       b      c         d         e = 0
//! ```
//!
//! Children count within their parent's time only, and so on downwards: with nothing in parallel, self times sum to the server's
//! span. What runs in parallel counts for each. A child that seems to begin before its parent does so by another host's
//! clock: it is taken to lie in the middle of its parent.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::store::{StoredSpan, StoredTrace};
use crate::trace::SpanId;

/// How many spans, and nanoseconds, by service and name of span.
pub(super) type Spent = BTreeMap<(String, String), (usize, i128)>;

/// A stretch of time. Wide enough for the difference of any two times that a store may claim.
type Stretch = (i128, i128);

/// Adds the self times of the span number `root` of this trace, and of all below it.
pub(super) fn add(spent: &mut Spent, trace: &StoredTrace, root: usize) {
    let mut children: HashMap<SpanId, Vec<usize>> = HashMap::new();
    for (at, span) in trace.spans.iter().enumerate() {
        if let Some(parent) = span.parent {
            children.entry(parent).or_default().push(at);
        }
    }
    let Some(top) = trace.spans.get(root) else { return };
    // A store may claim that a span is its own ancestor.
    let mut seen = HashSet::from([root]);
    let mut open: Vec<(usize, Stretch)> = vec![(root, whole(top))];
    while let Some((at, window)) = open.pop() {
        let Some(span) = trace.spans.get(at) else { continue };
        let mut covered = Vec::new();
        for child in children.get(&span.id).into_iter().flatten().copied() {
            let Some(stored) = trace.spans.get(child) else { continue };
            if !seen.insert(child) {
                continue;
            }
            let (begin, end) = whole(stored);
            let shift = shift(span, stored);
            let inside = clip((begin + shift, end + shift), window);
            covered.push(inside);
            open.push((child, (inside.0 - shift, inside.1 - shift)));
        }
        let own = (window.1 - window.0) - union(covered);
        let (count, sum) = spent.entry((span.service.clone(), span.name.clone())).or_default();
        *count += 1;
        *sum += own;
    }
}

fn whole(span: &StoredSpan) -> Stretch {
    let begin = i128::from(span.start);
    (begin, begin + i128::from(span.duration))
}

/// What is added to the child's clock to get its parent's.
fn shift(parent: &StoredSpan, child: &StoredSpan) -> i128 {
    if child.start >= parent.start {
        return 0;
    }
    let room = i128::from(parent.duration) - i128::from(child.duration);
    i128::from(parent.start) - i128::from(child.start) + room.max(0) / 2
}

/// What of a stretch lies in the window: nothing, at its edge, if it is outside.
fn clip((begin, end): Stretch, window: Stretch) -> Stretch {
    (begin.clamp(window.0, window.1), end.clamp(window.0, window.1))
}

/// How long at least one of them lasts.
fn union(mut stretches: Vec<Stretch>) -> i128 {
    stretches.sort_unstable();
    let (mut sum, mut until) = (0, i128::MIN);
    for (begin, end) in stretches {
        sum += (end - begin.max(until)).max(0);
        until = until.max(end);
    }
    sum
}
