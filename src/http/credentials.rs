//! User and password in a URL: sent as basic authentication, and never shown.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

/// The URL as it is requested and shown, and its user and password as basic authentication.
pub(super) fn without_credentials(url: &Url) -> (Cow<'_, Url>, Option<HeaderValue>) {
    if url.username().is_empty() && url.password().is_none() {
        return (Cow::Borrowed(url), None);
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok();
    value.iter_mut().for_each(|value| value.set_sensitive(true));
    let mut url = url.clone();
    // These only fail for URLs without a host, which have no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (Cow::Owned(url), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_move_from_the_url_to_a_header() {
        for (url, shown, value) in [
            ("http://cars.test/x", "http://cars.test/x", None),
            ("http://me:p%40ss@cars.test:81/x?y", "http://cars.test:81/x?y", Some("Basic bWU6cEBzcw==")),
            ("http://me@cars.test/", "http://cars.test/", Some("Basic bWU6")),
            ("http://:secret@cars.test/", "http://cars.test/", Some("Basic OnNlY3JldA==")),
        ] {
            let url = Url::parse(url).unwrap();
            let (clean, header) = without_credentials(&url);
            assert_eq!((clean.as_str(), header.as_ref().map(|header| header.to_str().unwrap())), (shown, value));
            assert!(header.is_none_or(|header| header.is_sensitive()));
        }
    }
}
