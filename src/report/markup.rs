//! What all pages share: how links and data get into HTML, and the look.

use serde::Serialize;

pub(super) use super::escape::html as escape;

/// Colours, text, sections and tables; each page adds what is its own.
pub(super) const STYLE: &str = include_str!("markup.css");

/// A link comes from a file: only one that a browser fetches may be clicked.
pub(super) fn link(text: &str, link: Option<&str>) -> String {
    match link.filter(|link| link.starts_with("http://") || link.starts_with("https://")) {
        Some(link) => format!("<a href=\"{}\"><code>{}</code></a>", escape(link), escape(text)),
        None => format!("<code>{}</code>", escape(text)),
    }
}

/// JSON that may stand in a `<script>`: nothing in it can end the element or begin a comment, and it is JavaScript too.
pub(super) fn json_in_script(data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_links_are_links() {
        assert_eq!(link("<t>", Some("https://t/\"x")), "<a href=\"https://t/&quot;x\"><code>&lt;t&gt;</code></a>");
        assert_eq!(link("t", Some("javascript:alert(1)")), "<code>t</code>");
        assert_eq!(link("t", None), "<code>t</code>");
    }

    #[test]
    fn data_cannot_end_its_script() {
        let text = "</script><!--<script>&\u{2028}\u{2029}é\"";
        let json = json_in_script(&text);
        assert_eq!(json, r#""\u003c/script\u003e\u003c!--\u003cscript\u003e\u0026\u2028\u2029é\"""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
