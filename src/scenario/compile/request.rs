//! One request: where it goes and what it carries.

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;

use super::body::Packed;
use super::steps::Around;
use super::text::After;
use super::{Compiler, Host};
use crate::http::multipart::type_of;
use crate::measure::catalog::RequestId;
use crate::scenario::document::model::RequestKeys;
use crate::scenario::document::read::Placed;
use crate::scenario::document::values::{List, Pairs};
use crate::scenario::plan::{Address, Body, RequestStep};
use crate::template::Template;

impl RequestKeys<'_> {
    /// The keys that say what kind of request this is; one of them, when all is well. In the order of the file.
    pub(super) fn actions(&self) -> Vec<(&'static str, Range<usize>)> {
        let custom = self.request.key().map(|key| ("request", key.clone()));
        let mut actions: Vec<_> =
            self.methods.iter().filter_map(|(name, field)| Some((*name, field.key()?.clone()))).chain(custom).collect();
        actions.sort_by_key(|(_, key)| key.start);
        actions
    }

    pub(super) fn method_and_url(&self) -> Option<(Placed<String>, &Placed<String>)> {
        let plain = self.methods.iter().find_map(|(name, field)| {
            let method = Placed { value: name.to_uppercase(), range: field.key()?.clone() };
            Some((method, field.given()?))
        });
        plain.or_else(|| {
            let custom = self.request.value()?;
            Some((custom.method.given()?.clone(), custom.url.given()?))
        })
    }
}

impl Compiler<'_> {
    pub(super) fn request(&mut self, keys: &RequestKeys<'_>, around: Around<'_>, after: &mut After) -> Option<RequestStep> {
        let (step, used) = self.using(|compiler| compiler.request_step(keys, around, after));
        let rows = self.rows_of_request(used);
        step.map(|step| RequestStep { rows, ..step })
    }

    fn request_step(&mut self, keys: &RequestKeys<'_>, around: Around<'_>, after: &mut After) -> Option<RequestStep> {
        let before = *after;
        let actions = keys.actions();
        if let [(first, _), (second, place), ..] = actions.as_slice() {
            self.push(place, format!("a request has one method, but here are `{first}` and `{second}`"), "make two steps of it");
            return None;
        }
        // Everything is compiled, whatever is wrong with the rest.
        *after = After::Request;
        let target = keys.method_and_url();
        let name = target.as_ref().and_then(|_| self.request_name(keys));
        let method = target.as_ref().and_then(|(method, _)| self.method(method));
        let timeout = self.more_than_zero(keys.timeout, "timeout").unwrap_or(self.defaults.timeout);
        let redirects = self.redirects(keys.redirects).unwrap_or(self.defaults.redirects);
        let when = keys.when.given().and_then(|when| self.when(when, before));
        let on_failure = self.failing;
        let id = match (&name, &method) {
            (Some(name), Some(method)) => self.catalog.add_request(around.user, around.task, name, method.as_str()),
            // There will be no plan; what is wrong with the expectations is still to be found.
            _ => RequestId(0),
        };
        let (address, query, own, auth, body) = self.given(when.as_ref(), |compiler| {
            let address = target.as_ref().and_then(|(_, url)| compiler.address_of(url, before));
            let query = keys.query.value().map(|pairs| compiler.pairs(pairs, before)).unwrap_or_default();
            let own = keys.headers.value().map(|pairs| compiler.headers(pairs, before)).unwrap_or_default();
            let auth = compiler.auth(keys.auth, &own, before);
            (address, query, own, auth, compiler.body(keys, before, method.as_ref()))
        });
        let stream = self.given(when.as_ref(), |compiler| compiler.stream(keys, before));
        if stream.is_some() && name.is_some() {
            self.catalog.add_stream(id);
        }
        let timeout = stream.as_ref().map_or(timeout, |stream| stream.timeout(timeout));
        let content_type = content_type(&body);
        let (body, packing) = self.packed(keys.compress, body);
        let captures = keys.capture.given().map(|pairs| self.captures(pairs)).unwrap_or_default();
        let names = keys.capture.value().into_iter().flat_map(|pairs| pairs.0.iter().map(|(key, _)| key.name.as_str()));
        let new: Vec<&str> = names.filter(|name| !self.is_certain(name)).collect();
        new.iter().for_each(|name| self.learn(name));
        // Checks come after captures, and may look at them.
        let expect = self
            .given(when.as_ref(), |compiler| keys.expect.value().map(|expect| compiler.expect(expect, id)).unwrap_or_default());
        self.impossible(keys, method.as_ref(), timeout, redirects);
        if let Some(condition) = keys.when.value() {
            for name in new {
                self.forget(name);
                self.learn_when(name, condition);
            }
        }
        let (auth, sender) = match auth {
            Some(Ok(header)) => (None, Some(header)),
            Some(Err(auth)) => (Some(auth), None),
            None => (None, None),
        };
        let refuses = keys.auth.value().is_some();
        let (mut headers, rendered_headers) = self.all_headers(own, sender, refuses, content_type, packing != Packed::Not);
        if stream.is_some() {
            super::stream::headers(&mut headers, &rendered_headers);
        }
        let number = self.requests;
        self.requests += 1;
        Some(RequestStep {
            id,
            number,
            name: name?,
            method: method?,
            address: address?,
            query,
            headers,
            rendered_headers,
            body,
            compress: packing == Packed::Later,
            auth,
            stream: stream.map(Box::new),
            timeout,
            redirects,
            when,
            rows: Box::default(),
            expect,
            captures,
            on_failure,
            keep_body: false,
            keep_head: false,
        })
    }

    /// Keys of a request beside something that is none.
    pub(super) fn no_request_keys(&mut self, keys: &RequestKeys<'_>, what: &str) {
        let places = [
            ("query", keys.query.key()),
            ("headers", keys.headers.key()),
            ("auth", keys.auth.key()),
            ("json", keys.json.key()),
            ("form", keys.form.key()),
            ("multipart", keys.multipart.key()),
            ("body", keys.body.key()),
            ("body_file", keys.body_file.key()),
            ("graphql", keys.graphql.key()),
            ("compress", keys.compress.key()),
            ("stream", keys.stream.key()),
            ("timeout", keys.timeout.key()),
            ("redirects", keys.redirects.key()),
            ("when", keys.when.key()),
            ("expect", keys.expect.key()),
            ("capture", keys.capture.key()),
        ];
        for (name, place) in places {
            if let Some(place) = place {
                self.push(&place.clone(), format!("`{name}` belongs to a request, and this is {what}"), "move it to a request");
            }
        }
    }

    // === method and address ===

    fn method(&mut self, method: &Placed<String>) -> Option<Method> {
        match Method::from_bytes(method.value.as_bytes()) {
            Ok(Method::CONNECT) => {
                self.push(
                    &method.range,
                    "CONNECT is for proxies, and not a request of its own",
                    "for a proxy there is `http.proxy`",
                );
                None
            }
            Ok(parsed) => {
                let upper = method.value.to_uppercase();
                if method.value != upper {
                    self.warn(
                        &method.range,
                        "methods are usually written in capitals, and servers tell the difference",
                        format!("write `{upper}`"),
                    );
                }
                Some(parsed)
            }
            Err(_) => {
                self.push(&method.range, format!("`{}` is not a method", method.value), "a method is one word, such as `PURGE`");
                None
            }
        }
    }

    pub(super) fn address_of(&mut self, url: &Placed<String>, after: After) -> Option<Address> {
        let template = self.template(url, after)?;
        let text = url.value.trim();
        let relative = text.starts_with('/') && !text.starts_with("//");
        let unknown = text.starts_with("{{") || text.starts_with("{%");
        let scheme = text.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains(['/', '?', '{']));
        match scheme {
            Some("http" | "https") => {}
            Some(other) => {
                self.push(&url.range, format!("`{other}` is not a scheme that otload speaks"), "use http or https");
                return None;
            }
            None if relative || unknown => {}
            None if text.is_empty() => {
                self.push(&url.range, "the URL is empty", "write a path such as `/cars`");
                return None;
            }
            None => {
                self.push(
                    &url.range,
                    "a URL begins with `/`, `http://` or `https://`",
                    format!("write `/{}`", text.trim_start_matches('/')),
                );
                return None;
            }
        }
        let base = match &self.host {
            Host::Known(base) => Some(base.clone()),
            Host::Wrong if relative => return None,
            Host::Absent if relative => {
                self.push(
                    &url.range,
                    "this URL is relative, and the scenario has no `host`",
                    "add `host: http://127.0.0.1:5000` at the top, or give --host",
                );
                // Said once.
                self.host = Host::Wrong;
                return None;
            }
            Host::Wrong | Host::Absent => None,
        };
        let Some(fixed) = template.as_literal() else { return Some(Address::Rendered { base, template }) };
        let joined = match base {
            Some(base) if relative => base.join(fixed.trim()),
            _ => Url::parse(fixed.trim()),
        };
        match joined {
            Ok(joined) => Some(Address::Fixed(joined)),
            Err(error) => {
                self.push(
                    &url.range,
                    format!("this is not a URL: {error}"),
                    "write a path such as `/cars`, or `http://`, name and path",
                );
                None
            }
        }
    }

    /// `query` and `form`: a list repeats its name.
    pub(super) fn pairs(&mut self, pairs: &Pairs<List<String, true>>, after: After) -> Vec<(Template, Template)> {
        let mut templates = Vec::new();
        for (key, values) in &pairs.0 {
            let name = self.template_at(&key.name, &key.range, after);
            for value in &values.value.items {
                let value = self.template(value, after);
                templates.extend(name.clone().zip(value));
            }
        }
        templates
    }

    fn when(&mut self, when: &Placed<String>, after: After) -> Option<crate::template::Expression> {
        if matches!(when.value.trim(), "false" | "False" | "0" | "none") {
            self.push(&when.range, "this step is never reached: its `when` is always false", "remove the step, or its `when`");
            return None;
        }
        let when_is = self.expression(when, after)?;
        match when_is.constant().map(|value| value.is_true()) {
            Some(true) => self.warn(&when.range, "this condition is always true", "it looks at nothing; remove the `when`"),
            Some(false) => {
                self.push(
                    &when.range,
                    "this step is never reached: its `when` is always false",
                    "remove the step, or its `when`",
                );
            }
            None => {}
        }
        Some(when_is)
    }

    // === headers ===

    pub(super) fn headers(&mut self, pairs: &Pairs<String>, after: After) -> Vec<(HeaderName, Template)> {
        let mut headers: Vec<(HeaderName, Template)> = Vec::new();
        for (key, value) in &pairs.0 {
            let template = self.template(value, after);
            let Some(name) = self.header_name(&key.name, &key.range) else { continue };
            if matches!(name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) {
                let hint = if name == header::CONNECTION { "use `http.keep_alive: false`" } else { "it follows from the body" };
                self.push(&key.range, format!("the header `{name}` is written by otload itself"), hint);
                continue;
            }
            if headers.iter().any(|(known, _)| *known == name) {
                self.push(
                    &key.range,
                    format!("the header `{name}` is here twice"),
                    "names of headers do not tell capitals from small letters; keep one",
                );
                continue;
            }
            if name == "traceparent" {
                self.own_traces.push(key.range.clone());
            }
            let Some(template) = template else { continue };
            if template.as_literal().is_some_and(|text| header_value(text).is_none()) {
                self.push(
                    &value.range,
                    "a header's value is one line of visible characters",
                    "remove line breaks and control characters",
                );
                continue;
            }
            headers.push((name, template));
        }
        headers
    }

    pub(super) fn header_name(&mut self, name: &str, range: &Range<usize>) -> Option<HeaderName> {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Some(name),
            Err(_) => {
                self.push(
                    range,
                    format!("`{name}` cannot be the name of a header"),
                    "letters, digits and `-`, such as `content-type`",
                );
                None
            }
        }
    }

    /// The defaults, then the request's own, then what its body says if nobody did.
    /// `sender` goes into `authorization`; `refuses`: nothing of the defaults' does.
    fn all_headers(
        &self,
        own: Vec<(HeaderName, Template)>,
        sender: Option<Template>,
        refuses: bool,
        content_type: Option<&'static str>,
        packed: bool,
    ) -> (HeaderMap, Vec<(HeaderName, Template)>) {
        let mut fixed = HeaderMap::new();
        let mut rendered: Vec<(HeaderName, Template)> = Vec::new();
        let defaults = self.defaults.headers.iter().filter(|(name, _)| own.iter().all(|(own, _)| own != name)).cloned();
        let defaults = defaults.filter(|(name, _)| !(refuses && *name == header::AUTHORIZATION));
        let sender = sender.map(|sender| (header::AUTHORIZATION, sender));
        for (name, template) in defaults.chain(own.iter().cloned()).chain(sender) {
            match template.as_literal().and_then(header_value) {
                Some(mut value) => {
                    value.set_sensitive(name == header::AUTHORIZATION);
                    fixed.insert(name, value);
                }
                None => rendered.push((name, template)),
            }
        }
        if packed && own.iter().all(|(name, _)| name != header::CONTENT_ENCODING) {
            fixed.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(content_type) = content_type
            && !fixed.contains_key(header::CONTENT_TYPE)
            && rendered.iter().all(|(name, _)| name != header::CONTENT_TYPE)
        {
            fixed.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        (fixed, rendered)
    }
}

/// What a body says of itself.
fn content_type(body: &Body) -> Option<&'static str> {
    match body {
        Body::Json(_) => Some("application/json"),
        Body::Form(_) => Some("application/x-www-form-urlencoded"),
        Body::File(file) => Some(type_of(&file.name)),
        // The boundary of a multipart form goes with each request.
        Body::None | Body::Text(_) | Body::Multipart(_) => None,
    }
}

/// A value that a header may have: no line breaks, no control characters.
pub(super) fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
