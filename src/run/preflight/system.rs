//! What the system gives.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::diagnostic::Diagnostic;

/// What this process may have, as far as the system tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct System {
    /// File descriptors it may open at all.
    pub(super) descriptors: Option<u64>,
    /// Those it has open already.
    pub(super) open: u64,
    /// Local ports for connections from one address to one target.
    pub(super) ports: Option<u64>,
    /// Whether the port of a closed connection may soon be used again.
    pub(super) reuse: Reuse,
    /// Source addresses that are not this machine's.
    pub(super) foreign: Vec<IpAddr>,
}

/// The system's `tcp_tw_reuse`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reuse {
    #[default]
    Never,
    Loopback,
    Always,
}

/// TIME-WAIT lasts so long on Linux (`TCP_TIMEWAIT_LEN`), and so long where `tcp_tw_reuse` allows a port to be used again.
const TIME_WAIT: Duration = Duration::from_secs(60);
const TIME_WAIT_REUSED: Duration = Duration::from_secs(1);

impl System {
    /// Asks the system, after raising this process's limit of descriptors as far as it may; with what went wrong with that.
    pub(super) fn read(sources: &[IpAddr]) -> (Self, Option<Diagnostic>) {
        let (descriptors, problem) = raise_descriptor_limit();
        let setting = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        let range = setting("ip_local_port_range").ok();
        let reserved = setting("ip_local_reserved_ports").unwrap_or_default();
        let system = Self {
            descriptors,
            open: std::fs::read_dir("/proc/self/fd").map_or(16, |entries| entries.count() as u64),
            ports: range.and_then(|range| ports(&range, &reserved)),
            reuse: Reuse::parse(&setting("tcp_tw_reuse").unwrap_or_default()),
            foreign: sources.iter().copied().filter(|address| is_foreign(*address)).collect(),
        };
        (system, problem)
    }
}

/// Each connection is a descriptor; the usual soft limit of 1,024 would stop a thousand users.
fn raise_descriptor_limit() -> (Option<u64>, Option<Diagnostic>) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return (limit.current, None);
    }
    let soft = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => (limit.maximum, None),
        Err(error) => {
            let problem = Diagnostic::warning(format!("cannot raise the limit of open files: {error}"));
            (soft, Some(problem.hint("raise it before the start, with `ulimit -n`")))
        }
    }
}

/// Only an address of this machine can be bound. Any other error will be seen, and told, when connecting.
fn is_foreign(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrNotAvailable)
}

/// How many ports `range` (`32768 60999`) has that are not in `reserved` (`40000,50000-50010`).
fn ports(range: &str, reserved: &str) -> Option<u64> {
    let mut bounds = range.split_whitespace().map(|bound| bound.parse::<u64>().ok());
    let (low, high) = (bounds.next()??, bounds.next()??);
    let mut taken: Vec<(u64, u64)> = reserved
        .trim()
        .split(',')
        .filter_map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some((from.trim().parse::<u64>().ok()?.max(low), to.trim().parse::<u64>().ok()?.min(high)))
        })
        .filter(|(from, to)| from <= to)
        .collect();
    taken.sort_unstable();
    let (mut free, mut next) = ((high + 1).saturating_sub(low), low);
    for (from, to) in taken {
        let from = from.max(next);
        free = free.saturating_sub((to + 1).saturating_sub(from));
        next = next.max(to + 1);
    }
    Some(free)
}

// === Reuse ===

impl Reuse {
    fn parse(setting: &str) -> Self {
        match setting.trim() {
            "1" => Self::Always,
            "2" => Self::Loopback,
            _ => Self::Never,
        }
    }

    /// For how long a closed connection keeps its port.
    pub(super) fn rest(self, loopback: bool) -> Duration {
        match self {
            Self::Always => TIME_WAIT_REUSED,
            Self::Loopback if loopback => TIME_WAIT_REUSED,
            Self::Loopback | Self::Never => TIME_WAIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_counted_without_the_reserved_ones() {
        for (range, reserved, count) in [
            ("32768\t60999\n", "\n", Some(28_232)),
            ("32768 60999", "", Some(28_232)),
            ("1000 1009", "1000", Some(9)),
            ("1000 1009", "1003-1005,1009\n", Some(6)),
            // Outside, across the edge, and twice.
            ("1000 1009", "8080,998-1001,1001-1002", Some(7)),
            ("1000 1009", "1-65535", Some(0)),
            ("1000 1009", "odd", Some(10)),
            ("1000 1000", "", Some(1)),
            ("1000", "", None),
            ("", "", None),
        ] {
            assert_eq!(ports(range, reserved), count, "{range:?} without {reserved:?}");
        }
    }

    #[test]
    fn a_port_rests_for_a_minute_unless_it_may_be_used_again() {
        let rests = |setting: &str| [false, true].map(|loopback| Reuse::parse(setting).rest(loopback).as_secs());
        assert_eq!(["0\n", "1\n", "2\n", ""].map(rests), [[60, 60], [1, 1], [60, 1], [60, 60]]);
    }

    #[test]
    fn this_system_can_be_read() {
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        // From the block for documentation: nobody has it.
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        let (system, _) = System::read(&[own, other]);
        assert_eq!(system.foreign, [other]);
        assert!(system.descriptors.is_none_or(|limit| limit >= system.open), "{system:?}");
        #[cfg(target_os = "linux")]
        assert!(system.ports.is_some_and(|ports| ports > 0) && system.open > 2, "{system:?}");
    }
}
