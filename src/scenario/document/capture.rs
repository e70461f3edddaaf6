//! What `capture` holds: a source of values, which of them are taken, and what stands in when there is none.

use super::read::record;
use super::rules::Pattern;
use super::values::{Any, Choice};

/// Which of several values are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    First,
    Random,
    All,
}

record! {
    /// A value of the response that later steps may use by its name. Has one of `json`, `regex`, `header`, `cookie`, `css`. When
    /// nothing is found and there is no `default`, the request fails with the reason `capture`, and the name is forgotten.
    struct Capture {
        /// A JSONPath, such as `$.cars[*].id`. What it finds keeps its type.
        json: String,
        /// A regular expression that is found in the body.
        regex: Pattern,
        /// Beside `regex`: the number or name of the group that is taken. Default: the first group if there is one, otherwise all that was found.
        group: String,
        /// The name of a header of the response.
        header: String,
        /// The name of a cookie: what the response sets, or else what the user would send there again.
        cookie: String,
        /// A CSS selector of elements of an HTML page; their text is taken.
        css: String,
        /// Beside `css`: this attribute is taken instead of the text, such as `href`.
        attribute: String,
        /// Not supported by this version; `css` finds elements of HTML pages.
        xpath: String,
        /// Which is taken when several are found. Default: first.
        pick: Pick,
        /// What stands in when nothing is found, or no response came: any value, its texts are templates.
        default: Any,
    }
}

impl Choice for Pick {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("first", Self::First, "The first one."),
        ("random", Self::Random, "One of them, at random."),
        ("all", Self::All, "A list of all."),
    ];
}
