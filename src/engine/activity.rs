//! What each worker is doing, for the message about one that does not end.
//!
//! Two relaxed stores for what may take long, and none that another core waits for: it is read once, when the run is over.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::scenario::plan::Plan;

/// What a worker is busy with, as long as it lets nothing else run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing that is known to take long.
    Other,
    /// The templates of the request step with this number.
    Rendering(usize),
    /// Captures and checks of the request step with this number.
    Evaluating(usize),
    /// The step in this line, which is no request.
    Step(usize),
}

/// A worker's activity; alone in its cache lines, because it changes with every request.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct ActivityCell(AtomicU64);

const KIND_BITS: u32 = 2;

// === ActivityCell ===

impl ActivityCell {
    pub(super) fn set(&self, activity: Activity) {
        let (kind, of) = match activity {
            Activity::Other => (0, 0),
            Activity::Rendering(step) => (1, step),
            Activity::Evaluating(step) => (2, step),
            Activity::Step(line) => (3, line),
        };
        self.0.store((of as u64) << KIND_BITS | kind, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Activity {
        let both = self.0.load(Ordering::Relaxed);
        let of = (both >> KIND_BITS) as usize;
        match both & ((1 << KIND_BITS) - 1) {
            1 => Activity::Rendering(of),
            2 => Activity::Evaluating(of),
            3 => Activity::Step(of),
            _ => Activity::Other,
        }
    }
}

// === Activity ===

impl Activity {
    /// In words, to follow "it was busy with".
    pub(super) fn describe(self, plan: &Plan) -> String {
        let name_of = |number: usize| {
            let mut name = String::new();
            plan.each_request(&mut |step| {
                if step.number == number {
                    name.clone_from(&step.name);
                }
            });
            name
        };
        match self {
            Self::Other => "something other than templates, captures and checks".to_owned(),
            Self::Rendering(step) => format!("the templates of the request `{}`", name_of(step)),
            Self::Evaluating(step) => format!("the captures and checks of the request `{}`", name_of(step)),
            Self::Step(line) => format!("the step in line {line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read() {
        let cell = ActivityCell::default();
        assert_eq!(cell.get(), Activity::Other);
        for activity in [Activity::Rendering(0), Activity::Evaluating(70_000), Activity::Step(12), Activity::Other] {
            cell.set(activity);
            assert_eq!(cell.get(), activity);
        }
    }
}
