//! Opening a connection: the name, TCP, TLS, each timed as a phase of its own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::super::client::Shared;
use super::super::connections::Connections;
use super::super::transport::peer;
use super::super::{Exchange, Failure, Version};
use super::stream::{Socket, Stream};
use super::watch::Phase;
use super::{Conn, Origin};
use super::{arrival, late};
use crate::clock;
use crate::reason::Reason;
use crate::units::format_duration;

/// TLS sessions that a user keeps to resume: those of two servers, an application and whoever it logs in at.
const TICKETS: usize = 16;

/// How a user connects: made by its first connection.
#[derive(Debug)]
pub(super) struct Dial {
    /// Where its connections come from, if the scenario says so.
    source: Option<IpAddr>,
    /// The configuration that all share, but for the sessions to resume: a user that resumed another's would spare the
    /// target a handshake that a real one costs it.
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// What was opened.
pub(super) enum Opened {
    Connection(Box<Conn>),
    /// The server chose HTTP/2, so the connection was closed again.
    Http2,
}

// === Dial ===

impl Dial {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { source: shared.source_address(), tls: None }
    }

    /// Opens a connection to the host of `url` within `connect_timeout`.
    pub(super) async fn open(&mut self, url: &Url, shared: &Shared, exchange: &mut Exchange) -> Result<Opened, Failure> {
        let limit = shared.settings.connect_timeout;
        match tokio::time::timeout(limit, self.try_open(url, shared, exchange)).await {
            Ok(result) => result,
            Err(_) => {
                let during = match exchange.course.watch.phase() {
                    Some(Phase::Dns) => "while looking up the name",
                    Some(Phase::Tls) => "in the TLS handshake",
                    _ => "while connecting",
                };
                let limit = format_duration(limit);
                let message = format!("no connection to {} within {limit} (`connect_timeout`), {during}", peer(url));
                Err(Failure::new(Reason::ConnectTimeout, message))
            }
        }
    }

    async fn try_open(&mut self, url: &Url, shared: &Shared, exchange: &mut Exchange) -> Result<Opened, Failure> {
        let is_tls = url.scheme() == "https";
        let addresses = match url.host() {
            Some(Host::Ipv4(ip)) => vec![SocketAddr::new(ip.into(), 0)],
            Some(Host::Ipv6(ip)) => vec![SocketAddr::new(ip.into(), 0)],
            Some(Host::Domain(name)) => {
                exchange.enter(Phase::Dns, clock::now());
                let found = shared.names.lookup(name).await;
                found.map_err(|error| error.failure())?
            }
            None => return Err(Failure::new(Reason::Protocol, format!("`{url}` names no host"))),
        };
        exchange.enter(Phase::Connect, clock::now());
        let (stream, address) = self.connect(url, addresses, shared.settings.connect_timeout).await?;
        exchange.connections_opened += 1;
        let noticed = |socket: &Socket| late::connected(arrival::counted(socket.stream()), clock::now());
        exchange.unresolved_read_lag += noticed(&stream);
        let open = Connections::open(&shared.connections);
        let stream = if is_tls {
            exchange.enter(Phase::Tls, clock::now());
            let stream = self.handshake(url, stream, shared).await?;
            exchange.unresolved_read_lag += noticed(stream.get_ref().0);
            if shared.settings.version == Version::Auto && stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return Ok(Opened::Http2);
            }
            Stream::Tls(Box::new(stream))
        } else {
            Stream::Tcp(stream)
        };
        exchange.enter(Phase::Send, clock::now());
        Ok(Opened::Connection(Box::new(Conn { origin: Origin::of(url), stream, peer: address, _open: open })))
    }

    /// Tries the addresses one after the other; each gets its share of the time, so that a dead one leaves some for the rest.
    async fn connect(&self, url: &Url, addresses: Vec<SocketAddr>, limit: Duration) -> Result<(Socket, SocketAddr), Failure> {
        let port = url.port_or_known_default().unwrap_or_default();
        let usable = |address: &SocketAddr| self.source.is_none_or(|source| source.is_ipv4() == address.is_ipv4());
        let addresses: Vec<_> = addresses.into_iter().filter(usable).collect();
        let mut last = None;
        for address in &addresses {
            let address = SocketAddr::new(address.ip(), port);
            let attempt = self.connect_to(address);
            let result = match addresses.len() {
                1 => attempt.await,
                many => match tokio::time::timeout(limit / u32::try_from(many).unwrap_or(u32::MAX), attempt).await {
                    Ok(result) => result,
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                },
            };
            match result {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => Failure::connecting(&error, &peer(url)),
            None => Failure::new(
                Reason::ConnectError,
                format!("{} has no address that can be reached from `source_addresses`", peer(url)),
            ),
        })
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.set_nodelay(true)?;
        arrival::enable(&socket);
        socket.connect(address).await.map(Socket::new)
    }

    async fn handshake(
        &mut self,
        url: &Url,
        stream: Socket,
        shared: &Shared,
    ) -> Result<tokio_rustls::client::TlsStream<Socket>, Failure> {
        let name = match (&shared.settings.tls.server_name, url.host()) {
            (Some(name), _) => ServerName::try_from(name.clone()).ok(),
            (None, Some(Host::Domain(name))) => ServerName::try_from(name.to_owned()).ok(),
            (None, Some(Host::Ipv4(ip))) => Some(ServerName::IpAddress(IpAddr::from(ip).into())),
            (None, Some(Host::Ipv6(ip))) => Some(ServerName::IpAddress(IpAddr::from(ip).into())),
            (None, None) => None,
        };
        let Some(name) = name else {
            return Err(Failure::new(Reason::Tls, format!("the name of {} cannot stand in a certificate", peer(url))));
        };
        let config = self.tls.get_or_insert_with(|| {
            let mut config = shared.tls.clone();
            config.resumption = Resumption::in_memory_sessions(TICKETS);
            Arc::new(config)
        });
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            inner.map_or_else(
                || Failure::handshake(&error, &peer(url)),
                |inner| Failure::tls(inner, &peer(url), shared.identity.asked()),
            )
        })
    }
}
