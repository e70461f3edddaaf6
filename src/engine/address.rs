//! The URLs of requests whose address is rendered: joined to their base, and made of those that other requests need no more.
//!
//! A URL is parsed into a text of its own, which takes three allocations when it is made anew for each request: a twentieth of
//! what a request costs. Most differ from their base by a path and a query alone, and these are set into one that is there.

use std::cell::RefCell;

use url::{Position, Url};

/// As many are kept for each thread.
const MOST_KEPT: usize = 64;
/// And none that is longer than this.
const LONGEST_KEPT: usize = 1 << 10;

thread_local! {
    static SPARE: RefCell<Vec<Url>> = const { RefCell::new(Vec::new()) };
}

/// An absolute URL as it is, anything else joined to the base.
pub(super) fn join(base: Option<&Url>, text: &str) -> Result<Url, String> {
    let absolute = text.starts_with("http://") || text.starts_with("https://");
    match base {
        Some(base) if is_plain_path(text) && !base.cannot_be_a_base() => Ok(with_path(base, text)),
        Some(base) if !absolute => base.join(text).map_err(|error| not_a_url(text, error)),
        _ => Url::parse(text).map_err(|error| not_a_url(text, error)),
    }
}

/// Takes back what `join` made.
pub(super) fn spare(url: Url) {
    if url.as_str().len() > LONGEST_KEPT {
        return;
    }
    SPARE.with_borrow_mut(|kept| {
        if kept.len() < MOST_KEPT {
            kept.push(url);
        }
    });
}

fn not_a_url(text: &str, error: url::ParseError) -> String {
    format!("`{text}` is not a URL: {error}")
}

/// A path from the root, with a query or without, in which nothing has a meaning that differs between a part of a URL and a whole.
fn is_plain_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//") && text.bytes().all(|byte| byte > b' ' && !matches!(byte, b'#' | b'\\'))
}

fn with_path(base: &Url, text: &str) -> Url {
    let spare = SPARE.with_borrow_mut(Vec::pop).filter(|spare| spare[..Position::BeforePath] == base[..Position::BeforePath]);
    let mut url = spare.unwrap_or_else(|| base.clone());
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    url.set_fragment(None);
    url.set_query(None);
    url.set_path(path);
    if query.is_some() {
        url.set_query(query);
    }
    url
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASES: [&str; 4] =
        ["http://cars.test:81", "https://cars.test/a/b?c#d", "http://me:secret@127.0.0.1:5000/", "http://[::1]:8080/x/"];

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
            assert_eq!(join(Some(&base), text).map(String::from), Ok(wanted.to_owned()), "{text}");
        }
        assert_eq!(join(None, "/x").unwrap_err(), "`/x` is not a URL: relative URL without a base");
    }

    proptest! {
        /// In whatever order bases come, and whatever the one before was.
        #[test]
        fn joining_is_what_the_crate_does(all in prop::collection::vec((0..BASES.len(), "/[a-c./?%&=;:@\\PC]{0,12}"), 1..8)) {
            for (base, text) in all {
                let base = Url::parse(BASES[base]).unwrap();
                let joined = join(Some(&base), &text);
                prop_assert_eq!(joined.clone().ok(), base.join(&text).ok(), "{:?}", text);
                joined.into_iter().for_each(spare);
            }
        }
    }
}
