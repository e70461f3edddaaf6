//! A JSONPath that is evaluated in steps, each of which is linear in the document.
//!
//! ```text
//!  $..*..id   →   $..*  of the document, then  $..id  of each value that it found
//! ```
//!
//! The library evaluates a path at one go, and each `..` multiplies what the one before has found: 145 KB of JSON became 630 MiB.

use serde_json::Value;
use serde_json_path::{JsonPath, ParseError};

use super::budget::Budget;

/// Values that a JSONPath (RFC 9535) selects.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    whole: JsonPath,
    /// One path for each segment, where evaluating the whole of them could multiply.
    segments: Vec<JsonPath>,
    /// A filter looks at the whole document for each value.
    looks_at_root: bool,
}

/// A path whose filters look at the whole document is evaluated on documents of so many values: each may look at all.
const MOST_SQUARED: usize = 5_000;

impl Path {
    /// # Errors
    /// What is wrong with the path.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let whole = JsonPath::parse(text)?;
        let multiplies = text.contains("..") || text.contains(',') || text.contains('?');
        let looks_at_root = multiplies && text.get(1..).is_some_and(|rest| outside_strings(rest).any(|(_, byte)| byte == b'$'));
        let parts = if multiplies && !looks_at_root { segments(text) } else { None };
        let parsed = parts.map(|parts| parts.iter().map(|part| JsonPath::parse(&format!("${part}"))).collect());
        let segments = match parsed {
            Some(Ok(segments)) => segments,
            Some(Err(_)) | None => Vec::new(),
        };
        // One step is as good as the whole.
        let segments = if segments.len() > 1 { segments } else { Vec::new() };
        Ok(Self { whole, segments, looks_at_root })
    }

    /// What it finds, in order.
    ///
    /// # Errors
    /// The budget has run out.
    pub fn find<'a>(&self, document: &'a Value, budget: &Budget<'_>) -> Result<Vec<&'a Value>, String> {
        if self.looks_at_root && !has_at_most(document, &mut { MOST_SQUARED }) {
            return Err(format!(
                "a filter with `$` looks at all of the document for each of its values, of which it may have {MOST_SQUARED}; \
                 look for less, or have the target send less"
            ));
        }
        if self.segments.is_empty() {
            return Ok(self.whole.query(document).all());
        }
        const EACH: usize = 2 * size_of::<&Value>();
        let mut found = vec![document];
        for segment in &self.segments {
            let mut next = Vec::new();
            for value in found.iter().copied() {
                if !budget.has_time_for_short() {
                    break;
                }
                let more = segment.query(value).all();
                // What one step holds is about a value's own size, and long gone when the next one begins.
                if more.len() > 1000 && !budget.has_time() || !budget.take(more.len() * EACH) {
                    break;
                }
                next.extend(more);
            }
            budget.give_back(found.len() * EACH);
            budget.check()?;
            found = next;
        }
        budget.give_back(found.len() * EACH);
        Ok(found)
    }
}

/// Whether a document has no more values than that.
fn has_at_most(value: &Value, left: &mut usize) -> bool {
    match left.checked_sub(1) {
        None => return false,
        Some(less) => *left = less,
    }
    match value {
        Value::Array(items) => items.iter().all(|item| has_at_most(item, left)),
        Value::Object(members) => members.values().all(|member| has_at_most(member, left)),
        _ => true,
    }
}

/// The bytes of a path that are not in its quoted names, with their positions.
fn outside_strings(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut quote, mut escaped) = (None, false);
    text.bytes().enumerate().filter(move |(_, byte)| match quote {
        None => {
            if matches!(byte, b'\'' | b'"') {
                quote = Some(*byte);
            }
            true
        }
        Some(end) => {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                byte if *byte == end => quote = None,
                _ => {}
            }
            false
        }
    })
}

/// The segments of a path, without its `$`; `None` if it is none that is understood here.
fn segments(text: &str) -> Option<Vec<&str>> {
    let rest = text.strip_prefix('$')?;
    let (mut starts, mut depth, mut after_dots) = (Vec::new(), 0u32, false);
    for (at, byte) in outside_strings(rest) {
        match byte {
            b'[' => {
                if depth == 0 && !after_dots {
                    starts.push(at);
                }
                depth += 1;
            }
            b']' => depth = depth.checked_sub(1)?,
            b'.' if depth == 0 && rest.as_bytes().get(at.wrapping_sub(1)) != Some(&b'.') => starts.push(at),
            _ => {}
        }
        after_dots = byte == b'.' || (after_dots && byte.is_ascii_whitespace());
    }
    let ends = starts.iter().skip(1).copied().chain([rest.len()]);
    starts.iter().zip(ends).map(|(start, end)| rest.get(*start..end).map(str::trim)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn segments_of_a_path() {
        for (path, parts) in [
            ("$", vec![]),
            ("$.a.b", vec![".a", ".b"]),
            ("$..a[0]", vec!["..a", "[0]"]),
            ("$..[0]..*['x.y[']", vec!["..[0]", "..*", "['x.y[']"]),
            ("$[?@.a[0] == '.'].b", vec!["[?@.a[0] == '.']", ".b"]),
            ("$[ 'a' , 'b' ] .c", vec!["[ 'a' , 'b' ]", ".c"]),
        ] {
            assert_eq!(segments(path), Some(parts), "{path}");
        }
    }

    #[test]
    fn steps_find_what_the_whole_finds() {
        let document = json!({"a": [{"b": [1, {"c": 2}], "x.y[": 3}, {"b": {"c": [4, 5]}}], "c": {"c": {"c": 6}}, "e'": [7]});
        for path in [
            "$",
            "$.a",
            "$..c",
            "$..*",
            "$..*..c",
            "$..c..c",
            "$..*..*",
            "$.a[0,1,0]..b",
            "$..['b','c'][0]",
            "$..[?@.c].c",
            "$.a[?@.b[0] == 1]..c",
            "$..['x.y[']",
            "$[\"e'\"][*]",
            "$.a[0:2]..b[*]",
            "$..[?@ == $.c.c.c]",
            "$..a..b..c",
        ] {
            let parsed = Path::parse(path).unwrap();
            let whole: Vec<_> = JsonPath::parse(path).unwrap().query(&document).all();
            assert_eq!(parsed.find(&document, &Budget::default()).unwrap(), whole, "{path}");
        }
    }

    #[test]
    fn what_multiplies_is_stopped() {
        let mut deep = json!(0);
        for _ in 0..100 {
            deep = json!([deep, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]);
        }
        for path in ["$..*..*..*", "$..[0,0,0,0]..[0,0,0,0]..[0,1,0,1,0,1]"] {
            let budget = Budget::default();
            let error = Path::parse(path).unwrap().find(&deep, &budget).unwrap_err();
            assert!(error.starts_with("to look into the response "), "{path}: {error}");
        }
        let wide = json!(vec![1; 10_000]);
        let error = Path::parse("$[?count($..*) > 1]").unwrap().find(&wide, &Budget::default()).unwrap_err();
        assert!(error.starts_with("a filter with `$` looks at all"), "{error}");
    }
}
