//! Who sends a request: what goes into its header `authorization`.

mod oauth2;
mod sigv4;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

pub use oauth2::{Grant, TokenSource};
pub use sigv4::{Keys, sign};

/// User and password as basic authentication (RFC 7617); `None` if the user has a colon.
pub fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    (!user.contains(':')).then(|| secret(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))).flatten()
}

/// A value that is never shown.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_that_of_the_standard() {
        // RFC 7617, 2.
        let value = basic("Aladdin", "open sesame").unwrap();
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
        assert_eq!(basic("test", "123\u{a3}").unwrap(), "Basic dGVzdDoxMjPCow==", "RFC 7617, 2.1");
        assert_eq!(basic("a:b", "c"), None);
    }
}
