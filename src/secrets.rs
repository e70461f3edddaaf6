//! What must never be printed: the forms that a secret takes on its way, and how they are taken out of texts.
//!
//! ```text
//!  s3cret/p w    as it is            s3cret/p w
//!                in URLs             s3cret%2Fp%20w  s3cret%2fp%20w  s3cret%2Fp+w
//!                in JSON and HTML    as it is, here; others have escapes
//!                in base64           by itself, and as a part of something: what does not depend on its neighbors
//! ```

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The base64 of shorter secrets is not looked for: two or three letters of it would stand in many a text.
pub const SHORTEST_FOR_BASE64: usize = 6;

/// What a text that was cut may show of a secret's beginning.
const SHORTEST_TAIL: usize = 3;

/// What JavaScript's `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// A secret, and what it looks like in URLs, JSON, HTML and headers.
pub fn forms(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent = form.replace('+', "%20");
    let path = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let component = utf8_percent_encode(secret, COMPONENT).to_string();
    let plain = percent_decode_str(secret).decode_utf8_lossy().into_owned();
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let quotes = ["&#39;", "&#x27;"].map(|quote| html.replace('\'', quote));
    let lower: Vec<_> = [&form, &percent, &path, &component].into_iter().map(|text| lower_escapes(text)).collect();
    let mut forms =
        vec![secret.to_owned(), plain, form, percent, path, component, ascii_json(&json), json.replace('/', "\\/"), json];
    forms.extend(quotes.into_iter().chain([html]).chain(lower));
    if secret.len() >= SHORTEST_FOR_BASE64 {
        forms.extend([
            STANDARD.encode(secret),
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ]);
        forms.extend((0..3).flat_map(|before| [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|engine| inside(secret, before, engine))));
    }
    forms.retain(|form| !form.is_empty());
    forms.sort();
    forms.dedup();
    forms
}

/// What the base64 of a text has of a secret in it that stands after `before` bytes (or three more, and so on): the characters that
/// are of the secret alone. So `user:password` is found whoever the user is.
fn inside(secret: &str, before: usize, engine: &impl base64::Engine) -> String {
    let encoded = engine.encode([&b"   "[..before], secret.as_bytes()].concat());
    let (start, end) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
    encoded.get(start..end).unwrap_or_default().to_owned()
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut escape = 0;
    text.chars()
        .map(|c| {
            escape = if c == '%' { 3 } else { u8::saturating_sub(escape, 1) };
            if escape > 0 { c.to_ascii_lowercase() } else { c }
        })
        .collect()
}

/// JSON in which other letters than those of ASCII are escapes, as Python writes it.
fn ascii_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

/// Replaces each of `secrets` by `***`. The longest come first: a shorter one may be a part of it.
///
/// What was found is shown up to a length. Where `…` says that a text was cut, the beginning of a secret before it is taken out too.
pub fn mask<'a>(secrets: &[String], text: &'a str) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for secret in secrets {
        if text.contains(secret.as_str()) {
            text = Cow::Owned(text.replace(secret.as_str(), "***"));
        }
    }
    if !secrets.is_empty() && text.contains('…') {
        let pieces: Vec<_> = text.split('…').collect();
        let last = pieces.len() - 1;
        let tail = |piece: &str| secrets.iter().map(|secret| tail_of(piece, secret)).max().unwrap_or(0);
        let tails: Vec<_> = pieces.iter().enumerate().map(|(at, piece)| if at < last { tail(piece) } else { 0 }).collect();
        if tails.iter().any(|tail| *tail > 0) {
            let masked = pieces.iter().zip(&tails).map(|(piece, tail)| match tail {
                0 => Cow::Borrowed(*piece),
                tail => Cow::Owned(format!("{}***", &piece[..piece.len() - tail])),
            });
            text = Cow::Owned(masked.collect::<Vec<_>>().join("…"));
        }
    }
    text
}

/// How many bytes at the end of a text are the beginning of a secret.
fn tail_of(text: &str, secret: &str) -> usize {
    let longest = secret.len().min(text.len());
    (SHORTEST_TAIL..=longest).rev().find(|size| secret.is_char_boundary(*size) && text.ends_with(&secret[..*size])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secret: &str, text: &str) -> String {
        let mut secrets = forms(secret);
        secrets.sort_by_key(|form| std::cmp::Reverse(form.len()));
        mask(&secrets, text).into_owned()
    }

    #[test]
    fn a_secret_is_known_in_each_of_its_forms() {
        let secret = "Qw7/p&ss \"wörd'x";
        for text in [
            secret,
            "Qw7%2Fp%26ss%20%22w%C3%B6rd%27x",
            "Qw7%2fp%26ss%20%22w%c3%b6rd%27x",
            "Qw7%2Fp%26ss+%22w%C3%B6rd%27x",
            "Qw7%2Fp%26ss%20%22w%C3%B6rd'x",
            r#"Qw7/p&ss \"wörd'x"#,
            r#"Qw7/p&ss \"w\u00f6rd'x"#,
            r#"Qw7\/p&ss \"wörd'x"#,
            "Qw7/p&amp;ss &quot;wörd'x",
            "Qw7/p&amp;ss &quot;wörd&#39;x",
            &STANDARD.encode(secret),
            &URL_SAFE_NO_PAD.encode(secret),
        ] {
            assert_eq!(masked(secret, &format!("a={text}.")), "a=***.", "{text}");
        }
    }

    #[test]
    fn base64_is_known_whatever_stands_around_the_secret() {
        let secret = "Qw7-passphrase-very-secret";
        for (before, after) in [("bob:", ""), ("b:", ""), ("bo:", ":x"), ("alice@example.com:", "\n"), ("", ":")] {
            for encoded in
                [STANDARD.encode(format!("{before}{secret}{after}")), URL_SAFE.encode(format!("{before}{secret}{after}"))]
            {
                let shown = masked(secret, &format!("Basic {encoded}"));
                assert!(shown.contains("***") && shown.len() < "Basic ".len() + before.len() * 2 + 16, "{before}: {shown}");
                // What is left of it says nothing but the user.
                let rest: String = shown.trim_start_matches("Basic ").split("***").collect();
                assert!(!secret.contains(rest.trim_end_matches('=')) || rest.is_empty(), "{shown}");
            }
        }
        assert_eq!(masked("abc", "YWJj abc"), "YWJj ***", "too short for its base64");
    }

    #[test]
    fn a_secret_across_a_cut_is_taken_out() {
        let secrets = ["sk-4711-0815-SECRET".to_owned(), "ärger!".to_owned()];
        for (text, expected) in [
            ("found `Bearer sk-4711-08…`, not", "found `Bearer ***…`, not"),
            ("`sk-…` and `sk-4711-0815-SECRET…`", "`***…` and `***…`"),
            ("`sk…`", "`sk…`"),
            ("`är…` `ärg…`", "`***…` `***…`"),
            ("… sk-4711", "… sk-4711"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(mask(&secrets, text), expected);
        }
        assert!(matches!(mask(&secrets, "nothing…"), Cow::Borrowed(_)));
    }
}
