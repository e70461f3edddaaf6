//! Buffers that belong to the worker, not to its users: a user who waits owns none.
//!
//! Reading and parsing happen within one poll, so one buffer for reading serves all users of a thread. A request that has
//! been rendered may have to wait until the socket takes it, so those come from a small pool.

use std::cell::{Cell, RefCell};

/// Bytes that are read at once.
const READ: usize = 64 << 10;
/// Room of the buffers for writing that are kept, of all together: a thousand of a usual size, as many as there may be requests
/// underway when all that has arrived was read.
const MOST_KEPT: usize = 512 << 10;
/// None is kept that has grown larger than this.
const LARGEST_KEPT: usize = 64 << 10;
/// Room of a new one: for a request line and a handful of headers.
const USUAL: usize = 512;

thread_local! {
    static READING: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static WRITING: RefCell<Pool> = const { RefCell::new(Pool { buffers: Vec::new(), room: 0 }) };
}

/// Buffers that wait for their next request; the one that came last is warm, and the next to go.
struct Pool {
    buffers: Vec<Vec<u8>>,
    /// Of all of them.
    room: usize,
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
        let kept = WRITING.with_borrow_mut(|pool| {
            let buffer = pool.buffers.pop()?;
            pool.room -= buffer.capacity();
            Some(buffer)
        });
        Self(kept.unwrap_or_else(|| Vec::with_capacity(USUAL)))
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
        let _ = WRITING.try_with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut()
                && pool.room + buffer.capacity() <= MOST_KEPT
            {
                pool.room += buffer.capacity();
                pool.buffers.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_few() {
        let mut all: Vec<_> = (0..1100).map(|_| Scratch::take()).collect();
        all.iter_mut().for_each(|scratch| scratch.vec().extend_from_slice(b"request"));
        all[0].vec().reserve(LARGEST_KEPT);
        drop(all);
        let kept = || WRITING.with_borrow(|pool| (pool.buffers.len(), pool.room));
        assert_eq!(kept(), (MOST_KEPT / USUAL, MOST_KEPT), "as many as there is room for, and not the large one");
        let again = Scratch::take();
        assert_eq!((again.bytes(), again.0.capacity()), (&[][..], USUAL));
        assert_eq!(kept(), (MOST_KEPT / USUAL - 1, MOST_KEPT - USUAL));
        drop(again);
        assert_eq!(kept(), (MOST_KEPT / USUAL, MOST_KEPT));
        let inner = with_reading(|outer| {
            outer[0] = 1;
            with_reading(|inner| inner.len())
        });
        assert_eq!(inner, READ);
    }
}
