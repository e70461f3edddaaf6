//! `http`: what all requests share.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use url::Url;

use super::text::After;
use super::{Compiler, request};
use crate::file::{self, ReadError};
use crate::http::settings::{Carrier, Settings, TlsSettings, Version};
use crate::scenario::document::model::{Http, HttpTransport, HttpVersion, Tls};
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::values::{List, Pairs};

const RELATIVE: &str = "file names are relative to the scenario's folder";

impl Compiler<'_> {
    pub(super) fn settings(&mut self, http: &Field<Http>) -> Settings {
        let mut settings = Settings::default();
        let Some(http) = http.value() else { return settings };
        if let Some(timeout) = self.more_than_zero(&http.timeout, "timeout") {
            self.defaults.timeout = timeout;
        }
        if let Some(timeout) = self.more_than_zero(&http.connect_timeout, "connect_timeout") {
            settings.connect_timeout = timeout;
        }
        if let Some(redirects) = self.redirects(&http.redirects) {
            settings.redirects = redirects;
        }
        self.defaults.redirects = settings.redirects;
        if let Some(headers) = http.headers.value() {
            let (headers, used) = self.using(|compiler| compiler.headers(headers, After::Nothing));
            self.defaults.headers = headers;
            self.defaults_use(used);
        }
        self.default_auth(&http.auth);
        if let Some(size) = http.max_body.given() {
            if size.value.0 == 0 {
                self.push(&size.range, "`max_body` cannot be zero", "remove the key for the default of 64MiB");
            }
            settings.max_body = size.value.0;
        }
        settings.cookies = http.cookies.value().copied().unwrap_or(settings.cookies);
        settings.keep_alive = http.keep_alive.value().copied().unwrap_or(settings.keep_alive);
        settings.compression = http.compression.value().copied().unwrap_or(settings.compression);
        if let Some(agent) = http.user_agent.given() {
            if request::header_value(&agent.value).is_none() {
                self.push(
                    &agent.range,
                    "a header's value is one line of visible characters",
                    "remove line breaks and control characters",
                );
            }
            settings.user_agent = agent.value.clone();
        }
        settings.version = match http.version.value() {
            None | Some(HttpVersion::Auto) => Version::Auto,
            Some(HttpVersion::Http1) => Version::Http1,
            Some(HttpVersion::Http2) => Version::Http2,
        };
        settings.proxy = http.proxy.given().and_then(|proxy| self.proxy(proxy));
        settings.resolve = http.resolve.value().map(|pairs| self.resolve(pairs)).unwrap_or_default();
        for address in http.source_addresses.value().map(|list| list.items.as_slice()).unwrap_or_default() {
            settings.source_addresses.extend(self.address(address));
        }
        settings.tls = http.tls.value().map(|tls| self.tls(tls)).unwrap_or_default();
        settings.carrier = match http.transport.value() {
            None | Some(HttpTransport::Auto) => Carrier::Auto,
            Some(HttpTransport::Wire) => Carrier::Wire,
            Some(HttpTransport::Reqwest) => Carrier::Reqwest,
        };
        self.beyond_wire(http);
        settings
    }

    /// HTTP/2 and proxies are reqwest's, which takes the name for TLS from the URL.
    fn beyond_wire(&mut self, http: &Http) {
        let version = http.version.given().filter(|version| version.value == HttpVersion::Http2);
        let clashes = [("version: 2", version.is_some()), ("proxy", !http.proxy.is_absent())];
        let name = http.tls.value().and_then(|tls| tls.server_name.given());
        for clash in clashes.into_iter().filter_map(|(clash, given)| given.then_some(clash)) {
            if let Some(transport) = http.transport.given().filter(|transport| transport.value == HttpTransport::Wire) {
                let message = format!("`transport: wire` cannot be used with `{clash}`");
                self.push(&transport.range, message, "it speaks HTTP/1.1 and knows no proxies; remove it, or write `reqwest`");
            }
            if let Some(name) = name {
                let message = format!("`server_name` cannot be used with `{clash}`");
                self.push(&name.range, message, "write the name in the URL, and the address in `resolve: {name: address}`");
            }
        }
    }

    pub(super) fn redirects(&mut self, field: &Field<u32>) -> Option<u32> {
        let redirects = field.given()?;
        if redirects.value > 100 {
            self.push(&redirects.range, "no request follows more than 100 redirects", "browsers follow 20; the default is 10");
        }
        Some(redirects.value)
    }

    fn proxy(&mut self, proxy: &Placed<String>) -> Option<Url> {
        match Url::parse(&proxy.value) {
            Ok(url) if matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host() => Some(url),
            _ => {
                let message = format!("`{}` is not the URL of a proxy", proxy.value);
                self.push(&proxy.range, message, "write `http://`, `https://`, `socks5://` or `socks5h://`, then name and port");
                None
            }
        }
    }

    fn resolve(&mut self, pairs: &Pairs<List<String, true>>) -> Vec<(String, IpAddr)> {
        let mut resolved = Vec::new();
        for (name, addresses) in &pairs.0 {
            if name.name.contains([':', '/']) || name.name.trim().is_empty() {
                self.push(
                    &name.range,
                    format!("`{}` is not the name of a host", name.name),
                    "write the name alone, such as `example.com`",
                );
            }
            for address in &addresses.value.items {
                resolved.extend(self.address(address).map(|address| (name.name.to_lowercase(), address)));
            }
        }
        resolved
    }

    fn address(&mut self, address: &Placed<String>) -> Option<IpAddr> {
        match address.value.parse() {
            Ok(parsed) => Some(parsed),
            Err(_) => {
                let message = format!("`{}` is not an IP address", address.value);
                self.push(&address.range, message, "write one such as `127.0.0.1` or `\"::1\"`");
                None
            }
        }
    }

    fn tls(&mut self, tls: &Tls) -> TlsSettings {
        self.certificate_and_key(&tls.cert, &tls.key);
        TlsSettings {
            ca: self.file(&tls.ca),
            cert: self.file(&tls.cert),
            key: self.file(&tls.key),
            insecure: tls.insecure.value().copied().unwrap_or(false),
            server_name: tls.server_name.value().cloned(),
        }
    }

    /// A client's certificate and its key are of no use alone.
    pub(super) fn certificate_and_key(&mut self, cert: &Field<String>, key: &Field<String>) {
        let pair = [("cert", cert, "key", key), ("key", key, "cert", cert)];
        for (given, field, missing, other) in pair {
            if let (Some(key), true) = (field.key(), other.is_absent()) {
                self.push(
                    &key.clone(),
                    format!("`{given}` without `{missing}`"),
                    format!("a client's certificate needs its key: add `{missing}`"),
                );
            }
        }
    }

    /// A file beside the scenario that can be read.
    pub(super) fn file(&mut self, field: &Field<String>) -> Option<PathBuf> {
        let placed = field.given()?;
        let path = Path::new(&self.source.name).parent().unwrap_or(Path::new("")).join(&placed.value);
        let (wrong, hint) = match file::open(&path) {
            Ok(_) => return Some(path),
            Err(ReadError::Folder) => (format!("`{}` is a folder", placed.value), RELATIVE),
            Err(error) if error.is_not_found() => (format!("there is no file `{}`", placed.value), RELATIVE),
            Err(error @ ReadError::NotRegular(_)) => {
                (format!("`{}` cannot be read: {error}", placed.value), "write what it gives to a file, and name that")
            }
            Err(_) => (format!("`{}` cannot be read", placed.value), RELATIVE),
        };
        self.push(&placed.range, wrong, hint);
        None
    }
}
