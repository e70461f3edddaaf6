//! What was said and done in a run so far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::report::remarks::{Kind, Remark};

/// No more than [`MOST`] of somebody's own words, and of changes.
#[derive(Default)]
pub(super) struct Remarks(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    remarks: Vec<Remark>,
    annotations: usize,
    changes: usize,
}

pub(super) const MOST: usize = 1000;

impl Remarks {
    /// Keeps one, unless that was too much already.
    pub(super) fn add(&self, remark: Remark) -> bool {
        let mut kept = self.kept();
        let count = if remark.kind == Kind::Annotation { &mut kept.annotations } else { &mut kept.changes };
        *count += 1;
        let room = *count <= MOST;
        if room {
            kept.remarks.push(remark);
        }
        room
    }

    /// Those that came after the first ones.
    pub(super) fn after(&self, first: usize) -> Vec<Remark> {
        self.kept().remarks.get(first..).map(<[Remark]>::to_vec).unwrap_or_default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
