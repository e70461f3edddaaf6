//! The documents: the reference of the language is what the program says, and every yaml block of README.md and docs/ that is a
//! scenario, or a part of one, is right.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otload::diagnostic::Source;
use otload::scenario::{Overrides, compile, reference, schema};

use crate::kit::root;

/// How many blocks of a document are of other programs: Prometheus, GitHub, Kubernetes …
const FOREIGN: &[(&str, usize)] = &[
    ("README.md", 1),
    ("alerts.md", 1),
    ("ci.md", 3),
    ("control.md", 1),
    ("correlating.md", 1),
    ("dashboards.md", 2),
    ("kubernetes.md", 1),
];

/// What the blocks name: files beside a scenario.
const FILES: &[(&str, &str)] = &[
    ("accounts.csv", "email,password\nann@example.com,secret\n"),
    ("words.jsonl", "{\"word\": \"tesla\"}\n"),
    ("orders.json", "[{\"car\": 1}]\n"),
    ("car.jpg", "no picture"),
];

/// Names that blocks of single steps use and others define.
const VARIABLES: &str = "variables: {}\n";

/// Kinds of users that blocks without any are about.
const USERS: &str = "\
users:
  - name: Visitor
    tasks:
      - get: /cars
      - name: browse
        flow:
          - post: /cars
            expect: {status: 201}
";

const LOAD: &str = "load: {users: 100, spawn_rate: 10/s, run_time: 1h}\n";

#[test]
fn the_reference_of_the_language_is_what_the_program_says() {
    let path = root().join("docs/language.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let line = committed.lines().zip(reference().lines().map(str::to_owned)).find(|(a, b)| a != b);
    assert!(committed == reference(), "UPDATE_GOLDEN=1 renews docs/language.md; the first difference is {line:?}");
    // `otload schema --markdown` is the same.
    let printed = crate::kit::Otload::command(&["schema", "--markdown"]).expect_code(0);
    assert_eq!(printed.stdout, committed);
}

#[test]
fn what_documents_show_is_right() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    certificates(folder.path());
    let keys: Vec<String> = schema()["properties"].as_object().unwrap().keys().cloned().collect();
    let (mut foreign, mut wrong, mut right): (BTreeMap<String, usize>, Vec<String>, usize) = Default::default();
    for path in documents() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for (line, text) in blocks(&std::fs::read_to_string(&path).unwrap()) {
            let Some(whole) = whole(&text, &keys) else {
                *foreign.entry(name.clone()).or_default() += 1;
                continue;
            };
            let source = Source { name: folder.path().join("block.yaml").display().to_string(), text: whole.clone() };
            match compile(Arc::new(source), &overrides(&text)) {
                Ok((_, warnings)) if warnings.is_empty() => right += 1,
                Ok((_, problems)) | Err(problems) => {
                    wrong.push(format!("{name}:{line}\n{whole}\n{}", problems.render(false)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let expected: BTreeMap<String, usize> = FOREIGN.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    assert_eq!(foreign, expected, "blocks that are no scenario");
    assert!(right >= 45, "{right}");
}

fn documents() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    all.push(root().join("README.md"));
    all.sort();
    all
}

/// The blocks that are fenced as yaml, each with its first line's number.
fn blocks(document: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in document.lines().enumerate() {
        match &mut open {
            Some(_) if line.trim() == "```" => found.extend(open.take()),
            Some((_, text)) => *text += &format!("{line}\n"),
            None if line.trim() == "```yaml" => open = Some((at + 2, String::new())),
            None => {}
        }
    }
    found
}

/// A block as a whole scenario; `None` when it is something else.
fn whole(text: &str, keys: &[String]) -> Option<String> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'))?;
    if first.starts_with("- ") {
        let steps: String = text.lines().map(|line| format!("          {line}\n")).collect();
        return Some(format!(
            "host: http://127.0.0.1:5000\n{VARIABLES}users:\n  - tasks:\n      - name: block\n        flow:\n{steps}{LOAD}"
        ));
    }
    let top: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()))
        .filter_map(|line| line.split(':').next())
        .collect();
    let known = |name: &&&str| keys.iter().any(|key| key == **name) || name.starts_with("x-");
    let foreign = ["jobs", "apiVersion", "services", "groups", "receivers"].iter().any(|key| top.contains(key));
    let foreign = foreign || text.contains("\n  script:\n");
    if foreign || top.iter().filter(known).count() == 0 {
        return None;
    }
    let missing = |key: &str, value: &str| if top.contains(&key) { String::new() } else { value.to_owned() };
    // Kinds of users that all have a load of their own.
    let own = text.lines().filter(|line| line.starts_with("    load:")).count();
    let all_own = own > 0 && own == text.lines().filter(|line| line.starts_with("  - name:")).count();
    let host = missing("host", "host: http://127.0.0.1:5000\n");
    Some(format!("{host}{text}{}{}", missing("users", USERS), if all_own { String::new() } else { missing("load", LOAD) }))
}

/// Every variable of the environment that a block names is there.
fn overrides(text: &str) -> Overrides {
    let names = text.match_indices("env.").map(|(at, _)| {
        text[at + 4..].chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect::<String>()
    });
    Overrides {
        env: names.map(|name| (name, "a-value-of-the-environment".to_owned())).collect::<HashMap<_, _>>(),
        ..Overrides::default()
    }
}

/// A client's certificate, and an authority: what `tls` names.
fn certificates(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("client.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("client.key"), made.signing_key.serialize_pem()).unwrap();
}

/// tests/README.md names tests that there are.
#[test]
fn the_tests_of_the_language_exist() {
    let mut functions = std::collections::BTreeSet::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                let names = text.lines().filter_map(|line| line.trim().trim_start_matches("async ").strip_prefix("fn "));
                functions.extend(names.filter_map(|name| name.split('(').next()).map(str::to_owned));
            }
        }
    }
    let table = std::fs::read_to_string(root().join("tests/README.md")).unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| of the")).collect();
    assert!(rows.len() > 30, "{}", rows.len());
    for row in rows {
        let names = row.split(" | ").nth(1).unwrap_or_default().trim_end_matches(" |");
        assert!(!names.is_empty(), "{row}");
        for name in names.split_whitespace() {
            assert!(functions.contains(name.trim_matches('`')), "there is no test {name}");
        }
    }
}
