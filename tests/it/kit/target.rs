//! A server that counts what it gets and answers after delays that are known beforehand.
//!
//! A thread for each connection sleeps to within a tenth of a millisecond, where an asynchronous timer rounds to whole
//! ones and would be mistaken for the generator's error.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use otload::clock::{Instant, now};

use super::{get, wait_for};

/// An HTTP/1.1 server with keep-alive that answers everything with 200.
#[derive(Debug)]
pub(crate) struct CountingTarget {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// How long the answers take: the same cycle of delays over and over, in the order in which requests come.
#[derive(Debug)]
pub(crate) struct Delays(Vec<Duration>);

#[derive(Debug)]
struct Shared {
    delays: Delays,
    content_type: String,
    body: Vec<u8>,
    /// Requests that were read whole.
    requests: AtomicU64,
    /// Of those, the ones whose answer was written.
    answers: AtomicU64,
    by_request: Mutex<BTreeMap<String, u64>>,
    /// How long each answer really took, from the request's last byte to the answer's: a busy machine oversleeps.
    took: Mutex<Vec<Duration>>,
    accepted: AtomicU64,
    peak: AtomicU64,
    open: Mutex<BTreeMap<u64, TcpStream>>,
    /// Nothing is answered before.
    frozen_until: Mutex<Option<Instant>>,
    stopping: AtomicBool,
}

// === impl Delays ===

impl Delays {
    pub(crate) fn none() -> Self {
        Self(vec![Duration::ZERO])
    }

    /// One after the other.
    pub(crate) fn cycle(delays: &[Duration]) -> Self {
        assert!(!delays.is_empty());
        Self(delays.to_vec())
    }

    /// Mixed in the given parts of a hundred; any hundred answers in a row have them exactly.
    pub(crate) fn shares(parts: &[(usize, Duration)]) -> Self {
        let all: Vec<_> = parts.iter().flat_map(|(part, delay)| std::iter::repeat_n(*delay, *part)).collect();
        assert_eq!(all.len(), 100, "the parts must sum to 100");
        // 61 and 100 have no common divisor, so each place is met once.
        Self((0..100).map(|nth| all[nth * 61 % 100]).collect())
    }

    fn of(&self, nth: u64) -> Duration {
        self.0[(nth % self.0.len() as u64) as usize]
    }
}

// === impl CountingTarget ===

impl CountingTarget {
    pub(crate) fn start(delays: Delays) -> Self {
        Self::start_with(delays, "application/json", r#"{"ok":true}"#)
    }

    /// With a body of the test's choice.
    pub(crate) fn start_with(delays: Delays, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // The standard library's queue of 128 would drop connections of a spike.
        rustix::net::listen(&listener, 4096).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            delays,
            content_type: content_type.to_owned(),
            body: body.as_ref().to_vec(),
            requests: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            by_request: Mutex::default(),
            took: Mutex::default(),
            accepted: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            open: Mutex::default(),
            frozen_until: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let for_acceptor = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || for_acceptor.accept(&listener));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As a scenario's `host`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers nothing for so long, on no connection, as a target does whose garbage is collected.
    pub(crate) fn freeze(&self, length: Duration) {
        *self.shared.frozen_until.lock().unwrap() = Some(now() + length);
    }

    /// Requests that were read whole.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(SeqCst)
    }

    /// Requests whose answer was handed to the system.
    pub(crate) fn answers(&self) -> u64 {
        self.shared.answers.load(SeqCst)
    }

    /// How often each `METHOD /path` was requested.
    pub(crate) fn by_request(&self) -> BTreeMap<String, u64> {
        self.shared.by_request.lock().unwrap().clone()
    }

    /// The quantile of what its answers really took, in seconds.
    pub(crate) fn took(&self, quantile: f64) -> f64 {
        let mut took = self.shared.took.lock().unwrap().clone();
        took.sort_unstable();
        let rank = (quantile * took.len() as f64).ceil() as usize;
        took[rank.clamp(1, took.len()) - 1].as_secs_f64()
    }

    /// The mean of what its answers really took, in seconds.
    pub(crate) fn mean_took(&self) -> f64 {
        let took = self.shared.took.lock().unwrap();
        took.iter().map(Duration::as_secs_f64).sum::<f64>() / took.len() as f64
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> u64 {
        self.shared.open.lock().unwrap().len() as u64
    }

    /// The most that were open at once.
    pub(crate) fn peak(&self) -> u64 {
        self.shared.peak.load(SeqCst)
    }

    /// All connections that ever came.
    pub(crate) fn accepted(&self) -> u64 {
        self.shared.accepted.load(SeqCst)
    }
}

impl Drop for CountingTarget {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in self.shared.open.lock().unwrap().values() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

// === impl Shared ===

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for (id, stream) in (0..).zip(listener.incoming()) {
            let Ok(stream) = stream else { continue };
            if self.stopping.load(SeqCst) {
                return;
            }
            let mut open = self.open.lock().unwrap();
            open.insert(id, stream.try_clone().unwrap());
            self.accepted.fetch_add(1, SeqCst);
            self.peak.fetch_max(open.len() as u64, SeqCst);
            drop(open);
            let shared = Arc::clone(&self);
            let serve = move || {
                shared.serve(stream);
                shared.open.lock().unwrap().remove(&id);
            };
            std::thread::Builder::new().stack_size(128 * 1024).spawn(serve).unwrap();
        }
    }

    /// Answers until the peer closes or anything is wrong.
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (kind, length) = (&self.content_type, self.body.len());
        let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n").into_bytes();
        answer.extend_from_slice(&self.body);
        let mut kept = Vec::new();
        while let Some((request, close)) = read_request(&mut stream, &mut kept) {
            let nth = self.requests.fetch_add(1, SeqCst);
            *self.by_request.lock().unwrap().entry(request).or_default() += 1;
            let (delay, began) = (self.delays.of(nth), now());
            if !delay.is_zero() {
                std::thread::sleep(delay);
            }
            let frozen_until = *self.frozen_until.lock().unwrap();
            if let Some(left) = frozen_until.and_then(|until| until.checked_duration_since(now())) {
                std::thread::sleep(left);
            }
            if stream.write_all(&answer).is_err() {
                return;
            }
            self.took.lock().unwrap().push(began.elapsed());
            self.answers.fetch_add(1, SeqCst);
            if close {
                return;
            }
        }
    }
}

/// The next request's method and path, and whether it asks to close. `kept` holds what was read beyond it.
fn read_request(stream: &mut TcpStream, kept: &mut Vec<u8>) -> Option<(String, bool)> {
    let mut chunk = [0; 8192];
    let mut more = |kept: &mut Vec<u8>| match stream.read(&mut chunk) {
        Ok(read) if read > 0 => {
            kept.extend_from_slice(&chunk[..read]);
            Some(())
        }
        _ => None,
    };
    let end = loop {
        match kept.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => more(kept)?,
        }
    };
    let head = String::from_utf8_lossy(&kept[..end]).into_owned();
    let header = |name: &str| {
        let values = head.lines().filter_map(|line| line.split_once(':'));
        values.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_lowercase()).next()
    };
    let length: usize = header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    while kept.len() < end + length {
        more(kept)?;
    }
    kept.drain(..end + length);
    let mut words = head.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    Some((format!("{method} {path}"), header("connection").as_deref() == Some("close")))
}

#[test]
fn it_counts_requests_and_connections() {
    let target = CountingTarget::start(Delays::none());
    assert_eq!(target.url(), format!("http://{}", target.address()));
    for path in ["/a", "/a", "/b"] {
        assert_eq!(get(target.address(), path, &[]).unwrap().text(), r#"{"ok":true}"#);
    }
    assert_eq!((target.requests(), target.answers(), target.accepted()), (3, 3, 3));
    assert_eq!(target.by_request(), BTreeMap::from([("GET /a".to_owned(), 2), ("GET /b".to_owned(), 1)]));
    let mut stream = TcpStream::connect(target.address()).unwrap();
    // Two requests in one piece, the first with a body.
    stream.write_all(b"POST /c HTTP/1.1\r\nContent-Length: 2\r\n\r\nxxGET /d HTTP/1.1\r\n\r\n").unwrap();
    wait_for("both answers", Duration::from_secs(5), || (target.answers() == 5).then_some(()));
    assert_eq!((target.open(), target.by_request()["POST /c"], target.by_request()["GET /d"]), (1, 1, 1));
    assert!(target.peak() >= 1);
    drop(stream);
    wait_for("the connection's end", Duration::from_secs(5), || (target.open() == 0).then_some(()));
}

#[test]
fn delays_come_as_announced() {
    let ms = Duration::from_millis;
    let shares = Delays::shares(&[(69, ms(10)), (20, ms(50)), (10, ms(200)), (1, ms(1000))]);
    for start in [0, 37] {
        let hundred: Vec<_> = (start..start + 100).map(|nth| shares.of(nth)).collect();
        let count = |delay| hundred.iter().filter(|known| **known == delay).count();
        assert_eq!((count(ms(10)), count(ms(50)), count(ms(200)), count(ms(1000))), (69, 20, 10, 1));
    }
    let target = CountingTarget::start(Delays::cycle(&[ms(0), ms(30)]));
    for at_least in [0, 30, 0, 30] {
        let started = now();
        get(target.address(), "/", &[]).unwrap();
        assert!(started.elapsed() >= ms(at_least), "{:?}", started.elapsed());
    }
}
