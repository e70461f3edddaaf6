//! What a running otload answers over HTTP.

pub mod server;
