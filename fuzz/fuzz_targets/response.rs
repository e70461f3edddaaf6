//! `cargo +nightly fuzz run response -- -max_total_time=60`
//!
//! Whatever a target sends and in whatever pieces, the response parser neither panics nor hoards, and the pieces change
//! nothing. The first byte chooses the request, the second where the bytes are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| otload::http::fuzzing::response(data));
