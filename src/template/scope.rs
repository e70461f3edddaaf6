//! What the names of a template stand for while a user runs.
//!
//! Looked up when they are used, so that a user with a hundred variables pays for the one in its URL. In the order in
//! which they are tried:
//!
//! ```text
//! variables of this user      captures, rows of data, `set`, `loop_index`
//! user_id iteration response  changed between steps
//! Shared                      variables of the file, env, setup, run_id: one copy for all users
//! ```

use super::Value;
use super::budget::json_fits;
use bytes::Bytes;
use http::HeaderMap;
use minijinja::value::{Enumerator, Object};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Constants of a run, one copy for all users.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    constants: HashMap<Box<str>, Value>,
}

/// What one user's templates see.
#[derive(Clone, Debug)]
pub struct Scope {
    // The engine of the templates holds on to it only while it renders, so changes find it unshared and copy nothing.
    layers: Arc<Layers>,
}

#[derive(Debug)]
struct Layers {
    shared: Arc<Shared>,
    // A user has a handful; a scan over them beats a tree and is smaller.
    variables: Vec<(Box<str>, Value)>,
    user_id: u64,
    /// Changes with every task, so without a look at who else holds these layers.
    iteration: AtomicU64,
    response: Option<Arc<Response>>,
}

/// A response as templates see it; texts and JSON are decoded when first asked for.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Arc<Headers>,
    body: Bytes,
    text: OnceLock<Value>,
    json: OnceLock<Result<Value, String>>,
}

#[derive(Debug)]
struct Headers(HeaderMap);

// === Shared ===

impl Shared {
    /// The constants of the run `run_id`.
    pub fn new(run_id: &str) -> Self {
        let mut shared = Self::default();
        shared.set("run_id", Value::from(run_id));
        shared
    }

    /// Defines a constant; a later one of the same name replaces it.
    pub fn set(&mut self, name: &str, value: Value) {
        self.constants.insert(name.into(), value);
    }
}

// === Scope ===

impl Scope {
    /// Of a user before its first iteration.
    pub fn new(shared: Arc<Shared>, user_id: u64) -> Self {
        Self { layers: Arc::new(Layers { shared, variables: Vec::new(), user_id, iteration: AtomicU64::new(0), response: None }) }
    }

    fn change(&mut self) -> &mut Layers {
        Arc::make_mut(&mut self.layers)
    }

    /// Sets a variable of this user.
    pub fn set(&mut self, name: &str, value: Value) {
        let layers = self.change();
        match layers.variables.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, place)) => *place = value,
            None => layers.variables.push((name.into(), value)),
        }
    }

    /// Forgets a variable of this user; a constant of the same name is seen again.
    pub fn remove(&mut self, name: &str) {
        self.change().variables.retain(|(known, _)| **known != *name);
    }

    /// A variable of this user, if there is one.
    pub fn own(&self, name: &str) -> Option<Value> {
        self.layers.variables.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone())
    }

    /// Makes a variable what it was.
    pub fn restore(&mut self, name: &str, before: Option<Value>) {
        match before {
            Some(value) => self.set(name, value),
            None => self.remove(name),
        }
    }

    /// All variables of this user, as a map.
    pub fn variables(&self) -> Value {
        // Not by `collect`, which would make a list of pairs.
        let all = self.layers.variables.iter().map(|(name, value)| (name.to_string(), value.clone()));
        Value::from(all.collect::<std::collections::BTreeMap<_, _>>())
    }

    /// Which iteration of the user this is.
    pub fn set_iteration(&mut self, iteration: u64) {
        self.layers.iteration.store(iteration, Ordering::Relaxed);
    }

    /// After a request: what `response` is from now on.
    pub fn set_response(&mut self, response: Response) {
        self.change().response = Some(Arc::new(response));
    }

    /// Before the next request.
    pub fn clear_response(&mut self) {
        if self.layers.response.is_some() {
            self.change().response = None;
        }
    }

    /// What a name stands for now.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.layers.get(name)
    }

    /// As the engine of the templates wants it.
    pub(super) fn root(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.layers))
    }

    /// Adds to a message about something undefined why that is so, where it is known.
    pub(super) fn explain(&self, mut message: String) -> String {
        if message.contains("`response") {
            match &self.layers.response {
                None => message.push_str(": there is a response only after a request"),
                Some(response) if message.contains("`response.json") => {
                    if let Err(error) = response.parsed() {
                        message.push_str(&format!(": the body is not JSON ({error})"));
                    }
                }
                Some(_) => {}
            }
        }
        message
    }
}

impl Clone for Layers {
    fn clone(&self) -> Self {
        let Self { shared, variables, user_id, iteration, response } = self;
        let iteration = AtomicU64::new(iteration.load(Ordering::Relaxed));
        Self { shared: shared.clone(), variables: variables.clone(), user_id: *user_id, iteration, response: response.clone() }
    }
}

impl Layers {
    fn get(&self, name: &str) -> Option<Value> {
        if let Some((_, value)) = self.variables.iter().find(|(known, _)| **known == *name) {
            return Some(value.clone());
        }
        match name {
            "user_id" => Some(Value::from(self.user_id)),
            "iteration" => Some(Value::from(self.iteration.load(Ordering::Relaxed))),
            "response" => self.response.as_ref().map(|response| Value::from_dyn_object(Arc::clone(response))),
            _ => self.shared.constants.get(name).cloned(),
        }
    }
}

impl Object for Layers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.get(key)
    }
}

// === Response ===

impl Response {
    /// The headers and body are shared, not copied.
    pub fn new(status: u16, headers: HeaderMap, body: Bytes) -> Self {
        Self { status, headers: Arc::new(Headers(headers)), body, text: OnceLock::new(), json: OnceLock::new() }
    }

    fn parsed(&self) -> Result<&Value, &str> {
        let parse = || {
            json_fits(&self.body)?;
            serde_json::from_slice(&self.body).map_err(|error| error.to_string())
        };
        self.json.get_or_init(parse).as_ref().map_err(String::as_str)
    }
}

impl Object for Response {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "status" => Some(Value::from(self.status)),
            "headers" => Some(Value::from_dyn_object(Arc::clone(&self.headers))),
            "body" => Some(self.text.get_or_init(|| Value::from(String::from_utf8_lossy(&self.body))).clone()),
            "json" => self.parsed().ok().cloned(),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["status", "headers", "body", "json"])
    }
}

impl Object for Headers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    /// In any case; `content_type` is `content-type`, because a name in a template has no hyphen. The first of several.
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let found = self.0.get(key).or_else(|| self.0.get(key.replace('_', "-")))?;
        Some(Value::from(String::from_utf8_lossy(found.as_bytes())))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|name| Value::from(name.as_str())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let mut shared = Shared::new("r1");
        shared.set("currency", Value::from("EUR"));
        Scope::new(Arc::new(shared), 3)
    }

    #[test]
    fn the_user_comes_before_the_file() {
        let mut scope = scope();
        assert_eq!(scope.get("currency"), Some(Value::from("EUR")));
        scope.set("currency", Value::from("USD"));
        scope.set("currency", Value::from("SEK"));
        assert_eq!(scope.get("currency"), Some(Value::from("SEK")));
        scope.remove("currency");
        assert_eq!(scope.get("currency"), Some(Value::from("EUR")));
        assert_eq!(scope.get("run_id"), Some(Value::from("r1")));
        assert_eq!((scope.get("user_id"), scope.get("iteration")), (Some(Value::from(3)), Some(Value::from(0))));
        scope.set_iteration(9);
        assert_eq!(scope.get("iteration"), Some(Value::from(9)));
        assert_eq!(scope.get("nothing"), None);
    }

    #[test]
    fn a_clone_is_a_user_of_its_own() {
        let mut one = scope();
        one.set("id", Value::from(1));
        let mut two = one.clone();
        two.set("id", Value::from(2));
        assert_eq!((one.get("id"), two.get("id")), (Some(Value::from(1)), Some(Value::from(2))));
        assert_eq!(two.variables().get_attr("id").unwrap(), Value::from(2));
    }

    #[test]
    fn a_response_is_there_until_it_is_cleared() {
        let mut scope = scope();
        assert_eq!(scope.get("response"), None);
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/json".parse().unwrap());
        scope.set_response(Response::new(201, headers, Bytes::from_static(br#"{"b": 1, "a": [2, 3]}"#)));
        let response = scope.get("response").unwrap();
        assert_eq!(response.get_attr("status").unwrap(), Value::from(201));
        let headers = response.get_attr("headers").unwrap();
        for name in ["content-type", "Content-Type", "content_type"] {
            assert_eq!(headers.get_item(&Value::from(name)).unwrap(), Value::from("application/json"), "{name}");
        }
        assert!(headers.get_attr("server").unwrap().is_undefined());
        let json = response.get_attr("json").unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), r#"{"b":1,"a":[2,3]}"#, "keys keep their order");
        assert_eq!(response.get_attr("body").unwrap().as_str(), Some(r#"{"b": 1, "a": [2, 3]}"#));
        scope.clear_response();
        assert_eq!(scope.get("response"), None);
    }

    #[test]
    fn what_is_undefined_is_explained() {
        let mut scope = scope();
        let explain = |scope: &Scope| scope.explain("`response.json.id` is undefined".to_owned());
        assert_eq!(explain(&scope), "`response.json.id` is undefined: there is a response only after a request");
        scope.set_response(Response::new(200, HeaderMap::new(), Bytes::from_static(b"<html>")));
        assert!(explain(&scope).contains("the body is not JSON (expected value at line 1 column 1)"));
        scope.set_response(Response::new(200, HeaderMap::new(), Bytes::from_static(b"{}")));
        assert_eq!(explain(&scope), "`response.json.id` is undefined");
    }
}
