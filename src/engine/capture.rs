//! What a response gives to the user's variables.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::request::Rendered;
use super::seen::Response;
use super::user::User;
use crate::scenario::plan::{Capture, CaptureSource};
use crate::template::{Value, extract};

impl User {
    /// Fills the variables of `captures`; says why, when one finds nothing and has no default. Its variable is forgotten then: what
    /// an earlier response gave is not taken for what this one did.
    pub(super) fn capture(
        &mut self,
        captures: &[Capture],
        rendered: &Rendered<'_>,
        response: &mut Response<'_>,
    ) -> Option<String> {
        let mut missed = None;
        for capture in captures {
            let found = self.find(capture, rendered, response);
            let value = match (found, &capture.default) {
                (Ok(Some(value)), _) => Ok(value),
                // Nobody knows what it would have found: that is no case for a default.
                (Err(error), _) if response.budget.exceeded().is_some() => Err(format!("{}: {error}", describe(&capture.from))),
                (Ok(None) | Err(_), Some(default)) => default.value(&self.scope, &mut self.random),
                (Ok(None), None) => Err(format!("{} finds nothing", describe(&capture.from))),
                (Err(error), None) => Err(format!("{}: {error}", describe(&capture.from))),
            };
            match value {
                Ok(value) => self.scope.set(&capture.name, value),
                Err(error) => {
                    self.scope.remove(&capture.name);
                    missed.get_or_insert_with(|| format!("{}: {error}", capture.name));
                }
            }
        }
        missed
    }

    /// No response came: variables get their defaults, or are forgotten.
    pub(super) fn capture_nothing(&mut self, captures: &[Capture]) {
        for capture in captures {
            match capture.default.as_ref().map(|default| default.value(&self.scope, &mut self.random)) {
                Some(Ok(value)) => self.scope.set(&capture.name, value),
                Some(Err(_)) | None => self.scope.remove(&capture.name),
            }
        }
    }

    fn find(&mut self, capture: &Capture, rendered: &Rendered<'_>, response: &mut Response<'_>) -> Result<Option<Value>, String> {
        let (pick, random) = (capture.pick, &mut self.random);
        match &capture.from {
            CaptureSource::Json { path, .. } => {
                let (json, budget) = response.json()?;
                extract::json(json, path, pick, random, budget)
            }
            CaptureSource::Regex { pattern, group } => {
                extract::regex(&response.text(), pattern, *group, pick, random, &response.budget)
            }
            CaptureSource::Header(name) => {
                let values = response.headers().get_all(name).into_iter();
                extract::texts(values.map(|value| String::from_utf8_lossy(value.as_bytes())), pick, random, &response.budget)
            }
            CaptureSource::Cookie(name) => {
                let at = response.url().map_or_else(|| rendered.address(), Cow::Borrowed);
                let cookie = set_cookie(response.headers(), name).or_else(|| self.session.cookies().get(&at, name));
                extract::texts(cookie.map(Cow::Borrowed).into_iter(), pick, random, &response.budget)
            }
            CaptureSource::Css(css) => {
                let (page, budget) = response.page()?;
                css.find(page, pick, random, budget)
            }
        }
    }
}

/// The value that a response sets for a cookie; the last of several.
fn set_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::SET_COOKIE).into_iter().filter_map(|value| value.to_str().ok()?.split(';').next());
    let values = pairs.filter_map(|pair| pair.split_once('=')).filter(|(own, _)| own.trim() == name);
    values.map(|(_, value)| value.trim()).next_back()
}

/// A capture's source, for messages.
fn describe(from: &CaptureSource) -> String {
    match from {
        CaptureSource::Json { text, .. } => text.to_string(),
        CaptureSource::Regex { pattern, .. } => format!("the regular expression `{pattern}`"),
        CaptureSource::Header(name) => format!("the header `{name}`"),
        CaptureSource::Cookie(name) => format!("the cookie `{name}`"),
        CaptureSource::Css(css) => format!("the selector `{}`", css.source()),
    }
}
