//! `capture`: what is taken out of a response, and the names that it fills.

use std::ops::Range;

use super::Compiler;
use super::text::{After, nested_deeper};
use crate::diagnostic::nearest;
use crate::scenario::document::capture::{Capture as CaptureForm, Pick as PickForm};
use crate::scenario::document::place::inside;
use crate::scenario::document::read::Placed;
use crate::scenario::document::values::Pairs;
use crate::scenario::plan::{Capture, CaptureSource};
use crate::template::extract::{Css, Pick};

/// What a capture may have.
const SOURCES: &str = "`json`, `regex`, `header`, `cookie` or `css`";

/// The most brackets within each other of a CSS selector: the library recurses into each.
const DEEPEST_SELECTOR: usize = 8;

impl Compiler<'_> {
    pub(super) fn captures(&mut self, pairs: &Placed<Pairs<CaptureForm>>) -> Vec<Capture> {
        if pairs.value.0.is_empty() {
            self.push(&pairs.range, "nothing is captured", "write `capture: {id: {json: $.id}}`, or remove the key");
        }
        let captures = pairs.value.0.iter().map(|(key, form)| {
            let named = self.variable_name(&key.name, &key.range);
            let from = self.capture_source(form, &key.range);
            let default = form.value.default.given().map(|node| self.assigned(&node.value.0, After::Nothing));
            let pick = match form.value.pick.value() {
                None | Some(PickForm::First) => Pick::First,
                Some(PickForm::Random) => Pick::Random,
                Some(PickForm::All) => Pick::All,
            };
            let default = match default {
                Some(default) => Some(default?),
                None => None,
            };
            named.then_some(Capture { name: key.name.as_str().into(), from: from?, pick, default })
        });
        captures.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn capture_source(&mut self, form: &Placed<CaptureForm>, key: &Range<usize>) -> Option<CaptureSource> {
        let CaptureForm { json, regex, group, header, cookie, css, attribute, xpath, pick, .. } = &form.value;
        if let Some(xpath) = xpath.key() {
            self.push(xpath, "`xpath` is not supported", "for HTML use `css`, for JSON `json`, for anything else `regex`");
            return None;
        }
        let sources = [
            ("json", json.key()),
            ("regex", regex.key()),
            ("header", header.key()),
            ("cookie", cookie.key()),
            ("css", css.key()),
        ];
        let mut given: Vec<_> = sources.into_iter().filter_map(|(name, key)| Some((name, key?.clone()))).collect();
        given.sort_by_key(|(_, key)| key.start);
        match given.as_slice() {
            [(first, _), (second, place), ..] => {
                let message = format!("a capture has one source, but here are `{first}` and `{second}`");
                self.push(place, message, "make two captures of it");
                return None;
            }
            [] => {
                if !form.value.has_odd_keys {
                    self.push(key, "this capture says not where the value is found", format!("give it {SOURCES}"));
                }
                return None;
            }
            [_] => {}
        }
        for (own, of, beside) in [("group", "regex", group.key()), ("attribute", "css", attribute.key())] {
            if let Some(place) = beside.filter(|_| given[0].0 != of) {
                let message = format!("`{own}` belongs to `{of}`, and this is `{}`", given[0].0);
                self.push(&place.clone(), message, "remove it");
            }
        }
        if let (Some(place), true) = (pick.key(), cookie.key().is_some()) {
            self.push(&place.clone(), "a cookie has one value, so there is nothing to pick", "remove it");
        }
        if let Some(path) = json.given() {
            let parsed = self.json_path(&path.value, &path.range)?;
            return Some(CaptureSource::Json { text: path.value.as_str().into(), path: parsed });
        }
        if let Some(pattern) = regex.value() {
            let group = match group.given() {
                Some(group) => self.group_of(&pattern.0, group)?,
                None => usize::from(pattern.0.captures_len() > 1),
            };
            return Some(CaptureSource::Regex { pattern: pattern.0.clone(), group });
        }
        if let Some(name) = header.given() {
            return self.header_name(&name.value, &name.range).map(CaptureSource::Header);
        }
        if let Some(name) = cookie.given() {
            if name.value.is_empty() || name.value.contains(['=', ';', ' ', ',']) {
                let message = format!("`{}` cannot be the name of a cookie", name.value);
                self.push(&name.range, message, "give the name alone, such as `session`");
                return None;
            }
            return Some(CaptureSource::Cookie(name.value.as_str().into()));
        }
        let selector = css.given()?;
        if let Some(at) = nested_deeper(&selector.value, DEEPEST_SELECTOR) {
            let place = inside(&self.source, &selector.range, &selector.value, at..at + 1);
            let message = format!("this CSS selector nests brackets more than {DEEPEST_SELECTOR} deep");
            self.push(&place, message, "write it with fewer brackets within each other");
            return None;
        }
        match Css::parse(&selector.value, attribute.value().map(String::as_str)) {
            Ok(css) => Some(CaptureSource::Css(Box::new(css))),
            Err(error) => {
                let message = format!("this is not a CSS selector: {error}");
                self.push(&selector.range, message, "write it like `a.next`, `#total` or `input[name=csrf]`");
                None
            }
        }
    }

    fn group_of(&mut self, pattern: &regex::Regex, group: &Placed<String>) -> Option<usize> {
        let count = pattern.captures_len();
        let found = match group.value.parse::<usize>() {
            Ok(number) => (number < count).then_some(number),
            Err(_) => pattern.capture_names().position(|name| name == Some(group.value.as_str())),
        };
        if found.is_none() {
            let names: Vec<&str> = pattern.capture_names().flatten().collect();
            let hint = match (nearest(&group.value, names.iter().copied()), count - 1) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, 0) => "it has no groups; write one in brackets: `id=(\\d+)`".to_owned(),
                (None, 1) => "it has one group, number 1".to_owned(),
                (None, groups) => format!("it has {groups} groups, from 1"),
            };
            self.push(&group.range, format!("the regular expression has no group `{}`", group.value), hint);
        }
        found
    }

    /// Whether a name may be given to a variable.
    pub(super) fn variable_name(&mut self, name: &str, range: &Range<usize>) -> bool {
        let place = inside(&self.source, range, name, 0..name.len());
        if super::constants::is_taken(name) {
            self.push(&place, format!("`{name}` has a meaning of its own in templates"), "choose another name");
            return false;
        }
        if !super::constants::is_identifier(name) {
            let first = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
            let rest: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let hint = format!("use letters, digits and `_`: `{first}{rest}`");
            self.push(&place, format!("`{name}` cannot be a name in templates"), hint);
            return false;
        }
        if self.is_feeder(name) {
            self.push(&place, format!("`{name}` is the name of rows of `data`"), "choose another name");
            return false;
        }
        true
    }
}
