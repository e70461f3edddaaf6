//! `load`, `warm_up` and `graceful_stop`, with what the command line says instead; and user types' own loads. Which load it is
//! is found out here; each has a file: `closed.rs`, `open.rs`, `shapes.rs`.

mod closed;
mod open;
mod shapes;

use std::ops::Range;
use std::time::Duration;

use super::Compiler;
use crate::diagnostic::Diagnostic;
use crate::load::{Closed, Profile, limits};
use crate::scenario::document::Scenario;
use crate::scenario::document::model::{Load, UserType as UserForm};
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::plan::{Crew, Share, UserType};
use crate::scenario::threshold::Condition;
use crate::units::{Rate, format_duration};

/// The compiled loads.
pub(super) struct Compiled {
    pub(super) crews: Vec<Crew>,
    pub(super) warm_up: Duration,
    pub(super) graceful_stop: Duration,
}

/// When one crew works, and what ends it.
struct Schedule {
    profile: Profile,
    until: Option<Condition>,
}

/// Whose load it is, and what of it the command line overrides.
#[derive(Clone)]
struct Whose {
    /// `None`: the scenario's.
    user: Option<String>,
    /// Where `load` is written.
    key: Option<Range<usize>>,
    users: Option<u32>,
    spawn_rate: Option<Rate>,
    run_time: Option<Duration>,
}

/// More steps than anybody looks at.
const MOST_STEPS: u32 = 10_000;
const OPEN: &str = "write `load: {arrival_rate: 200/s, max_users: 500, run_time: 1m}`";

impl Compiler<'_> {
    pub(super) fn load(&mut self, scenario: &Scenario, users: &[UserType]) -> Option<Compiled> {
        let forms: Vec<UserForm> = match scenario.users.value() {
            Some(list) => list.items.iter().map(|form| form.value.clone()).collect(),
            None => Vec::new(),
        };
        let own = self.own_loads(&forms);
        let absent = Load::default();
        let load = match &scenario.load {
            Field::Given { value, .. } => &value.value,
            Field::Wrong { .. } | Field::Absent => &absent,
        };
        let shared = self.shared_load(scenario, load, &forms);
        let warm_up = self.either(&scenario.warm_up, &load.warm_up, "warm_up").cloned();
        let graceful_stop = self
            .either(&scenario.graceful_stop, &load.graceful_stop, "graceful_stop")
            .map_or(Duration::from_secs(30), |placed| placed.value);

        let mut crews: Vec<Crew> = Vec::new();
        let mut all = true;
        let first_slot = |crews: &[Crew]| crews.iter().map(|crew| crew.profile.peak()).fold(0, u32::saturating_add);
        let form_of = |user: &UserType| match forms.as_slice() {
            [_] => Some(0),
            _ => forms.iter().position(|form| form.name.value() == Some(&user.name)),
        };
        let (apart, together): (Vec<_>, Vec<_>) =
            (0..users.len()).partition(|at| form_of(&users[*at]).is_some_and(|form| !forms[form].load.is_absent()));
        match shared {
            Some(Schedule { profile, until }) if !together.is_empty() => {
                self.shares(&forms, &profile, users, &together);
                let shares = together.iter().map(|at| users[*at].share).collect::<Vec<_>>();
                crews.push(Crew::new(profile, Duration::ZERO, until, together, &shares, 0));
            }
            Some(_) => {}
            None => all &= together.is_empty(),
        }
        for at in apart {
            let form = form_of(&users[at]).unwrap_or(0);
            match &own[form] {
                Some(Schedule { profile, until }) => {
                    let start_after = forms[form].start_after.value().copied().unwrap_or_default();
                    let slot = first_slot(&crews);
                    crews.push(Crew::new(profile.clone(), start_after, until.clone(), vec![at], &[Share::Weight(1)], slot));
                }
                None => all = false,
            }
        }
        for crew in crews.iter().filter(|crew| matches!(crew.profile, Profile::Open(_))) {
            for form in crew.users.iter().filter_map(|at| form_of(&users[*at])) {
                self.no_waits(&forms[form]);
            }
        }
        if !all || crews.is_empty() {
            return None;
        }
        if let Err(error) = limits::total_users(crews.iter().map(|crew| u64::from(crew.profile.peak())).sum()) {
            let place = forms.iter().rev().find_map(|form| form.load.key()).or(scenario.load.key()).cloned().unwrap_or(0..0);
            self.push(&place, format!("all loads together: {error}"), error.hint());
        }
        let warm_up = self.warm_up(warm_up, &crews);
        Some(Compiled { crews, warm_up, graceful_stop })
    }

    /// The load of those user types that have none of their own.
    fn shared_load(&mut self, scenario: &Scenario, load: &Load, forms: &[UserForm]) -> Option<Schedule> {
        // Reported; what else there is to say would only repeat it.
        if matches!(scenario.load, Field::Wrong { .. }) {
            return None;
        }
        let needed = forms.is_empty() || forms.iter().any(|form| form.load.is_absent());
        if !needed {
            let options = [("--users", self.overrides.users.is_some()), ("--spawn-rate", self.overrides.spawn_rate.is_some())];
            for (option, _) in options.into_iter().filter(|(_, given)| *given) {
                self.problems.push(
                    Diagnostic::error(format!("{option} has nothing to override: every user type has its own `load`"))
                        .hint("change them in the file"),
                );
            }
            let says_when = |load: &Load| Self::keys(load).iter().any(|(_, key)| key.is_some());
            if let Some(key) = scenario.load.key().filter(|_| says_when(load)) {
                self.push(&key.clone(), "this `load` is nobody's: every user type has its own", "remove it");
            }
            return None;
        }
        let whose = Whose {
            user: None,
            key: scenario.load.key().cloned(),
            users: self.overrides.users,
            spawn_rate: self.overrides.spawn_rate,
            run_time: self.overrides.run_time,
        };
        self.schedule(load, &whose)
    }

    /// The loads that user types carry, one for each form.
    fn own_loads(&mut self, forms: &[UserForm]) -> Vec<Option<Schedule>> {
        let mut own = Vec::new();
        for form in forms {
            if let (Some(key), true) = (form.start_after.key(), form.load.is_absent()) {
                self.push(
                    &key.clone(),
                    "`start_after` without a `load` of its own",
                    "add one beside it, such as `load: {users: 10, run_time: 1m}`; the others begin with the run",
                );
            }
            let Some(load) = form.load.given() else {
                own.push(None);
                continue;
            };
            for (name, key) in [("weight", form.weight.key()), ("fixed_count", form.fixed_count.key())] {
                if let Some(key) = key {
                    self.push(
                        &key.clone(),
                        format!("`{name}` means nothing beside a `load` of its own"),
                        "remove one of the two: a share is one of the scenario's `load`",
                    );
                }
            }
            for (name, key) in [("warm_up", load.value.warm_up.key()), ("graceful_stop", load.value.graceful_stop.key())] {
                if let Some(key) = key {
                    self.push(&key.clone(), format!("`{name}` is one for the whole run"), "put it at the top of the file");
                }
            }
            let start_after = form.start_after.value().copied().unwrap_or_default();
            let run_time = self.overrides.run_time.filter(|time| !time.is_zero());
            let name = form.name.value().cloned().unwrap_or_else(|| "User".to_owned());
            if run_time.is_some_and(|time| time <= start_after) {
                let problem =
                    format!("--run-time: the run would end before `{name}` begins, after {}", format_duration(start_after));
                self.problems.push(Diagnostic::error(problem).hint("give a longer one"));
            }
            let whose = Whose {
                user: Some(name),
                key: form.load.key().cloned(),
                users: None,
                spawn_rate: None,
                run_time: run_time.map(|time| time.saturating_sub(start_after)),
            };
            own.push(self.schedule(&load.value, &whose));
        }
        own
    }

    fn schedule(&mut self, load: &Load, whose: &Whose) -> Option<Schedule> {
        let shapes = [("spike", load.spike.key()), ("stress", load.stress.key()), ("soak", load.soak.key())];
        let open_stages =
            load.stages.value().is_some_and(|list| list.items.iter().any(|stage| !stage.value.arrival_rate.is_absent()));
        let closed = |users: Closed| Profile::Closed { users, iterations: None };
        let plain = |profile: Option<Profile>| profile.map(|profile| Schedule { profile, until: None });
        if let Some((name, Some(key))) = shapes.into_iter().find(|(_, key)| key.is_some()) {
            let key = key.clone();
            self.alone(load, name, &[], "a shape says itself how many users there are, and when it ends");
            let all = [
                ("--users", whose.users.is_some()),
                ("--spawn-rate", whose.spawn_rate.is_some()),
                ("--run-time", whose.run_time.is_some()),
            ];
            self.refuse(&all, &key, &format!("the shape `{name}`"), "change the shape in the file, or run without this option");
            return match name {
                "spike" => plain(load.spike.given().and_then(|form| self.spike(form)).map(closed)),
                "soak" => plain(load.soak.given().and_then(|form| self.soak(form)).map(closed)),
                _ => load.stress.given().and_then(|form| self.stress(form)),
            };
        }
        if let Some(key) = load.stages.key() {
            let key = key.clone();
            let hint = if open_stages {
                "stages say themselves how many tasks arrive, and when it ends"
            } else {
                "stages say themselves how many users there are, and when it ends"
            };
            // Without arrivals in any stage, those two are told to be of another kind of load.
            self.alone(load, "stages", &["max_users", "arrivals"], hint);
            let all = [
                ("--users", whose.users.is_some()),
                ("--spawn-rate", whose.spawn_rate.is_some()),
                ("--run-time", whose.run_time.is_some()),
            ];
            self.refuse(&all, &key, "a load in stages", "change the stages in the file, or run without this option");
            if open_stages {
                return plain(self.open_stages(load, &key).map(Profile::Open));
            }
            self.only_open(load);
            return plain(self.stages(load).map(closed));
        }
        if let Some(key) = load.arrival_rate.key() {
            let key = key.clone();
            self.alone(
                load,
                "arrival_rate",
                &["max_users", "arrivals", "run_time"],
                "in an open load tasks arrive, at most `max_users` at once",
            );
            let most = [("--users", whose.users.is_some()), ("--spawn-rate", whose.spawn_rate.is_some())];
            self.refuse(
                &most,
                &key,
                "an open load",
                "change `arrival_rate` or `max_users` in the file, or run without this option",
            );
            return plain(self.open(load, &key, whose).map(Profile::Open));
        }
        self.only_open(load);
        let users = self.constant(load, whose);
        let iterations = load.iterations.given().map(|iterations| {
            if iterations.value == 0 {
                self.push(
                    &iterations.range,
                    "`iterations` cannot be zero",
                    "give the number of tasks after which the run ends, or remove the key",
                );
            }
            iterations.value
        });
        plain(users.map(|users| Profile::Closed { users, iterations }))
    }

    /// The keys of a load that say how many and when.
    fn keys(load: &Load) -> [(&'static str, Option<&Range<usize>>); 11] {
        [
            ("users", load.users.key()),
            ("spawn_rate", load.spawn_rate.key()),
            ("run_time", load.run_time.key()),
            ("iterations", load.iterations.key()),
            ("arrival_rate", load.arrival_rate.key()),
            ("max_users", load.max_users.key()),
            ("arrivals", load.arrivals.key()),
            ("stages", load.stages.key()),
            ("spike", load.spike.key()),
            ("stress", load.stress.key()),
            ("soak", load.soak.key()),
        ]
    }

    /// Refuses all keys beside `what` but those of `also`.
    fn alone(&mut self, load: &Load, what: &str, also: &[&str], hint: &str) {
        for (name, place) in Self::keys(load) {
            if let Some(place) = place.filter(|_| name != what && !also.contains(&name)) {
                self.push(&place.clone(), format!("`{name}` and `{what}` exclude each other"), hint);
            }
        }
    }

    /// Refuses options of the command line.
    fn refuse(&mut self, options: &[(&str, bool)], key: &Range<usize>, what: &str, hint: &str) {
        for (option, _) in options.iter().filter(|(_, given)| *given) {
            let problem = self.error(key, format!("{option} cannot override {what}"));
            self.problems.push(problem.hint(hint));
        }
    }

    /// Keys that may stand at the top or under `load`, but not in both.
    fn either<'b>(&mut self, top: &'b Field<Duration>, below: &'b Field<Duration>, key: &str) -> Option<&'b Placed<Duration>> {
        if let (Some(_), Some(second)) = (top.key(), below.key()) {
            self.push(&second.clone(), format!("`{key}` is also at the top of the file"), "keep one of the two");
        }
        top.given().or_else(|| below.given())
    }

    fn warm_up(&mut self, warm_up: Option<Placed<Duration>>, crews: &[Crew]) -> Duration {
        let Some(placed) = warm_up else { return Duration::ZERO };
        let ends: Option<Vec<_>> = crews.iter().map(Crew::end).collect();
        let end = ends.and_then(|ends| ends.into_iter().max());
        if let Some(end) = end.filter(|end| placed.value >= *end && !end.is_zero()) {
            self.push(
                &placed.range,
                format!("the warm-up is as long as the run, which ends after {}", format_duration(end)),
                "nothing would be left for the summary; make it shorter",
            );
        }
        placed.value
    }

    /// Whether the fixed and weighted user types make up the users that the shared load asks for.
    fn shares(&mut self, forms: &[UserForm], profile: &Profile, users: &[UserType], together: &[usize]) {
        let users: Vec<&UserType> = together.iter().filter_map(|at| users.get(*at)).collect();
        let peak = profile.peak();
        let fixed: u64 = users.iter().map(|user| if let Share::Fixed(count) = user.share { u64::from(count) } else { 0 }).sum();
        // What tags leave out is not the file's mistake.
        let chosen = |form: &&UserForm| users.iter().any(|user| form.name.value().is_none_or(|name| *name == user.name));
        let forms: Vec<_> = forms.iter().filter(|form| form.load.is_absent()).filter(chosen).collect();
        let places: Vec<_> =
            forms.iter().filter_map(|form| form.fixed_count.given()).map(|placed| placed.range.clone()).collect();
        if matches!(profile, Profile::Open(_)) {
            for place in &places {
                self.push(
                    place,
                    "in an open load tasks arrive, so there is no fixed count of users",
                    "give a `weight`: the share of arrivals; or give this type a `load` of its own",
                );
            }
            return;
        }
        let both = |form: &&UserForm| !form.weight.is_absent() && !form.fixed_count.is_absent();
        let Some(last) = places.last().filter(|_| !forms.iter().any(both)) else { return };
        if fixed > u64::from(peak) {
            self.push(
                last,
                format!("the fixed counts add up to {fixed}, but there are at most {peak} users"),
                "lower a `fixed_count`, or raise the load's users",
            );
        } else if fixed < u64::from(peak) && users.iter().all(|user| matches!(user.share, Share::Fixed(_))) {
            if !(self.overrides.tags.is_empty() && self.overrides.exclude_tags.is_empty()) {
                let message =
                    format!("the types that the tags leave have a fixed number, {fixed} together, but the load has {peak} users");
                self.problems.push(Diagnostic::error(message).hint(format!("add `--users {fixed}`")));
                return;
            }
            self.push(
                last,
                format!("the fixed counts add up to {fixed}, but the load has {peak} users"),
                "give one type a `weight` instead, so that it takes the rest",
            );
        }
    }
}
