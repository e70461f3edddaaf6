//! What the tests stand on: real programs, started on free ports of 127.0.0.1 and ended when their value is dropped,
//! also by a panic.
//!
//! | what | for |
//! |---|---|
//! | [`Otload`] | the binary under test: run it, wait for it, read its `summary.json` |
//! | [`CountingTarget`] | a server whose totals and delays are known |
//! | [`Recorder`] | a server that keeps every request as it came |
//! | [`Gunicorn`] | the Flask application of `examples/cars-api`, killed and started again at will; or httpbin, which echoes |
//! | [`Prometheus`] | the real one, scraping in the form that the test chooses |
//! | [`Caddy`] | a web server that continues traces, and refuses strangers in the TLS handshake |
//! | [`Nginx`], [`Authority`] | servers with TLS of all sorts, and their certificates |
//! | [`Tinyproxy`], [`Microsocks`] | forward proxies |
//! | [`Rotel`] | a real OTLP receiver that prints what it got |
//! | [`Otelite`] | a real OTLP receiver that is asked for traces |
//! | [`get`], [`post`] | one HTTP request |
//! | [`on_time`] | for tests that look at the clock: no other run beside theirs, and a second try |
//!
//! A program that is not installed fails the test and says how to install it.

mod authority;
mod caddy;
mod client;
mod company;
mod gunicorn;
mod microsocks;
mod nginx;
mod otelite;
mod process;
mod program;
mod prometheus;
mod recorder;
mod rotel;
mod target;
mod tinyproxy;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use authority::Authority;
pub(crate) use caddy::Caddy;
pub(crate) use client::{get, post};
pub(crate) use company::{Company, on_time};
pub(crate) use gunicorn::Gunicorn;
pub(crate) use microsocks::Microsocks;
pub(crate) use nginx::{Counts, Nginx};
pub(crate) use otelite::Otelite;
pub(crate) use process::{Process, Signal};
pub(crate) use program::{Finished, Otload, code_of};
pub(crate) use prometheus::{Form, Prometheus, newer};
pub(crate) use recorder::{Recorded, Recorder};
pub(crate) use rotel::{Rotel, StoredSpan};
pub(crate) use target::{CountingTarget, Delays};
pub(crate) use tinyproxy::Tinyproxy;

/// An address of 127.0.0.1 that nobody listened on a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Where the package lies.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The virtual environment under the build folder that `tests/run.sh` makes.
pub(crate) fn venv() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("venv")
}

/// A program of Debian's later suite, which `tests/forky.sh` unpacks.
pub(crate) fn later(package: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let program = cache.join(format!("otload-tools/forky/{package}/usr/bin/{package}"));
    assert!(program.is_file(), "{} is missing; `bash tests/forky.sh {package}` fetches it", program.display());
    program
}

/// Asks until there is an answer, every 10 ms; panics with `what` after `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = otload::clock::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
