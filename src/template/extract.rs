//! Values out of responses: by JSONPath, regular expression or CSS selector.
//!
//! What a user keeps is bounded: a value of more than [`LARGEST`] bytes, or more than [`MOST`] of them, is an error and not a
//! capture.

use std::borrow::Cow;

use super::budget::Budget;
use super::path::Path;
use super::{Random, Value, from_json, page};
use regex::Regex;
use scraper::{ElementRef, Html, Selector};

/// Which of several values are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    First,
    /// One of them.
    Random,
    /// A list of all.
    All,
}

/// A selector of HTML elements, and what is taken of them.
#[derive(Debug)]
pub struct Css {
    selector: Selector,
    written: Box<str>,
    /// It may look at all siblings, or at all that is within, for each element.
    slow: bool,
    /// Otherwise the text.
    attribute: Option<Box<str>>,
}

/// A captured value has at most so many bytes; a list of them, all together.
pub const LARGEST: usize = 1 << 20;

/// At most so many values are found.
pub const MOST: usize = 10_000;

impl Pick {
    /// What is taken of what was found; `None` if nothing was.
    ///
    /// # Errors
    /// It is too much, or the budget has run out.
    pub fn of<T>(
        self,
        found: impl Iterator<Item = T>,
        random: &mut Random,
        budget: &Budget<'_>,
        size: impl Fn(&T) -> usize,
        value: impl Fn(T) -> Value,
    ) -> Result<Option<Value>, String> {
        let fits = |bytes: usize| if bytes <= LARGEST { Ok(()) } else { Err(format!("it is larger than {} MiB", LARGEST >> 20)) };
        let mut found = found;
        if self == Self::First {
            let first = found.next();
            budget.check()?;
            let Some(first) = first else { return Ok(None) };
            fits(size(&first))?;
            return Ok(Some(value(first)));
        }
        let (mut all, mut held, mut total) = (Vec::new(), 0usize, 0usize);
        for one in found {
            let bytes = size(&one);
            (held, total) = (held + bytes + std::mem::size_of::<T>(), total.saturating_add(bytes));
            if all.len() == MOST {
                return Err(format!("there are more than {MOST}"));
            }
            if self == Self::All {
                fits(total)?;
            }
            if !budget.take(bytes + std::mem::size_of::<T>()) || !budget.has_time_for_short() {
                break;
            }
            all.push(one);
        }
        budget.give_back(held);
        budget.check()?;
        if all.is_empty() {
            return Ok(None);
        }
        if self == Self::Random {
            let one = all.swap_remove(random.below(all.len() as u64) as usize);
            fits(size(&one))?;
            return Ok(Some(value(one)));
        }
        Ok(Some(all.into_iter().map(value).collect()))
    }
}

/// What a JSONPath finds.
///
/// # Errors
/// It is too much.
pub fn json(
    document: &serde_json::Value,
    path: &Path,
    pick: Pick,
    random: &mut Random,
    budget: &Budget<'_>,
) -> Result<Option<Value>, String> {
    pick.of(path.find(document, budget)?.into_iter(), random, budget, |found| size_of(found), from_json)
}

/// What a group of a regular expression matches.
///
/// # Errors
/// It is too much.
pub fn regex(
    text: &str,
    pattern: &Regex,
    group: usize,
    pick: Pick,
    random: &mut Random,
    budget: &Budget<'_>,
) -> Result<Option<Value>, String> {
    // A single match is found in linear time, but looking for the next one may go through the whole text again.
    if group == 0 {
        let found = pattern.find_iter(text).take_while(|_| budget.has_time());
        return texts(found.map(|found| Cow::Borrowed(found.as_str())), pick, random, budget);
    }
    let found = pattern.captures_iter(text).take_while(|_| budget.has_time()).filter_map(|found| found.get(group));
    texts(found.map(|found| Cow::Borrowed(found.as_str())), pick, random, budget)
}

/// Texts, such as the values of headers of one name.
///
/// # Errors
/// They are too much.
pub fn texts<'a>(
    found: impl Iterator<Item = Cow<'a, str>>,
    pick: Pick,
    random: &mut Random,
    budget: &Budget<'_>,
) -> Result<Option<Value>, String> {
    pick.of(found, random, budget, |text| text.len(), |text| Value::from(&*text))
}

/// About how many bytes a value takes as JSON.
fn size_of(value: &serde_json::Value) -> usize {
    use serde_json::Value as Json;
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
        Json::String(text) => text.len() + 2,
        Json::Array(items) => items.iter().map(|item| size_of(item) + 1).sum::<usize>() + 2,
        Json::Object(members) => members.iter().map(|(name, value)| name.len() + 4 + size_of(value)).sum::<usize>() + 2,
    }
}

// === impl Css ===

impl Css {
    /// # Errors
    /// What is wrong with the selector, as a sentence.
    pub fn parse(selector: &str, attribute: Option<&str>) -> Result<Self, String> {
        let parsed = Selector::parse(selector).map_err(|error| match error.to_string() {
            // What the library has no words for.
            text if text.contains("Please report") => "it is not understood".to_owned(),
            text => text.to_lowercase().replace("eol", "end"),
        })?;
        let slow = selector.replace("~=", "").contains('~') || selector.contains(":has");
        Ok(Self { selector: parsed, written: selector.into(), slow, attribute: attribute.map(Into::into) })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.written
    }

    pub fn attribute(&self) -> Option<&str> {
        self.attribute.as_deref()
    }

    /// What it finds in a page. An element without the attribute is none.
    ///
    /// # Errors
    /// It is too much.
    pub fn find(&self, page: &Html, pick: Pick, random: &mut Random, budget: &Budget<'_>) -> Result<Option<Value>, String> {
        let elements = page::select(page, &self.selector, self.slow, budget);
        match &self.attribute {
            Some(attribute) => {
                let values = elements.filter_map(|element| element.attr(attribute));
                texts(values.map(Cow::Borrowed), pick, random, budget)
            }
            None => texts(elements.map(text_of), pick, random, budget),
        }
    }
}

/// The text of an element, without the space around it.
fn text_of(element: ElementRef<'_>) -> Cow<'_, str> {
    let mut parts = element.text();
    match (parts.next(), parts.next()) {
        (None, _) => Cow::Borrowed(""),
        (Some(only), None) => Cow::Borrowed(only.trim()),
        (Some(first), Some(second)) => {
            let mut text = String::from(first) + second;
            parts.for_each(|part| text.push_str(part));
            Cow::Owned(text.trim().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> Random {
        Random::new(1, 1)
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn json_keeps_types_and_picks() {
        let document = serde_json::json!({"cars": [{"id": 1}, {"id": 2}, {"id": 3}], "none": null, "on": true});
        let of = |text: &str, pick| json(&document, &path(text), pick, &mut random(), &Budget::default()).unwrap();
        assert_eq!(of("$.cars[*].id", Pick::First), Some(Value::from(1)));
        assert_eq!(of("$.cars[*].id", Pick::All), Some(Value::from(vec![1, 2, 3])));
        assert_eq!(of("$.on", Pick::First), Some(Value::from(true)));
        assert_eq!(of("$.none", Pick::First), Some(Value::from(())), "null is there");
        assert_eq!((of("$.missing", Pick::First), of("$.missing", Pick::All), of("$.missing", Pick::Random)), (None, None, None));
        let mut random = random();
        let mut seen: Vec<_> = (0..100)
            .map(|_| {
                json(&document, &path("$.cars[*].id"), Pick::Random, &mut random, &Budget::default())
                    .unwrap()
                    .unwrap()
                    .as_i64()
                    .unwrap()
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2, 3], "each is picked now and then");
    }

    #[test]
    fn groups_of_a_regular_expression() {
        let of = |pattern: &str, group, pick| {
            regex("a=1; b=22; c=333", &Regex::new(pattern).unwrap(), group, pick, &mut random(), &Budget::default()).unwrap()
        };
        assert_eq!(of(r"\w=(\d+)", 1, Pick::First), Some(Value::from("1")));
        assert_eq!(of(r"\w=(\d+)", 0, Pick::First), Some(Value::from("a=1")));
        assert_eq!(of(r"\w=(\d+)", 1, Pick::All), Some(Value::from(vec!["1", "22", "333"])));
        assert_eq!(of(r"x=(\d+)", 1, Pick::First), None);
        assert_eq!(of(r"c=333(x)?", 1, Pick::First), None, "the group took no part");
    }

    #[test]
    fn elements_of_a_page() {
        let page = Html::parse_document(
            "<p class=a> one <b>two</b> </p><a href='/x'>X</a><a href='/y?a=1&amp;b=2'>Y</a><a>none</a><input name=csrf value=t0>",
        );
        let of = |selector: &str, attribute: Option<&str>, pick| {
            Css::parse(selector, attribute).unwrap().find(&page, pick, &mut random(), &Budget::default()).unwrap()
        };
        assert_eq!(of("p.a", None, Pick::First), Some(Value::from("one two")));
        assert_eq!(of("a", Some("href"), Pick::All), Some(Value::from(vec!["/x", "/y?a=1&b=2"])));
        assert_eq!(of("input[name=csrf]", Some("value"), Pick::First), Some(Value::from("t0")));
        assert_eq!(of("h1", None, Pick::First), None);
        assert!(Css::parse("a[", None).is_err());
    }

    /// With backtracking each of these would take longer than the universe has been there.
    #[test]
    fn no_regular_expression_is_catastrophic() {
        let text = format!("{}!", "a".repeat(100_000));
        let started = crate::clock::now();
        for pattern in [r"^(a+)+$", r"^(a|a)*$", r"^(a|aa)+$", r"^(a*)*b", r"(.*)*(.*)*(.*)*x$", r"^(([a-z])+.)+[A-Z]([a-z])+$"] {
            assert_eq!(
                regex(&text, &Regex::new(pattern).unwrap(), 0, Pick::First, &mut random(), &Budget::default()),
                Ok(None),
                "{pattern}"
            );
        }
        assert!((crate::clock::now() - started).as_secs() < 60);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "x".repeat(LARGEST + 1);
        let pattern = Regex::new("x+").unwrap();
        let too_large = |pick| regex(&long, &pattern, 0, pick, &mut random(), &Budget::default()).unwrap_err();
        assert_eq!([Pick::First, Pick::Random, Pick::All].map(too_large), ["it is larger than 1 MiB"; 3]);
        let many = Regex::new("x").unwrap();
        assert_eq!(
            regex(&long, &many, 0, Pick::All, &mut random(), &Budget::default()).unwrap_err(),
            "there are more than 10000"
        );
        assert!(regex(&long[..MOST], &many, 0, Pick::All, &mut random(), &Budget::default()).unwrap().is_some());
        let document = serde_json::json!({"a": [{"b": long}]});
        assert!(json(&document, &path("$"), Pick::First, &mut random(), &Budget::default()).is_err());
    }

    #[test]
    fn matches_that_look_through_the_whole_text_each_time_are_stopped() {
        let text = "a".repeat(1_500_000);
        for (pattern, group) in [("(?s)a.*?b|a", 0), ("(?s)(x)|a.*?b|a", 1)] {
            for pick in [Pick::All, Pick::Random, Pick::First] {
                let budget = Budget::default();
                let began = crate::clock::now();
                let found = regex(&text, &Regex::new(pattern).unwrap(), group, pick, &mut random(), &budget);
                assert!(began.elapsed().as_secs() < 10);
                if (pick, group) == (Pick::First, 0) {
                    assert_eq!(found, Ok(Some(Value::from("a"))));
                } else {
                    assert!(found.unwrap_err().starts_with("to look into the response took longer than"), "{pattern} {pick:?}");
                }
            }
        }
    }

    #[test]
    fn texts_of_elements_within_each_other_are_not_all_held() {
        let page = page::parse(&format!("{}{}", "<div>".repeat(300), "x".repeat(500_000)), &Budget::default()).unwrap();
        let css = Css::parse("div", None).unwrap();
        for pick in [Pick::All, Pick::Random] {
            let error = css.find(&page, pick, &mut random(), &Budget::default()).unwrap_err();
            assert!(error.starts_with("it is larger than") || error.starts_with("to look into the response would"), "{error}");
        }
    }
}
