//! MiniJinja, set up as scenarios need it, and the random stream that its functions draw from.
//!
//! A value is printed as it is when it is a text, and as JSON otherwise: `true`, `null`, `[1,2]`. The engine's own way is
//! Python's (`True`, `None`), which no server reads.

use super::fakes::Fake;
use super::filters::FILTERS;
use super::functions::FUNCTIONS;
use super::{Random, Value, json};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, ValueKind};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use std::cell::RefCell;
use std::fmt;
use std::sync::LazyLock;

/// MiniJinja's functions that stay.
pub(super) const ENGINE_FUNCTIONS: &str = "dict namespace range";

/// MiniJinja's filters that stay, for messages and the check before the run.
pub(super) const ENGINE_FILTERS: &str = "\
    abs attr batch bool capitalize chain count d default dictsort e escape first float format groupby indent int \
    items join last length lines list lower map max min pprint reject rejectattr replace reverse round safe select \
    selectattr slice sort split sum title trim unique upper urlencode zip";

/// MiniJinja's tests, what can stand after `is`.
pub(super) const ENGINE_TESTS: &str = "\
    != < <= == > >= boolean defined divisibleby endingwith eq equalto escaped even false filter float ge \
    greaterthan gt in int integer iterable le lessthan lower lt mapping ne none number odd safe sameas sequence \
    startingwith string test true undefined upper";

/// What one rendering may cost; about as many bytes, or steps of a loop. An ordinary one costs some tens.
pub(super) const FUEL: u64 = 16 << 20;

/// The engine: one for the process. Templates with statements carry a clone that holds them.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_syntax(syntax());
    engine.set_formatter(|out, _, value| Ok(write_text(out, value)?));
    // Costs only where something is undefined, and then says what.
    engine.set_debug(true);
    // Macros that call themselves must not use up a worker's stack.
    engine.set_recursion_limit(100);
    // Neither time nor memory without end: each instruction, byte and element costs one.
    engine.set_fuel(Some(FUEL));
    // It would print everything in scope, secrets too.
    engine.remove_global("debug");
    engine.add_global("fake", Value::from_object(Fake));
    for function in FUNCTIONS {
        engine.add_function(function.name, move |values: Rest<Value>| with_random(|random| function.call(random, &values)));
    }
    for filter in FILTERS {
        engine.add_filter(filter.name, move |values: Rest<Value>| with_random(|random| filter.call(random, &values)));
    }
    engine
});

/// Writes a value as it is printed.
pub(super) fn write_text(out: &mut impl fmt::Write, value: &Value) -> fmt::Result {
    if let Some(text) = value.as_str() {
        return out.write_str(text);
    }
    match value.kind() {
        // Only what may give nothing comes here: the engine has refused everything else that is undefined.
        ValueKind::Undefined => Ok(()),
        ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => match json::text_of(value) {
            Ok(text) => out.write_str(&text),
            Err(_) => write!(out, "{value}"),
        },
        _ => write!(out, "{value}"),
    }
}

/// A value as it is printed.
pub(super) fn text_of(value: &Value) -> String {
    let mut text = String::new();
    let _ = write_text(&mut text, value);
    text
}

/// Jinja's, but a body keeps the line break at its end.
pub(super) fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default()
}

// === the random stream of the current rendering ===

thread_local! {
    static CURRENT: RefCell<Random> = RefCell::new(Random::new(0, 0));
}

/// Runs `render` with `random` as the stream that functions draw from, and brings it back afterwards; also when `render`
/// panics, and also within another rendering.
pub(super) fn lend<T>(random: &mut Random, render: impl FnOnce() -> T) -> T {
    struct Loan<'a>(&'a mut Random);
    let exchange = |random: &mut Random| CURRENT.with_borrow_mut(|current| std::mem::swap(current, random));
    impl Drop for Loan<'_> {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
        }
    }
    exchange(random);
    let _loan = Loan(random);
    render()
}

/// Draws from the stream of the current rendering.
pub(super) fn with_random<T>(draw: impl FnOnce(&mut Random) -> T) -> T {
    // On a copy: a list that is computed while it is drawn from may itself draw.
    let mut random = CURRENT.with_borrow(Random::clone);
    let drawn = draw(&mut random);
    CURRENT.set(random);
    drawn
}

/// For tests: the value of an expression, with the seed 42 of user 7.
#[cfg(test)]
pub(super) fn value(expression: &str) -> Result<Value, String> {
    let mut random = Random::new(42, 7);
    lend(&mut random, || {
        let compiled = ENGINE.compile_expression(expression).map_err(|e| e.to_string())?;
        compiled.eval(()).map_err(|error| error.detail().unwrap_or_default().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine prints its tables; ours must be the same, or a known filter would be called unknown.
    #[test]
    fn the_tables_of_names_are_the_engines() {
        let names = |what: &str| {
            let shown = format!("{:?}", *ENGINE);
            let start = shown.find(&format!("{what}: [")).unwrap() + what.len() + 3;
            let end = start + shown[start..].find(']').unwrap();
            shown[start..end].split(", ").map(|name| name.trim_matches('"').to_owned()).collect::<Vec<_>>()
        };
        let mut filters: Vec<&str> = ENGINE_FILTERS.split(' ').chain(FILTERS.iter().map(|f| f.name)).collect();
        filters.sort_unstable();
        assert_eq!(names("filters"), filters);
        assert_eq!(names("tests").join(" "), ENGINE_TESTS);
        let mut globals: Vec<String> = ENGINE.globals().map(|(name, _)| name.to_owned()).collect();
        globals.sort_unstable();
        let mut functions: Vec<&str> =
            ENGINE_FUNCTIONS.split(' ').chain(FUNCTIONS.iter().map(|f| f.name)).chain(["fake"]).collect();
        functions.sort_unstable();
        assert_eq!(globals, functions);
    }

    #[test]
    fn the_stream_comes_back_also_after_a_panic_and_within_another() {
        let fresh = Random::new(9, 9);
        let mut random = fresh.clone();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lend(&mut random, || {
                with_random(Random::bits);
                std::panic::resume_unwind(Box::new("on purpose"));
            })
        }));
        let mut expected = fresh.clone();
        expected.bits();
        assert_eq!(random, expected, "one number was drawn");

        let (mut outer, mut inner) = (Random::new(1, 0), Random::new(2, 0));
        let drawn = lend(&mut outer, || {
            let first = with_random(Random::bits);
            let nested = lend(&mut inner, || with_random(Random::bits));
            (first, nested, with_random(Random::bits))
        });
        let mut again = Random::new(1, 0);
        assert_eq!(drawn, (again.bits(), Random::new(2, 0).bits(), again.bits()));
        assert_eq!(outer, again);
    }
}
