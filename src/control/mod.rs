//! What a running otload answers over HTTP, and the client that asks it.
//!
//! ```text
//!  connection ─ connections: at most 256, the idle ones make room ─ door: who may, how much, how long ─ api ─┬─ answers: read from snapshots
//!                                                                                                           └─ Order ──channel──▶ the run
//!                                                                                                                    ◀── effect or refusal
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `command.rs` | what a run can be told, and what it answers |
//! | `guard.rs` | who may: addresses, `Host`, `Origin`, the token |
//! | `connections.rs` | how many there are at once |
//! | `scrapers.rs` | who has scraped, and whether they have come again |
//! | `server.rs` | the listener; what a request may cost before it is answered |
//! | `api.rs` | the routes |
//! | `openapi.json` | the same for programs; a test compares it with the routes |
//! | `client.rs` | one request to another otload |
//!
//! It knows nothing of the run but the traits [`Answers`] and [`Daemon`] and the channel of [`Order`]s.

pub mod api;
pub mod client;
pub mod command;
mod connections;
pub mod guard;
pub mod scrapers;
pub mod server;

pub use api::{Answers, Daemon};
pub use command::{Command, Effect, Order, Refusal, Scale, Start};
