//! What of the demo is there for examples: tokens, photos, a query of GraphQL, and a stream of events.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::{Api, CARS, error, text};

/// OAuth 2, client credentials: any client gets a token for a minute.
pub(super) async fn token(State(api): State<Arc<Api>>, body: String) -> Response {
    if !body.contains("grant_type=client_credentials") {
        return error(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let token = format!("demo-{:08x}", api.logins.fetch_add(1, Relaxed) + 1);
    json_of(&json!({ "access_token": token, "token_type": "Bearer", "expires_in": 60 }))
}

/// Who brings a token of the demo's, in a header or as the cookie of `/login`, is told which.
pub(super) async fn me(headers: HeaderMap) -> Response {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let cookie = || text(header::COOKIE)?.split("; ").find_map(|cookie| cookie.strip_prefix("session="));
    let token = bearer.or_else(cookie);
    match token.filter(|token| token.starts_with("demo-")) {
        Some(token) => json_of(&json!({ "token": token })),
        None => error(StatusCode::UNAUTHORIZED, "bring a token of /login or /oauth/token"),
    }
}

/// Takes a form with files, and says how much it was.
pub(super) async fn photo(headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("multipart/form-data") {
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send multipart/form-data");
    }
    text(StatusCode::CREATED, Bytes::from(json!({ "bytes": body.len() }).to_string()))
}

/// Answers each query with the car whose `id` is among its variables.
pub(super) async fn graphql(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !asked["query"].is_string() {
        return error(StatusCode::BAD_REQUEST, "send a query");
    }
    let id = asked["variables"]["id"].as_u64().unwrap_or(1);
    let car = (id as usize).checked_sub(1).and_then(|at| CARS.get(at));
    json_of(&json!({ "data": { "car": car.map(|(brand, model, ..)| json!({ "id": id, "brand": brand, "model": model })) } }))
}

/// Twenty prices as server-sent events, one each 50 ms; the last one is called `close`.
pub(super) async fn prices() -> Response {
    let body = Body::new(Prices { number: 0, next: Box::pin(tokio::time::sleep(STEP)) });
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))], body).into_response()
}

const STEP: Duration = Duration::from_millis(50);
const LAST: u32 = 20;

struct Prices {
    number: u32,
    next: Pin<Box<tokio::time::Sleep>>,
}

impl hyper::body::Body for Prices {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.number == LAST {
            return Poll::Ready(None);
        }
        ready!(self.next.as_mut().poll(context));
        let next = self.next.deadline() + STEP;
        self.next.as_mut().reset(next);
        self.number += 1;
        let number = self.number;
        let name = if number == LAST { "close" } else { "price" };
        let data = json!({ "car": number % 10 + 1, "price_eur": 20_000 + number * 7 % 13 * 100 });
        let event = format!("event: {name}\nid: {number}\ndata: {data}\n\n");
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(event)))))
    }
}

fn json_of(value: &Value) -> Response {
    text(StatusCode::OK, Bytes::from(value.to_string()))
}
