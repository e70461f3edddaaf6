//! What of the demo is there for examples: tokens, photos, and a query of GraphQL.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
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

/// Who brings a token of the demo's is told which.
pub(super) async fn me(headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
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

fn json_of(value: &Value) -> Response {
    text(StatusCode::OK, Bytes::from(value.to_string()))
}
