//! The functions of templates: [`FUNCTIONS`] names each and says what it gives. Those of `fake` are in `fakes.rs`; `dict`,
//! `namespace` and `range` are MiniJinja's.

use super::{Random, Value, json};
use crate::clock;
use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind};

/// A function or filter of ours.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Its arguments, as shown to the user; without the value that a filter is applied to.
    pub(super) parameters: &'static [&'static str],
    /// For the reference of the language.
    pub(super) gives: &'static str,
    /// How many values come before the arguments: 1 for a filter.
    applied: usize,
    run: Run,
}

type Run = fn(&mut Random, &[Value]) -> Result<Value, Error>;

/// What can be called by its name.
pub(super) const FUNCTIONS: &[Function] = &[
    function("uuid", &[], "a random UUID, version 4", |random, _| Ok(Value::from(uuid(random)))),
    function("random_int", &["a", "b"], "a whole number from `a` to `b`, both included", random_int),
    function("random_float", &["a", "b"], "a number from `a` on and below `b`", random_float),
    function("random_string", &["n"], "`n` letters and digits, at most 65536", random_string),
    function("random_choice", &["list"], "one of its items", random_choice),
    function("now", &[], "the time, in UTC: `2026-05-01T09:30:00.123456Z`", |_, _| Ok(Value::from(clock::timestamp().rfc3339()))),
    function("unix_time", &[], "whole seconds since 1970", |_, _| Ok(Value::from(clock::timestamp().unix_seconds() as u64))),
];

// === functions ===

const fn function(name: &'static str, parameters: &'static [&'static str], gives: &'static str, run: Run) -> Function {
    Function { name, parameters, gives, applied: 0, run }
}

pub(super) const fn filter(name: &'static str, parameters: &'static [&'static str], gives: &'static str, run: Run) -> Function {
    Function { name, parameters, gives, applied: 1, run }
}

impl Function {
    /// As it is written: `random_int(a, b)`.
    pub(super) fn usage(&self) -> String {
        format!("{}({})", self.name, self.parameters.join(", "))
    }

    /// Runs it; a filter's value is the first of the values.
    pub(super) fn call(&self, random: &mut Random, values: &[Value]) -> Result<Value, Error> {
        self.check_count(values.len().saturating_sub(self.applied)).map_err(wrong)?;
        for value in values.iter().filter(|value| value.is_undefined()) {
            // Asking an undefined value for a field gives the error that knows where the value came from.
            value.get_attr("")?;
        }
        let made = (self.run)(random, values).and_then(|value| {
            super::bounded::make(value.as_bytes().map_or(0, <[u8]>::len)).map_err(wrong)?;
            Ok(value)
        });
        made.map_err(|error| {
            let reason = error.detail().unwrap_or("it cannot be computed");
            Error::new(error.kind(), format!("`{}`: {reason}", self.name))
        })
    }

    /// A message unless `given` arguments are as many as it takes.
    pub(super) fn check_count(&self, given: usize) -> Result<(), String> {
        let wanted = self.parameters.len();
        if given == wanted {
            return Ok(());
        }
        let wanted = match wanted {
            0 => "no arguments".to_owned(),
            1 => format!("1 argument (`{}`)", self.parameters[0]),
            n => format!("{n} arguments (`{}`)", self.parameters.join("`, `")),
        };
        let verb = if given == 1 { "is" } else { "are" };
        Err(format!("`{}` takes {wanted}, but {given} {verb} given", self.name))
    }
}

pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// The most characters that `random_string` makes.
const LONGEST_STRING: i64 = 64 * 1024;

fn integer(name: &str, value: &Value) -> Result<i64, Error> {
    let found = if value.is_number() { i64::try_from(value.clone()).ok() } else { None };
    found.ok_or_else(|| {
        let hint = if value.as_str().is_some() { "; a text becomes one with `| int`" } else { "" };
        wrong(format!("`{name}` must be a whole number, but is {}{hint}", shown(value)))
    })
}

fn number(name: &str, value: &Value) -> Result<f64, Error> {
    let found = if value.is_number() { f64::try_from(value.clone()).ok() } else { None };
    found.filter(|number| number.is_finite()).ok_or_else(|| {
        let hint = if value.as_str().is_some() { "; a text becomes one with `| float`" } else { "" };
        wrong(format!("`{name}` must be a number, but is {}{hint}", shown(value)))
    })
}

/// A value in a message: short ones as they are, others by their kind.
pub(super) fn shown(value: &Value) -> String {
    match json::text_of(value) {
        Ok(text) if text.len() <= 40 => format!("`{text}`"),
        _ => format!("a {}", value.kind()),
    }
}

pub(super) fn uuid(random: &mut Random) -> String {
    // RFC 9562, 5.4: version 4, variant 0b10.
    let high = random.bits() & !0xf000 | 0x4000;
    let low = random.bits() & !(0b11 << 62) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The bounds of `random_int`, checked.
pub(super) fn int_bounds(low: &Value, high: &Value) -> Result<(i64, i64), Error> {
    let (low, high) = (integer("a", low)?, integer("b", high)?);
    if low > high {
        return Err(wrong(format!("the lower bound {low} is above the upper bound {high}")));
    }
    Ok((low, high))
}

fn random_int(random: &mut Random, values: &[Value]) -> Result<Value, Error> {
    let (low, high) = int_bounds(&values[0], &values[1])?;
    Ok(Value::from(random.between(low, high)))
}

fn random_float(random: &mut Random, values: &[Value]) -> Result<Value, Error> {
    let (low, high) = (number("a", &values[0])?, number("b", &values[1])?);
    if low > high {
        return Err(wrong(format!("the lower bound {low} is above the upper bound {high}")));
    }
    let share = random.uniform();
    // As a weighted mean, which cannot overflow where the difference would.
    Ok(Value::from((low * (1.0 - share) + high * share).clamp(low, high)))
}

fn random_string(random: &mut Random, values: &[Value]) -> Result<Value, Error> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let length = integer("n", &values[0])?;
    if !(0..=LONGEST_STRING).contains(&length) {
        return Err(wrong(format!("`n` must be from 0 to {LONGEST_STRING}, but is {length}")));
    }
    Ok(Value::from((0..length).map(|_| char::from(LETTERS[random.below(62) as usize])).collect::<String>()))
}

fn random_choice(random: &mut Random, values: &[Value]) -> Result<Value, Error> {
    let list = &values[0];
    let not_a_list = || wrong(format!("`list` must be a list, but is {}", shown(list)));
    if list.as_str().is_some() || list.is_none() {
        return Err(not_a_list());
    }
    let chosen = |random: &mut Random, length: usize| match length {
        0 => Err(wrong("the list is empty")),
        _ => Ok(random.below(length as u64) as usize),
    };
    match list.len() {
        Some(length) if list.kind() == ValueKind::Seq => list.get_item_by_index(chosen(random, length)?),
        _ => {
            let mut items: Vec<Value> = list.try_iter().map_err(|_| not_a_list())?.collect();
            let at = chosen(random, items.len())?;
            Ok(items.swap_remove(at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::value;
    use super::*;

    #[test]
    fn functions_with_a_fixed_seed() {
        for (expression, expected) in [
            ("uuid()", "6b0179c8-6758-4795-b997-3937a6b28721"),
            ("random_int(1, 1000)", "418"),
            ("random_int(-5, -5)", "-5"),
            ("random_float(0, 10)", "4.179912676112004"),
            ("random_float(2, 2)", "2.0"),
            ("random_string(12)", "Z80uPaM6IBGH"),
            ("random_string(0)", ""),
            ("random_choice(['a', 'b', 'c', 'd'])", "b"),
            ("random_choice(range(100))", "41"),
            ("fake.name()", "Hazel Wolf"),
            ("fake.email()", "hazel.wolf8525@example.org"),
            ("fake.city()", "Wolfhaven"),
        ] {
            assert_eq!(value(expression).map(|v| v.to_string()).as_deref(), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn a_uuid_is_of_version_4() {
        let mut random = Random::new(1, 1);
        for _ in 0..1000 {
            let uuid = uuid(&mut random);
            let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
        }
    }

    #[test]
    fn time_is_the_clocks() {
        let now = value("now()").unwrap().to_string();
        assert!(now.parse::<jiff::Timestamp>().is_ok() && now.ends_with('Z'), "{now}");
        let (before, seconds) = (clock::timestamp().unix_seconds() as i64, value("unix_time()").unwrap().as_i64().unwrap());
        assert!(seconds >= before && seconds <= clock::timestamp().unix_seconds() as i64);
    }

    #[test]
    fn what_cannot_be_computed_says_why() {
        for (expression, expected) in [
            ("random_int(5, 1)", "`random_int`: the lower bound 5 is above the upper bound 1"),
            ("random_int('5', 9)", "`random_int`: `a` must be a whole number, but is `\"5\"`; a text becomes one with `| int`"),
            ("random_int(1.5, 9)", "`random_int`: `a` must be a whole number, but is `1.5`"),
            ("random_int(1)", "`random_int` takes 2 arguments (`a`, `b`), but 1 is given"),
            ("uuid(1, 2)", "`uuid` takes no arguments, but 2 are given"),
            ("random_float(2, 1)", "`random_float`: the lower bound 2 is above the upper bound 1"),
            ("random_float(true, 1)", "`random_float`: `a` must be a number, but is `true`"),
            ("random_string(65537)", "`random_string`: `n` must be from 0 to 65536, but is 65537"),
            ("random_string(-1)", "`random_string`: `n` must be from 0 to 65536, but is -1"),
            ("random_choice([])", "`random_choice`: the list is empty"),
            ("random_choice('abc')", "`random_choice`: `list` must be a list, but is `\"abc\"`"),
            ("random_choice(7)", "`random_choice`: `list` must be a list, but is `7`"),
            ("'*' | b64decode", "`b64decode`: this is not base64: Invalid symbol 42, offset 0."),
            ("[1] | sha256", "`sha256`: it works on text, but this is `[1]`"),
            ("'x' | hmac_sha256", "`hmac_sha256` takes 1 argument (`key`), but 0 are given"),
            ("random_int(1, nothing)", "`nothing` is undefined"),
            ("nothing | sha256", "`nothing` is undefined"),
        ] {
            assert_eq!(value(expression).unwrap_err(), expected, "{expression}");
        }
    }
}
