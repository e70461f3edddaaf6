//! The built-in cars API of `otload run --demo`: something to load when there is nothing else at hand.
//!
//! | endpoint | answers |
//! |---|---|
//! | `GET /` `GET /health` | a line of text; `{"status":"ok"}` |
//! | `GET /cars` `GET /planes` | ten of them, in `$.cars` and `$.planes`; with `?page=1` three, and in `$.next` the number of the page after it, or `null` |
//! | `GET /cars/{id}` `GET /planes/{id}` | one, or 404 |
//! | `POST /cars` | 201 and the object that was sent, with an `id` |
//! | `DELETE /cars/{id}` | 204 |
//! | `POST /login` | a `token`, also as the cookie `session` |
//! | `GET /me` | the token that was brought, of `/login` (or its cookie) or `POST /oauth/token`; 401 without |
//! | `POST /photos` | 201 and the size of the form |
//! | `POST /graphql` | the car whose `id` is among the query's variables |
//! | `GET /prices` | a stream of twenty events `price`, one each 50 ms, and then `close` |
//! | `GET /slow` | after 20 to 200 ms, each twentieth time after 500 ms |
//! | `GET /flaky` | each tenth time 503 |
//!
//! It shares the machine with the generator, so it is cheap: one thread, answers made once, nothing stored. Delays and
//! failures come in a fixed order, so that two runs meet the same.

mod more;
mod pages;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use url::{Host, Url};

use crate::diagnostic::Diagnostic;
use crate::threads;

/// The running API; it stops when this is dropped.
#[derive(Debug)]
pub struct Demo {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the handlers share.
struct Api {
    cars: Fleet,
    planes: Fleet,
    created: AtomicU64,
    logins: AtomicU64,
    slow: AtomicU64,
    flaky: AtomicU64,
}

/// A collection, as the bytes that are sent.
struct Fleet {
    name: &'static str,
    all: Bytes,
    each: Vec<Bytes>,
}

const CARS: [(&str, &str, u16, u32); 10] = [
    ("Tesla", "Model 3", 2024, 42_990),
    ("Volkswagen", "Golf", 2022, 29_450),
    ("Toyota", "Corolla", 2023, 31_790),
    ("BMW", "i4", 2024, 59_200),
    ("Renault", "Mégane", 2021, 24_300),
    ("Škoda", "Octavia", 2023, 33_880),
    ("Hyundai", "Ioniq 5", 2024, 43_900),
    ("Volvo", "EX30", 2024, 36_590),
    ("Fiat", "500e", 2022, 29_990),
    ("Mazda", "MX-5", 2020, 27_500),
];

const PLANES: [(&str, &str, u16, u32); 10] = [
    ("Airbus", "A320neo", 2016, 180),
    ("Airbus", "A350-900", 2014, 325),
    ("Boeing", "737 MAX 8", 2017, 178),
    ("Boeing", "787-9", 2014, 296),
    ("Embraer", "E195-E2", 2019, 132),
    ("ATR", "72-600", 2010, 72),
    ("Bombardier", "CRJ900", 2003, 90),
    ("De Havilland", "Dash 8-400", 2000, 82),
    ("Cessna", "Citation Latitude", 2015, 9),
    ("Pilatus", "PC-12 NGX", 2019, 9),
];

/// As many connections may wait to be accepted; a spike opens hundreds at once.
const BACKLOG: u32 = 4096;

// === impl Demo ===

impl Demo {
    /// Serves on the host of a scenario.
    ///
    /// # Errors
    /// The host is not this machine, is not plain HTTP, has a path, or its port cannot be had.
    pub fn start(host: &Url) -> Result<Self, Diagnostic> {
        let addresses = loopback(host)?;
        let mut refused = None;
        for address in addresses {
            match Self::start_on(address) {
                Ok(demo) => return Ok(demo),
                // `localhost` also names ::1 where the machine has no IPv6. Any other trouble with the first address
                // must not lead to the second: the users would go to the first.
                Err((kind, problem)) => match kind {
                    io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported => refused = Some(problem),
                    _ => return Err(problem),
                },
            }
        }
        Err(refused.unwrap_or_else(|| Diagnostic::error(format!("`{host}` has no address"))))
    }

    /// Serves on an address; port 0 picks a free one.
    fn start_on(address: SocketAddr) -> Result<Self, (io::ErrorKind, Diagnostic)> {
        let explain = |error: io::Error| (error.kind(), cannot_serve(address, &error));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(explain)?;
        let listener = listen(&runtime, address).map_err(explain)?;
        let address = listener.local_addr().map_err(explain)?;
        let (stop, stopped) = oneshot::channel();
        let serve = async move {
            let listener = listener.tap_io(|stream| {
                // Without it small answers would wait for acknowledgements; if it cannot be set they just do.
                let _ = stream.set_nodelay(true);
            });
            let server = axum::serve(listener, Arc::new(Api::new()).router());
            tokio::select! {
                _ = server => {}
                _ = stopped => {}
            }
        };
        let thread = // Dropping the runtime at the end also closes the connections.
            threads::start("demo", move || runtime.block_on(serve)).map_err(explain)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, which it has said itself.
            let _ = thread.join();
        }
    }
}

fn listen(runtime: &Runtime, address: SocketAddr) -> io::Result<TcpListener> {
    let _context = runtime.enter();
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows the option would let a second program take the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The addresses of `host` if it is one that the demo can stand in for.
fn loopback(host: &Url) -> Result<Vec<SocketAddr>, Diagnostic> {
    let shown = host.as_str().trim_end_matches('/');
    let refuse = |why: &str| {
        Diagnostic::error(format!("--demo cannot stand in for `{shown}`: {why}"))
            .hint("give `--host http://127.0.0.1:5000` as well, or leave out `--demo` to load the host itself")
    };
    if host.scheme() != "http" {
        return Err(refuse(&format!("it serves plain http, not {}", host.scheme())));
    }
    if !matches!(host.path(), "" | "/") {
        return Err(refuse(&format!("its endpoints are at the root, not under `{}`", host.path())));
    }
    let port = host.port_or_known_default().unwrap_or(80);
    let addresses: Vec<SocketAddr> = match host.host() {
        Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
        Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
        Some(Host::Domain("localhost")) => ("localhost", port)
            .to_socket_addrs()
            .map_err(|error| refuse(&format!("`localhost` has no address ({error})")))?
            .collect(),
        _ => Vec::new(),
    };
    if addresses.is_empty() || addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(refuse("it serves on this machine only, on a loopback address"));
    }
    Ok(addresses)
}

fn cannot_serve(address: SocketAddr, error: &io::Error) -> Diagnostic {
    let problem = |why: String| Diagnostic::error(format!("the cars API cannot serve on {address}: {why}"));
    match error.kind() {
        io::ErrorKind::AddrInUse => problem("the port is taken".to_owned()).hint(
            "leave out `--demo` if your own server listens there, or choose another port with `--host http://127.0.0.1:5001`",
        ),
        io::ErrorKind::PermissionDenied => problem("this port is not allowed".to_owned())
            .hint("ports below 1024 need privileges; choose another one with `--host http://127.0.0.1:5000`"),
        _ => problem(error.to_string()),
    }
}

// === impl Api ===

impl Api {
    fn new() -> Self {
        let cars = CARS.iter().zip(1..).map(
            |((brand, model, year, price), id)| json!({"id": id, "brand": brand, "model": model, "year": year, "price_eur": price}),
        );
        let planes = PLANES.iter().zip(1..).map(
            |((maker, model, since, seats), id)| json!({"id": id, "maker": maker, "model": model, "since": since, "seats": seats}),
        );
        Self {
            cars: Fleet::new("cars", cars.collect()),
            planes: Fleet::new("planes", planes.collect()),
            created: AtomicU64::new(CARS.len() as u64),
            logins: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            flaky: AtomicU64::new(0),
        }
    }

    fn router(self: Arc<Self>) -> Router {
        type Shared = State<Arc<Api>>;
        let router = Router::new()
            .route("/", get(async || "The cars API of otload. Try /cars, /planes, /slow, /flaky.\n"))
            .route("/health", get(async || text(StatusCode::OK, Bytes::from_static(br#"{"status":"ok"}"#))))
            .route(
                "/cars",
                get(async |State(api): Shared, RawQuery(query): RawQuery| api.cars.list(query.as_deref())).post(create),
            )
            .route("/cars/{id}", get(async |State(api): Shared, Path(id): Path<String>| api.cars.one(&id)).delete(delete))
            .route("/planes", get(async |State(api): Shared, RawQuery(query): RawQuery| api.planes.list(query.as_deref())))
            .route("/planes/{id}", get(async |State(api): Shared, Path(id): Path<String>| api.planes.one(&id)))
            .route("/login", post(login))
            .route("/me", get(more::me))
            .route("/oauth/token", post(more::token))
            .route("/photos", post(more::photo))
            .route("/graphql", post(more::graphql))
            .route("/prices", get(more::prices))
            .route("/slow", get(slow))
            .route("/flaky", get(flaky))
            .fallback(async |request: Request| error(StatusCode::NOT_FOUND, &format!("there is no {}", request.uri().path())));
        router.with_state(self)
    }
}

impl Fleet {
    fn new(name: &'static str, all: Vec<Value>) -> Self {
        let each = all.iter().map(|one| Bytes::from(one.to_string())).collect();
        Self { name, all: Bytes::from(json!({ name: all }).to_string()), each }
    }

    fn list(&self, query: Option<&str>) -> Response {
        text(StatusCode::OK, pages::page(self.name, &self.each, query).unwrap_or_else(|| self.all.clone()))
    }

    fn one(&self, id: &str) -> Response {
        let index = id.parse::<usize>().ok().and_then(|id| id.checked_sub(1));
        match index.and_then(|index| self.each.get(index)) {
            Some(one) => text(StatusCode::OK, one.clone()),
            None => error(StatusCode::NOT_FOUND, &format!("there is no number {id}")),
        }
    }
}

// === handlers ===

async fn create(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    let Ok(Value::Object(mut car)) = serde_json::from_slice(&body) else {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "send a JSON object");
    };
    let id = api.created.fetch_add(1, Relaxed) + 1;
    car.insert("id".to_owned(), json!(id));
    let mut response = text(StatusCode::CREATED, Bytes::from(Value::Object(car).to_string()));
    if let Ok(location) = HeaderValue::try_from(format!("/cars/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

async fn delete(Path(id): Path<String>) -> Response {
    match id.parse::<u64>() {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => error(StatusCode::NOT_FOUND, &format!("there is no number {id}")),
    }
}

async fn login(State(api): State<Arc<Api>>) -> Response {
    let token = format!("demo-{:08x}", api.logins.fetch_add(1, Relaxed) + 1);
    let mut response = text(StatusCode::OK, Bytes::from(json!({ "token": token }).to_string()));
    if let Ok(cookie) = HeaderValue::try_from(format!("session={token}; Path=/; HttpOnly")) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

async fn slow(State(api): State<Arc<Api>>) -> Response {
    let delay = delay_of(api.slow.fetch_add(1, Relaxed));
    tokio::time::sleep(delay).await;
    text(StatusCode::OK, Bytes::from(json!({ "delay_ms": delay.as_millis() as u64 }).to_string()))
}

async fn flaky(State(api): State<Arc<Api>>) -> Response {
    match fails(api.flaky.fetch_add(1, Relaxed)) {
        true => error(StatusCode::SERVICE_UNAVAILABLE, "try again"),
        false => text(StatusCode::OK, Bytes::from_static(br#"{"status":"ok"}"#)),
    }
}

/// How long the `nth` (from 0) slow answer takes.
fn delay_of(nth: u64) -> Duration {
    if nth % 20 == 19 {
        return Duration::from_millis(500);
    }
    // Steps of 89 through 181 values meet each one once before the first comes back.
    Duration::from_millis(20 + nth * 89 % 181)
}

/// Whether the `nth` (from 0) flaky answer is a failure.
fn fails(nth: u64) -> bool {
    nth % 10 == 9
}

fn text(status: StatusCode, json: Bytes) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
}

fn error(status: StatusCode, message: &str) -> Response {
    text(status, Bytes::from(json!({ "error": message }).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    fn started() -> Demo {
        Demo::start_on(([127, 0, 0, 1], 0).into()).unwrap()
    }

    /// Sends one request; the status, the lower-case head and the body of the answer.
    fn ask(demo: &Demo, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(demo.address()).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    fn value(demo: &Demo, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, head, body) = ask(demo, method, path, body);
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn cars_and_planes_are_listed_and_read() {
        let demo = started();
        let (status, cars) = value(&demo, "GET", "/cars", "");
        assert_eq!((status, cars["cars"].as_array().unwrap().len(), &cars["cars"][0]["brand"]), (200, 10, &json!("Tesla")));
        let (_, planes) = value(&demo, "GET", "/planes", "");
        assert_eq!((planes["planes"].as_array().unwrap().len(), &planes["planes"][9]["model"]), (10, &json!("PC-12 NGX")));
        let second = json!({"id": 2, "brand": "Volkswagen", "model": "Golf", "year": 2022, "price_eur": 29450});
        assert_eq!(value(&demo, "GET", "/cars/2", ""), (200, second));
        assert_eq!(value(&demo, "GET", "/planes/10", ""), (200, planes["planes"][9].clone()));
        for missing in ["/cars/0", "/cars/11", "/cars/x", "/planes/11", "/trains"] {
            assert_eq!(value(&demo, "GET", missing, "").0, 404, "{missing}");
        }
        assert_eq!(ask(&demo, "GET", "/", "").0, 200);
        assert_eq!(value(&demo, "GET", "/health", ""), (200, json!({"status": "ok"})));
        assert_eq!(ask(&demo, "PUT", "/cars", "").0, 405);
        assert_eq!(value(&demo, "POST", "/oauth/token", "grant_type=client_credentials").1["access_token"], "demo-00000001");
        assert_eq!(ask(&demo, "POST", "/oauth/token", "grant_type=password").0, 400);
        assert_eq!(ask(&demo, "GET", "/me", "").0, 401);
        assert_eq!(ask(&demo, "POST", "/photos", "").0, 415);
        let car = value(&demo, "POST", "/graphql", r#"{"query": "{}", "variables": {"id": 2}}"#);
        assert_eq!(car, (200, json!({"data": {"car": {"id": 2, "brand": "Volkswagen", "model": "Golf"}}})));
        assert_eq!(ask(&demo, "POST", "/graphql", "{}").0, 400);
    }

    #[test]
    fn cars_are_made_and_deleted() {
        let demo = started();
        let (status, head, body) = ask(&demo, "POST", "/cars", r#"{"brand":"Lada","id":1}"#);
        assert_eq!((status, serde_json::from_str(&body).unwrap()), (201, json!({"brand": "Lada", "id": 11})));
        assert!(head.contains("location: /cars/11"), "{head}");
        assert_eq!(value(&demo, "POST", "/cars", "{}"), (201, json!({"id": 12})));
        assert_eq!(value(&demo, "POST", "/cars", "[]").0, 422);
        assert_eq!(ask(&demo, "DELETE", "/cars/11", "").0, 204);
        assert_eq!(ask(&demo, "DELETE", "/cars/x", "").0, 404);
    }

    #[test]
    fn every_login_has_its_own_token_and_cookie() {
        let demo = started();
        assert_eq!(value(&demo, "POST", "/login", "{}"), (200, json!({"token": "demo-00000001"})));
        let (_, head, body) = ask(&demo, "POST", "/login", "user=a");
        assert!(body.contains("demo-00000002") && head.contains("set-cookie: session=demo-00000002; path=/"), "{head}{body}");
    }

    #[test]
    fn one_in_ten_is_flaky() {
        let demo = started();
        let statuses: Vec<u16> = (0..20).map(|_| ask(&demo, "GET", "/flaky", "").0).collect();
        assert_eq!((statuses.iter().filter(|s| **s == 503).count(), statuses[9], statuses[19]), (2, 503, 503));
    }

    #[test]
    fn slow_answers_vary_and_some_are_very_slow() {
        let delays: Vec<u64> = (0..3620).map(|nth| delay_of(nth).as_millis() as u64).collect();
        assert_eq!(delays.iter().filter(|delay| **delay == 500).count(), 181);
        let usual = || delays.iter().copied().filter(|delay| *delay != 500);
        assert_eq!((usual().min(), usual().max()), (Some(20), Some(200)));
        let mean = usual().sum::<u64>() as f64 / usual().count() as f64;
        assert!((mean - 110.0).abs() < 1.0, "{mean}");
        let demo = started();
        assert_eq!(value(&demo, "GET", "/slow", ""), (200, json!({"delay_ms": 20})));
    }

    #[test]
    fn dropping_it_closes_connections_and_frees_the_port() {
        let demo = started();
        let address = demo.address();
        let mut idle = TcpStream::connect(address).unwrap();
        idle.write_all(b"GET /health HTTP/1.1\r\nhost: demo\r\n\r\n").unwrap();
        let mut byte = [0];
        idle.read_exact(&mut byte).unwrap();
        drop(demo);
        let mut rest = Vec::new();
        let _ = idle.read_to_end(&mut rest);
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(Demo::start(&Url::parse(&format!("http://{address}")).unwrap()).unwrap().address(), address);
    }

    #[test]
    fn it_serves_on_localhost() {
        let demo = Demo::start(&Url::parse("http://localhost:0").unwrap()).unwrap();
        assert!(demo.address().ip().is_loopback());
    }

    #[test]
    fn it_stands_in_for_this_machine_only() {
        for (host, why) in [
            (
                "http://example.com",
                "--demo cannot stand in for `http://example.com`: it serves on this machine only, on a loopback address",
            ),
            (
                "http://192.0.2.1:5000",
                "--demo cannot stand in for `http://192.0.2.1:5000`: it serves on this machine only, on a loopback address",
            ),
            (
                "http://0.0.0.0:5000/",
                "--demo cannot stand in for `http://0.0.0.0:5000`: it serves on this machine only, on a loopback address",
            ),
            ("https://127.0.0.1:5000", "--demo cannot stand in for `https://127.0.0.1:5000`: it serves plain http, not https"),
            (
                "http://127.0.0.1:5000/v1",
                "--demo cannot stand in for `http://127.0.0.1:5000/v1`: its endpoints are at the root, not under `/v1`",
            ),
        ] {
            let problem = Demo::start(&Url::parse(host).unwrap()).unwrap_err();
            assert_eq!(problem.message, why);
            assert!(problem.hint.unwrap().contains("--host http://127.0.0.1:5000"));
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let problem = Demo::start(&Url::parse(&format!("http://{address}")).unwrap()).unwrap_err();
        assert_eq!(problem.message, format!("the cars API cannot serve on {address}: the port is taken"));
        assert!(problem.hint.unwrap().starts_with("leave out `--demo` if your own server listens there"));
    }
}
