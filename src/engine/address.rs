//! The addresses of requests, rendered: most differ from their base by a path and a query alone, which are sent as they are.
//!
//! A URL has a text of its own, is parsed, and its parts are looked at and encoded one by one. Made anew for each request, that is
//! a twentieth of what a request costs; so it is made only where something depends on it: a cookie, a redirect, a span.

use std::cell::RefCell;

use url::Url;

use super::lent::Lent;
use crate::http::with_path;

/// Where a request goes: a URL, and what is asked for in place of its path and query, if that is to be sent as it is.
pub(super) type Target<'a> = (Lent<'a, Url>, Option<String>);

/// As many texts are kept for each thread, about as many as there are requests underway when all that has arrived was read.
const MOST_KEPT: usize = 256;
/// And none that has grown larger than this.
const LARGEST_KEPT: usize = 1 << 10;

thread_local! {
    /// Where addresses are rendered; kept for their allocation.
    static SPARE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// An empty text.
pub(super) fn text() -> String {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes back what `text` gave.
pub(super) fn spare(mut text: String) {
    if text.capacity() > LARGEST_KEPT {
        return;
    }
    text.clear();
    SPARE.with_borrow_mut(|kept| {
        if kept.len() < MOST_KEPT {
            kept.push(text);
        }
    });
}

/// An absolute URL as it is, anything else joined to the base.
pub(super) fn join(base: Option<&Url>, text: String) -> Result<Target<'_>, String> {
    let absolute = text.starts_with("http://") || text.starts_with("https://");
    let url = match base {
        Some(base) if is_path(&text) && !base.cannot_be_a_base() => match is_sent_as_it_is(&text) {
            true => return Ok((Lent::Borrowed(base), Some(text))),
            false => Ok(with_path(base, &text)),
        },
        Some(base) if !absolute => base.join(&text),
        _ => Url::parse(&text),
    };
    let url = url.map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    spare(text);
    Ok((Lent::Owned(Box::new(url)), None))
}

/// A path from the root, with a query or without, in which nothing has a meaning that differs between a part of a URL and a whole.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//") && text.bytes().all(|byte| byte > b' ' && !matches!(byte, b'#' | b'\\'))
}

/// Whether a URL with this path and query has them letter by letter: nothing is to be encoded, and no segment leads elsewhere.
fn is_sent_as_it_is(path: &str) -> bool {
    // A percent sign may stand for a dot.
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~' | b'?' | b'=' | b'&' | b',' | b':' | b';' | b'@' | b'+')
    };
    path.bytes().all(is_plain) && !path.contains("/.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Position;

    use super::*;

    const BASES: [&str; 4] =
        ["http://cars.test:81", "https://cars.test/a/b?c#d", "http://me:secret@127.0.0.1:5000/", "http://[::1]:8080/x/"];

    fn url(base: &Url, text: &str) -> Result<Url, String> {
        let (url, path) = join(Some(base), text.to_owned())?;
        Ok(path.map_or_else(|| (*url).clone(), |path| with_path(base, &path)))
    }

    #[test]
    fn addresses_are_absolute_or_relative_to_the_base() {
        let base = Url::parse("http://cars.test:81/a/b?c").unwrap();
        for (text, wanted) in [
            ("/x/../y/./1?q=1&r", "http://cars.test:81/y/1?q=1&r"),
            ("/ü?ö", "http://cars.test:81/%C3%BC?%C3%B6"),
            ("/x#f", "http://cars.test:81/x#f"),
            ("x", "http://cars.test:81/a/x"),
            ("?z", "http://cars.test:81/a/b?z"),
            ("//vans.test/x", "http://vans.test/x"),
            ("https://vans.test/x", "https://vans.test/x"),
        ] {
            assert_eq!(url(&base, text).map(String::from), Ok(wanted.to_owned()), "{text}");
        }
        assert_eq!(join(None, "/x".to_owned()).unwrap_err(), "`/x` is not a URL: relative URL without a base");
    }

    proptest! {
        #[test]
        fn joining_is_what_the_crate_does(base in 0..BASES.len(), text in "/[a-c./?%&=;:@\\PC]{0,12}") {
            let base = Url::parse(BASES[base]).unwrap();
            prop_assert_eq!(url(&base, &text).ok(), base.join(&text).ok(), "{:?}", text);
        }

        /// What is taken for plain really goes over the wire as it is.
        #[test]
        fn a_path_is_sent_letter_by_letter(base in 0..BASES.len(), text in "/[ -~]{0,12}") {
            let base = Url::parse(BASES[base]).unwrap();
            if let Ok((_, Some(path))) = join(Some(&base), text) {
                let joined = base.join(&path).unwrap();
                prop_assert_eq!(&joined[Position::BeforePath..Position::AfterQuery], path);
            }
        }
    }
}
