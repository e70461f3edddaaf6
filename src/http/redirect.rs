//! Where a redirect leads, and what of the request goes with it. As the Fetch standard has it, so as browsers do.
//!
//! | status | method | body |
//! |---|---|---|
//! | 301 302 | POST becomes GET, others stay | dropped with POST |
//! | 303 | HEAD stays, others become GET | dropped |
//! | 307 308 | stays | stays |

use http::header::LOCATION;
use http::{HeaderMap, Method};
use url::Url;

use super::Failure;
use crate::reason::Reason;

/// The next request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) url: Url,
    pub(super) method: Method,
    /// The body and the headers that describe it are left behind.
    pub(super) drop_body: bool,
    /// Another scheme, host or port: credentials are left behind.
    pub(super) other_origin: bool,
}

/// What a response from `url` asks for; `None` if it is no redirect, or one without a `location`.
pub(super) fn follow(method: &Method, url: &Url, status: u16, headers: &HeaderMap) -> Result<Option<Step>, Failure> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION) else { return Ok(None) };
    let location = String::from_utf8_lossy(location.as_bytes());
    let fail = |why: String| Failure { status: Some(status), ..Failure::new(Reason::Protocol, why) };
    let next = url.join(&location).map_err(|error| fail(format!("the redirect to `{location}` leads nowhere: {error}")))?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(fail(format!("the redirect leads to `{}:`, which is neither http nor https", next.scheme())));
    }
    let becomes_get = match status {
        301 | 302 => method == Method::POST,
        303 => method != Method::HEAD && method != Method::GET,
        _ => false,
    };
    Ok(Some(Step {
        other_origin: next.origin() != url.origin(),
        url: next,
        method: if becomes_get { Method::GET } else { method.clone() },
        drop_body: becomes_get,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(method: Method, status: u16, location: &str) -> Result<Option<Step>, Failure> {
        let headers = HeaderMap::from_iter([(LOCATION, http::HeaderValue::from_bytes(location.as_bytes()).unwrap())]);
        follow(&method, &Url::parse("http://cars.test/a/b?q=1").unwrap(), status, &headers)
    }

    #[test]
    fn methods_as_browsers_change_them() {
        use http::Method as M;
        for (status, method, next, drop_body) in [
            (301, M::POST, M::GET, true),
            (302, M::POST, M::GET, true),
            (302, M::PUT, M::PUT, false),
            (302, M::HEAD, M::HEAD, false),
            (303, M::POST, M::GET, true),
            (303, M::DELETE, M::GET, true),
            (303, M::HEAD, M::HEAD, false),
            (307, M::POST, M::POST, false),
            (308, M::PUT, M::PUT, false),
        ] {
            let step = step(method.clone(), status, "/x").unwrap().unwrap();
            assert_eq!((step.method, step.drop_body), (next, drop_body), "{status} {method}");
        }
        for status in [200, 300, 304, 305, 400] {
            assert_eq!(step(M::GET, status, "/x"), Ok(None), "{status}");
        }
        assert_eq!(follow(&M::GET, &Url::parse("http://a/").unwrap(), 302, &HeaderMap::new()), Ok(None));
    }

    #[test]
    fn locations_are_relative_to_the_request() {
        for (location, url, other_origin) in [
            ("/x", "http://cars.test/x", false),
            ("c", "http://cars.test/a/c", false),
            ("?p=2", "http://cars.test/a/b?p=2", false),
            ("//other.test/x", "http://other.test/x", true),
            ("https://cars.test/", "https://cars.test/", true),
            ("http://cars.test:8080/", "http://cars.test:8080/", true),
            ("http://cars.test:80/é", "http://cars.test/%C3%A9", false),
        ] {
            let step = step(Method::GET, 302, location).unwrap().unwrap();
            assert_eq!((step.url.as_str(), step.other_origin), (url, other_origin), "{location}");
        }
    }

    #[test]
    fn locations_that_lead_nowhere() {
        for (location, part) in [
            ("ftp://cars.test/", "leads to `ftp:`"),
            ("javascript:alert(1)", "leads to `javascript:`"),
            ("http://[", "leads nowhere"),
        ] {
            let failure = step(Method::GET, 302, location).unwrap_err();
            assert_eq!((failure.reason, failure.status), (Reason::Protocol, Some(302)));
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }
}
