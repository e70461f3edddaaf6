//! What is taken out of responses.

use http::HeaderName;
use regex::Regex;

use crate::template::Assigned;
use crate::template::extract::{Css, Pick};

/// A variable of the user that a response fills.
#[derive(Debug)]
pub struct Capture {
    pub name: Box<str>,
    pub from: Source,
    pub pick: Pick,
    /// When nothing is found; without one the request fails.
    pub default: Option<Assigned>,
}

/// Where in a response values are found.
#[derive(Debug)]
pub enum Source {
    /// `text` is the path as written.
    Json {
        text: Box<str>,
        path: crate::template::path::Path,
    },
    Regex {
        pattern: Regex,
        group: usize,
    },
    Header(HeaderName),
    Cookie(Box<str>),
    Css(Box<Css>),
}

impl Source {
    /// Whether it looks into the body.
    pub fn is_in_body(&self) -> bool {
        matches!(self, Self::Json { .. } | Self::Regex { .. } | Self::Css(_))
    }
}
