//! A target whose answers depend on the time.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use otload::clock::{Instant, now};

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mood {
    pub(super) seconds: f64,
    pub(super) status: u16,
}

pub(super) struct Moody {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Moody {
    /// The mood is of the seconds since its first connection.
    pub(super) fn start(mood: impl Fn(f64) -> Mood + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, mood) = (Arc::clone(&stopping), Arc::new(mood));
        let acceptor = std::thread::spawn(move || {
            let mut began = None;
            for stream in listener.incoming() {
                if stop.load(SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (mood, began) = (Arc::clone(&mood), *began.get_or_insert_with(now));
                // It ends when its client does.
                std::thread::Builder::new().stack_size(64 * 1024).spawn(move || serve(stream, &*mood, began)).unwrap();
            }
        });
        Self { address, stopping, acceptor: Some(acceptor) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Answers requests without bodies until the peer closes.
fn serve(mut stream: TcpStream, mood: &dyn Fn(f64) -> Mood, began: Instant) {
    let _ = stream.set_nodelay(true);
    let mut head = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(read) if read > 0 => head.extend_from_slice(&chunk[..read]),
                _ => return,
            }
        }
        head.clear();
        let Mood { seconds, status } = mood(began.elapsed().as_secs_f64());
        std::thread::sleep(Duration::from_secs_f64(seconds));
        if write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}").is_err() {
            return;
        }
    }
}
