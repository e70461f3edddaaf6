//! Defects on request, so that a test of the program can see what becomes of a run that has one. Only debug builds know them.
//!
//! With `OTLOAD_FAULT=user:FILE` the next user that begins a task panics when FILE is there, once for each time that it is made:
//! whoever removes the file breaks down. So may a `worker`, the `view`, the `conductor` and the `schedule` of a daemon.
//!
//! With `OTLOAD_FAULT=evaluation:FILE` the next worker that evaluates a response is busy with it for as many seconds as FILE says;
//! so may the look-up of a name, `resolve`.

#[cfg(debug_assertions)]
use std::path::PathBuf;

/// Panics if a fault was ordered for this place.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "to panic is what it is for; only debug builds have it")]
pub fn may_break(place: &str) {
    if let Some(file) = ordered(place)
        && std::fs::remove_file(file).is_ok()
    {
        panic!("a fault that was ordered for this {place}");
    }
}

/// Does not return for some seconds if a fault was ordered for this place.
#[cfg(debug_assertions)]
pub fn may_hang(place: &str) {
    let Some(file) = ordered(place) else { return };
    let Ok(seconds) = std::fs::read_to_string(file) else { return };
    // Of several that have read it, one hangs.
    if std::fs::remove_file(file).is_err() {
        return;
    }
    let seconds = seconds.trim().parse().unwrap_or_default();
    let began = crate::clock::now();
    while began.elapsed().as_secs() < seconds {
        std::hint::spin_loop();
    }
}

#[cfg(debug_assertions)]
fn ordered(place: &str) -> Option<&'static PathBuf> {
    use std::sync::OnceLock;

    static ORDERED: OnceLock<Option<(String, PathBuf)>> = OnceLock::new();
    let ordered = ORDERED.get_or_init(|| {
        let text = std::env::var("OTLOAD_FAULT").ok()?;
        text.split_once(':').map(|(place, file)| (place.to_owned(), file.into()))
    });
    ordered.as_ref().filter(|(of, _)| of == place).map(|(_, file)| file)
}

/// Nothing, in what is published.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn may_break(_place: &str) {}

/// Nothing, in what is published.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn may_hang(_place: &str) {}
