//! The grammar of thresholds, and its parser: from left to right over words, quoted names and signs.
//!
//! ```bnf
//! threshold  ::= figure { "of" scope } comparison limit [ "over" duration ]
//! figure     ::= time | "service." time | "baseline." ( time | "service." time | "rps" )
//!              | "failure_ratio" | "checks" | "rps" | "requests" | "failures"
//! time       ::= quantile | "mean" | "min" | "max"
//! quantile   ::= "p" digit [ digit ] [ "." digits ] | "p99" digits          p99.9 = p999
//! scope      ::= "schedule_lag"                                             after a time without a prefix, alone
//!              | [ "request" ] name | "user" name | "task" name
//!              | "check" name                                               after `checks`
//! name       ::= '"' { character } '"' | "'" { character } "'"              \" \' \\ are a quote and a backslash
//! comparison ::= "<" | "<=" | ">" | ">="
//! limit      ::= duration | ratio | rate | count | factor                   as the figure says
//! duration   ::= number unit { number unit } | number                       300ms, 1m30s; a bare number is seconds
//! ratio      ::= number "%" | number                                        1%, 0.01
//! rate       ::= number [ "/" ( "s" | "m" | "h" ) ]                         200/s
//! count      ::= digits
//! factor     ::= number "x"                                                 1.1x, after `baseline.`
//! ```

use std::ops::Range;

use super::{Comparison, Condition, Figure, Quantile, Scope, ScopeKind, Signal, Times, Written, Wrong};
use crate::diagnostic::nearest;
use crate::units::{Quantity, Rate, Ratio, parse_duration};

/// A condition on all requests, as `until` takes it.
pub(super) fn condition(text: &str) -> Result<Condition, Wrong> {
    let written = written(text)?;
    let figure = written.condition.figure;
    let whole = trimmed(text);
    let refuse = |message: &str| {
        let hint = "write it like `failure_ratio > 5%` or `p95 > 1s`".to_owned();
        Err(Wrong { message: message.to_owned(), at: whole.clone(), hint })
    };
    if !written.scopes.is_empty() || written.over.is_some() {
        return refuse("this condition is of all requests of a step: neither `of` nor `over` belongs here");
    }
    if figure.baseline || figure.times != Times::Response || figure.signal == Signal::Checks {
        return refuse("this condition is of response times, failures or requests of a step");
    }
    Ok(written.condition)
}

pub(super) fn written(text: &str) -> Result<Written, Wrong> {
    let tokens = tokens(text)?;
    let sign = tokens.iter().position(|token| matches!(token.kind, Kind::Sign));
    let Some(sign) = sign else {
        let hint = "write it like `failure_ratio > 5%` or `p95 > 1s`".to_owned();
        return Err(Wrong { message: "a condition compares a figure with a limit".to_owned(), at: trimmed(text), hint });
    };
    let (before, after) = (&tokens[..sign], &tokens[sign + 1..]);
    let Some((first, scopes)) = before.split_first() else {
        return Err(wrong(&tokens[sign].at, "`` is no figure of a run", figures()));
    };
    let mut figure = figure(text, first)?;
    let scopes = scopes_of(text, scopes, &mut figure)?;
    let comparison = comparison(text, &tokens[sign])?;
    let window = after.iter().position(|token| matches!(token.kind, Kind::Word) && token.text(text) == "over");
    let (limit, window) = after.split_at(window.unwrap_or(after.len()));
    let (limit, limit_text) = self::limit(text, limit, figure)?;
    let (over, over_text) = match window.split_first() {
        None => (None, String::new()),
        Some((over, rest)) => {
            let at = range_of(rest).ok_or_else(|| wrong(&over.at, "the window is missing", "write `over 30s`"))?;
            let duration =
                parse_duration(&text[at.clone()]).map_err(|message| wrong(&at, message, "write it like `over 30s`"))?;
            if duration.as_secs() == 0 {
                return Err(wrong(&at, "a window is at least a second long", "write it like `over 30s`"));
            }
            (Some(duration), single_spaced(&text[at]))
        }
    };
    Ok(Written { condition: Condition { figure, comparison, limit, limit_text }, scopes, over, over_text })
}

fn wrong(at: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), at: at.clone(), hint: hint.into() }
}

/// Where the text is without the space around it.
fn trimmed(text: &str) -> Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..text.trim_end().len().max(start)
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// === tokens ===

struct Token {
    kind: Kind,
    at: Range<usize>,
}

enum Kind {
    Word,
    /// Quoted, here without its quotes.
    Name(String),
    /// A comparison, or what was to be one.
    Sign,
}

impl Token {
    fn text<'a>(&self, text: &'a str) -> &'a str {
        &text[self.at.clone()]
    }
}

const SIGNS: &[char] = &['<', '>', '=', '!', '≤', '≥'];

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '"' | '\'' => match name(rest, first) {
                Some((name, length)) => (Kind::Name(name), length),
                None => {
                    let end = trimmed(text).end.max(at + 1);
                    return Err(wrong(&(at..end), "this name has no end", format!("close it with `{first}`")));
                }
            },
            c if SIGNS.contains(&c) => (Kind::Sign, rest.find(|c| !SIGNS.contains(&c)).unwrap_or(rest.len())),
            _ => {
                let ends = |c: char| c.is_whitespace() || SIGNS.contains(&c) || matches!(c, '"' | '\'');
                (Kind::Word, rest.find(ends).unwrap_or(rest.len()))
            }
        };
        tokens.push(Token { kind, at: at..at + length });
        at += length;
    }
    Ok(tokens)
}

/// The name that begins with this quote, and how long it is written.
fn name(text: &str, quote: char) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Some((name, at + c.len_utf8())),
            '\\' => match characters.next()?.1 {
                escaped @ ('"' | '\'' | '\\') => name.push(escaped),
                other => name.extend(['\\', other]),
            },
            c => name.push(c),
        }
    }
    None
}

fn range_of(tokens: &[Token]) -> Option<Range<usize>> {
    Some(tokens.first()?.at.start..tokens.last()?.at.end)
}

// === figures ===

const SIGNALS: &[(&str, Signal)] = &[
    ("failure_ratio", Signal::FailureRatio),
    ("checks", Signal::Checks),
    ("rps", Signal::Rps),
    ("requests", Signal::Requests),
    ("failures", Signal::Failures),
    ("mean", Signal::Mean),
    ("min", Signal::Min),
    ("max", Signal::Max),
];

/// Quantiles that are suggested; there are many more.
const QUANTILES: [&str; 5] = ["p50", "p90", "p95", "p99", "p99.9"];

fn figures() -> String {
    let names: Vec<_> = names().map(|name| format!("`{name}`")).collect();
    format!("there are {}", names.join(", "))
}

fn names() -> impl Iterator<Item = &'static str> {
    QUANTILES.into_iter().chain(SIGNALS.iter().map(|(name, _)| *name))
}

fn figure(text: &str, token: &Token) -> Result<Figure, Wrong> {
    let whole = token.text(text);
    if let Kind::Name(_) = token.kind {
        return Err(wrong(&token.at, format!("{whole} is no figure of a run"), "write it like `p95 of \"GET /cars\" < 300ms`"));
    }
    let (baseline, rest) = whole.strip_prefix("baseline.").map_or((false, whole), |rest| (true, rest));
    let (times, name) = rest.strip_prefix("service.").map_or((Times::Response, rest), |rest| (Times::Service, rest));
    let known = SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, signal)| Ok(*signal));
    let signal = known.or_else(|| quantile(name).map(|quantile| quantile.map(Signal::Quantile))).unwrap_or_else(|| {
        let hint = if name == "schedule_lag" {
            "write it like `p99 of schedule_lag < 5ms`".to_owned()
        } else {
            nearest(name, names()).map_or_else(figures, |near| format!("did you mean `{near}`?"))
        };
        Err((format!("`{name}` is no figure of a run"), hint))
    });
    let signal = signal.map_err(|(message, hint)| wrong(&token.at, message, hint))?;
    if times == Times::Service && !signal.is_time() {
        let message = format!("`{name}` is none of times, so it has no `service.`");
        return Err(wrong(
            &token.at,
            message,
            format!("write `{}`, or a time such as `service.p95`", &whole.replace("service.", "")),
        ));
    }
    if baseline && !(signal.is_time() || signal == Signal::Rps) {
        let hint = "times and `rps` have one, such as `baseline.p95 < 1.1x`";
        return Err(wrong(&token.at, format!("`{name}` is not compared with a baseline"), hint));
    }
    Ok(Figure { signal, times, baseline })
}

/// `None` for what does not look like one.
fn quantile(name: &str) -> Option<Result<Quantile, (String, String)>> {
    let digits = name.strip_prefix('p').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let refuse = |hint: &str| Some(Err((format!("`{name}` is no quantile"), hint.to_owned())));
    const EXAMPLE: &str = "write it like `p95` or `p99.9`, with at most four decimals";
    if !digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return refuse(EXAMPLE);
    }
    let (whole, decimals) = match digits.split_once('.') {
        Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
        Some(_) => return refuse(EXAMPLE),
        // p999 is p99.9, as it is often called.
        None if digits.len() > 2 && digits.starts_with("99") => digits.split_at(2),
        None => (digits, ""),
    };
    match whole.parse::<u32>() {
        Ok(100) if decimals.chars().all(|c| c == '0') => refuse("write `max`"),
        Ok(0) if decimals.chars().all(|c| c == '0') => refuse("write `min`"),
        Ok(whole) if whole < 100 && decimals.len() <= 4 => {
            let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
            Some(Ok(Quantile(whole * 10_000 + decimals)))
        }
        _ => refuse(EXAMPLE),
    }
}

// === scopes ===

fn scopes_of(text: &str, mut tokens: &[Token], figure: &mut Figure) -> Result<Vec<Scope>, Wrong> {
    let mut scopes: Vec<Scope> = Vec::new();
    while let Some((of, rest)) = tokens.split_first() {
        if !matches!(of.kind, Kind::Word) || of.text(text) != "of" {
            let message = format!("`{}` is not expected here", of.text(text));
            return Err(wrong(&of.at, message, "write a comparison such as `< 300ms`, or `of \"NAME\"`"));
        }
        let Some((first, rest)) = rest.split_first() else {
            return Err(wrong(&of.at, "of what is missing", "write it like `p95 of \"GET /cars\" < 300ms`"));
        };
        let word = first.text(text);
        let kind = match (&first.kind, word) {
            (Kind::Name(_), _) => None,
            (_, "schedule_lag") => {
                tokens = rest;
                lag(&first.at, figure)?;
                continue;
            }
            (_, "request") => Some(ScopeKind::Request),
            (_, "user") => Some(ScopeKind::User),
            (_, "task") => Some(ScopeKind::Task),
            (_, "check") => Some(ScopeKind::Check),
            _ => return Err(unquoted(text, tokens)),
        };
        let named = if kind.is_some() { rest.split_first() } else { Some((first, rest)) };
        let Some((Token { kind: Kind::Name(name), at }, rest)) = named else { return Err(unquoted(text, tokens)) };
        let kind = kind.unwrap_or(ScopeKind::Request);
        if scopes.iter().any(|scope| scope.kind == kind) {
            return Err(wrong(at, format!("there is a {} already", kind.name()), "write a threshold for each of them"));
        }
        if (kind == ScopeKind::Check) != (figure.signal == Signal::Checks) && kind == ScopeKind::Check {
            let hint = format!("write it like `checks of check {} > 99%`", super::quoted(name));
            return Err(wrong(at, format!("a check has no `{}`", figure.signal), hint));
        }
        scopes.push(Scope { kind, name: name.clone(), at: at.clone() });
        tokens = rest;
    }
    match (figure.times, scopes.first()) {
        (Times::ScheduleLag, Some(scope)) => {
            Err(wrong(&scope.at, "the schedule lag is that of the whole generator", "leave this out"))
        }
        _ => Ok(scopes),
    }
}

fn lag(at: &Range<usize>, figure: &mut Figure) -> Result<(), Wrong> {
    if figure.times != Times::Response || figure.baseline || !figure.signal.is_time() {
        let message = format!("the schedule lag has no `{figure}`");
        return Err(wrong(at, message, "write it like `p99 of schedule_lag < 5ms`"));
    }
    figure.times = Times::ScheduleLag;
    Ok(())
}

/// What follows an `of` is no quoted name.
fn unquoted(text: &str, tokens: &[Token]) -> Wrong {
    let at = range_of(&tokens[1..]).unwrap_or_else(|| tokens[0].at.clone());
    let (mut words, mut kind) = (single_spaced(&text[at.clone()]), "");
    for name in ["request", "user", "task", "check"] {
        if let Some(rest) = words.clone().strip_prefix(name)
            && (rest.is_empty() || rest.starts_with(' '))
        {
            (words, kind) = (rest.trim().to_owned(), name);
        }
    }
    let words = if words.is_empty() { "NAME".to_owned() } else { words };
    let kind = if kind.is_empty() { String::new() } else { format!("{kind} ") };
    wrong(&at, "a name is written in quotes", format!("write `of {kind}{}`", super::quoted(&words)))
}

// === comparison and limit ===

fn comparison(text: &str, token: &Token) -> Result<Comparison, Wrong> {
    Ok(match token.text(text) {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        other => return Err(wrong(&token.at, format!("`{other}` is no comparison"), "use `<`, `<=`, `>` or `>=`")),
    })
}

/// The limit, and as it is written.
fn limit(text: &str, tokens: &[Token], figure: Figure) -> Result<(f64, String), Wrong> {
    let example = match figure.quantity() {
        Quantity::Ratio => format!("write it like `{figure} > 5%`"),
        Quantity::PerSecond => format!("write it like `{figure} < 100/s`"),
        Quantity::Count => format!("write it like `{figure} < 100`"),
        Quantity::Factor => format!("write it like `{figure} < 1.1x`"),
        Quantity::Seconds => format!("write it like `{figure} > 300ms`"),
    };
    let Some(at) = range_of(tokens) else { return Err(wrong(&trimmed(text), "the limit is missing", example)) };
    let written = &text[at.clone()];
    let number = match figure.quantity() {
        Quantity::Ratio => Ratio::parse(written).map(Ratio::get),
        Quantity::PerSecond => Rate::parse(written).map(Rate::per_second),
        // The very float that a duration of this length is recorded as.
        Quantity::Seconds => parse_duration(written).map(|limit| limit.as_nanos() as f64 / 1e9),
        Quantity::Count => count(written),
        Quantity::Factor => factor(written),
    };
    number.map(|number| (number, single_spaced(written))).map_err(|message| wrong(&at, message, example))
}

/// Beyond 2^53 a float no longer counts.
fn count(text: &str) -> Result<f64, String> {
    let number = text.parse::<u64>().ok().filter(|number| *number <= 1 << 53);
    number.map(|number| number as f64).ok_or_else(|| format!("`{text}` is not a number of things"))
}

fn factor(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('x').and_then(|number| number.trim().parse::<f64>().ok());
    let number = number.filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("`{text}` is not a multiple of the baseline; write `1.1x`"))
}

#[cfg(test)]
mod tests;
