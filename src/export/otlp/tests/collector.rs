//! Collectors on a free port, each with a list of what it does with one request after the other; the last goes on.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

use super::super::grpc::{Delay, Detail, RetryInfo, RpcStatus};
use super::super::settings::Protocol;

#[derive(Clone, Debug)]
pub(super) enum Act {
    Ok,
    /// Takes all but so many.
    Partial(i64, &'static str),
    /// Takes this long.
    Slow(Duration),
    /// A status of gRPC.
    Refuse(tonic::Code, &'static str, Option<Duration>),
    /// A status line with further headers, and a body.
    Answer(&'static str, Vec<u8>),
    /// These bytes, whatever the protocol.
    Raw(&'static [u8]),
    Reset,
    Silence,
}

/// Runs until it is dropped.
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Vec<Act>>,
    seen: Mutex<Vec<Seen>>,
    busy: AtomicUsize,
    busiest: AtomicUsize,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) authorization: String,
    pub(super) gzip: bool,
    pub(super) message: ExportTraceServiceRequest,
}

impl Collector {
    /// Whatever is below HTTP/2 is done by one that speaks no gRPC at all.
    pub(super) async fn new(protocol: Protocol, script: impl Into<Vec<Act>>) -> Self {
        Self::at(protocol, script, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(super) async fn at(protocol: Protocol, script: impl Into<Vec<Act>>, address: SocketAddr) -> Self {
        let script: Vec<Act> = script.into();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let raw = script.iter().any(|act| matches!(act, Act::Raw(_) | Act::Reset | Act::Silence | Act::Answer(..)));
        let shared = Arc::new(Shared { script: Mutex::new(script), ..Shared::default() });
        let task = if protocol == Protocol::Grpc && !raw {
            let service = TraceServiceServer::from_arc(shared.clone()).accept_compressed(CompressionEncoding::Gzip);
            let server = tonic::transport::Server::builder().add_service(service);
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() })
        } else {
            tokio::spawn(serve(listener, shared.clone()))
        };
        Self { address, shared, task }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(super) fn now_does(&self, script: impl Into<Vec<Act>>) {
        *self.shared.script.lock().unwrap() = script.into();
    }

    /// How many requests there were at once.
    pub(super) fn busiest(&self) -> usize {
        self.shared.busiest.load(Ordering::SeqCst)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn next(&self) -> Act {
        let mut script = self.script.lock().unwrap();
        if script.len() > 1 { script.remove(0) } else { script[0].clone() }
    }

    async fn pause(&self, act: &Act) {
        self.busiest.fetch_max(self.busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if let Act::Slow(pause) = act {
            tokio::time::sleep(*pause).await;
        }
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

fn response(act: &Act) -> ExportTraceServiceResponse {
    let partial_success = match act {
        Act::Partial(rejected_spans, text) => {
            Some(ExportTracePartialSuccess { rejected_spans: *rejected_spans, error_message: (*text).to_owned() })
        }
        _ => None,
    };
    ExportTraceServiceResponse { partial_success }
}

/// As errors over HTTP have it, and the details of those over gRPC.
pub(super) fn rpc_status(message: &str, retry: Option<Duration>) -> Vec<u8> {
    let detail = |delay: Duration| {
        let delay = Delay { seconds: delay.as_secs() as i64, nanos: delay.subsec_nanos() as i32 };
        let value = RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
        Detail { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value }
    };
    RpcStatus { code: 0, message: message.to_owned(), details: retry.map(detail).into_iter().collect() }.encode_to_vec()
}

// === gRPC ===

#[tonic::async_trait]
impl TraceService for Shared {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let text = |name: &str| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let (authorization, gzip) = (text("authorization"), text("grpc-encoding") == "gzip");
        self.seen.lock().unwrap().push(Seen { authorization, gzip, message: request.into_inner() });
        let act = self.next();
        self.pause(&act).await;
        match act {
            Act::Refuse(code, message, retry) => Err(Status::with_details(code, message, rpc_status(message, retry).into())),
            act => Ok(Response::new(response(&act))),
        }
    }
}

// === HTTP ===

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(converse(stream, shared.clone()));
    }
}

async fn converse(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    loop {
        // gRPC begins with a preface that looks like a request with a body of its own; its frames are not read.
        let Some(length) = read_until(&mut stream, &mut buffer, b"\r\n\r\n").await else { return };
        let head: String = String::from_utf8(buffer.drain(..length).collect()).unwrap();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next().unwrap_or_default()
        };
        let mut body = Vec::new();
        let is_grpc = head.starts_with("PRI ");
        if !is_grpc {
            assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
            assert_eq!(header("content-type"), "application/x-protobuf");
            let length: usize = header("content-length").parse().unwrap();
            while buffer.len() < length {
                if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            body = buffer.drain(..length).collect();
        }
        let gzip = header("content-encoding") == "gzip";
        if gzip {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
            body = plain;
        }
        let message = ExportTraceServiceRequest::decode(&*body).unwrap();
        shared.seen.lock().unwrap().push(Seen { authorization: header("authorization"), gzip, message });
        let act = shared.next();
        shared.pause(&act).await;
        let (status, body) = match act {
            Act::Raw(bytes) => {
                let _ = stream.write_all(bytes).await;
                return end(stream).await;
            }
            Act::Reset => {
                #[expect(deprecated, reason = "zero seconds do not block")]
                stream.set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            Act::Silence => std::future::pending().await,
            Act::Answer(status, body) => (status, body),
            act => ("200 OK\r\ncontent-type: application/x-protobuf", response(&act).encode_to_vec()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
        if is_grpc {
            return end(stream).await;
        }
    }
}

/// Reads to the end: what is left unread would reset the connection before the answer is read.
async fn end(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

async fn read_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            return Some(at + end.len());
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

// === TLS ===

/// TLS in front of a collector, with a certificate for 127.0.0.1 of the authority whose PEM it gives.
pub(super) async fn tls_in_front(of: SocketAddr) -> (SocketAddr, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(params, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(own.serialize_der()).unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut behind = TcpStream::connect(of).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    (address, pem)
}
