//! Mistakes that make a file no YAML: what the library says of them, said for the person who has to mend the file.

use std::ops::Range;
use std::sync::Arc;

use serde_yaml::Error;
use serde_yaml::granit_parser::{ErrorKind, Parser};

use super::node::{DEEPEST, TOO_DEEP, bytes};
use super::place::error_at;
use crate::diagnostic::{Diagnostic, Source};

/// A larger file is a mistake, or an attack.
pub(super) const LARGEST: u64 = 4 * 1024 * 1024;

/// What can be said without a parser: too large, empty, a tab before the first key (which the library lets pass, and which
/// makes the second key look wrong).
pub(super) fn screen(source: &Arc<Source>) -> Option<Diagnostic> {
    let text = &source.text;
    if text.len() as u64 > LARGEST {
        return Some(too_large(&source.name));
    }
    let meaningless = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim() == "---";
    if text.trim_start_matches('\u{feff}').lines().all(meaningless) {
        return Some(
            Diagnostic::error(format!("`{}` is empty", source.name))
                .hint("a scenario needs at least `host`, `users` with tasks, and `load`; see examples/cars.yaml"),
        );
    }
    let first = text.split_inclusive('\n').find(|line| !meaningless(line.trim_start_matches('\u{feff}')))?;
    let start = first.as_ptr() as usize - text.as_ptr() as usize;
    first.starts_with('\t').then(|| tab(source, start))
}

pub(super) fn too_large(name: &str) -> Diagnostic {
    Diagnostic::error(format!("`{name}` is larger than the 4 MiB that a scenario may have"))
        .hint("is it a scenario? rows of test data do not belong into it")
}

fn tab(source: &Arc<Source>, at: usize) -> Diagnostic {
    error_at(source, &(at..at + 1), "a tab cannot indent YAML").hint("use spaces")
}

/// The library's error in our words.
pub(super) fn translate(source: &Arc<Source>, error: &Error) -> Diagnostic {
    // The library passes the scanner's mistakes on as sentences; the scanner itself gives them a kind and a byte.
    if !matches!(error.without_snippet(), Error::Budget { .. }) {
        for event in Parser::new_from_str(&source.text) {
            if let Err(scan) = event {
                let at = scan.marker().byte_offset().unwrap_or(source.text.len()).min(source.text.len());
                return scanned(source, scan.kind(), at);
            }
        }
    }
    let range = error.location().and_then(|location| bytes(&location)).unwrap_or(0..0);
    let at = |message: &str| error_at(source, &range, message);
    match innermost(error) {
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => at("aliases make this file too large")
            .hint("each `*name` repeats what its anchor holds; write fewer of them inside each other"),
        Error::Budget { breach, .. } => match breach {
            serde_yaml::budget::BudgetBreach::Depth { .. } => too_deep(source, &range),
            serde_yaml::budget::BudgetBreach::Documents { .. } => several_documents(source),
            _ => at("this file has too many values for a scenario").hint("is it a scenario? one has at most 250,000 values"),
        },
        Error::MultipleDocuments { .. } => several_documents(source),
        Error::UnknownAnchor { .. } => {
            at("this alias names no anchor").hint("write `&name` before the value that `*name` shall repeat")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => at("this alias is inside the very value that it repeats"),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            at("`<<` merges maps, but this is none").hint("write `<<: *name`, where `&name` is before a map")
        }
        Error::InvalidScalar { .. } | Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } => {
            at("this value does not fit its tag").hint("scenarios need no tags such as `!!int`; leave it out")
        }
        Error::Message { msg, .. } if msg.contains(TOO_DEEP) => too_deep(source, &range),
        other => at(&format!("this is not YAML: {}", first_line(&other.to_string()))),
    }
}

fn too_deep(source: &Arc<Source>, range: &Range<usize>) -> Diagnostic {
    error_at(source, range, "this is nested too deeply").hint(format!("a scenario may nest lists and maps {DEEPEST} deep"))
}

fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => innermost(error),
        other => other,
    }
}

/// The library adds the place to its sentences; ours is drawn.
fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.rfind(" at line ").map_or(line, |at| &line[..at])
}

fn several_documents(source: &Arc<Source>) -> Diagnostic {
    let mut start = 0;
    let mut seen = false;
    for line in source.text.split_inclusive('\n') {
        if line.trim_end() == "---" && seen {
            break;
        }
        seen |= !line.trim().is_empty() && !line.starts_with(['#', '%']) && line.trim_end() != "---";
        start += line.len();
    }
    error_at(source, &(start..start + 3), "a scenario is one YAML document, and here a second one begins")
        .hint("put each scenario into its own file")
}

/// A key that is a list or a map; most often a template without quotes.
pub(super) fn odd_key(source: &Arc<Source>, range: Range<usize>) -> Diagnostic {
    let text = &source.text;
    if let Some(template) = template_at(text, range.start) {
        let written = &text[template.clone()];
        return error_at(source, &template, "a value that begins with a template must be in quotes")
            .hint(format!("write `\"{written}\"`"));
    }
    error_at(source, &range, "a key must be a text, but this is a list or a map")
}

/// `{{ … }}` around or right before `at`, to the end of the line's value.
fn template_at(text: &str, at: usize) -> Option<Range<usize>> {
    let start = if text[at..].starts_with("{{") {
        at
    } else {
        at.checked_sub(1).filter(|before| text.get(*before..).is_some_and(|rest| rest.starts_with("{{")))?
    };
    let line_end = text[start..].find('\n').map_or(text.len(), |end| start + end);
    let end = text[start..line_end].find("}}").map(|end| start + end + 2)?;
    let tail = text[end..line_end].find([' ', ',', ']', '}', '\r']).map_or(line_end, |tail| end + tail);
    Some(start..tail)
}

fn scanned(source: &Arc<Source>, kind: &ErrorKind, at: usize) -> Diagnostic {
    let text = &source.text;
    let line_start = text[..at].rfind('\n').map_or(0, |start| start + 1);
    let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let line = &text[line_start..line_end];
    let width = text[at..line_end].chars().next().map_or(0, char::len_utf8);
    let here = |message: &str| error_at(source, &(at..at + width), message);
    let indent = line.len() - line.trim_start().len();
    let content = line_start + indent..line_end;
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => tab(source, line.find('\t').map_or(at, |found| line_start + found)),
        // The scanner stops at what follows the template's `}}`.
        _ if unquoted_template(line).is_some() => {
            let found = unquoted_template(line).unwrap_or(0..0);
            let found = line_start + found.start..line_start + found.end;
            let written = text[found.clone()].to_owned();
            error_at(source, &found, "a value that begins with a template must be in quotes")
                .hint(format!("write `\"{written}\"`"))
        }
        ErrorKind::UnclosedQuotedScalar => here("this quote is never closed").hint("close it on the same line"),
        ErrorKind::UnclosedFlowCollection { open } => {
            here(&format!("this `{open}` is never closed")).hint(format!("add the `{}` that closes it", closing(*open)))
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            here(&format!("this `{open}` is closed by a `{close}`")).hint(format!("close it with `{}`", closing(*open)))
        }
        ErrorKind::MisplacedFlowCollectionEnd => here("this bracket closes nothing").hint("remove it, or open it before"),
        ErrorKind::InvalidColonPlacement
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            if let Some(path) = bare_path(line, at - line_start) {
                let path = line_start + path.start..line_start + path.end;
                let written = text[path.clone()].to_owned();
                return error_at(source, &path, "inside `{ }` a JSONPath with brackets must be in quotes")
                    .hint(format!("write `\"{written}\"`"));
            }
            match unclosed(text, at) {
                Some((open, bracket)) if !text[open..at].contains('\n') => {
                    here(&format!("expected `,` or `{}` here", closing(bracket)))
                        .hint("separate values by `, `; a text that holds one of `, : [ ] { }` needs quotes")
                }
                Some((open, bracket)) => {
                    error_at(source, &(open..open + 1), format!("this `{bracket}` is not closed on its line"))
                        .hint(format!("add the `{}` that closes it, or a `,` between its values", closing(bracket)))
                }
                None => here("expected `,` or a closing bracket here"),
            }
        }
        ErrorKind::UnknownAnchor => {
            let name = at..at + text[at..line_end].find([' ', ',', ']', '}']).unwrap_or(line_end - at);
            let is_name = |name: &str| name.chars().skip(1).all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
            if !is_name(&text[name.clone()]) {
                return here("a text cannot begin with `*` in YAML").hint("put the text in quotes");
            }
            error_at(source, &name, format!("the alias `{}` names no anchor", &text[name.clone()]))
                .hint("write `&name` before the value that `*name` shall repeat, or put the text in quotes")
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            let escape = bad_escape(&text[at..line_end]).map_or(at..at + width, |found| at + found.start..at + found.end);
            error_at(source, &escape, "in double quotes a backslash begins an escape, and this is none")
                .hint("write two backslashes, or use single quotes")
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar => {
            here("the text ends at the quote before this").hint("an apostrophe inside single quotes is written twice: 'it''s'")
        }
        ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            here("the text ends at the quote before this").hint("a quote inside double quotes is written `\\\"`")
        }
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => {
            here("a control character cannot stand here").hint("in double quotes write it as an escape, such as `\\u0001`")
        }
        ErrorKind::UnexpectedCharacter { character } => {
            here(&format!("a text cannot begin with `{character}` in YAML")).hint("put the text in quotes")
        }
        ErrorKind::MissingAnchorOrAliasName => here("a text cannot begin with `*` or `&` in YAML").hint("put the text in quotes"),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => {
            here("a list cannot begin on the line of its key").hint("put `- ` on the next line, indented, or write `[a, b]`")
        }
        ErrorKind::MappingValueNotAllowed => colon(source, at, line_start, line),
        ErrorKind::SimpleKeyExpected => no_key(source, content),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::InvalidIndentation => {
            let dash = line.trim_start().starts_with('-');
            let start = line_start + indent;
            let first = error_at(source, &(start..line_end), "the indentation does not fit the lines before");
            match kind {
                ErrorKind::ExpectedBlockMappingKey if dash && left_of_its_list(text, line_start, indent) => {
                    first.hint("all `-` of a list begin in the same column")
                }
                ErrorKind::ExpectedBlockMappingKey if dash => {
                    first.hint("the lines before are keys of a map, and this begins a list; is its key missing?")
                }
                ErrorKind::ExpectedBlockMappingKey => first.hint("keys of one map begin in the same column"),
                ErrorKind::ExpectedBlockSequenceEntry if dash => first.hint("all `-` of a list begin in the same column"),
                _ => first.hint("keys of a list's entry stand in one column, after the `- `"),
            }
        }
        ErrorKind::CommentInterceptedScalar => {
            here("a comment inside a text of several lines").hint("put the text in quotes, or the comment elsewhere")
        }
        ErrorKind::InvalidBlockScalarHeader => here("after `|` or `>` the text begins on the next line"),
        ErrorKind::InvalidBlockScalarIndent | ErrorKind::InvalidQuotedScalarIndent | ErrorKind::InvalidFlowScalarIndent => {
            error_at(source, &content, "this line belongs to the text before and is not indented enough")
                .hint("indent it like the text's first line")
        }
        ErrorKind::RecursionLimitExceeded => too_deep(source, &(at..at + width)),
        ErrorKind::ExpectedDocumentStart | ErrorKind::InvalidDocumentEnd => here("the document has ended before this"),
        other => here(&format!("this is not YAML: {other}")),
    }
}

/// `a: b: c`, `a: b` above an indented `c: d`, or a line without a colon above a key.
fn colon(source: &Arc<Source>, at: usize, line_start: usize, line: &str) -> Diagnostic {
    let in_line = at - line_start;
    let key_start = line.len() - line.trim_start().trim_start_matches("- ").len();
    let first_colon = line.find(": ").unwrap_or(line.len());
    if first_colon < in_line {
        let written = line[first_colon + 1..].trim();
        return error_at(source, &(at..at + 1), "a second `: ` in one line")
            .hint(format!("put the text in quotes: `\"{written}\"`"));
    }
    let before = source.text[..line_start].trim_end_matches(['\n', '\r']);
    let before_start = before.rfind('\n').map_or(0, |start| start + 1);
    let previous = &before[before_start..];
    let previous_indent = previous.len() - previous.trim_start().trim_start_matches("- ").len();
    let content = previous.trim_start().trim_start_matches("- ");
    let place = line_start + key_start..line_start + line.trim_end().len();
    if !content.is_empty() && !content.contains(": ") && !content.trim_end().ends_with(':') {
        return no_key(source, before_start + previous_indent..before.len());
    }
    if key_start > previous_indent {
        return error_at(source, &place, "the indentation does not fit the lines before")
            .hint("a key that has a value in its line cannot have keys below it; begin both in the same column");
    }
    error_at(source, &place, "the indentation does not fit the lines before").hint("keys of one map begin in the same column")
}

/// A line that should be `key: value` and has no colon, or no space after it.
fn no_key(source: &Arc<Source>, place: Range<usize>) -> Diagnostic {
    let hint = match source.text[place.clone()].trim().split_once(':') {
        Some((key, value)) if !key.is_empty() => format!("a space belongs after the colon: `{key}: {value}`"),
        _ => "a colon and a space belong between them".to_owned(),
    };
    error_at(source, &place, "expected `key: value` here").hint(hint)
}

/// Whether this entry of a list stands to the left of the entries before it.
fn left_of_its_list(text: &str, line_start: usize, indent: usize) -> bool {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut before = text[..line_start].lines().rev().filter(|line| !line.trim().is_empty());
    before.find(|line| depth(line) <= indent || line.trim_start().starts_with('-')).is_some_and(|line| depth(line) > indent)
}

fn closing(open: char) -> char {
    if open == '[' { ']' } else { '}' }
}

/// The innermost bracket that is open at `at`, quotes and comments aside.
fn unclosed(text: &str, at: usize) -> Option<(usize, char)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut quote = None;
    let mut comment = false;
    let mut before = '\n';
    for (index, c) in text[..at].char_indices() {
        match (quote, c) {
            (_, '\n') => comment = false,
            _ if comment => {}
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if matches!(before, ' ' | '[' | '{' | ',' | '\n') => quote = Some(c),
            (None, '#') if before.is_whitespace() => comment = true,
            (None, '[' | '{') => open.push((index, c)),
            (None, ']' | '}') => drop(open.pop()),
            _ => {}
        }
        before = c;
    }
    open.pop()
}

/// `{{ … }}` that begins a plain value.
fn unquoted_template(line: &str) -> Option<Range<usize>> {
    let start = [": {{", "- {{", "[{{", ", {{"].iter().filter_map(|lead| line.find(lead).map(|at| at + lead.len() - 2)).min()?;
    let end = start + line[start..].find("}}")? + 2;
    let tail = line[end..].find([',', ']', '}', '\r']).map_or(line.len(), |tail| end + tail);
    let tail = line[..tail].trim_end().len().max(end);
    Some(start..tail)
}

/// A `$…` that the brackets of a JSONPath have ended.
fn bare_path(line: &str, at: usize) -> Option<Range<usize>> {
    let start =
        line.get(..at)?.rfind(['{', ',', ' ']).map(|before| before + 1).filter(|start| line[*start..].starts_with('$'))?;
    let end = line[start..].find(": ").map_or(line.len(), |end| start + end);
    line[start..end].contains('[').then_some(start..end)
}

fn bad_escape(text: &str) -> Option<Range<usize>> {
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            let (_, escaped) = characters.next()?;
            if !r#"0abtnvfre "/\N_LPxuU"#.contains(escaped) {
                return Some(at..at + 1 + escaped.len_utf8());
            }
        }
    }
    None
}
