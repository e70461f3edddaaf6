//! A session's cookies.

use cookie_store::{CookieStore, RawCookie};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use url::Url;

/// As many cookies a session keeps; further ones are not taken. Browsers keep about as many for a site.
const MOST: usize = 200;
/// The largest cookie that is kept, in bytes, as browsers have it.
const LARGEST: usize = 4096;

/// The cookies of one user. Nothing is allocated before the first one comes.
#[derive(Debug, Default)]
pub struct Cookies(Option<Box<CookieStore>>);

// === Cookies ===

impl Cookies {
    /// Takes the cookies that a response from `url` sets. Those that cannot be read or are not the site's to set are ignored,
    /// as browsers do.
    pub(super) fn store(&mut self, url: &Url, headers: &HeaderMap) {
        for value in headers.get_all(SET_COOKIE) {
            if value.len() > LARGEST {
                continue;
            }
            let Ok(cookie) = RawCookie::parse(String::from_utf8_lossy(value.as_bytes()).into_owned()) else { continue };
            let store = self.0.get_or_insert_default();
            if store.iter_any().count() >= MOST {
                drop_expired(store);
            }
            let full = store.iter_any().count() >= MOST;
            // A full jar still updates and expires what it has.
            if !full || store.iter_any().any(|own| own.name() == cookie.name()) {
                let _ = store.insert_raw(&cookie, url);
            }
        }
    }

    /// The `cookie` header for `url`: what the scenario wrote itself, then the session's, but for names already written.
    /// `None` if there is nothing to send.
    pub(super) fn header(&self, url: &Url, written: Option<&HeaderValue>) -> Option<HeaderValue> {
        let Some(store) = &self.0 else { return written.cloned() };
        let mut line = written.map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        let end = line.len();
        let is_written = |line: &[u8], name: &str| {
            line[..end]
                .split(|byte| *byte == b';')
                .any(|pair| pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii() == name.as_bytes())
        };
        for cookie in store.matches(url) {
            let (name, value) = cookie.name_value();
            if !is_written(&line, name) {
                if !line.is_empty() {
                    line.extend_from_slice(b"; ");
                }
                line.extend_from_slice(name.as_bytes());
                line.push(b'=');
                line.extend_from_slice(value.as_bytes());
            }
        }
        if line.is_empty() { None } else { HeaderValue::from_maybe_shared(bytes::Bytes::from(line)).ok() }
    }

    /// The value of the cookie `name` that would be sent to `url`.
    pub fn get(&self, url: &Url, name: &str) -> Option<&str> {
        self.0.as_ref()?.get_request_values(url).find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// How many cookies there are, expired ones included.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |store| store.iter_any().count())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn clear(&mut self) {
        self.0 = None;
    }
}

fn drop_expired(store: &mut CookieStore) {
    let expired: Vec<_> = store
        .iter_any()
        .filter(|cookie| cookie.is_expired())
        .map(|cookie| (String::from(&cookie.domain), String::from(&cookie.path), cookie.name().to_owned()))
        .collect();
    for (domain, path, name) in expired {
        store.remove(&domain, &path, &name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn set(cookies: &mut Cookies, from: &str, values: &[&str]) {
        let headers = values.iter().map(|value| (SET_COOKIE, value.parse().unwrap())).collect();
        cookies.store(&url(from), &headers);
    }

    #[test]
    fn cookies_go_where_they_belong() {
        let mut cookies = Cookies::default();
        set(
            &mut cookies,
            "http://cars.test/a/b",
            &["id=1; Path=/", "deep=2; Path=/a", "safe=3; Secure; Path=/", "foreign=4; Domain=other.test"],
        );
        let sent = |cookies: &Cookies, to: &str| {
            let header = cookies.header(&url(to), None);
            header.map(|value| {
                let mut pairs: Vec<_> = value.to_str().unwrap().split("; ").map(str::to_owned).collect();
                pairs.sort();
                pairs.join(" ")
            })
        };
        assert_eq!(sent(&cookies, "http://cars.test/"), Some("id=1".into()));
        assert_eq!(sent(&cookies, "http://cars.test/a/x"), Some("deep=2 id=1".into()));
        assert_eq!(sent(&cookies, "http://other.test/"), None);
        assert_eq!(cookies.get(&url("http://cars.test/"), "id"), Some("1"));
        set(&mut cookies, "http://cars.test/", &["id=; Max-Age=0; Path=/"]);
        assert_eq!(sent(&cookies, "http://cars.test/"), None);
        cookies.clear();
        assert!(cookies.is_empty());
    }

    #[test]
    fn a_written_cookie_wins_over_the_sessions() {
        let mut cookies = Cookies::default();
        set(&mut cookies, "http://cars.test/", &["id=1", "id2=2"]);
        let written = HeaderValue::from_static("id=mine; x=y");
        let header = cookies.header(&url("http://cars.test/"), Some(&written));
        assert_eq!(header.unwrap(), "id=mine; x=y; id2=2");
        assert_eq!(Cookies::default().header(&url("http://cars.test/"), Some(&written)), Some(written));
    }

    #[test]
    fn the_jar_is_bounded() {
        let mut cookies = Cookies::default();
        for number in 0..300 {
            set(&mut cookies, "http://cars.test/", &[&format!("c{number}=1")]);
        }
        assert_eq!(cookies.len(), 200);
        set(&mut cookies, "http://cars.test/", &["c7=2", "new=1", &format!("c8={}", "x".repeat(5000))]);
        assert_eq!(cookies.len(), 200);
        assert_eq!(cookies.get(&url("http://cars.test/"), "c7"), Some("2"));
        assert_eq!(cookies.get(&url("http://cars.test/"), "c8"), Some("1"));
    }
}
