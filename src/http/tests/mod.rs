//! What every transport must do alike: one table over all of [`TransportKind::ALL`].

mod arrivals;
mod auth;
mod broken;
mod odd;
mod plain;
mod redirects;
mod secure;
mod streams;
mod traced;
mod version2;
