//! Names to addresses: the scenario's `resolve` first, then the system's resolver.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use super::failure::{Failure, shortage};
use crate::fault;
use crate::reason::Reason;
use crate::threads;

/// The names that are not looked up.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(String, IpAddr)>);

/// A name without an address.
#[derive(Debug)]
pub(super) struct DnsError {
    name: String,
    /// `None`: the resolver answered, with no address at all.
    cause: Option<io::Error>,
}

// === Names ===

impl Names {
    pub(super) fn new(overrides: &[(String, IpAddr)]) -> Self {
        Self(overrides.to_vec())
    }

    /// All addresses of `name`, with port 0, in the resolver's order; at least one.
    pub(super) async fn lookup(&self, name: &str) -> Result<Vec<SocketAddr>, DnsError> {
        let mut addresses: Vec<_> =
            self.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, ip)| SocketAddr::new(*ip, 0)).collect();
        if addresses.is_empty() {
            let fail = |cause| DnsError { name: name.to_owned(), cause };
            addresses = system_lookup(name.to_owned()).await.map_err(|error| fail(Some(error)))?;
            if addresses.is_empty() {
                return Err(fail(None));
            }
        }
        Ok(addresses)
    }
}

/// Asks the system's resolver, which takes as long as it likes and cannot be interrupted: on a thread that nobody waits for at
/// the end of a run.
async fn system_lookup(name: String) -> io::Result<Vec<SocketAddr>> {
    let lookup = move || {
        fault::may_hang("resolve");
        (&*name, 0).to_socket_addrs().map(Iterator::collect)
    };
    threads::result_of("resolve", lookup).await?
}

// === DnsError ===

impl DnsError {
    pub(super) fn failure(&self) -> Failure {
        Failure { shortage: self.cause.as_ref().and_then(shortage), ..Failure::new(Reason::Dns, self.to_string()) }
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "the name `{}` cannot be resolved: {cause}", self.name),
            None => write!(f, "the name `{}` has no address", self.name),
        }
    }
}

impl std::error::Error for DnsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn own_addresses_come_first() {
        let addresses = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let names = Names::new(&[("Cars.invalid".into(), addresses[0]), ("cars.invalid".into(), addresses[1])]);
        assert_eq!(names.lookup("cars.INVALID").await.unwrap(), addresses.map(|ip| SocketAddr::new(ip, 0)));
        assert!(names.lookup("localhost").await.unwrap().iter().all(|address| address.ip().is_loopback()));
        let error = names.lookup("does-not-exist.invalid").await.unwrap_err().to_string();
        assert!(error.starts_with("the name `does-not-exist.invalid` cannot be resolved: "), "{error}");
    }
}
