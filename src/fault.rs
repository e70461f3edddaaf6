//! Defects on request, so that a test of the program can see what becomes of a run that has one. Only debug builds know them.
//!
//! With `OTLOAD_FAULT=user:FILE` the next user that begins a task panics when FILE is there, once for each time that it is made:
//! whoever removes the file breaks down. So may a `worker`, the `view`, the `conductor` and the `schedule` of a daemon.

/// Panics if a fault was ordered for this place.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "to panic is what it is for; only debug builds have it")]
pub fn may_break(place: &str) {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    static ORDERED: OnceLock<Option<(String, PathBuf)>> = OnceLock::new();
    let ordered = ORDERED.get_or_init(|| {
        let text = std::env::var("OTLOAD_FAULT").ok()?;
        text.split_once(':').map(|(place, file)| (place.to_owned(), file.into()))
    });
    if let Some((of, file)) = ordered
        && of == place
        && std::fs::remove_file(file).is_ok()
    {
        panic!("a fault that was ordered for this {place}");
    }
}

/// Nothing, in what is published.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn may_break(_place: &str) {}
