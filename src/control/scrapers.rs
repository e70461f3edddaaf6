//! Who scrapes. A server of metrics keeps its connection from one scrape to the next, so a connection is a scraper: that tells two of
//! them apart which come from one machine, and one that has gone takes its connection along.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use tokio::sync::Notify;

/// All that are connected.
#[derive(Debug, Default)]
pub struct Scrapers {
    known: Mutex<Known>,
    /// Rung when one of them has asked, or has gone.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    last: u64,
    /// How often each has asked, by the number of its connection.
    asked: Scrapes,
}

/// How often who had asked, at a moment.
pub type Scrapes = BTreeMap<u64, u64>;

/// A connection, on which a scraper may come.
pub(super) struct Visitor {
    number: u64,
    all: Arc<Scrapers>,
}

/// Prometheus sends it, and who took its scraping over; a person who looks at the page does not.
const SIGN: &str = "x-prometheus-scrape-timeout-seconds";

// === impl Scrapers ===

impl Scrapers {
    pub(super) fn visitor(self: &Arc<Self>) -> Visitor {
        let mut known = self.known();
        known.last += 1;
        Visitor { number: known.last, all: self.clone() }
    }

    /// How often each that is connected has asked so far.
    pub fn scrapes(&self) -> Scrapes {
        self.known().asked.clone()
    }

    /// Returns when each of these has asked once more, or has gone.
    pub async fn again(&self, before: &Scrapes) {
        loop {
            let changed = self.changed.notified();
            let missing = {
                let known = self.known();
                before.iter().any(|(number, asked)| known.asked.get(number) == Some(asked))
            };
            if !missing {
                return;
            }
            changed.await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Visitor ===

impl Visitor {
    /// It asks for something. Counted before the answer is made, so that who is counted later sees what is true later.
    pub(super) fn asks(&self, path: &str, headers: &HeaderMap) {
        if path == "/metrics" && headers.contains_key(SIGN) {
            *self.all.known().asked.entry(self.number).or_default() += 1;
            self.all.changed.notify_waiters();
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.all.known().asked.remove(&self.number);
        self.all.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_that_is_there_is_waited_for() {
        let all = Arc::new(Scrapers::default());
        let [one, other, page, late] = [(); 4].map(|()| all.visitor());
        let sign: HeaderMap = [(http::HeaderName::from_static(SIGN), HeaderValue::from_static("1"))].into_iter().collect();
        let is_waiting =
            async |before: &Scrapes| tokio::time::timeout(Duration::from_millis(1), all.again(before)).await.is_err();
        one.asks("/metrics", &sign);
        other.asks("/metrics", &sign);
        other.asks("/healthz", &sign);
        page.asks("/metrics", &HeaderMap::new());
        let before = all.scrapes();
        assert_eq!(before.values().collect::<Vec<_>>(), [&1, &1]);
        assert!(is_waiting(&before).await);
        late.asks("/metrics", &sign);
        one.asks("/metrics", &sign);
        assert!(is_waiting(&before).await, "the other one has not come");
        let again = {
            let (all, before) = (all.clone(), before.clone());
            tokio::spawn(async move { all.again(&before).await })
        };
        tokio::task::yield_now().await;
        drop(other);
        again.await.unwrap();
        assert!(!is_waiting(&before).await && !is_waiting(&Scrapes::new()).await);
    }
}
