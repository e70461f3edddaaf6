//! Users at work. The supervisor starts a thread for each worker; a worker has its own runtime, its part of the load
//! profile, its users and their connections, and one shard of the measurements. Nothing is shared between workers while
//! they run but the immutable plan.
//!
//! ```text
//!  supervisor ──watch: Orders──▶ worker thread × n
//!                                 lifecycle: asks the profile, starts and stops users      (closed loads)
//!                                 pool: hands arrivals to free users, makes more of them   (open loads)
//!                                   └ user × m: task → steps → request → checks ─▶ shard ◀─ snapshots
//! ```
//!
//! A user's life, as `otload_users` shows it:
//!
//! | state | from | until |
//! |---|---|---|
//! | running | spawned, or its wait is over | its task ends |
//! | waiting | its task ended, and it has a wait time or no next arrival | the wait is over, a task arrived |
//! | stopping | the profile wants fewer users, or the run ends | its task and `on_stop` end, or `graceful_stop` is over |
//!
//! While the run is paused no task begins and nobody comes or goes: tasks that are under way end, and then their users wait. A
//! user that waits is stopped at once; one that runs ends its task first. What is still in flight when a user is cut
//! off is counted as a failure with the reason `cancelled`, for the target may have seen it.

mod activity;
mod address;
mod auth;
mod capture;
mod checks;
mod feed;
mod flow;
mod lent;
mod lifecycle;
mod meeting;
mod mishaps;
mod once;
mod orders;
mod pacing;
mod pool;
mod request;
mod seen;
mod setup;
mod signals;
mod stream;
mod supervisor;
mod timer;
mod tracing;
mod user;
mod worker;

#[cfg(test)]
mod tests;

pub use checks::CheckResult;
pub use once::{Seen, run_once};
pub use orders::{Mode, Orders, Pauses};
pub use setup::{Around, Performed, perform};
pub use supervisor::{BusyWorker, Engine, Options};
pub use tracing::Tracing;
