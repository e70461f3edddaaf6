//! Foreign text as a terminal or a log may show it: names come from scenarios, messages from servers. What would steer a terminal,
//! end a line or turn the order of its characters around is written as an escape.
//!
//! ```text
//!  "red \x1b[31m"    →  red \u{1b}[31m
//!  "one\ntwo"        →  one\ntwo         on one line
//!  "admin\u{202e}"   →  admin\u{202e}
//! ```

use std::fmt::Write as _;

/// Whether a character must not reach a terminal as it is: control characters (C0, DEL and C1), separators of lines, and what
/// changes the direction of the text after it.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text on a line of its own. A tab becomes a space, which keeps columns.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

/// A text of several lines, which may be indented by tabs.
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') { out.push(c) } else { push(&mut out, c) }
    }
    out
}

/// A JSON document: it means the same, for these characters only stand in its strings, where they may be escaped.
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if is_unsafe(c) && !matches!(c, '\n' | '\t' | '\r') {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Appends a character of a text on one line.
pub fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push(' '),
        c if is_unsafe(c) => out.extend(c.escape_unicode()),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_everything_else_stays() {
        let table = [
            ("GET /cars · 40 % ✓ é 日本 🚗", "GET /cars · 40 % ✓ é 日本 🚗"),
            ("\x1b]0;title\x07\x1b[2J", "\\u{1b}]0;title\\u{7}\\u{1b}[2J"),
            ("a\nb\r\nc\td", "a\\nb\\r\\nc d"),
            // C1 has sequences of one character: CSI is 9b.
            ("\u{9b}31m\u{85}\u{7f}\0", "\\u{9b}31m\\u{85}\\u{7f}\\u{0}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("\u{61c}\u{200e}\u{200f}", "\\u{61c}\\u{200e}\\u{200f}"),
            ("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}", "\\u{202a}\\u{202b}\\u{202c}\\u{202d}\\u{202e}"),
            ("\u{2066}\u{2067}\u{2068}\u{2069}", "\\u{2066}\\u{2067}\\u{2068}\\u{2069}"),
        ];
        for (text, shown) in table {
            assert_eq!(one_line(text), shown);
            assert!(!one_line(text).contains(is_unsafe));
            assert_eq!(one_line(shown), shown, "a second time changes nothing");
        }
        assert_eq!(lines("a\n\tb\r\n\x1b[1mc\u{202e}"), "a\n\tb\\r\n\\u{1b}[1mc\\u{202e}");
    }

    #[test]
    fn a_json_document_means_the_same() {
        let value = serde_json::json!({ "a\u{9b}": "x\u{202e}y\u{7f}\n\x1b" });
        for text in [value.to_string(), format!("{value:#}\n")] {
            let shown = json(&text);
            assert!(!shown.replace('\n', "").contains(is_unsafe), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
