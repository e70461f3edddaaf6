//! Values that are kept for later, bounded: whatever is built upon them is taken apart by recursion, when it is printed, compared or
//! dropped.
//!
//! ```text
//! {% set ns.x = [ns.x] %}            one level deeper with each turn of a loop
//! {% set ns.x = ns.x[1:] %}          not deeper, but a view of a view of a view
//! {% set ns.x = ns %}                endless
//! ```
//!
//! So the value of each `set` passes through [`bounded`]: it is nested to a limit, holds no namespace, and views become lists.

use std::cell::Cell;

use minijinja::value::{Object, ValueKind};

use super::Value;

/// What is nested more deeply is refused. A scenario and its JSON are nested as deeply at most.
const DEEPEST: usize = 128;

/// Values that one rendering may look at for this.
const MOST_LOOKED_AT: u64 = 64 << 20;

/// Bytes that the filters of one rendering may make, whatever becomes of them.
const MOST_MADE: usize = 256 << 20;

thread_local! {
    static MADE: Cell<usize> = const { Cell::new(0) };
    static LOOKED_AT: Cell<u64> = const { Cell::new(0) };
}

/// Before a rendering.
pub(super) fn begin() {
    LOOKED_AT.set(0);
    MADE.set(0);
}

/// Counts what a filter makes, before it makes more: the engine takes fuel for an item of a list, however long its text is.
///
/// # Errors
/// It is too much.
pub(super) fn make(bytes: usize) -> Result<(), String> {
    let made = MADE.get().saturating_add(bytes);
    MADE.set(made);
    if made > MOST_MADE {
        return Err(format!("the filters of this template make more than {} MiB", MOST_MADE >> 20));
    }
    Ok(())
}

/// The value as it may be kept.
///
/// # Errors
/// It is nested too deeply, too large, or a namespace.
pub(super) fn bounded(value: Value) -> Result<Value, String> {
    Ok(walk(&value, 0)?.unwrap_or(value))
}

/// Whether a value can be written by recursion.
///
/// # Errors
/// It is nested too deeply.
pub(super) fn is_flat(value: &Value) -> Result<(), String> {
    fn look(value: &Value, depth: usize) -> Result<(), String> {
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable | ValueKind::Map if depth > 2 * DEEPEST => {
                Err("this value is nested too deeply".to_owned())
            }
            ValueKind::Seq => value.try_iter().into_iter().flatten().try_for_each(|item| look(&item, depth + 1)),
            ValueKind::Map => value
                .try_iter()
                .into_iter()
                .flatten()
                .try_for_each(|key| value.get_item(&key).map_or(Ok(()), |item| look(&item, depth + 1))),
            _ => Ok(()),
        }
    }
    look(value, 0)
}

/// What takes the place of a value; `None` if it may stay.
fn walk(value: &Value, depth: usize) -> Result<Option<Value>, String> {
    let looked_at = LOOKED_AT.get() + 1;
    LOOKED_AT.set(looked_at);
    if looked_at > MOST_LOOKED_AT {
        return Err("what is set here takes too long to look through".to_owned());
    }
    let kind = value.kind();
    if !matches!(kind, ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Ok(None);
    }
    if depth >= DEEPEST {
        return Err(too_deep());
    }
    if kind == ValueKind::Map {
        // Only a namespace can be changed, and so hold itself.
        if value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace")) {
            return if depth == 0 { Ok(None) } else { Err("a namespace cannot be kept in another value".to_owned()) };
        }
        let keys: Vec<Value> = value.try_iter().into_iter().flatten().collect();
        let mut changed = Vec::new();
        for key in &keys {
            let Ok(item) = value.get_item(key) else { continue };
            changed.push((key.clone(), walk(&item, depth + 1)?.map_or((item, false), |item| (item, true))));
        }
        if !changed.iter().any(|(_, (_, changed))| *changed) {
            return Ok(None);
        }
        return Ok(Some(Value::from_object(Members(changed.into_iter().map(|(key, (item, _))| (key, item)).collect()))));
    }
    let (mut items, mut changed) = (Vec::new(), kind == ValueKind::Iterable);
    for item in value.try_iter().map_err(|error| error.to_string())? {
        let other = walk(&item, depth + 1)?;
        changed |= other.is_some();
        items.push(other.unwrap_or(item));
    }
    Ok(changed.then(|| Value::from(items)))
}

fn too_deep() -> String {
    format!("what is set is nested more than {DEEPEST} deep")
}

/// A map, some of whose values were replaced.
#[derive(Debug)]
struct Members(Vec<(Value, Value)>);

impl Object for Members {
    fn get_value(self: &std::sync::Arc<Self>, key: &Value) -> Option<Value> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &std::sync::Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Values(self.0.iter().map(|(key, _)| key.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Assigned, Names, Random, Scope, Shared, Template};
    use super::*;

    fn render(text: &str) -> Result<String, String> {
        let template = Template::parse(text, &Names::new()).unwrap();
        let mut out = String::new();
        template.render(&Scope::new(Arc::new(Shared::new("r")), 1), &mut Random::new(1, 1), &mut out).map(|()| out)
    }

    /// On a thread of a worker's stack; each of these ended the process.
    fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap()
    }

    #[test]
    fn what_grows_by_nesting_comes_to_an_end() {
        for text in [
            "{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}",
            "{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set ns.x = dict(a=[ns.x]) %}{% endfor %}{{ ns.x == ns.x }}",
        ] {
            let error = on_a_small_stack(move || render(text)).unwrap_err();
            assert!(error.contains("nested more than 128 deep"), "{text}: {error}");
        }
        let itself = "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}";
        assert!(on_a_small_stack(move || render(itself)).unwrap_err().contains("a namespace cannot be kept"));
    }

    #[test]
    fn views_become_lists_and_lists_grow() {
        let views =
            "{% set ns = namespace(x=range(3)) %}{% for i in range(20000) %}{% set ns.x = ns.x[0:] %}{% endfor %}{{ ns.x }}";
        assert_eq!(on_a_small_stack(move || render(views)).as_deref(), Ok("[0,1,2]"));
        let grows =
            "{% set ns = namespace(x=[]) %}{% for i in range(2000) %}{% set ns.x = ns.x + [i] %}{% endfor %}{{ ns.x | length }}";
        assert_eq!(on_a_small_stack(move || render(grows)).as_deref(), Ok("2000"));
        for (text, expected) in [
            ("{% set a, b = [1, 2] %}{{ a }}{{ b }}", "12"),
            ("{% set a = 1 if false else 'x' %}{{ a }}", "x"),
            ("{% set a = {'k': [1, 2, 3][1:]} %}{{ a.k }} {{ a }}", "[2,3] {\"k\":[2,3]}"),
            ("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"),
            ("{% set a %}x{% endset %}{{ a }}", "x"),
        ] {
            assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
        }
    }

    /// A step `set` in a loop.
    #[test]
    fn a_variable_that_grows_by_nesting_comes_to_an_end() {
        let mut names = Names::new();
        names.open("x");
        let error = on_a_small_stack(move || {
            let nested = Assigned::text(Template::parse("{{ [x] }}", &names).unwrap());
            let mut scope = Scope::new(Arc::new(Shared::new("r")), 1);
            scope.set("x", Value::from(1));
            (0..100_000).find_map(|_| match nested.value(&scope, &mut Random::new(1, 1)) {
                Ok(value) => {
                    scope.set("x", value);
                    None
                }
                Err(error) => Some(error),
            })
        });
        assert!(error.unwrap().contains("nested more than 128 deep"));
    }

    /// Each is small until it is written.
    #[test]
    fn texts_are_bounded_before_they_are_there() {
        // Each item is a text of its own, and small enough.
        for filter in
            ["'upper'", "'replace', 'x', 'y'", "'split', ''", "'b64encode'", "'string'", "'tojson'", "'indent'", "'urlencode'"]
        {
            let text = format!("{{% set s = 'x' * 1000000 %}}{{{{ (([s] * 100000) | map({filter}) | list) | length }}}}");
            let error = render(&text).unwrap_err();
            assert!(error.contains("make more than 256 MiB"), "{text}: {error}");
        }
        let large = "{% set s = 'x' * 1000000 %}{% set l = [s] * 100000 %}";
        for end in ["{{ l }}", "{{ (l | tojson) | length }}", "{{ (l | string) | length }}", "{{ (l | join) | length }}"] {
            let error = render(&format!("{large}{end}")).unwrap_err();
            assert!(!error.is_empty(), "{end}: {error}");
        }
    }
}
