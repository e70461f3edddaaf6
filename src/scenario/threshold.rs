//! Conditions on what is measured: a signal, a comparison and a limit.
//!
//! ```text
//!  failure_ratio > 5%      p95 < 300ms      rps >= 100
//!  signal        │ limit: of a ratio, a duration, or a rate, as the signal says
//!                comparison: < <= > >=
//! ```

use std::fmt;
use std::ops::Range;

use crate::diagnostic::nearest;
use crate::units::{Rate, Ratio, parse_duration};

/// What is compared with a limit, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub signal: Signal,
    pub comparison: Comparison,
    /// In seconds, requests a second, or as a share of one, as the signal says.
    pub limit: f64,
    written: String,
}

/// A figure of a run. Times are response times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    FailureRatio,
    P50,
    P90,
    P95,
    P99,
    P999,
    Mean,
    Max,
    /// Requests a second.
    Rps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    /// Where in the text, in bytes.
    pub at: Range<usize>,
    pub hint: String,
}

// === Condition ===

impl Condition {
    /// Reads `failure_ratio > 5%`.
    ///
    /// # Errors
    /// What is wrong, where in the text, and what would be right.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let start = text.len() - text.trim_start().len();
        let whole = start..text.trim_end().len().max(start);
        let wrong = |at: Range<usize>, message: String, hint: String| Wrong { message, at, hint };
        let example = || "write it like `failure_ratio > 5%` or `p95 > 1s`".to_owned();
        let Some(sign) = text.find(['<', '>', '=', '!', '≤', '≥']) else {
            return Err(wrong(whole, "a condition compares a figure with a limit".to_owned(), example()));
        };
        let name = text[..sign].trim();
        let name_at = start..start + name.len();
        let signal = Signal::ALL.into_iter().find(|signal| signal.name() == name).ok_or_else(|| {
            let names = || Signal::ALL.map(|signal| format!("`{}`", signal.name())).join(", ");
            let hint = nearest(name, Signal::ALL.iter().map(|signal| signal.name()));
            let hint = hint.map_or_else(|| format!("there are {}", names()), |near| format!("did you mean `{near}`?"));
            wrong(if name.is_empty() { sign..sign + 1 } else { name_at }, format!("`{name}` is no figure of a run"), hint)
        })?;
        let rest = &text[sign..];
        let length = rest.find(|c: char| !"<>=!≤≥".contains(c)).unwrap_or(rest.len());
        let comparison = match &rest[..length] {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            other => {
                let at = sign..sign + length;
                return Err(wrong(at, format!("`{other}` is no comparison"), "use `<`, `<=`, `>` or `>=`".to_owned()));
            }
        };
        let limit = rest[length..].trim();
        let limit_start = text.len() - rest[length..].trim_start().len();
        if limit.is_empty() {
            return Err(wrong(whole, "the limit is missing".to_owned(), signal.example()));
        }
        let number = signal
            .parse_limit(limit)
            .map_err(|message| wrong(limit_start..limit_start + limit.len(), message, signal.example()))?;
        let written = format!("{name} {} {limit}", &rest[..length]);
        Ok(Self { signal, comparison, limit: number, written })
    }

    /// Whether a figure fulfils it.
    pub fn holds(&self, figure: f64) -> bool {
        match self.comparison {
            Comparison::Less => figure < self.limit,
            Comparison::LessOrEqual => figure <= self.limit,
            Comparison::Greater => figure > self.limit,
            Comparison::GreaterOrEqual => figure >= self.limit,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

// === Signal ===

impl Signal {
    pub const ALL: [Self; 9] =
        [Self::FailureRatio, Self::P50, Self::P90, Self::P95, Self::P99, Self::P999, Self::Mean, Self::Max, Self::Rps];

    /// As files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::FailureRatio => "failure_ratio",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Rps => "rps",
        }
    }

    /// A figure as people read it.
    pub fn format(self, figure: f64) -> String {
        match self {
            Self::FailureRatio => format!("{:.1}%", figure * 100.0),
            Self::Rps => format!("{figure:.1}/s"),
            _ => crate::units::duration_from_seconds(figure).map_or_else(|_| format!("{figure}s"), crate::units::format_duration),
        }
    }

    fn parse_limit(self, text: &str) -> Result<f64, String> {
        match self {
            Self::FailureRatio => Ratio::parse(text).map(Ratio::get),
            Self::Rps => Rate::parse(text).map(Rate::per_second),
            _ => parse_duration(text).map(|limit| limit.as_secs_f64()),
        }
    }

    fn example(self) -> String {
        match self {
            Self::FailureRatio => "write it like `failure_ratio > 5%`".to_owned(),
            Self::Rps => "write it like `rps < 100/s`".to_owned(),
            time => format!("write it like `{} > 300ms`", time.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_with_their_units() {
        for (text, signal, comparison, limit) in [
            ("failure_ratio > 5%", Signal::FailureRatio, Comparison::Greater, 0.05),
            ("failure_ratio>=0.5", Signal::FailureRatio, Comparison::GreaterOrEqual, 0.5),
            ("  p95 < 300ms ", Signal::P95, Comparison::Less, 0.3),
            ("p999 <= 1m30s", Signal::P999, Comparison::LessOrEqual, 90.0),
            ("mean > 2", Signal::Mean, Comparison::Greater, 2.0),
            ("rps < 600/m", Signal::Rps, Comparison::Less, 10.0),
        ] {
            let condition = Condition::parse(text).unwrap();
            assert_eq!((condition.signal, condition.comparison), (signal, comparison), "{text}");
            assert!((condition.limit - limit).abs() < 1e-12, "{text}");
        }
        assert_eq!(Condition::parse("  p95<300ms").unwrap().to_string(), "p95 < 300ms");
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (text, at, message, hint) in [
            ("", "", "a condition compares a figure with a limit", "failure_ratio > 5%"),
            ("p95", "p95", "a condition compares a figure with a limit", "p95 > 1s"),
            ("failure_rate > 5%", "failure_rate", "`failure_rate` is no figure of a run", "did you mean `failure_ratio`?"),
            ("latency > 5%", "latency", "`latency` is no figure of a run", "there are `failure_ratio`, `p50`"),
            (" > 5%", ">", "`` is no figure of a run", "there are"),
            ("p95 == 1s", "==", "`==` is no comparison", "use `<`, `<=`, `>` or `>=`"),
            ("p95 >", "p95 >", "the limit is missing", "`p95 > 300ms`"),
            ("p95 > 5%", "5%", "`%` is not a unit of time; use ms, s, m, h or d", "`p95 > 300ms`"),
            ("failure_ratio > 120%", "120%", "between 0 and 1", "`failure_ratio > 5%`"),
            ("rps < fast", "fast", "is not a rate", "`rps < 100/s`"),
        ] {
            let wrong = Condition::parse(text).unwrap_err();
            assert_eq!(&text[wrong.at.clone()], at, "{text}");
            assert!(wrong.message.contains(message) && wrong.hint.contains(hint), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn conditions_hold_or_not() {
        for (text, figure, holds) in [
            ("p95 < 1s", 0.9, true),
            ("p95 < 1s", 1.0, false),
            ("p95 <= 1s", 1.0, true),
            ("p95 > 1s", 1.0, false),
            ("p95 > 1s", 1.1, true),
            ("p95 >= 1s", 1.0, true),
        ] {
            assert_eq!(Condition::parse(text).unwrap().holds(figure), holds, "{text} with {figure}");
        }
        assert_eq!(Signal::FailureRatio.format(0.0625), "6.2%");
        assert_eq!(Signal::P99.format(1.25), "1.25s");
    }
}
