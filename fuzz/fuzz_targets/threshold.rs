//! `cargo +nightly fuzz run threshold -- -max_total_time=60`
//!
//! Whatever is written as a threshold is understood, or an error with a place inside of the text.
#![no_main]

use otload::scenario::threshold::Written;

libfuzzer_sys::fuzz_target!(|text: &str| match Written::parse(text) {
    Ok(written) => assert!(Written::parse(&written.to_string()).is_ok()),
    Err(wrong) => assert!(text.get(wrong.at).is_some()),
});
