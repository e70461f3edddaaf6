//! What a span says of its URL: `url.full` without credentials, the server's address and port, and the template that the
//! request's name gives. All of it works on the text, so that what is shown is what was sent, but for what is masked.

/// What takes the place of a credential, as the conventions have it.
const REDACTED: &str = "REDACTED";

/// Keys of a query whose values sign a URL. The first four are those of the conventions, the others are those of AWS'
/// signatures of version 4.
const SIGNING: [&str; 7] =
    ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Signature"];

/// A URL, taken apart as far as it is needed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts<'a> {
    scheme: &'a str,
    userinfo: Option<&'a str>,
    /// Host and port.
    server: &'a str,
    path: &'a str,
    /// With its question mark; empty if there is none.
    query: &'a str,
    /// With its `#`.
    fragment: &'a str,
}

/// The URL without user, password and signatures. What is no absolute URL stays as it is, but for the query.
pub(super) fn redacted(url: &str) -> String {
    let Parts { scheme, userinfo, server, path, query, fragment } = parts(url);
    let mut out = String::with_capacity(url.len());
    if !scheme.is_empty() {
        out.push_str(scheme);
        out.push_str("://");
    }
    if userinfo.is_some() {
        out.push_str(&format!("{REDACTED}:{REDACTED}@"));
    }
    out.push_str(server);
    out.push_str(path);
    for (at, pair) in query.strip_prefix('?').into_iter().flat_map(|query| query.split('&')).enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, _)) if SIGNING.contains(&key) => out.push_str(&format!("{key}={REDACTED}")),
            _ => out.push_str(pair),
        }
    }
    out + fragment
}

/// `server.address` and `server.port`; the port is that of the scheme if the URL has none.
pub(super) fn server(url: &str) -> Option<(&str, u16)> {
    let Parts { scheme, server, .. } = parts(url);
    // The colons of an IPv6 address are within brackets.
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (server, ""),
    };
    let port = match port {
        "" if scheme.eq_ignore_ascii_case("https") => 443,
        "" => 80,
        port => port.parse().ok()?,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some((host, port))
}

/// `url.template`, if the request's name gives one: `/cars/{id}` for `GET /cars/{id}`, and for `/cars/{id}`.
pub(super) fn template(request: &str) -> Option<&str> {
    let path = match request.split_once(' ') {
        Some((method, path)) if !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()) => path,
        _ => request,
    };
    (path.starts_with('/') && !path.contains(' ')).then_some(path)
}

/// Whether a URL has the form of a template. A redirect leads elsewhere, and then the request's name is not the name of it.
pub(super) fn fits(url: &str, template: &str) -> bool {
    let mut actual = parts(url).path.split('/');
    let mut wanted = template.split(['?', '#']).next().unwrap_or_default().split('/');
    loop {
        match (actual.next(), wanted.next()) {
            (None, None) => return true,
            (Some(actual), Some(wanted)) if actual == wanted || wanted.contains('{') => {}
            _ => return false,
        }
    }
}

fn parts(url: &str) -> Parts<'_> {
    let (rest, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let (rest, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let Some((scheme, rest)) = rest.split_once("://") else {
        return Parts { scheme: "", userinfo: None, server: "", path: rest, query, fragment };
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (userinfo, server) = match authority.rsplit_once('@') {
        Some((userinfo, server)) => (Some(userinfo), server),
        None => (None, authority),
    };
    Parts { scheme, userinfo, server, path, query, fragment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_redacted_and_the_rest_is_as_it_was() {
        for (url, wanted) in [
            ("http://127.0.0.1:5000/cars", "http://127.0.0.1:5000/cars"),
            ("https://me:pass@example.com/", "https://REDACTED:REDACTED@example.com/"),
            ("https://me:***@example.com:8443/a?b=c#d", "https://REDACTED:REDACTED@example.com:8443/a?b=c#d"),
            ("https://me@example.com", "https://REDACTED:REDACTED@example.com"),
            ("https://a@b@example.com/x", "https://REDACTED:REDACTED@example.com/x"),
            ("https://example.com/user@home?to=a@b", "https://example.com/user@home?to=a@b"),
            ("https://example.com?u=http://a:b@c/", "https://example.com?u=http://a:b@c/"),
            ("https://x.com/p?color=blue&sig=abc", "https://x.com/p?color=blue&sig=REDACTED"),
            (
                "https://x.com/p?sig=a&Signature=b&AWSAccessKeyId=c",
                "https://x.com/p?sig=REDACTED&Signature=REDACTED&AWSAccessKeyId=REDACTED",
            ),
            ("https://x.com/p?X-Goog-Signature=a=b&z#sig=1", "https://x.com/p?X-Goog-Signature=REDACTED&z#sig=1"),
            (
                "https://x.com/p?X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-Date=c",
                "https://x.com/p?X-Amz-Credential=REDACTED&X-Amz-Signature=REDACTED&X-Amz-Date=c",
            ),
            // Keys are compared as they are written.
            ("https://x.com/p?Sig=a&signature=b&sig", "https://x.com/p?Sig=a&signature=b&sig"),
            ("https://x.com/p?", "https://x.com/p?"),
            ("https://x.com/p?&sig=", "https://x.com/p?&sig=REDACTED"),
            ("/cars?sig=a", "/cars?sig=REDACTED"),
            ("", ""),
        ] {
            assert_eq!(redacted(url), wanted, "{url}");
        }
    }

    #[test]
    fn servers() {
        for (url, wanted) in [
            ("http://127.0.0.1:5000/cars", Some(("127.0.0.1", 5000))),
            ("http://example.com/a:1", Some(("example.com", 80))),
            ("HTTPS://example.com", Some(("example.com", 443))),
            ("https://me:pass@example.com?a=b", Some(("example.com", 443))),
            ("http://[::1]:8080/", Some(("::1", 8080))),
            ("https://[2001:db8::1]/", Some(("2001:db8::1", 443))),
            ("http://a:99999/", None),
            ("http:///cars", None),
            ("/cars", None),
        ] {
            assert_eq!(server(url), wanted, "{url}");
        }
    }

    #[test]
    fn templates() {
        for (request, wanted) in [
            ("GET /cars/{id}", Some("/cars/{id}")),
            ("/cars/{id}", Some("/cars/{id}")),
            ("PURGE /", Some("/")),
            ("GET /cars?id={id}", Some("/cars?id={id}")),
            ("log in", None),
            ("GET cars", None),
            ("Get /cars", None),
            ("/cars and more", None),
            ("GET /cars (warm)", None),
            ("", None),
        ] {
            assert_eq!(template(request), wanted, "{request}");
        }
    }

    #[test]
    fn a_url_fits_its_template() {
        for (url, template, wanted) in [
            ("http://a/cars/7?x=/y", "/cars/{id}", true),
            ("http://a/cars/7/parts", "/cars/{id}/parts", true),
            ("http://a/cars/7", "/cars/{id}?x={x}", true),
            ("http://a/cars", "/cars/{id}", false),
            ("http://a/cars/7/parts", "/cars/{id}", false),
            ("http://a/home", "/login", false),
            ("http://a", "/", false),
        ] {
            assert_eq!(fits(url, template), wanted, "{url} {template}");
        }
    }
}
