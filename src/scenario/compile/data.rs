//! `data`: files are read, and who uses their rows is noted while templates are compiled.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::Compiler;
use crate::load::Profile;
use crate::scenario::document::Scenario;
use crate::scenario::document::data::Feeder as FeederForm;
use crate::scenario::document::place::inside;
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::plan::{AtEnd, Crew, Feeder, Per, RowOrder, Step, UserRows, UserType, Uses};
use crate::template::{Format, MOST_COLUMNS, Reference, Table};

/// Feeders, and what is being compiled that may use them.
#[derive(Default)]
pub(super) struct Data {
    feeders: Vec<Known>,
    /// What templates used since somebody asked.
    used: BTreeSet<usize>,
    /// What any template used.
    ever: BTreeSet<usize>,
    /// What the default headers use, and so each request.
    by_defaults: BTreeSet<usize>,
    /// Steps are compiled that no user does.
    pub(super) without_users: Option<&'static str>,
}

struct Known {
    name: String,
    /// Where its name is written.
    place: Range<usize>,
    /// Where `at_end` is, when it is given.
    at_end: Option<Range<usize>>,
    /// `per` is given.
    per: bool,
    /// `None`, if there is something wrong with it.
    feeder: Option<Feeder>,
}

impl Compiler<'_> {
    /// Reads the files; their names are then known to templates.
    pub(super) fn data(&mut self, scenario: &Scenario) {
        let pairs = scenario.data.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default();
        for (key, form) in pairs {
            let variables = scenario.variables.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default();
            if let Some((variable, _)) = variables.iter().find(|(variable, _)| variable.name == key.name) {
                let hint = format!("the variable is in line {}; choose another name for one of them", self.line(&variable.range));
                self.push(&key.range, format!("`{}` is a variable too", key.name), hint);
                continue;
            }
            if !self.variable_name(&key.name, &key.range) {
                continue;
            }
            let feeder = self.feeder(&key.name, &form.value, &key.range);
            match &feeder {
                Some(feeder) => self.names.closed(&key.name, feeder.table.columns().map(str::to_owned)),
                // What is wrong has been said; nothing follows from it.
                None => self.names.open(&key.name),
            }
            let at_end = form.value.at_end.given().map(|at_end| at_end.range.clone());
            let per = !form.value.per.is_absent();
            self.data.feeders.push(Known { name: key.name.clone(), place: key.range.clone(), at_end, per, feeder });
        }
    }

    /// Whether rows are called so.
    pub(super) fn is_feeder(&self, name: &str) -> bool {
        self.data.feeders.iter().any(|known| known.name == name)
    }

    fn feeder(&mut self, name: &str, form: &FeederForm, place: &Range<usize>) -> Option<Feeder> {
        let mut files: Vec<_> = [("csv", &form.csv), ("json", &form.json), ("json_lines", &form.json_lines)]
            .into_iter()
            .filter_map(|(kind, field)| Some((kind, field, field.key()?.clone())))
            .collect();
        files.sort_by_key(|(_, _, key)| key.start);
        let (kind, field) = match files.as_slice() {
            [(kind, field, _)] => (*kind, *field),
            [] => {
                if !form.has_odd_keys {
                    self.push(place, "these rows have no file", "add `csv: FILE`, `json: FILE` or `json_lines: FILE`");
                }
                return None;
            }
            [(first, ..), (second, _, key), ..] => {
                self.push(
                    &key.clone(),
                    format!("rows come from one file, but here are `{first}` and `{second}`"),
                    "keep one of them, or make two feeders",
                );
                return None;
            }
        };
        let format = self.format(kind, form);
        let order = form.order.value().copied().unwrap_or(RowOrder::Circular);
        let at_end = self.at_end(form, order);
        let path = self.file(field)?;
        let file = field.value()?.clone();
        match Table::load(&path, &file, &format?) {
            Ok(table) => Some(Feeder {
                name: name.to_owned(),
                file,
                table: Arc::new(table),
                order,
                per: form.per.value().copied().unwrap_or(Per::Task),
                at_end: at_end?,
            }),
            Err(problem) => {
                let at = self.error(&field.given()?.range, problem.message);
                self.problems.push(match problem.hint {
                    Some(hint) => at.hint(hint),
                    None => at,
                });
                None
            }
        }
    }

    fn format(&mut self, kind: &str, form: &FeederForm) -> Option<Format> {
        let odd = [("fields", form.fields.key()), ("delimiter", form.delimiter.key()), ("quote", form.quote.key())];
        if kind != "csv" {
            for (key, place) in odd.into_iter().filter_map(|(key, place)| Some((key, place?.clone()))) {
                self.push(
                    &place,
                    format!("`{key}` is about CSV files"),
                    format!("remove it; `{kind}` has names and signs of its own"),
                );
            }
            return Some(if kind == "json" { Format::Json } else { Format::JsonLines });
        }
        let delimiter = self.sign(&form.delimiter, "delimiter", b',');
        let quote = self.sign(&form.quote, "quote", b'"');
        let (delimiter, quote) = (delimiter?, quote?);
        if delimiter == quote {
            let place = form.quote.key().or(form.delimiter.key()).cloned().unwrap_or(0..0);
            self.push(&place, "`delimiter` and `quote` are the same character", "choose two that differ");
            return None;
        }
        let fields = match &form.fields {
            Field::Absent => None,
            Field::Wrong { .. } => return None,
            Field::Given { value, .. } => Some(self.fields(value)?),
        };
        Some(Format::Csv { delimiter, quote, fields })
    }

    fn fields(&mut self, fields: &Placed<crate::scenario::document::values::List<String>>) -> Option<Vec<String>> {
        if fields.value.items.is_empty() && fields.value.whole {
            self.push(&fields.range, "`fields` names no column", "write `fields: [email, password]`, or remove it");
            return None;
        }
        if fields.value.items.len() > MOST_COLUMNS {
            let message =
                format!("`fields` names {} columns, more than the {MOST_COLUMNS} that there may be", fields.value.items.len());
            self.push(&fields.range, message, "leave out what no template uses");
            return None;
        }
        let mut names: Vec<String> = Vec::new();
        let mut good = fields.value.whole;
        for field in &fields.value.items {
            let name = field.value.trim();
            let message = if name.is_empty() {
                "a column needs a name".to_owned()
            } else if names.iter().any(|known| known == name) {
                format!("two columns are named `{name}`")
            } else {
                names.push(name.to_owned());
                continue;
            };
            self.push(&field.range, message, "give each column a name of its own");
            good = false;
        }
        good.then_some(names)
    }

    /// One character of ASCII.
    fn sign(&mut self, field: &Field<String>, key: &str, default: u8) -> Option<u8> {
        let sign = match field {
            Field::Absent => return Some(default),
            Field::Wrong { .. } => return None,
            Field::Given { value, .. } => value,
        };
        match sign.value.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Some(*byte),
            b"tab" | b"\\t" if key == "delimiter" => Some(b'\t'),
            _ => {
                let example = if key == "quote" { "`'`" } else { "`;` or `tab`" };
                self.push(&sign.range, format!("`{key}` is one character"), format!("write one such as {example}"));
                None
            }
        }
    }

    fn at_end(&mut self, form: &FeederForm, order: RowOrder) -> Option<AtEnd> {
        let Some(at_end) = form.at_end.given() else {
            let default = if order == RowOrder::Queue { AtEnd::StopUser } else { AtEnd::Repeat };
            return form.at_end.is_absent().then_some(default);
        };
        let wrong = match (order, at_end.value) {
            (RowOrder::Queue, AtEnd::Repeat) => Some(("a `queue` gives each row once", "write `order: circular` to repeat them")),
            (RowOrder::Random, AtEnd::StopUser | AtEnd::StopRun) => {
                Some(("random rows never come to an end", "write `order: shuffle` to give each row once, in random order"))
            }
            (RowOrder::Circular, AtEnd::StopUser | AtEnd::StopRun) => {
                Some(("`circular` begins again at the end", "write `order: queue` to give each row once"))
            }
            _ => None,
        };
        match wrong {
            Some((message, hint)) => {
                self.push(&at_end.range, message, hint);
                None
            }
            None => Some(at_end.value),
        }
    }

    // === who uses them ===

    /// A template refers to something: notes it if it is a row. Whether that can be.
    pub(super) fn refers_to_row(&mut self, reference: &Reference, text: &str, range: &Range<usize>) -> bool {
        let Some(at) = self.data.feeders.iter().position(|known| *known.name == *reference.root) else { return true };
        self.data.used.insert(at);
        self.data.ever.insert(at);
        let known = &self.data.feeders[at];
        let place = inside(&self.source, range, text, reference.range.clone());
        if let Some(steps) = self.data.without_users {
            let message = format!("`{}` gives rows to users, and `{steps}` is done by none", known.name);
            self.push(&place, message, "use a variable or `env.NAME` here, or move the step to a user's `on_start`");
            return false;
        }
        let (Some(field), Some(feeder)) = (reference.field.as_deref(), &known.feeder) else { return true };
        let Some((row, line)) = feeder.table.lacks(field) else { return true };
        let message =
            format!("not every row of `{}` has `{field}`: row {row} (`{}`, line {line}) has none", known.name, feeder.file);
        self.push(&place, message, "give it to each row; `null` where there is nothing");
        false
    }

    /// Whether these are rows of texts, such as a CSV file's.
    pub(super) fn has_texts_alone(&self, name: &str) -> bool {
        let found = self.data.feeders.iter().find(|known| *known.name == *name);
        found.and_then(|known| known.feeder.as_ref()).is_some_and(|feeder| feeder.table.is_text())
    }

    /// Compiles something, and tells which feeders it uses.
    pub(super) fn using<T>(&mut self, compile: impl FnOnce(&mut Self) -> T) -> (T, BTreeSet<usize>) {
        let before = std::mem::take(&mut self.data.used);
        let compiled = compile(self);
        let used = std::mem::replace(&mut self.data.used, before);
        self.data.used.extend(&used);
        (compiled, used)
    }

    /// What has been compiled so far is part of each request.
    pub(super) fn defaults_use(&mut self, used: BTreeSet<usize>) {
        self.data.by_defaults.extend(used);
    }

    /// Of these, those that give a row for so long.
    pub(super) fn rows_per(&self, per: Per, used: &BTreeSet<usize>) -> Uses {
        let feeder = |at: usize| self.data.feeders.get(at).and_then(|known| known.feeder.as_ref());
        used.iter().copied().filter(|at| feeder(*at).is_some_and(|feeder| feeder.per == per)).collect()
    }

    /// What a request uses, its defaults too.
    pub(super) fn rows_of_request(&mut self, mut used: BTreeSet<usize>) -> Uses {
        used.extend(&self.data.by_defaults);
        self.data.used.extend(&self.data.by_defaults);
        self.rows_per(Per::Request, &used)
    }

    /// What a user is given, `tasks` being what its tasks use.
    pub(super) fn user_rows(
        &mut self,
        on_start: &BTreeSet<usize>,
        on_stop: &BTreeSet<usize>,
        tasks: &BTreeSet<usize>,
    ) -> UserRows {
        for at in on_start.intersection(tasks) {
            let known = &self.data.feeders[*at];
            if !known.per && known.feeder.is_some() {
                let (place, name) = (known.place.clone(), known.name.clone());
                self.warn(
                    &place,
                    format!("`on_start` has one row of `{name}`, and each task after it another"),
                    "write `per: user` if they are to have the same, else `per: task`",
                );
            }
        }
        let all = on_start | on_stop;
        UserRows {
            user: self.rows_per(Per::User, &(&all | tasks)),
            on_start: self.rows_per(Per::Task, on_start),
            on_stop: self.rows_per(Per::Task, on_stop),
        }
    }

    /// Setup and teardown have no rows, and so no default headers that need some.
    pub(super) fn no_rows_by_defaults(&mut self, steps: &[Step], name: &str) {
        let Some(at) = self.data.by_defaults.first().filter(|_| !steps.is_empty()) else { return };
        let Known { name: feeder, place, .. } = &self.data.feeders[*at];
        let message = format!("`http` uses rows of `{feeder}` for every request, and `{name}` has none: no user does it");
        let place = place.clone();
        self.push(&place, message, "give the requests of users what is under `http`");
    }

    /// The feeders, when all that uses them has been compiled.
    pub(super) fn feeders(&mut self, crews: &[Crew], users: &[UserType]) -> Vec<Feeder> {
        let open: BTreeSet<usize> = crews
            .iter()
            .filter(|crew| matches!(crew.profile, Profile::Open(_)))
            .flat_map(|crew| crew.users.iter().filter_map(|user| users.get(*user)))
            .flat_map(UserType::uses)
            .collect();
        let mut feeders = Vec::new();
        for (at, known) in std::mem::take(&mut self.data.feeders).into_iter().enumerate() {
            if !self.data.ever.contains(&at) && known.feeder.is_some() && !self.problems.has_errors() {
                let hint = format!("write `{{{{ {}.COLUMN }}}}` where a row is needed, or remove it", known.name);
                self.warn(&known.place, format!("nothing uses the rows of `{}`", known.name), hint);
            }
            let Some(mut feeder) = known.feeder else { continue };
            if open.contains(&at) && feeder.at_end == AtEnd::StopUser {
                if let Some(place) = known.at_end {
                    self.push(
                        &place,
                        "in an open load a user that ends is replaced at the next arrival",
                        "write `at_end: stop_run`, or let users be there from the start by a closed load",
                    );
                }
                feeder.at_end = AtEnd::StopRun;
            }
            feeders.push(feeder);
        }
        feeders
    }
}
