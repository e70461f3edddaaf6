//! Rules as Prometheus reads them.

use std::fmt::Write as _;

use super::windows::promql;
use super::{Group, Kind, Rule};

/// Long texts are broken here.
const WIDTH: usize = 120;

/// A file of rules.
pub(super) fn render(groups: &[Group]) -> String {
    let mut out = String::from("# Written by `otload dashboards --write DIR`, which also makes them for other windows.\n");
    for line in groups.iter().flat_map(|group| group.about.lines()) {
        let _ = writeln!(out, "# {line}");
    }
    out.push_str("groups:\n");
    for group in groups {
        let _ = writeln!(out, "  - name: {}\n    interval: {}\n    rules:", group.name, promql(group.interval));
        group.rules.iter().for_each(|rule| write(&mut out, rule));
    }
    out
}

fn write(out: &mut String, rule: &Rule) {
    match &rule.kind {
        Kind::Record(name) => {
            let _ = writeln!(out, "      - record: {name}");
        }
        Kind::Alert { name, .. } => {
            let _ = writeln!(out, "      - alert: {name}");
        }
    }
    block(out, "        ", "expr", "|-", rule.expression.lines().map(str::to_owned));
    if let Kind::Alert { patience, .. } = &rule.kind
        && !patience.is_zero()
    {
        let _ = writeln!(out, "        for: {}", promql(*patience));
    }
    if !rule.labels.is_empty() {
        out.push_str("        labels:\n");
        rule.labels.iter().for_each(|(name, value)| entry(out, name, value));
    }
    if let Kind::Alert { annotations, .. } = &rule.kind {
        out.push_str("        annotations:\n");
        for (name, text) in annotations {
            if text.len() + name.len() + 12 <= WIDTH {
                entry(out, name, text);
            } else {
                block(out, "          ", name, ">-", wrap(text, WIDTH - 12));
            }
        }
    }
}

/// In quotes, as JSON writes them, unless it is plain.
fn entry(out: &mut String, name: &str, value: &str) {
    let plain = value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.' | '#'));
    let value = if plain { value.to_owned() } else { serde_json::Value::from(value).to_string() };
    let _ = writeln!(out, "          {name}: {value}");
}

fn block(out: &mut String, indent: &str, name: &str, style: &str, lines: impl Iterator<Item = String>) {
    let _ = writeln!(out, "{indent}{name}: {style}");
    for line in lines {
        let _ = writeln!(out, "{indent}  {line}");
    }
}

/// Broken at single spaces, which the folded style puts back.
fn wrap(text: &str, width: usize) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}
