//! Nothing is left out, and nothing is said that is not so.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::random::Random;
use crate::template::{Expression, Names, Scope, Shared};

/// Records of the schema with their keys; of a task, without those that it has as a request.
fn records(schema: &Json) -> Vec<(String, Vec<(String, String)>)> {
    let own = schema["definitions"].as_object().unwrap().iter();
    let keys = |record: &Json| {
        let all = record["properties"].as_object().into_iter().flatten();
        all.map(|(key, value)| (key.clone(), value["description"].as_str().unwrap_or_default().to_owned())).collect()
    };
    let mut all: Vec<(String, Vec<_>)> = own.map(|(name, record)| (name.clone(), keys(record))).collect();
    all.push(("Scenario".to_owned(), keys(schema)));
    let steps: Vec<_> = all.iter().find(|(name, _)| name == "Step").unwrap().1.clone();
    let task = all.iter_mut().find(|(name, _)| name == "Task").unwrap();
    task.1.retain(|key| !steps.contains(key));
    all.retain(|(_, keys)| !keys.is_empty());
    all
}

#[test]
fn every_key_is_described_in_a_whole_sentence() {
    let schema = document::schema();
    let all = records(&schema);
    assert!(all.len() > 35, "{}", all.len());
    for (record, keys) in all {
        for (key, description) in keys {
            assert!(description.len() > 7 && description.ends_with('.'), "{record}.{key}: {description:?}");
            let (meaning, default) = split_default(&description);
            assert!(meaning.len() > 5 && meaning.ends_with(['.', ':']), "{record}.{key}: {meaning:?} {default:?}");
        }
    }
}

#[test]
fn every_key_is_on_the_page() {
    let schema = document::schema();
    let mut shown: BTreeSet<(String, String)> = BTreeSet::new();
    for line in TEXT.lines().filter(|line| line.starts_with('@')) {
        let marker = line.strip_prefix('@').and_then(Marker::parse).unwrap_or_else(|| panic!("{line}"));
        let Marker::Keys { record, keys, .. } = marker else { continue };
        let page = Page { schema: &schema, places: &places() };
        let all = page.record(record).unwrap_or_else(|| panic!("{line}"))["properties"].as_object().unwrap();
        let keys: Vec<String> = match keys {
            Some(keys) => keys.into_iter().map(str::to_owned).collect(),
            None => all.keys().cloned().collect(),
        };
        for key in keys {
            assert!(all.contains_key(&key), "{record} has no {key}");
            assert!(shown.insert((record.to_owned(), key.clone())), "{record}.{key} is there twice");
        }
    }
    let missing: Vec<_> = records(&schema)
        .into_iter()
        .flat_map(|(record, keys)| keys.into_iter().map(move |(key, _)| (record.clone(), key)))
        .filter(|key| !shown.contains(key))
        .collect();
    assert_eq!(missing, []);
}

#[test]
fn no_table_has_a_hole_and_no_link_leads_nowhere() {
    let page = reference();
    assert!(!page.contains("**there is no"), "{}", page.lines().find(|line| line.contains("**there is no")).unwrap());
    let code = |line: &str| line.starts_with('#');
    let anchors: BTreeSet<String> =
        page.lines().filter(|line| code(line)).map(|line| slug(line.trim_start_matches('#').trim())).collect();
    let mut links = 0;
    for (at, _) in page.match_indices("](#") {
        let anchor = page[at + 3..].split(')').next().unwrap();
        assert!(anchors.contains(anchor), "#{anchor}");
        links += 1;
    }
    assert!(links > 150, "{links}");
}

#[test]
fn defaults_are_taken_out_of_descriptions() {
    for (description, meaning, default) in [
        ("For a whole exchange. Default: 30s.", "For a whole exchange.", Some("30s")),
        ("A URL. Default: NAME, or this machine. Over `http`, more.", "A URL. Over `http`, more.", Some("NAME, or this machine")),
        ("So many turns.", "So many turns.", None),
    ] {
        assert_eq!(split_default(description), (meaning.to_owned(), default));
    }
}

/// The tables of MiniJinja's filters and tests: each example gives what stands beside it.
#[test]
fn what_filters_and_tests_give_is_so() {
    let scope = Scope::new(Arc::new(Shared::default()), 0);
    let mut examples = 0;
    for line in TEXT.lines().filter(|line| line.starts_with("| `")) {
        let line = line.replace("\\|", "¦");
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('¦', "|")).collect();
        let [_, example, gives] = cells.as_slice() else { continue };
        let (Some(example), Some(gives)) = (code_of(example), code_of(gives)) else { continue };
        let expression = Expression::parse(example, &Names::new()).unwrap_or_else(|errors| panic!("{example}: {errors:?}"));
        let value = expression.eval(&scope, &mut Random::new(0, 0)).unwrap_or_else(|error| panic!("{example}: {error}"));
        let text = value.as_str().map_or_else(|| serde_json::to_string(&value).unwrap(), str::to_owned);
        assert_eq!(text, gives, "{example}");
        examples += 1;
    }
    assert!(examples >= 25, "{examples}");
}

fn code_of(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

#[test]
fn every_function_filter_and_test_is_on_the_page() {
    let page = reference();
    for name in template::names_of_filters_and_tests() {
        let named = page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}("));
        assert!(named, "{name}");
    }
    for fake in ["fake.city()", "fake.zip_code()"] {
        assert!(page.contains(fake), "{fake}");
    }
}
