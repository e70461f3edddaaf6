//! Who may control a run.
//!
//! | listening on | `/metrics`, `/healthz` | `/` | everything else |
//! |---|---|---|---|
//! | loopback | everybody | everybody but pages of another origin | requests whose `Host` is this machine's loopback and that come from no page of another origin; with a token set, those that bear it |
//! | anything else | everybody | everybody but pages of another origin | those that bear the token; nobody while none is set |
//!
//! A page that a browser on this machine has open may send requests here under a name that its owner's DNS server points to
//! 127.0.0.1 (DNS rebinding), so the name is looked at. What a page sends carries its origin, unless it is a GET, such as that of an
//! image; browsers say of each request whether it comes from another site, in `Sec-Fetch-Site`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use sha2::{Digest as _, Sha256};

use super::command::Refusal;

/// The rules of one listener.
#[derive(Debug)]
pub struct Guard {
    loopback: bool,
    token: Option<Token>,
}

/// Who may ask for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Everybody,
    /// Everybody but a page of another origin.
    NoForeignPage,
    Control,
}

/// A secret that whoever controls has to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Where a token is taken from.
pub const TOKEN_VARIABLE: &str = "OTLOAD_CONTROL_TOKEN";
/// Which file it is taken from; before the variable above.
pub const TOKEN_FILE_VARIABLE: &str = "OTLOAD_CONTROL_TOKEN_FILE";

// === impl Guard ===

impl Guard {
    /// Of a listener on `address`.
    pub fn new(address: IpAddr, token: Option<Token>) -> Self {
        Self { loopback: is_loopback(address), token }
    }

    /// Whether a request may see or change the run.
    ///
    /// # Errors
    /// With the status 403, and what would be needed.
    pub fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        self.refuse_pages(uri, headers)?;
        let host = host(uri, headers);
        match (&self.token, bearer(headers)) {
            (Some(token), Some(given)) if token.is(given) => Ok(()),
            (Some(_), _) => refused(
                "the token is missing or wrong",
                "send `Authorization: Bearer` with the token that otload was started with; the command line takes it from OTLOAD_CONTROL_TOKEN",
            ),
            (None, _) if !self.loopback => refused(
                "otload listens on an address that others can reach, and has no token: control is off",
                "start it with OTLOAD_CONTROL_TOKEN or --control-token-file, or listen on 127.0.0.1",
            ),
            (None, _) if host.as_ref().is_none_or(|host| !is_local(host)) => refused(
                "the `Host` of this request is not this machine's loopback",
                "ask for 127.0.0.1, [::1] or localhost; under another name control needs a token (OTLOAD_CONTROL_TOKEN)",
            ),
            (None, _) => Ok(()),
        }
    }

    /// Refuses what a page of another origin sends.
    pub(super) fn refuse_pages(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = host(uri, headers);
        // `none`: somebody typed the address, or chose a bookmark.
        let foreign = |site: &HeaderValue| !matches!(site.as_bytes(), b"same-origin" | b"none");
        if headers.get_all("sec-fetch-site").iter().any(foreign) {
            return refused(
                "a page of another origin may not ask otload",
                "open this address by itself, or use the command line",
            );
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            // The page would have to come from here, and there are none.
            let same = origin.to_str().ok().and_then(|text| text.split_once("://")).is_some_and(|(scheme, place)| {
                matches!(scheme, "http" | "https")
                    && host
                        .as_ref()
                        .is_some_and(|host| host.as_str().eq_ignore_ascii_case(place) && (!self.loopback || is_local(host)))
            });
            if !same {
                return refused(
                    "a page of another origin may not control otload",
                    "use the command line, or a program that sends no `Origin`",
                );
            }
        }
        Ok(())
    }
}

fn refused(error: &str, hint: &str) -> Result<(), Refusal> {
    Err(Refusal::new(StatusCode::FORBIDDEN, error).hint(hint))
}

/// The one host that a request names, if it is one.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut named = headers.get_all(header::HOST).iter();
    let first = named.next()?.to_str().ok()?.parse::<Authority>().ok()?;
    let alone = named.next().is_none() && uri.authority().is_none_or(|authority| *authority == first);
    // `user@` is none of a host's.
    (alone && !first.as_str().contains('@')).then_some(first)
}

fn is_local(host: &Authority) -> bool {
    let name = host.host();
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok_and(|address| is_loopback(address.into())),
        None => name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(is_loopback),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

// === impl Token ===

impl Token {
    /// # Errors
    /// When it is empty, or cannot be sent in a header.
    pub fn try_new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the token is empty".to_owned());
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token has a character that a header cannot carry; use printable ASCII without blanks".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// As it is sent.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// In the same time whatever is given: digests are compared, whose length is no secret, and all of their bytes are.
    fn is(&self, given: &str) -> bool {
        let (mine, theirs) = (Sha256::digest(&self.0), Sha256::digest(given));
        let differ = mine.iter().zip(&theirs).fold(0, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
        differ == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(listen: &str, token: Option<&str>, headers: &[(&str, &str)]) -> bool {
        let guard = Guard::new(listen.parse().unwrap(), token.map(|token| Token::try_new(token).unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        match guard.admit(&Uri::from_static("/api/v1/stop"), &map) {
            Ok(()) => true,
            Err(refusal) => {
                assert_eq!(refusal.status, StatusCode::FORBIDDEN);
                assert!(refusal.hint.is_some());
                false
            }
        }
    }

    #[test]
    fn on_loopback_all_may_who_name_it() {
        for host in ["127.0.0.1:9464", "localhost", "LOCALHOST:1", "[::1]:9464", "127.9.9.9", "[::ffff:127.0.0.1]:1"] {
            assert!(admits("127.0.0.1", None, &[("host", host)]), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:9464", "10.0.0.1:9464", "[::2]", "a@127.0.0.1", "", "0.0.0.0", "2130706433"]
        {
            assert!(!admits("127.0.0.1", None, &[("host", host)]), "{host}");
        }
        assert!(!admits("::1", None, &[]), "without a host");
        assert!(!admits("::1", None, &[("host", "127.0.0.1"), ("host", "evil.example")]));
    }

    #[test]
    fn pages_may_not() {
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:3000",
            "http://127.0.0.1",
            "file://",
            "http://127.0.0.1:9464.evil.example",
        ] {
            assert!(!admits("127.0.0.1", None, &[("host", "127.0.0.1:9464"), ("origin", origin)]), "{origin}");
            assert!(!admits(
                "10.1.2.3",
                Some("secret"),
                &[("host", "10.1.2.3:9464"), ("origin", origin), ("authorization", "Bearer secret")]
            ));
        }
        assert!(admits("127.0.0.1", None, &[("host", "127.0.0.1:9464"), ("origin", "http://127.0.0.1:9464")]));
        assert!(!admits("127.0.0.1", None, &[("host", "evil.example"), ("origin", "http://evil.example")]));
    }

    /// An image of a foreign page is asked for without an `Origin`.
    #[test]
    fn pages_may_not_by_get_either() {
        for (site, may) in [("same-origin", true), ("none", true), ("cross-site", false), ("same-site", false), ("", false)] {
            let sent = [("host", "127.0.0.1:9464"), ("sec-fetch-site", site)];
            assert_eq!(admits("127.0.0.1", None, &sent), may, "{site}");
            let bearing = [("host", "127.0.0.1:9464"), ("sec-fetch-site", site), ("authorization", "Bearer secret")];
            assert_eq!(admits("10.1.2.3", Some("secret"), &bearing), may, "{site}");
            let guard = Guard::new([127, 0, 0, 1].into(), None);
            let headers = [(header::HeaderName::from_static("sec-fetch-site"), site.parse().unwrap())].into_iter().collect();
            assert_eq!(guard.refuse_pages(&Uri::from_static("/"), &headers).is_ok(), may, "{site}");
        }
        assert!(!admits(
            "127.0.0.1",
            None,
            &[("host", "127.0.0.1"), ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]
        ));
    }

    #[test]
    fn elsewhere_only_with_the_token() {
        for listen in ["0.0.0.0", "::", "10.1.2.3"] {
            for host in ["127.0.0.1:9464", "10.1.2.3:9464", "box.example"] {
                assert!(!admits(listen, None, &[("host", host)]));
                assert!(!admits(listen, None, &[("host", host), ("authorization", "Bearer secret")]), "there is none");
                for wrong in
                    ["Bearer wrong", "Bearer secret2", "Bearer secre", "Bearer ", "Basic secret", "secret", "Bearer SECRET"]
                {
                    assert!(!admits(listen, Some("secret"), &[("host", host), ("authorization", wrong)]), "{wrong}");
                }
                assert!(admits(listen, Some("secret"), &[("host", host), ("authorization", "bearer secret")]));
            }
        }
        // A token that is set is wanted on loopback too, and makes the name not matter.
        assert!(!admits("127.0.0.1", Some("secret"), &[("host", "127.0.0.1")]));
        assert!(admits("127.0.0.1", Some("secret"), &[("host", "tunnel.example"), ("authorization", "Bearer secret")]));
    }

    #[test]
    fn tokens_are_usable_and_are_not_shown() {
        assert!(["", " \n", "a b", "schlüssel"].iter().all(|text| Token::try_new(text).is_err()));
        let token = Token::try_new(" secret\n").unwrap();
        assert_eq!((format!("{token:?}"), token.header()), ("***".to_owned(), "Bearer secret".to_owned()));
    }

    /// Not a proof, but it would catch a comparison that ends at the first difference: a token that is wrong in its last byte
    /// takes as long as one that is wrong in its first.
    #[test]
    fn a_nearly_right_token_takes_as_long_as_a_wrong_one() {
        let right = "x".repeat(64 * 1024);
        let token = Token::try_new(&right).unwrap();
        let (first, last) = (format!("y{}", &right[1..]), format!("{}y", &right[1..]));
        let time = |given: &str| {
            let one = || {
                let began = crate::clock::now();
                assert!(!token.is(given));
                began.elapsed()
            };
            (0..50).map(|_| one()).min().unwrap().as_secs_f64()
        };
        let ratio = time(&first) / time(&last);
        assert!((0.5..2.0).contains(&ratio), "{ratio}");
    }
}
