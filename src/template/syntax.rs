//! From a text to a tree, and the engine's complaints about the text in words for its author.

use super::engine::syntax;
use super::{ParseError, range};
use crate::diagnostic::nearest;
use minijinja::machinery::{self, Token, Tokenizer, ast};
use std::ops::Range;

/// What a text is: with braces around expressions, or one bare expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Template,
    Expression,
}

/// The statements that have an end, with it.
const BLOCKS: &[(&str, &str)] = &[
    ("autoescape", "endautoescape"),
    ("call", "endcall"),
    ("filter", "endfilter"),
    ("for", "endfor"),
    ("if", "endif"),
    ("macro", "endmacro"),
    ("set", "endset"),
    ("with", "endwith"),
];

/// The most operators, calls and brackets of one `{{ }}` or `{% %}`, and the most `elif` of a text. The engine handles an
/// expression by recursion, and this is far below what a thread's stack can bear.
const MOST_OPERATORS: usize = 200;

/// The tree of a template.
pub(super) fn parse_template(text: &str) -> Result<ast::Stmt<'_>, ParseError> {
    refuse_too_large(text, Kind::Template)?;
    machinery::parse(text, "template", syntax()).map_err(|error| explain(text, &error, Kind::Template))
}

/// The tree of a bare expression.
pub(super) fn parse_expression(text: &str) -> Result<ast::Expr<'_>, ParseError> {
    let whole = 0..text.len();
    let bare = text.trim();
    if bare.is_empty() {
        let hint = Some("write a condition such as `id > 10`".to_owned());
        return Err(ParseError { message: "the expression is empty".to_owned(), range: whole, hint });
    }
    if let Some(inner) = bare.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        let hint = Some(format!("write `{}`", inner.trim()));
        return Err(ParseError { message: "an expression here stands without `{{ }}`".to_owned(), range: whole, hint });
    }
    refuse_too_large(text, Kind::Expression)?;
    machinery::parse_expr(text).map_err(|error| explain(text, &error, Kind::Expression))
}

/// A complaint of the engine about `text`.
pub(super) fn explain(text: &str, error: &minijinja::Error, kind: Kind) -> ParseError {
    let detail = error.detail().unwrap_or("this is not understood");
    let place = within(text, error.range().unwrap_or(0..text.len()));
    let found = &text[place.clone()];
    let at_end = detail.starts_with("unexpected end of input");

    if detail == "unexpected end of comment" {
        return unclosed(text, "{#", "#}", text.rfind("{#").unwrap_or_default());
    }
    if detail == "unexpected end of raw block" {
        return unended("raw", "endraw", within(text, text.rfind("{%").unwrap_or_default()..text.len()));
    }
    let outline = Outline::of(text, kind);
    if let Some((marker, start)) = outline.open {
        let close = if marker == "{{" { "}}" } else { "%}" };
        if at_end || !text[start..].contains(close) {
            return unclosed(text, marker, close, start);
        }
    }
    if detail == "unexpected end of string" {
        let quote = text[outline.reached..].find(['"', '\'']).map_or(place.start, |at| outline.reached + at);
        let hint = Some("write the closing quotation mark".to_owned());
        return ParseError { message: "a text is not closed".to_owned(), range: within(text, quote..text.len()), hint };
    }
    if at_end {
        if let Some((name, end, place)) = outline.blocks.last() {
            return unended(name, end, place.clone());
        }
        return ParseError { message: "the expression ends too early".to_owned(), range: place, hint: None };
    }
    let (message, hint) = match detail.split_once(", expected ") {
        Some((_, expected)) => (format!("expected {}, but found `{found}`", readable(expected)), None),
        None => match (detail, detail.strip_prefix("unknown statement ")) {
            (_, Some(name)) => unknown_statement(name),
            ("unexpected end of variable block", _) => ("an expression is missing here".to_owned(), None),
            ("unexpected input after expression", _) => (format!("unexpected `{found}` after the expression"), None),
            (detail, _) if detail.starts_with("unexpected ") => (format!("unexpected `{found}`"), None),
            (detail, _) => (detail.to_owned(), None),
        },
    };
    let other_language = || {
        Some(match found {
            "=" => "to compare, write `==`",
            "&" => "write `and`",
            "|" => "for a choice of two write `or`; a filter's name stands after one `|`",
            "!" => "write `not`",
            "?" => "write `a if condition else b`",
            _ => return None,
        })
    };
    ParseError { message, range: place, hint: hint.or_else(|| other_language().map(str::to_owned)) }
}

fn unclosed(text: &str, marker: &str, close: &str, start: usize) -> ParseError {
    ParseError {
        message: format!("`{marker}` is not closed"),
        range: within(text, start..start + marker.len()),
        hint: Some(format!("write `{close}` where it ends")),
    }
}

fn unended(name: &str, end: &str, range: Range<usize>) -> ParseError {
    ParseError {
        message: format!("`{{% {name} %}}` is not ended"),
        range,
        hint: Some(format!("write `{{% {end} %}}` where it ends")),
    }
}

fn unknown_statement(name: &str) -> (String, Option<String>) {
    let orphan = matches!(name, "else" | "elif" | "endraw") || BLOCKS.iter().any(|(_, end)| *end == name);
    if orphan {
        return (format!("`{{% {name} %}}` has nothing to belong to"), None);
    }
    let known =
        BLOCKS.iter().map(|(name, _)| *name).chain(["do", "raw", "else", "elif"]).chain(BLOCKS.iter().map(|(_, end)| *end));
    (format!("unknown statement `{name}`"), nearest(name, known).map(|known| format!("did you mean `{known}`?")))
}

/// The engine's names of tokens, as they are written.
fn readable(expected: &str) -> &str {
    match expected {
        "end of variable block" => "`}}`",
        "end of block" => "`%}`",
        "identifier" => "a name",
        "identifier or integer" => "a name or a number",
        "expression" => "an expression",
        "in" => "`in`",
        "assignment operator" => "`=`",
        "block keyword" | "statement" => "a statement",
        other => other,
    }
}

/// The range, brought within the text and widened to at least one character.
fn within(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len().saturating_sub(1)));
    let end = text.ceil_char_boundary(range.end.max(start + 1).min(text.len()));
    start..end
}

// === what the tokens tell ===

/// What is open where the tokens of a text end, or where they cannot be read any further.
#[derive(Default)]
struct Outline {
    /// `{{` or `{%` without its end, and where it stands.
    open: Option<(&'static str, usize)>,
    /// Statements without their end: name, end, place.
    blocks: Vec<(&'static str, &'static str, Range<usize>)>,
    /// Where the last token ended that could be read.
    reached: usize,
}

impl Outline {
    fn of(text: &str, kind: Kind) -> Self {
        let mut outline = Self::default();
        let mut tokens = tokens(text, kind).peekable();
        while let Some((token, place)) = tokens.next() {
            outline.reached = place.end;
            match token {
                Token::VariableStart => outline.open = Some(("{{", place.start)),
                Token::BlockStart => {
                    outline.open = Some(("{%", place.start));
                    let Some((Token::Ident(name), _)) = tokens.peek() else { continue };
                    if name.starts_with("end") {
                        outline.blocks.pop();
                    } else if let Some((name, end)) = BLOCKS.iter().find(|(known, _)| known == name) {
                        outline.blocks.push((name, end, place));
                    }
                }
                // `{% set x = 1 %}` has no end.
                Token::Assign if matches!(outline.blocks.last(), Some(("set", ..))) && outline.open.is_some() => {
                    outline.blocks.pop();
                }
                Token::VariableEnd => outline.open = None,
                Token::BlockEnd => {
                    if let (Some((_, start)), Some((_, _, block))) = (outline.open.take(), outline.blocks.last_mut())
                        && block.start == start
                    {
                        block.end = place.end;
                    }
                }
                _ => {}
            }
        }
        outline
    }
}

/// The tokens up to the first that cannot be read.
fn tokens(text: &str, kind: Kind) -> impl Iterator<Item = (Token<'_>, Range<usize>)> {
    let mut tokenizer = Tokenizer::new(text, "template", kind == Kind::Expression, syntax());
    std::iter::from_fn(move || tokenizer.next_token().ok().flatten()).map(|(token, span)| (token, range(span)))
}

/// The filter that the value of each `set` passes through.
pub(super) const BOUNDED: &str = "__bounded";

/// The text, in which the value of each `{% set %}` passes through [`BOUNDED`]. Lines stay where they are.
pub(super) fn with_bounded_sets(text: &str) -> String {
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    // Within `{% set` before its `=`, and behind that.
    let (mut target, mut value) = (false, false);
    let mut tokens = tokens(text, Kind::Template).peekable();
    while let Some((token, place)) = tokens.next() {
        match token {
            Token::BlockStart => target = matches!(tokens.peek(), Some((Token::Ident("set"), _))),
            Token::Assign if target => {
                (target, value) = (false, true);
                out.push_str(&text[copied..place.end]);
                out.push('(');
                copied = place.end;
            }
            Token::BlockEnd => {
                if value {
                    out.push_str(&text[copied..place.start]);
                    out.push_str(&format!(")|{BOUNDED} "));
                    copied = place.start;
                }
                (target, value) = (false, false);
            }
            _ => {}
        }
    }
    out.push_str(&text[copied..]);
    out
}

fn refuse_too_large(text: &str, kind: Kind) -> Result<(), ParseError> {
    let (mut operators, mut branches) = (0, 0);
    for (token, place) in tokens(text, kind) {
        match token {
            Token::VariableStart | Token::BlockStart => operators = 0,
            Token::Ident("elif") => branches += 1,
            Token::Ident("and" | "or" | "not" | "is" | "in" | "if" | "else") => operators += 1,
            Token::TemplateData(_)
            | Token::VariableEnd
            | Token::BlockEnd
            | Token::Ident(_)
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::Comma
            | Token::Colon
            | Token::ParenClose
            | Token::BracketClose
            | Token::BraceClose => {}
            _ => operators += 1,
        }
        let (count, what) = if branches > MOST_OPERATORS { (branches, "`elif`") } else { (operators, "operators") };
        if count > MOST_OPERATORS {
            let hint = Some("divide it, for instance with `set`".to_owned());
            return Err(ParseError {
                message: format!("this has more than {MOST_OPERATORS} {what}"),
                range: within(text, place),
                hint,
            });
        }
    }
    Ok(())
}
