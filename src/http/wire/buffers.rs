//! Buffers that belong to the worker, not to its users: a user who waits owns none.
//!
//! Reading and parsing happen within one poll, so one buffer for reading serves all users of a thread. A request that has
//! been rendered may have to wait until the socket takes it, so those come from a small pool.

use std::cell::{Cell, RefCell};

/// Bytes that are read at once.
const READ: usize = 64 << 10;
/// As many buffers for writing are kept,
const MOST_KEPT: usize = 16;
/// and none that has grown larger than this.
const LARGEST_KEPT: usize = 64 << 10;

thread_local! {
    static READING: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static WRITING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer for one request; it goes back to the pool when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Scratch(Vec<u8>);

/// Lends the thread's buffer for reading. Its contents are whatever was read before.
pub(super) fn with_reading<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = READING.take().unwrap_or_else(|| vec![0; READ].into_boxed_slice());
    let result = work(&mut buffer);
    READING.set(Some(buffer));
    result
}

// === Scratch ===

impl Scratch {
    /// An empty one.
    pub(super) fn take() -> Self {
        Self(WRITING.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn vec(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        if buffer.capacity() == 0 || buffer.capacity() > LARGEST_KEPT {
            return;
        }
        buffer.clear();
        // At the end of the thread there may be no pool any more.
        let _ = WRITING.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut()
                && kept.len() < MOST_KEPT
            {
                kept.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_few() {
        let mut all: Vec<_> = (0..40).map(|_| Scratch::take()).collect();
        all.iter_mut().for_each(|scratch| scratch.vec().extend_from_slice(b"request"));
        all[0].vec().reserve(1 << 20);
        drop(all);
        assert_eq!(WRITING.with_borrow(Vec::len), MOST_KEPT);
        let again = Scratch::take();
        assert!(again.bytes().is_empty() && (1..=LARGEST_KEPT).contains(&again.0.capacity()));
        let inner = with_reading(|outer| {
            outer[0] = 1;
            with_reading(|inner| inner.len())
        });
        assert_eq!(inner, READ);
    }
}
