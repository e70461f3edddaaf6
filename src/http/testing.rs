//! Targets for tests: small servers on a free port of 127.0.0.1, each with a script of its own, that note what they saw.
//!
//! The script runs once for each connection and may misbehave as it likes; the bytes that go either way are counted below it,
//! so that a test can compare them with what the exchange says.

mod ask;
mod authority;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;

pub(super) use ask::{Ask, ask, get, session};
pub(super) use authority::Authority;

/// A server that runs until it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    noted: Arc<Noted>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Noted {
    connections: AtomicUsize,
    resumed: AtomicUsize,
    requests: Mutex<Vec<Seen>>,
    read: AtomicU64,
    written: AtomicU64,
}

/// A request as the server saw it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The request line and headers as sent, with `\r\n` between them.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// The server's side of a connection.
pub(super) struct Conn {
    stream: Box<dyn Stream>,
    noted: Arc<Noted>,
    buffer: Vec<u8>,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Closing resets the connection.
    fn reset(&self) {}
}

// === Server ===

impl Server {
    /// Runs `script` for each connection.
    pub(super) async fn scripted<F, T>(script: F) -> Self
    where
        F: Fn(Conn) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        Self::start(None, script).await
    }

    /// Answers each request of a connection with what `answer` makes of it, and goes on.
    pub(super) async fn answering<F>(answer: F) -> Self
    where
        F: Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
    {
        Self::start(None, answers(answer)).await
    }

    /// As [`answering`](Self::answering), over TLS.
    pub(super) async fn answering_tls<F>(config: rustls::ServerConfig, answer: F) -> Self
    where
        F: Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
    {
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), answers(answer)).await
    }

    async fn start<F, T>(tls: Option<TlsAcceptor>, script: F) -> Self
    where
        F: Fn(Conn) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let noted = Arc::new(Noted::default());
        let script = Arc::new(script);
        let shared = Arc::clone(&noted);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (noted, script, tls) = (Arc::clone(&shared), Arc::clone(&script), tls.clone());
                tokio::spawn(async move {
                    let stream: Box<dyn Stream> = match tls {
                        None => Box::new(stream),
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => {
                                let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
                                noted.resumed.fetch_add(usize::from(resumed), Ordering::SeqCst);
                                Box::new(stream)
                            }
                            Err(_) => return,
                        },
                    };
                    script(Conn { stream, noted, buffer: Vec::new() }).await;
                });
            }
        });
        Self { address, noted, task }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    pub(super) fn tls_url(&self, host: &str, path: &str) -> Url {
        Url::parse(&format!("https://{host}:{}{path}", self.address.port())).unwrap()
    }

    pub(super) fn connections(&self) -> usize {
        self.noted.connections.load(Ordering::SeqCst)
    }

    /// TLS handshakes that took up an earlier session.
    pub(super) fn resumed(&self) -> usize {
        self.noted.resumed.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> Vec<Seen> {
        self.noted.requests.lock().unwrap().clone()
    }

    /// Bytes of requests, without TLS.
    pub(super) fn read(&self) -> u64 {
        self.noted.read.load(Ordering::SeqCst)
    }

    /// Bytes of responses, without TLS.
    pub(super) fn written(&self) -> u64 {
        self.noted.written.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answers<F>(answer: F) -> impl Fn(Conn) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync
where
    F: Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    move |mut conn: Conn| {
        let answer = Arc::clone(&answer);
        Box::pin(async move {
            while let Some(seen) = conn.request().await {
                conn.write(answer(&seen)).await;
                if seen.header("connection") == Some("close") {
                    break;
                }
            }
        })
    }
}

/// A whole response with a `content-length`.
pub(super) fn response(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    [format!("HTTP/1.1 {status}\r\n{lines}content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

// === Conn ===

impl Conn {
    /// The next request, or `None` when the client has closed.
    pub(super) async fn request(&mut self) -> Option<Seen> {
        let end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at,
                None => self.more().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let mut seen = Seen { head, body: Vec::new() };
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            self.more().await?;
        }
        seen.body = self.buffer.drain(..length).collect();
        self.noted.requests.lock().unwrap().push(seen.clone());
        Some(seen)
    }

    async fn more(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.buffer).await.ok().filter(|count| *count > 0)?;
        self.noted.read.fetch_add(count as u64, Ordering::SeqCst);
        Some(())
    }

    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok() {
            self.noted.written.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
    }

    /// Leaves the connection open, and never says another word.
    pub(super) async fn stall(mut self) {
        while self.more().await.is_some() {}
    }

    /// Reads no further than the empty line.
    pub(super) async fn head(&mut self) {
        while !self.buffer.windows(4).any(|window| window == b"\r\n\r\n") && self.more().await.is_some() {}
    }

    /// Leaves the connection open, and reads nothing more.
    pub(super) async fn stall_unread(self) {
        std::future::pending::<()>().await;
        drop(self);
    }

    /// Closes with RST.
    pub(super) fn reset(self) {
        self.stream.reset();
    }
}

impl Seen {
    pub(super) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Stream for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {}

// === Deaf ===

/// Keeps the accept queue of a listener full, so that further attempts to connect are not answered.
pub(super) struct Deaf {
    pub(super) address: SocketAddr,
    _listener: std::net::TcpListener,
    _queued: Vec<std::net::TcpStream>,
}

impl Deaf {
    /// `None` where the system does not let a queue fill up.
    pub(super) fn new() -> Option<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        rustix::net::listen(&listener, 0).ok()?;
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        for _ in 0..16 {
            match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => queued.push(stream),
                Err(_) => return Some(Self { address, _listener: listener, _queued: queued }),
            }
        }
        None
    }
}
