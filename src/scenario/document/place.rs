//! Where things are written: brackets up to their end, characters inside of scalars.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Place, Source};

/// Where the bytes `inner` of a scalar's value are written, the scalar being at `range`. Exact for plain and quoted scalars
/// without escapes and for literal blocks; the whole scalar otherwise.
pub fn inside(source: &Source, range: &Range<usize>, value: &str, inner: Range<usize>) -> Range<usize> {
    let written = source.text.get(range.clone()).unwrap_or_default();
    let inner = inner.start.min(value.len())..inner.end.clamp(inner.start.min(value.len()), value.len());
    if written == value {
        return range.start + inner.start..range.start + inner.end;
    }
    let unquoted =
        written.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\''])).filter(|unquoted| *unquoted == value);
    if unquoted.is_some() {
        return range.start + 1 + inner.start..range.start + 1 + inner.end;
    }
    in_block(written, value, &inner).map_or_else(|| range.clone(), |at| range.start + at.start..range.start + at.end)
}

/// The same line of a literal block, whose lines differ from the value's by their indentation only.
fn in_block(written: &str, value: &str, inner: &Range<usize>) -> Option<Range<usize>> {
    let number = value.get(..inner.start)?.matches('\n').count();
    let value_line_start = value[..inner.start].rfind('\n').map_or(0, |at| at + 1);
    let value_line = value[value_line_start..].lines().next()?;
    let written_line = written.split('\n').nth(number)?;
    let written_start: usize = written.split('\n').take(number).map(|line| line.len() + 1).sum();
    let indent = written_line.trim_end_matches('\r').strip_suffix(value_line)?;
    let start = written_start + indent.len() + inner.start - value_line_start;
    indent.trim().is_empty().then(|| start..start + inner.len().min(value_line.len()))
}

/// A problem at `range` of `source`.
pub fn error_at(source: &Arc<Source>, range: &Range<usize>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(message).at(Place { source: source.clone(), range: range.clone() })
}

/// The range of a list or map in brackets up to its last one.
pub(super) fn closed(source: &Source, range: Range<usize>) -> Range<usize> {
    let Some(written) = source.text.get(range.start..) else { return range };
    let Some(close) = written.chars().next().and_then(|open| if open == '[' { Some(']') } else { (open == '{').then_some('}') })
    else {
        return range;
    };
    let rest = source.text.get(range.end..).unwrap_or_default();
    match rest.find(|c: char| !c.is_whitespace() && c != ',') {
        Some(at) if rest[at..].starts_with(close) => range.start..range.end + at + 1,
        _ => range,
    }
}
