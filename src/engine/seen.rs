//! A response as checks and captures look at it.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::HeaderMap;
use scraper::Html;
use serde_json::Value;
use url::Url;

use crate::http::Exchange;
use crate::template::budget::{Budget, parsed_size};
use crate::template::page;

/// The response of an exchange; its text, JSON and page are made once, when asked for.
pub(super) struct Response<'a> {
    exchange: &'a Exchange,
    pub(super) budget: Budget<'a>,
    text: Option<Cow<'a, str>>,
    json: Option<Result<Value, String>>,
    page: Option<Result<Box<Html>, String>>,
}

/// Found texts are shown up to this many characters.
const SHOWN: usize = 80;

impl<'a> Response<'a> {
    pub(super) fn new(exchange: &'a Exchange, budget: Budget<'a>) -> Self {
        Self { exchange, budget, text: None, json: None, page: None }
    }

    pub(super) fn exchange(&self) -> &'a Exchange {
        self.exchange
    }

    /// Where it came from, if a redirect led there.
    pub(super) fn url(&self) -> Option<&'a Url> {
        self.exchange.result().ok()?.url.as_deref()
    }

    pub(super) fn headers(&self) -> &'a HeaderMap {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        self.exchange.result().map_or(&NONE, |response| &response.headers)
    }

    pub(super) fn text(&mut self) -> Cow<'a, str> {
        let exchange = self.exchange;
        self.text.get_or_insert_with(|| exchange.result().map_or(Cow::Borrowed(""), |response| response.text())).clone()
    }

    /// As JSON, with what looking for something in it may cost.
    ///
    /// # Errors
    /// It is none, or too much.
    pub(super) fn json(&mut self) -> Result<(&Value, &Budget<'a>), String> {
        if self.json.is_none() {
            let text = self.text();
            // That it nests no deeper than 128 is the parser's own limit.
            self.json = Some(match self.budget.take(parsed_size(text.as_bytes())) {
                true => serde_json::from_str(&text).map_err(|error| format!("the body is not JSON ({error}): {}", quoted(&text))),
                false => self.budget.check().map(|()| Value::Null),
            });
        }
        match &self.json {
            Some(Ok(value)) => Ok((value, &self.budget)),
            Some(Err(error)) => Err(error.clone()),
            None => Err("the body was not read".to_owned()),
        }
    }

    /// As HTML, of which anything is some, with what looking for something in it may cost.
    ///
    /// # Errors
    /// It is too much of a page.
    pub(super) fn page(&mut self) -> Result<(&Html, &Budget<'a>), String> {
        let text = self.text();
        let budget = &self.budget;
        let page = self.page.get_or_insert_with(|| page::parse(&text, budget).map(Box::new));
        page.as_deref().map(|page| (page, budget)).map_err(String::clone)
    }
}

/// A text in quotes, on one line and not endless.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}
