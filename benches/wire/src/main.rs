//! CPU time of one request over `wire`: 64 sessions on one thread against a loopback target.
//!
//! `wire-bench [URL=http://127.0.0.1:18080/cars] [SECONDS=3] [SESSIONS=64] [plain|prepared|reqwest|kept]`

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use otload::clock;
use otload::http::{Client, Request, Settings, TransportKind};
use url::Url;

fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let url = Url::parse(&args.next().unwrap_or_else(|| "http://127.0.0.1:18080/cars".into())).unwrap();
    let seconds: u64 = args.next().map_or(3, |text| text.parse().unwrap());
    let sessions: usize = args.next().map_or(64, |text| text.parse().unwrap());
    let mode = args.next().unwrap_or_else(|| "prepared".into());
    let kind = if mode == "reqwest" { TransportKind::Reqwest } else { TransportKind::Wire };
    let client = Client::try_with(&Settings::default(), kind).unwrap();
    let headers = HeaderMap::new();
    let prepared = client.prepare(&Method::GET, &url, &headers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let (count, failed) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(0_u64)));
    let until = clock::now() + Duration::from_secs(seconds);
    let before = cpu();
    local.block_on(&runtime, async {
        let mut tasks = Vec::new();
        for _ in 0..sessions {
            let mut session = client.session();
            let (count, failed, url, headers, prepared, mode) =
                (count.clone(), failed.clone(), url.clone(), headers.clone(), prepared.clone(), mode.clone());
            tasks.push(tokio::task::spawn_local(async move {
                loop {
                    let request = Request {
                        method: &Method::GET,
                        url: &url,
                        headers: &headers,
                        body: Bytes::new(),
                        timeout: Duration::from_secs(30),
                        redirects: 10,
                        keep_body: mode == "kept",
                        keep_head: mode == "kept",
                        prepared: (mode == "prepared").then_some(&prepared),
                    };
                    let exchange = session.exchange(&request).await;
                    count.set(count.get() + 1);
                    failed.set(failed.get() + u64::from(exchange.result.is_err()));
                    if exchange.finished >= until {
                        break;
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    let took = cpu() - before;
    let micros = took.as_secs_f64() * 1e6 / count.get() as f64;
    println!("{mode}: requests={} failed={} cpu_us_per_request={micros:.2}", count.get(), failed.get());
}
