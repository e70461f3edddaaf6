//! MiniJinja, set up as scenarios need it, and the random stream that its functions draw from.
//!
//! A value is printed as it is when it is a text, and as JSON otherwise: `true`, `null`, `[1,2]`. The engine's own way is
//! Python's (`True`, `None`), which no server reads.

use super::fakes::Fake;
use super::filters::FILTERS;
use super::functions::{self, FUNCTIONS};
use super::syntax::BOUNDED;
use super::{LONGEST, Random, Value, bounded, json};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use std::cell::RefCell;
use std::fmt::{self, Write as _};
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

/// Those of them that make a text of a text, or parts of it.
const MAKERS: &[&str] = &[
    "capitalize",
    "e",
    "escape",
    "format",
    "indent",
    "lines",
    "lower",
    "pprint",
    "replace",
    "split",
    "title",
    "trim",
    "upper",
    "urlencode",
];

/// MiniJinja as it comes, for its own filters within ours.
static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_formatter(|out, _, value| Ok(write_text(out, value)?));
    engine.set_debug(true);
    engine.set_fuel(Some(FUEL));
    engine
});

/// What one rendering may cost; about as many bytes, or steps of a loop. An ordinary one costs some tens.
pub(super) const FUEL: u64 = 16 << 20;

/// The engine: one for the process. Templates with statements carry a clone that holds them.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_syntax(syntax());
    engine.set_formatter(|out, _, value| match value.as_str() {
        Some(text) => Ok(out.write_str(text)?),
        // The output has no limit of its own but the fuel, which is taken when a text is there.
        None => Ok(out.write_str(&text_of(value).map_err(functions::wrong)?)?),
    });
    engine.add_filter("join", join);
    for name in MAKERS {
        engine.add_filter(*name, move |values: Rest<Value>| {
            let size = |value: &Value| value.as_bytes().map_or(0, <[u8]>::len);
            // A list of characters takes more than their text.
            let each = if matches!(*name, "lines" | "split") { size_of::<Value>() } else { 1 };
            bounded::make(values.iter().map(size).sum::<usize>() * each).map_err(functions::wrong)?;
            if *name == "pprint" {
                values.iter().try_for_each(|value| text_of(value).map(drop)).map_err(functions::wrong)?;
            }
            let made = PLAIN.empty_state().apply_filter(name, &values)?;
            bounded::make(size(&made)).map_err(functions::wrong)?;
            Ok(made)
        });
    }
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
    engine.add_filter(BOUNDED, |value: Value| bounded::bounded(value).map_err(functions::wrong));
    for filter in FILTERS {
        engine.add_filter(filter.name, move |values: Rest<Value>| with_random(|random| filter.call(random, &values)));
    }
    engine
});

/// Writes a value as it is printed.
///
/// # Errors
/// It is too large, or nested too deeply, for a text; or there is no room for it.
pub(super) fn write_text(out: &mut impl fmt::Write, value: &Value) -> fmt::Result {
    if let Some(text) = value.as_str() {
        return out.write_str(text);
    }
    match value.kind() {
        // Only what may give nothing comes here: the engine has refused everything else that is undefined.
        ValueKind::Undefined => Ok(()),
        ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => match json::text_of(value) {
            Ok(text) => out.write_str(&text),
            // There is no JSON for it, such as for a map whose keys are lists.
            Err(_) if bounded::is_flat(value).is_ok() => {
                let mut text = Limited::default();
                write!(text, "{value}")?;
                out.write_str(&text.0)
            }
            Err(_) => Err(fmt::Error),
        },
        _ => write!(out, "{value}"),
    }
}

/// A value as it is printed.
///
/// # Errors
/// It is too large for a text.
pub(super) fn text_of(value: &Value) -> Result<String, String> {
    let mut text = String::new();
    write_text(&mut text, value).map_err(|_| too_large())?;
    Ok(text)
}

/// What is said of a value that cannot be printed.
pub(super) fn too_large() -> String {
    format!("it is too large, or nested too deeply, for a text of {} MiB", LONGEST >> 20)
}

/// A text that does not grow beyond what a text may have.
#[derive(Default)]
struct Limited(String);

impl fmt::Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// MiniJinja's `join` looks at the length of its result only where there is something between the items.
fn join(value: &Value, between: Option<String>, attribute: Option<String>, named: Kwargs) -> Result<Value, Error> {
    let between = between.map_or_else(|| named.get::<Option<String>>("d"), |between| Ok(Some(between)))?.unwrap_or_default();
    let attribute = attribute.map_or_else(|| named.get::<Option<String>>("attribute"), |attribute| Ok(Some(attribute)))?;
    named.assert_all_used()?;
    let items = value.try_iter().map_err(|_| functions::wrong(format!("it joins lists, but this is a {}", value.kind())))?;
    let mut text = Limited::default();
    for (at, item) in items.enumerate() {
        let item = match &attribute {
            Some(path) => path.split('.').try_fold(item, |item, name| item.get_attr(name))?,
            None => item,
        };
        if item.is_undefined() {
            // Asking it for a field gives the error that knows where it came from.
            item.get_attr("")?;
        }
        let written = text.write_str(if at == 0 { "" } else { &between }).and_then(|()| write_text(&mut text, &item));
        written.map_err(|_| functions::wrong(too_large()))?;
    }
    Ok(Value::from(text.0))
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
    bounded::begin();
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
        let own = FILTERS.iter().map(|f| f.name).chain([BOUNDED]);
        let mut filters: Vec<&str> = ENGINE_FILTERS.split(' ').chain(own).collect();
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
