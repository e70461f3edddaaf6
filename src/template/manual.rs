//! What templates can call, as the reference of the language lists it.

use super::engine::{ENGINE_FILTERS, ENGINE_TESTS};
use super::fakes::FAKES;
use super::filters::FILTERS;
use super::functions::{FUNCTIONS, Function};

/// A function or filter, as Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callable {
    /// As it is written; of relatives all of them.
    pub usage: String,
    pub gives: String,
}

/// The functions; those of `fake` together.
pub fn functions() -> impl Iterator<Item = Callable> {
    let own =
        FUNCTIONS.iter().map(|function| Callable { usage: format!("`{}`", function.usage()), gives: function.gives.to_owned() });
    let fakes: Vec<_> = FAKES.iter().map(|(name, _)| format!("`fake.{name}()`")).collect();
    let fakes = Callable { usage: fakes.join(" "), gives: "a made-up one; mail to `fake.email()` reaches nobody".to_owned() };
    let engine = [
        ("`range(n)` `range(a, b, step)`", "a list of whole numbers, the end left out"),
        ("`dict(name=value)` `namespace(name=value)`", "a map, for `{% set %}`"),
    ];
    own.chain([fakes]).chain(engine.map(|(usage, gives)| Callable { usage: usage.to_owned(), gives: gives.to_owned() }))
}

/// The filters of our own.
pub fn filters() -> impl Iterator<Item = Callable> {
    FILTERS.iter().map(|filter| {
        let usage = if filter.parameters.is_empty() { filter.name.to_owned() } else { Function::usage(filter) };
        Callable { usage: format!("`{usage}`"), gives: filter.gives.to_owned() }
    })
}

/// The names of all filters, ours and the engine's, and of what can stand after `is`.
pub fn names_of_filters_and_tests() -> impl Iterator<Item = &'static str> {
    FILTERS.iter().map(|filter| filter.name).chain(ENGINE_FILTERS.split(' ')).chain(ENGINE_TESTS.split(' '))
}
