//! Keeps the direction of imports: what each module of `src` may name of the others.
//!
//! Read are all paths that begin with `crate::` (in `main.rs` with `otload::`), in `use` lines and in the middle of code,
//! and those that climb out of a module by `super::`. Comments, strings and `#[cfg(test)]` modules are left out: a test
//! may look at whatever shows that its subject works.

use std::path::Path;

/// A module and what it may name: whole modules, or parts of them. Its own parts, and [`GROUND`], it always may.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["run", "scenario", "load", "import", "report", "control::client", "control::guard", "dashboards"]),
    ("run", &["engine", "export", "report", "judge", "control", "view", "demo", "http", "scenario", "load", "measure", "trace"]),
    ("engine", &["scenario::plan", "load", "template", "http", "measure", "trace", "export::otlp::settings"]),
    // An exporter that sends, sends over the same TLS.
    ("export", &["measure", "scenario::plan", "trace", "http::settings", "http::tls"]),
    ("report", &["measure", "scenario::plan", "trace"]),
    ("judge", &["measure", "scenario::plan"]),
    // It shows names and figures as the tables do.
    ("view", &["measure", "report", "scenario::plan"]),
    // They show and judge the metrics, and may draw the thresholds of a scenario.
    ("dashboards", &["measure::name", "measure::daemon", "scenario::plan", "http"]),
    ("control", &[]),
    ("import", &["scenario::document"]),
    // The plan names every series, and holds the settings of the transport and of the exporters; labels must not clash.
    (
        "scenario",
        &[
            "load",
            "template",
            "http::settings",
            "http::auth",
            "http::multipart",
            "measure::catalog",
            "measure::name",
            "export::otlp::settings",
        ],
    ),
    ("load", &[]),
    ("template", &[]),
    ("http", &["trace"]),
    ("measure", &["trace"]),
    ("trace", &[]),
    ("demo", &[]),
    ("clock", &[]),
    ("console", &[]),
    ("diagnostic", &[]),
    ("journal", &[]),
    ("phases", &[]),
    ("printable", &[]),
    ("fault", &[]),
    ("file", &[]),
    ("secrets", &[]),
    ("random", &[]),
    ("reason", &[]),
    ("statistics", &[]),
    ("threads", &[]),
    ("units", &[]),
];

/// What all may name.
const GROUND: &[&str] = &[
    "units",
    "diagnostic",
    "reason",
    "phases",
    "clock",
    "random",
    "statistics",
    "journal",
    "fault",
    "printable",
    "console",
    "file",
    "secrets",
    "threads",
];

#[test]
fn imports_follow_the_arrows() {
    let src = crate::kit::root().join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in rust_files(&src) {
        let text = std::fs::read_to_string(&file).unwrap();
        let relative = file.strip_prefix(&src).unwrap();
        seen += 1;
        wrong.extend(forbidden(relative, &text).into_iter().map(|path| format!("src/{} names {path}", relative.display())));
    }
    assert!(seen > 5, "only {seen} files were found under {}", src.display());
    assert!(wrong.is_empty(), "against the arrows of this file:\n{}", wrong.join("\n"));
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The paths in the file at `relative` that its module may not name.
fn forbidden(relative: &Path, text: &str) -> Vec<String> {
    let place: Vec<String> = relative.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let module = place[0].as_str();
    if module == "lib" || (place.len() > 1 && place[1..].iter().any(|part| part == "tests")) {
        return Vec::new();
    }
    // How many `super` lead to the crate's root.
    let depth = place.iter().filter(|part| *part != "mod").count();
    let code = without_tests(&without_comments_and_strings(text));
    let mut named = if module == "main" { paths_after(&code, "otload") } else { paths_after(&code, "crate") };
    // In a module within the file one `super` fewer counts; what it names is then no module of the crate.
    let climbed = paths_after(&code, &vec!["super"; depth].join("::"));
    named.extend(climbed.into_iter().filter(|path| ARROWS.iter().any(|(known, _)| *known == path[0])));
    let mut bad: Vec<String> = named.into_iter().filter(|path| !allowed(module, path)).map(|path| path.join("::")).collect();
    bad.sort();
    bad.dedup();
    bad
}

fn allowed(module: &str, path: &[String]) -> bool {
    let row = ARROWS.iter().find(|(known, _)| *known == module).map(|(_, may)| *may);
    let Some(row) = row else { return false };
    path[0] == module
        || GROUND.contains(&path[0].as_str())
        || row
            .iter()
            .any(|prefix| prefix.split("::").zip(path).filter(|(want, is)| want == is).count() == prefix.split("::").count())
}

/// All paths that follow `start::` in the code, groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths_after(code: &str, start: &str) -> Vec<Vec<String>> {
    let code: String = code.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ::", "::").replace(":: ", "::");
    let start = format!("{start}::");
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(&start) {
        let before = code[..at].chars().next_back();
        // `a::super::x` and `my_crate::x` are something else.
        if before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | ':')) {
            tree(&code[at + start.len()..], &[], &mut paths);
        }
    }
    paths
}

/// Reads one use-tree; what is left of the text behind it.
fn tree<'a>(mut rest: &'a str, parents: &[String], paths: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = parents.to_vec();
    loop {
        rest = rest.trim_start();
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = inner.trim_start_matches([' ', ',']);
                match inner.strip_prefix('}') {
                    Some(behind) => return behind,
                    None if inner.is_empty() => return inner,
                    None => {}
                }
                let behind = tree(inner, &path, paths);
                // `b as c`, and never the same place twice.
                inner = behind.find([',', '}']).map_or("", |end| &behind[end..]);
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            path.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(next) if end > 0 => rest = next,
            _ => break,
        }
    }
    if !path.is_empty() {
        paths.push(path);
    }
    rest
}

/// The code with comments and the contents of strings and characters taken out.
fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| !out.ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
            length
        } else if c == '"' {
            quoted(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        if skip > 0 {
            out.push(' ');
            rest = &rest[skip..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a raw string such as `r#"…"#` or `br"…"` at the start of the text.
fn raw_string(text: &str) -> Option<usize> {
    let open = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = open.len() - open.trim_start_matches('#').len();
    let body = open[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |end| end + close.len());
    Some(text.len() - body.len() + end)
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        // The escaped character may itself be a quote.
        Some((_, '\\')) => text[3..].find('\'').map_or(text.len(), |end| end + 4),
        Some((at, c)) if text[at + c.len_utf8()..].starts_with('\'') => at + c.len_utf8() + 1,
        _ => 0,
    }
}

/// The code without its `#[cfg(test)]` items.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let open = item.find('{').unwrap_or(item.len());
        let end = match item.find(';') {
            Some(end) if end < open => end + 1,
            _ => {
                let mut depth = 0;
                let close = item.char_indices().skip_while(|(at, _)| *at < open).find(|(_, c)| {
                    depth += i32::from(*c == '{') - i32::from(*c == '}');
                    depth == 0
                });
                close.map_or(item.len(), |(end, _)| end + 1)
            }
        };
        rest = &item[end..];
    }
    out + rest
}

#[test]
fn a_forbidden_arrow_is_seen_however_it_is_written() {
    let bad = |file: &str, code: &str| forbidden(Path::new(file), code);
    assert_eq!(bad("load/closed.rs", "use crate::engine::worker;"), ["engine::worker"]);
    assert_eq!(
        bad("load/closed.rs", "use crate::{units::Rate, engine, cli::{args, run as r}};"),
        ["cli::args", "cli::run", "engine"]
    );
    assert_eq!(bad("load/closed.rs", "fn f() -> crate::run::Outcome { crate::http::go() }"), ["http::go", "run::Outcome"]);
    assert_eq!(bad("load/closed.rs", "use super::super::engine;"), ["engine"]);
    assert_eq!(bad("load/mod.rs", "use super::engine::{\n    user,\n};"), ["engine::user"]);
    assert_eq!(bad("clock.rs", "use crate::\n    load\n    ::Part;"), ["load::Part"]);
    assert_eq!(bad("scenario/compile.rs", "use crate::http::{settings::Settings, session};"), ["http::session"]);
    assert_eq!(bad("scenario/plan.rs", "use crate::http; use crate::measure::shard::Shard;"), ["http", "measure::shard::Shard"]);
    assert_eq!(bad("main.rs", "fn main() { otload::run::run() }"), ["run::run"]);
    assert_eq!(bad("cli/mod.rs", "use crate::control::{client, server};"), ["control::server"]);
    assert_eq!(bad("engine/mod.rs", "use crate::cli::args;"), ["cli::args"]);
    assert_eq!(bad("novelty.rs", "use crate::load;"), ["load"], "a module without a row may name the ground only");
    assert_eq!(bad("load/mod.rs", "const A: &str = r#\"\"#; const B: char = '\"'; use crate::run;"), ["run"]);
}

#[test]
fn what_is_allowed_or_is_no_code_is_let_be() {
    let good = |file: &str, code: &str| assert_eq!(forbidden(Path::new(file), code), [""; 0], "{file}: {code}");
    good("load/closed.rs", "use crate::units::Rate; use super::Part; use crate::load::{Part, Stage}; use crate::diagnostic::*;");
    good(
        "scenario/compile.rs",
        "use crate::{http::settings::{Settings, Tls}, measure::catalog::Catalog, template, load::Closed};",
    );
    good("engine/worker.rs", "use crate::scenario::plan::Plan; use super::super::measure::shard::Shard;");
    good("main.rs", "fn main() -> ExitCode { otload::cli::main() }");
    good("lib.rs", "pub mod cli; pub use crate::cli::main;");
    good(
        "load/mod.rs",
        "//! see [`crate::engine`]\n/* crate::run /* crate::cli */ crate::run */ const A: &str = \"crate::run \\\" crate::cli\";",
    );
    good(
        "load/mod.rs",
        "const A: &str = r#\"\" crate::run\"#; fn f<'a>(c: char) -> &'a str { if c == '\\'' { \"crate::run\" } else { \"\" } }",
    );
    good("load/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::engine; mod inner { use crate::cli; }\n}\n");
    good("load/mod.rs", "#[cfg(test)]\nuse crate::engine;\nuse crate::units;");
    good("engine/tests/whole.rs", "use crate::run;");
    good("load/closed.rs", "mod inner { use super::super::Part; }");
}
