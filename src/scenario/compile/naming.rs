//! What metrics call tests, user types, tasks and requests: names are labels, so they must be few and always the same.

use std::ops::Range;

use super::Compiler;
use crate::scenario::document::model::RequestKeys;
use crate::scenario::document::read::Placed;

/// Longer names are a mistake, and expensive in every series.
const LONGEST_NAME: usize = 200;

impl Compiler<'_> {
    /// Names become labels: not empty, not endless, the same each time.
    pub(super) fn check_name(&mut self, name: &Placed<String>, what: &str) -> bool {
        let length = name.value.chars().count();
        let problem = if name.value.trim().is_empty() {
            self.error(&name.range, format!("{what} cannot be empty"))
        } else if name.value.chars().any(char::is_control) {
            self.error(&name.range, format!("{what} is one line without control characters"))
        } else if is_template(&name.value) {
            self.error(&name.range, format!("{what} must always be the same, but here is a template"))
                .hint(format!("write what varies as a word: `{}`", worded(&name.value)))
        } else if length > LONGEST_NAME {
            self.error(&name.range, format!("{what} has at most {LONGEST_NAME} characters, and this has {length}"))
        } else {
            return true;
        };
        self.problems.push(problem);
        false
    }

    /// What metrics call a request without a name of its own: its method and path. Nothing when that would vary.
    pub(super) fn default_name(&self, keys: &RequestKeys<'_>) -> Option<(String, Range<usize>)> {
        let (method, url) = keys.method_and_url()?;
        let path = path_of(&url.value);
        (!is_template(path)).then(|| (format!("{} {path}", method.value), url.range.clone()))
    }

    pub(super) fn request_name(&mut self, keys: &RequestKeys<'_>) -> Option<String> {
        if let Some(name) = keys.name.given() {
            return self.check_name(name, "a request's name").then(|| name.value.clone());
        }
        if !keys.name.is_absent() {
            return None;
        }
        let (method, url) = keys.method_and_url()?;
        match self.default_name(keys) {
            Some((name, range)) => self.check_name(&Placed { value: name.clone(), range }, "a request's name").then_some(name),
            None => {
                let name = format!("{} {}", method.value, worded(path_of(&url.value)));
                let message = "this URL has a template, so the request needs a name that is always the same";
                self.push(&url.range, message, format!("add `name: {}`; metrics carry it", yaml_text(&name)));
                None
            }
        }
    }
}

fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| text.contains(open))
}

/// The path as it is written: without scheme, host, query and fragment.
fn path_of(url: &str) -> &str {
    let url = url.trim();
    let after_host = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?', '{']) => match rest.find('/') {
            // A host that varies does not matter to the name, as long as the path is there.
            Some(slash) => &rest[slash..],
            None => "/",
        },
        _ => url,
    };
    let mut depth = 0usize;
    let end = after_host
        .char_indices()
        .find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(c, '?' | '#')
        })
        .map_or(after_host.len(), |(at, _)| at);
    if end == 0 { "/" } else { &after_host[..end] }
}

/// A text whose templates have become words: `/cars/{{ car.id }}` is `/cars/{id}`.
fn worded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        let Some(length) = rest[start..].find("}}") else {
            rest = &rest[start..];
            break;
        };
        let expression = rest[start + 2..start + length].trim();
        let head = expression.split(['(', '|', ' ', '[']).next().unwrap_or_default();
        let word = head.rsplit('.').next().unwrap_or_default().to_lowercase();
        out.push_str(&format!("{{{}}}", if word.is_empty() { "value" } else { &word }));
        rest = &rest[start + length + 2..];
    }
    out + rest
}

/// A text as YAML, in quotes where it needs them.
fn yaml_text(text: &str) -> String {
    if text.contains(": ") || text.contains(" #") || text.contains('"') {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_stands_between_host_and_query() {
        for (url, path) in [
            ("/cars", "/cars"),
            ("/cars?x={{ id }}", "/cars"),
            ("http://x:1/cars/7#top", "/cars/7"),
            ("https://x", "/"),
            ("http://x?y=1", "/"),
            ("/cars/{{ id if id else '?' }}/x?y", "/cars/{{ id if id else '?' }}/x"),
            ("{{ env.HOST }}/cars", "{{ env.HOST }}/cars"),
            ("/go?to=http://x/y", "/go"),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }

    #[test]
    fn templates_become_words() {
        for (text, word) in [
            ("/cars/{{ id }}", "/cars/{id}"),
            ("/cars/{{ car.id | urlencode }}/{{ random_int(1, 5) }}", "/cars/{id}/{random_int}"),
            ("{{ env.HOST }}/x", "{host}/x"),
            ("/a{{ '' }}", "/a{''}"),
            ("/a{{ ", "/a{{ "),
        ] {
            assert_eq!(worded(text), word);
        }
    }
}
