//! Foreign text in files of all kinds: names come from scenarios, messages from servers. Here, and nowhere else, it is made
//! harmless for each of them.

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
            c if c.is_control() => out.push('\u{fffd}'),
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
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A name or number behind them is looked for even where they are escaped.
            '@' | '#' => out.extend(['\\', c, '\u{2060}']),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' => out.extend(['\\', c]),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A field of CSV as RFC 4180 has it: quoted when it must be. It stays on its line, so that tools that read lines can read it.
pub(crate) fn csv(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
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
}
