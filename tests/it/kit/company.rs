//! Who may run beside whom. Tests run side by side, and a run that shares its cores with ten others is late now and then.
//! A test that compares times with a clock runs [`on_time`]: it waits until no other run is under way, and others wait for
//! it.

use std::cell::Cell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static ROOM: RwLock<()> = RwLock::new(());

thread_local! {
    /// Runs of this test's thread, or that it is alone: it has the room already, and must not wait for itself.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// One run among others.
#[derive(Debug)]
pub(crate) struct Company {
    _room: Option<RwLockReadGuard<'static, ()>>,
}

/// A test that has the machine to itself.
#[derive(Debug)]
struct Alone {
    _room: RwLockWriteGuard<'static, ()>,
}

/// Waits until no other test's run is under way.
fn alone() -> Alone {
    assert_eq!(INSIDE.get(), 0, "ask before the first run");
    // A test that failed has poisoned nothing: there is nothing inside.
    let room = ROOM.write().unwrap_or_else(PoisonError::into_inner);
    INSIDE.set(1);
    Alone { _room: room }
}

/// Runs a test that compares times with a clock, alone; when it fails, again, at most three times in all. What is wrong fails
/// each time; a machine that was busy with something else for a moment does not.
pub(crate) fn on_time(test: impl Fn()) {
    let _alone = alone();
    for attempt in 1.. {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(&test)) {
            Ok(()) => return,
            Err(panic) if attempt == 3 => std::panic::resume_unwind(panic),
            Err(_) => eprintln!("attempt {attempt} failed, as the message above says; once more"),
        }
    }
}

// === impl Company ===

impl Company {
    pub(crate) fn join() -> Self {
        let room = (INSIDE.get() == 0).then(|| ROOM.read().unwrap_or_else(PoisonError::into_inner));
        INSIDE.set(INSIDE.get() + 1);
        Self { _room: room }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}
