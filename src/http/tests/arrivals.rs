//! Late reads: an exchange ends when its response arrived, however late it is read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use url::Url;

use super::super::testing::{Authority, Seen, Server, get, response, session};
use super::super::{Settings, TlsSettings, TransportKind, Version, watch_event_loop};
use crate::clock::{self, Instant};

const MS: fn(u64) -> Duration = Duration::from_millis;
/// How long the target takes.
const SERVICE: Duration = Duration::from_millis(20);
/// For how long the client's thread does nothing from 5 ms after the request on.
const STANDSTILL: Duration = Duration::from_millis(60);

/// A target with a thread of its own, which notes when it answered last.
struct Target {
    url: Url,
    answered: Arc<Mutex<Instant>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Target {
    fn start(tls: bool) -> Self {
        let answered = Arc::new(Mutex::new(clock::now()));
        let (noted, (end, ended), (built, url)) = (Arc::clone(&answered), oneshot::channel(), std::sync::mpsc::channel());
        let thread = std::thread::spawn(move || {
            let answer = move |_: &Seen| {
                std::thread::sleep(SERVICE);
                *noted.lock().unwrap() = clock::now();
                response("200 OK", &[], "late")
            };
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                let server = match tls {
                    true => Server::answering_tls(Authority::new("own").server(&["cars.test"], false), answer).await,
                    false => Server::answering(answer).await,
                };
                built.send(if tls { server.tls_url("127.0.0.1", "/") } else { server.url("/") }).unwrap();
                let _ = ended.await;
            });
        });
        Self { url: url.recv().unwrap(), answered, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn the_end_is_the_arrival_however_late_it_is_read() {
    for (tls, watched) in [(false, true), (true, true), (false, false), (true, false)] {
        let target = Target::start(tls);
        let settings = Settings {
            version: Version::Http1,
            tls: TlsSettings { insecure: true, ..TlsSettings::default() },
            ..Settings::default()
        };
        let mut builder = Builder::new_current_thread();
        if watched {
            watch_event_loop(&mut builder);
        }
        let offs = builder.enable_all().build().unwrap().block_on(async {
            let mut session = session(TransportKind::Wire, &settings);
            let (mut offs, mut punctual) = (Vec::new(), 0);
            // The first one opens the connection.
            for turn in 0..6 {
                let standstill = async {
                    tokio::time::sleep(MS(5)).await;
                    std::thread::sleep(STANDSTILL);
                };
                let ask = get(target.url.clone());
                let (exchange, ()) = tokio::join!(ask.send(&mut session), standstill);
                assert_eq!(exchange.answer(), (200, "late".into()));
                if turn == 0 {
                    continue;
                }
                let answered = *target.answered.lock().unwrap();
                assert!(exchange.finished + MS(1) > answered, "it is never too early");
                offs.push(exchange.finished.saturating_duration_since(answered));
                assert_eq!(exchange.unresolved_read_lag, Duration::ZERO);
                let (wait, receive) = (exchange.phases.wait.unwrap(), exchange.phases.receive.unwrap());
                assert!(wait >= SERVICE - MS(1), "the phases end with it: {wait:?}");
                punctual += u32::from(exchange.read_lag() > MS(20) && receive < MS(10));
            }
            assert!(punctual > 0, "the target answers while this thread stands still");
            offs
        });
        // A busy machine delays one or the other, and not all.
        assert!(offs.iter().min().unwrap() < &Duration::from_micros(300), "TLS {tls}, watched {watched}: {offs:?}");
    }
}
