//! Foreign text in files of all kinds: names come from scenarios, messages from servers. Here, and nowhere else, it is made
//! harmless for each of them.

use crate::printable::is_unsafe;

/// Between tags of HTML, and in attributes.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_unsafe(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Between tags of XML 1.0, and in attributes: it has less characters than HTML. Lines stay lines, also in attributes.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push_str(&html(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// In Markdown, as plain text on its line: it makes neither cells nor emphasis nor links nor tags, and calls nobody.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A name or number behind them is looked for even where they are escaped.
            '@' | '#' => out.extend(['\\', c, JOINER]),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' => out.extend(['\\', c]),
            c if is_unsafe(c) => out.push('\u{fffd}'),
            c if makes_link(&text[..at], c) => out.extend([JOINER, c]),
            c => out.push(c),
        }
    }
    out
}

/// In Markdown, a foreign name between tags of HTML: in it nothing is a link, and nobody is called.
pub(crate) fn markdown_code(text: &str) -> String {
    let mut out = String::from("<code>");
    for (at, c) in text.char_indices() {
        match c {
            // The tags are HTML's, so Markdown would still see its own signs.
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '$' | '#' => out.push_str(&format!("&#{};", u32::from(c))),
            '@' => out.extend([c, JOINER]),
            // Written as a number, it is still copied as it is.
            c if makes_link(&text[..at], c) => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push_str(&html(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str("</code>");
    out
}

/// Not seen, and no part of a word or an address.
const JOINER: char = '\u{2060}';

/// Whether this character makes what is before it the beginning of an address that is linked by itself: `https://`, `www.`
fn makes_link(before: &str, c: char) -> bool {
    let ends_with = |end: &str| {
        before.len().checked_sub(end.len()).and_then(|at| before.get(at..)).is_some_and(|last| last.eq_ignore_ascii_case(end))
    };
    (c == '/' && ends_with(":")) || (c == '.' && ends_with("www"))
}

/// A field of CSV as RFC 4180 has it: quoted when it must be. It stays on its line, so that tools that read lines can read it.
pub(crate) fn csv(text: &str) -> String {
    let text: String = text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect();
    if text.contains([',', '"']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "<a b=\"c\" d='e'>&\u{1b}|x|,*y*_@z #1 `\u{ffff}`\n";

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(html(EVIL), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;\u{fffd}|x|,*y*_@z #1 `\u{ffff}`\u{fffd}");
        assert_eq!(xml(EVIL), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;\u{fffd}|x|,*y*_@z #1 `\u{fffd}`&#10;");
        let expected = "&lt;a b=\"c\" d='e'&gt;&amp;\u{fffd}\\|x\\|,\\*y\\*\\_\\@\u{2060}z \\#\u{2060}1 \\`\u{ffff}\\`\u{fffd}";
        assert_eq!(markdown(EVIL), expected);
        assert_eq!(csv(EVIL), "\"<a b=\"\"c\"\" d='e'>&\u{fffd}|x|,*y*_@z #1 `\u{ffff}`\u{fffd}\"");
        assert_eq!([csv("GET /x"), csv(" x")], ["GET /x", "\" x\""]);
    }

    #[test]
    fn addresses_are_not_linked_and_keep_their_look() {
        let table = [
            ("see https://a.b/c", "see https:\u{2060}//a.b/c", "see https:&#47;/a.b/c"),
            ("FTP://a WWW.b www.c", "FTP:\u{2060}//a WWW\u{2060}.b www\u{2060}.c", "FTP:&#47;/a WWW&#46;b www&#46;c"),
            ("me@a.b", "me\\@\u{2060}a.b", "me@\u{2060}a.b"),
            ("a/b ww.c 10:30 ü.w", "a/b ww.c 10:30 ü.w", "a/b ww.c 10:30 ü.w"),
            ("a|`b`#1<i>", "a\\|\\`b\\`\\#\u{2060}1&lt;i&gt;", "a&#124;&#96;b&#96;&#35;1&lt;i&gt;"),
        ];
        for (text, plain, code) in table {
            assert_eq!((markdown(text), markdown_code(text)), (plain.to_owned(), format!("<code>{code}</code>")));
        }
    }

    #[test]
    fn what_turns_the_direction_of_text_is_in_no_report() {
        let text = "a\u{202e}b\u{2066}c\u{200f}d\u{9b}e";
        let shown = "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e";
        assert_eq!([html(text), xml(text), markdown(text), csv(text)], [shown; 4]);
        assert_eq!(markdown_code(text), format!("<code>{shown}</code>"));
    }
}
