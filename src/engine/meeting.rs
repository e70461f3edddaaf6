//! A place where users of all workers wait for each other.
//!
//! ```text
//!  users: 3     a b . .      2 wait
//!               a b c        the third comes: all three go on, and the next round begins with nobody
//!               d e ─ e      who leaves (told to stop, cut off, out of patience) is not counted any more; the others wait on
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub(super) struct Meeting {
    users: u32,
    waiting: Mutex<Waiting>,
    /// The round that has begun; who waits for an earlier one may go.
    begun: watch::Sender<u64>,
}

#[derive(Default)]
struct Waiting {
    round: u64,
    users: u32,
}

/// One who waits; dropped before its round is over, it has left.
struct Seat<'a> {
    meeting: &'a Meeting,
    round: u64,
}

impl Meeting {
    pub(super) fn new(users: u32) -> Self {
        Self { users, waiting: Mutex::default(), begun: watch::channel(0).0 }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait now.
    pub(super) fn waiting(&self) -> u32 {
        self.lock().users
    }

    /// Returns when enough are there.
    pub(super) async fn join(&self) {
        let mut begun = self.begun.subscribe();
        let seat = {
            let mut waiting = self.lock();
            waiting.users += 1;
            if waiting.users >= self.users {
                waiting.users = 0;
                waiting.round += 1;
                // Under the lock: rounds are told in their order.
                self.begun.send_replace(waiting.round);
                return;
            }
            Seat { meeting: self, round: waiting.round }
        };
        // It fails only when the meeting is gone, and then nobody waits.
        let _ = begun.wait_for(|round| *round > seat.round).await;
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut waiting = self.meeting.lock();
        if waiting.round == self.round {
            waiting.users -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn users_of_all_threads_go_on_together_and_rounds_follow_each_other() {
        let meeting = Arc::new(Meeting::new(6));
        let (arrived, gone) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let threads = (0..3).map(|_| {
            let (meeting, arrived, gone) = (meeting.clone(), arrived.clone(), gone.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut round = 0;
                    while round < 100 {
                        round += 1;
                        let one = || async {
                            arrived.fetch_add(1, Ordering::SeqCst);
                            meeting.join().await;
                            // Nobody goes before all of the round are there.
                            assert!(arrived.load(Ordering::SeqCst) >= round * 6, "round {round}");
                            gone.fetch_add(1, Ordering::SeqCst);
                        };
                        tokio::join!(one(), one());
                    }
                });
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((gone.load(Ordering::SeqCst), meeting.waiting()), (600, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_is_not_counted() {
        let meeting = Meeting::new(2);
        assert!(tokio::time::timeout(Duration::from_secs(1), meeting.join()).await.is_err());
        assert_eq!(meeting.waiting(), 0);
        assert!(tokio::time::timeout(Duration::from_secs(1), meeting.join()).await.is_err(), "the first one is gone");
        tokio::time::timeout(Duration::from_secs(1), async { tokio::join!(meeting.join(), meeting.join()) }).await.unwrap();
    }
}
