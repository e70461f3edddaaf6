//! What is wrong, where, and what to do about it. Problems are collected as values and rendered once, at the top.
//!
//! ```text
//! error: unknown key `spawnrate`
//!   --> cars.yaml:12:3
//!    |
//! 12 |   spawnrate: 5
//!    |   ^^^^^^^^^
//! hint: did you mean `spawn_rate`?
//! ```

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::printable;

/// A text that problems can point into: the scenario file.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// As the user named it, for the `-->` line.
    pub name: String,
    pub text: String,
}

/// A stretch of a [`Source`], in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub source: Arc<Source>,
    pub range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem: what, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub message: String,
    pub place: Option<Place>,
    pub hint: Option<String>,
}

/// Problems in the order in which they were met; rendered errors first, then by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Diagnostic>);

// === Diagnostic ===

impl Diagnostic {
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), place: None, hint: None }
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Without what is around its place: for logs.
    pub fn on_one_line(&self) -> String {
        let place = self.place.as_ref().map(|place| (place, place.line_column()));
        let place = place.map_or_else(String::new, |(place, (line, _))| format!(" ({}:{line})", place.source.name));
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
        printable::one_line(&format!("{}{place}{hint}", self.message))
    }

    /// The whole message; with ANSI colours if `colour`.
    pub fn render(&self, colour: bool) -> String {
        let paint = |code: &'static str, text: &str| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
        let head = match self.severity {
            Severity::Error => paint("1;31", "error:"),
            Severity::Warning => paint("1;33", "warning:"),
        };
        let mut out = format!("{head} {}\n", printable::one_line(&self.message));
        if let Some(place) = &self.place {
            let at = place.position();
            let number = at.line.to_string();
            let gutter = " ".repeat(number.len());
            let _ = writeln!(
                out,
                "{gutter}{} {}:{}:{}",
                paint("1;34", "-->"),
                printable::one_line(&place.source.name),
                at.line,
                at.column
            );
            if !at.text.trim().is_empty() {
                let bar = paint("1;34", "|");
                let _ = writeln!(out, "{gutter} {bar}");
                let _ = writeln!(out, "{} {bar} {}", paint("1;34", &number), at.text);
                let _ = writeln!(out, "{gutter} {bar} {}{}", " ".repeat(at.indent), paint("1;31", &"^".repeat(at.width)));
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{} {}", paint("1;36", "hint:"), printable::one_line(hint));
        }
        out
    }
}

// === Problems ===

impl Problems {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        // The same mistake seen through two aliases is one mistake.
        if !self.0.contains(&diagnostic) {
            self.0.push(diagnostic);
        }
    }

    pub fn extend(&mut self, others: Self) {
        others.0.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Errors before warnings, each in the order of the file.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|d| (d.severity, d.place.as_ref().map_or(0, |place| place.range.start)));
        all
    }

    /// All messages, a blank line between them.
    pub fn render(&self, colour: bool) -> String {
        self.sorted().iter().map(|d| d.render(colour)).collect::<Vec<_>>().join("\n")
    }
}

impl From<Diagnostic> for Problems {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

// === places ===

struct Position {
    line: usize,
    column: usize,
    text: String,
    indent: usize,
    width: usize,
}

/// Lines longer than this are cut around the place.
const WIDEST: usize = 160;

impl Place {
    fn position(&self) -> Position {
        let text = &self.source.text;
        let start = floor_char_boundary(text, self.range.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_char_boundary(text, self.range.end.clamp(start, line_end));
        let whole = text[line_start..line_end].trim_end_matches('\r');
        let before = text[line_start..start].chars().count();
        // A very long line is shown from a little before the place.
        let skip = if whole.chars().count() > WIDEST { before.saturating_sub(40) } else { 0 };
        let shown: String = whole.chars().skip(skip).take(WIDEST).map(one_column).collect();
        let width = text[start..end].trim_end().chars().count().clamp(1, WIDEST.saturating_sub(before - skip).max(1));
        Position { line: text[..start].matches('\n').count() + 1, column: before + 1, text: shown, indent: before - skip, width }
    }

    /// Line and column, both from 1, the column in characters.
    pub fn line_column(&self) -> (usize, usize) {
        let position = self.position();
        (position.line, position.column)
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// As it stands above the marks, each character in a column of its own.
fn one_column(c: char) -> char {
    match c {
        c if c.is_control() => ' ',
        c if printable::is_unsafe(c) => '\u{fffd}',
        c => c,
    }
}

/// The candidate nearest to `word`, if any is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let simple = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    candidates
        .into_iter()
        .map(|candidate| {
            let same = simple(candidate) == simple(word);
            (
                if same {
                    1.0
                } else {
                    strsim::damerau_levenshtein(candidate, word) as f64 / candidate.len().max(word.len()) as f64
                },
                same,
                candidate,
            )
        })
        .map(|(distance, same, candidate)| (if same { 0.0 } else { distance }, candidate))
        .filter(|(distance, _)| *distance <= 0.4)
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, range: Range<usize>) -> Place {
        Place { source: Arc::new(Source { name: "cars.yaml".into(), text: text.into() }), range }
    }

    #[test]
    fn a_problem_shows_line_caret_and_hint() {
        let text = "name: x\nload:\n  spawnrate: 5\n";
        let start = text.find("spawnrate").unwrap();
        let shown = Diagnostic::error("unknown key `spawnrate`")
            .at(place(text, start..start + 9))
            .hint("did you mean `spawn_rate`?")
            .render(false);
        assert_eq!(
            shown,
            "error: unknown key `spawnrate`\n --> cars.yaml:3:3\n  |\n3 |   spawnrate: 5\n  |   ^^^^^^^^^\nhint: did you mean `spawn_rate`?\n"
        );
    }

    #[test]
    fn carets_count_characters_and_long_lines_are_cut() {
        let text = "é: ü\n";
        let start = text.find('ü').unwrap();
        assert!(
            Diagnostic::error("e").at(place(text, start..start + 2)).render(false).contains(":1:4\n  |\n1 | é: ü\n  |    ^\n")
        );
        let long = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let shown = Diagnostic::error("e").at(place(&long, 1000..1001)).render(false);
        assert!(shown.lines().all(|line| line.chars().count() < 180), "{shown}");
        assert!(shown.contains(":1:1001"));
    }

    #[test]
    fn foreign_control_characters_do_not_reach_the_terminal() {
        assert_eq!(Diagnostic::warning("w").at(place("a\nb", 2..3)).hint("h").on_one_line(), "w (cars.yaml:2); h");
        assert!(!Diagnostic::error("\x1b[31mred").at(place("a\x1bb", 1..2)).render(false).contains('\x1b'));
    }

    #[test]
    fn errors_come_before_warnings_and_the_same_one_once() {
        let mut problems = Problems::default();
        problems.push(Diagnostic::warning("w"));
        problems.push(Diagnostic::error("later").at(place("abc", 2..3)));
        problems.push(Diagnostic::error("sooner").at(place("abc", 1..2)));
        problems.push(Diagnostic::error("sooner").at(place("abc", 1..2)));
        let order: Vec<_> = problems.sorted().iter().map(|d| d.message.clone()).collect();
        assert_eq!(order, ["sooner", "later", "w"]);
    }

    #[test]
    fn the_nearest_word_is_near() {
        let keys = ["users", "spawn_rate", "run_time"];
        assert_eq!(nearest("spawnrate", keys), Some("spawn_rate"));
        assert_eq!(nearest("spawn-rate", keys), Some("spawn_rate"));
        assert_eq!(nearest("user", keys), Some("users"));
        assert_eq!(nearest("colour", keys), None);
    }
}
