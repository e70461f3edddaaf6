//! OTLP over gRPC: a channel of tonic's, over a connection of our own with the crate's TLS; and what each status means.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower_service::Service;

use super::exporter::Exporter;
use super::message::Message;
use super::sender::{Again, Trouble, cause, find};
use super::settings::Compression;
use crate::diagnostic::Diagnostic;
use crate::trace::queue::Dropped;

#[derive(Debug)]
pub(super) struct Grpc {
    endpoint: Endpoint,
    connector: Connector,
    /// Made in the runtime that sends.
    channel: Mutex<Option<Channel>>,
    headers: HeaderMap,
    gzip: bool,
    largest_answer: usize,
}

/// Sends what is packed already, as it is, in each attempt; and reads answers.
struct Packets<A>(PhantomData<fn() -> A>);

/// Opens connections.
#[derive(Clone, Debug)]
struct Connector {
    tls: Arc<ClientConfig>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// `google.rpc.Status`, which stands in `grpc-status-details-bin`, and in errors over HTTP.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Detail {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

// === impl Grpc ===

impl Grpc {
    pub(super) fn new(exporter: &Exporter, tls: ClientConfig, largest_answer: usize) -> Result<Self, Diagnostic> {
        let agent = concat!("otload/", env!("CARGO_PKG_VERSION"));
        let endpoint =
            Endpoint::from_shared(exporter.endpoint.as_str().to_owned()).and_then(|endpoint| endpoint.user_agent(agent));
        let endpoint = endpoint.map_err(|error| {
            let message = format!("the endpoint `{}` cannot be used for gRPC: {}", exporter.endpoint, cause(&error));
            Diagnostic::error(message).hint("write it like `http://127.0.0.1:4317`")
        })?;
        Ok(Self {
            endpoint: endpoint.tcp_nodelay(true),
            connector: Connector { tls: Arc::new(tls) },
            channel: Mutex::new(None),
            headers: exporter.headers.clone(),
            gzip: exporter.compression == Compression::Gzip,
            largest_answer,
        })
    }

    pub(super) async fn send<M: Message>(&self, body: Bytes) -> Result<M::Answer, Trouble> {
        let mut request = tonic::Request::new(body);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        let client = tonic::client::Grpc::new(self.channel()).max_decoding_message_size(self.largest_answer);
        let mut client = if self.gzip { client.send_compressed(CompressionEncoding::Gzip) } else { client };
        client.ready().await.map_err(|error| broken(&error))?;
        let answer = client.unary(request, PathAndQuery::from_static(M::METHOD), Packets::<M::Answer>(PhantomData)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| trouble(&status))
    }

    fn channel(&self) -> Channel {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel.get_or_insert_with(|| self.endpoint.connect_with_connector_lazy(self.connector.clone())).clone()
    }

    /// After silence: the connection may be a dead one, and the next attempt would wait on it again.
    pub(super) fn reconnect(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What a status means. One that has a source was made here, of an error below gRPC.
fn trouble(status: &Status) -> Trouble {
    if let Some(error) = std::error::Error::source(status) {
        return broken(error);
    }
    let name = format!("{:?}", status.code());
    let text = format!("{name}: {}", status.message());
    let again = match status.code() {
        // tonic's own words, for answers that cannot be read.
        Code::OutOfRange if status.message().contains("decoded message length too large") => {
            return Trouble::new(Dropped::Protocol, Again::Never, "its answer is too long");
        }
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::OutOfRange | Code::DataLoss => {
            wish(status.details()).map_or(Again::AfterPause, Again::After)
        }
        Code::ResourceExhausted => wish(status.details()).map_or(Again::Never, Again::After),
        _ => Again::Never,
    };
    Trouble::new(Dropped::Rejected, again, text)
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Trouble {
    if let Some(error) = find::<prost::DecodeError>(error) {
        return Trouble::new(Dropped::Protocol, Again::Never, format!("its answer makes no sense: {error}"));
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return Trouble::new(Dropped::Unreachable, Again::AfterPause, format!("no TLS: {tls}"));
    }
    if let Some(h2) = find::<h2::Error>(error).filter(|h2| h2.is_library()) {
        let message = format!("its answer is not HTTP/2, or a broken one ({h2}); does it take gRPC?");
        return Trouble::new(Dropped::Protocol, Again::Never, message);
    }
    let (what, text) = match find::<tonic::ConnectError>(error) {
        Some(connect) => ("no connection", cause(&*connect.0)),
        None => ("the connection was cut", cause(error)),
    };
    Trouble::new(Dropped::Unreachable, Again::AfterPause, format!("{what}: {text}"))
}

/// When the collector wants to be asked again.
fn wish(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let detail = status.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*detail.value).ok()?.retry_delay.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(delay.seconds).unwrap_or(0), u32::try_from(delay.nanos).unwrap_or(0));
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(u64::from(nanos))))
}

// === impl Packets ===

impl<A: prost::Message + Default + 'static> Codec for Packets<A> {
    type Encode = Bytes;
    type Decode = A;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Self(PhantomData)
    }
}

impl<A> Encoder for Packets<A> {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.len());
        out.put(message);
        Ok(())
    }
}

impl<A: prost::Message + Default> Decoder for Packets<A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, answer: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        A::decode(answer).map(Some).map_err(undecodable)
    }
}

fn undecodable(error: prost::DecodeError) -> Status {
    let mut status = Status::internal("an answer that cannot be decoded");
    status.set_source(Arc::new(error));
    status
}

// === impl Connector ===

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = Arc::clone(&self.tls);
        Box::pin(async move {
            let safe = uri.scheme_str() == Some("https");
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let port = uri.port_u16().unwrap_or(if safe { 443 } else { 80 });
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            let stream: Box<dyn Stream> = if safe {
                let stream = TlsConnector::from(tls).connect(ServerName::try_from(host)?, tcp).await?;
                if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err("it does not speak HTTP/2 over TLS".into());
                }
                Box::new(stream)
            } else {
                Box::new(tcp)
            };
            Ok(TokioIo::new(stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_cannot_be_decoded_is_not_the_collectors_error() {
        let error = RpcStatus::decode(&b"\xff\xff"[..]).unwrap_err();
        let ours = trouble(&undecodable(error));
        assert_eq!((ours.reason, ours.again), (Dropped::Protocol, Again::Never), "{}", ours.message);
        let theirs = trouble(&Status::internal("an answer that cannot be decoded"));
        assert_eq!((theirs.reason, theirs.again), (Dropped::Rejected, Again::Never));
    }
}
