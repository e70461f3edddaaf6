//! `thresholds`: the names in them are looked up, what can never be judged is found, and each limit of a time becomes a
//! bucket.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use super::Compiler;
use super::load::Compiled;
use crate::diagnostic::nearest;
use crate::measure::catalog::{CheckId, RequestId};
use crate::scenario::document::place::inside;
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::threshold::{Text, ThresholdForm};
use crate::scenario::document::values::List;
use crate::scenario::plan::Crew;
use crate::scenario::threshold::{Comparison, Requests, Scope, ScopeKind, Signal, Threshold, Written};
use crate::units::{Quantity, format_duration};

impl Compiler<'_> {
    /// After the users, who give names to everything. Without a load the rest is checked all the same.
    pub(super) fn thresholds(&mut self, field: &Field<List<ThresholdForm, true>>, load: Option<&Compiled>) -> Vec<Threshold> {
        let mut thresholds: Vec<Threshold> = Vec::new();
        for form in field.value().map(|list| list.items.as_slice()).unwrap_or_default() {
            let Some(threshold) = self.threshold(form, load) else { continue };
            if let Some(first) = thresholds.iter().find(|first| first.name == threshold.name) {
                let hint = format!("the first is in line {}; metrics could not tell them apart", self.line(&first.place));
                self.push(&threshold.place, format!("two thresholds are named `{}`", threshold.name), hint);
                continue;
            }
            self.catalog.add_threshold(&threshold.name);
            let condition = &threshold.written.condition;
            if condition.figure.quantity() == Quantity::Seconds {
                self.catalog.add_bucket(condition.limit);
            }
            thresholds.push(threshold);
        }
        thresholds
    }

    /// `None` when it is wrong, or when the tags leave nothing of what it is about.
    fn threshold(&mut self, form: &Placed<ThresholdForm>, load: Option<&Compiled>) -> Option<Threshold> {
        let (that, long) = match &form.value {
            ThresholdForm::Short(that) => (that, None),
            ThresholdForm::Long(long) => (long.that.given()?, Some(long)),
        };
        let Text { text, written } = &that.value;
        let name = long.and_then(|long| long.name.given());
        if name.is_some_and(|name| !self.check_name(name, "a threshold's name")) {
            return None;
        }
        let after = long.and_then(|long| long.after.value().copied()).unwrap_or_default();
        let abort = long.is_some_and(|long| long.abort.value() == Some(&true));
        self.can_hold(that, written);
        self.can_be_judged(that, written, (after, abort), load);
        let place = |scope: &Scope| inside(&self.source, &that.range, text, scope.at.clone());
        let scopes: Vec<_> = written.scopes.iter().map(|scope| (scope, place(scope))).collect();
        let requests = self.requests_of(&scopes)?;
        let checks = if written.condition.figure.signal == Signal::Checks {
            self.checks_of(that, &requests, scopes.iter().find(|(scope, _)| scope.kind == ScopeKind::Check))?
        } else {
            Vec::new()
        };
        Some(Threshold {
            name: name.map_or_else(|| written.to_string(), |name| name.value.clone()),
            written: written.clone(),
            requests,
            checks,
            after,
            abort,
            place: that.range.clone(),
        })
    }

    /// Finds limits that nothing can keep, and those that are not what was meant.
    fn can_hold(&mut self, that: &Placed<Text>, written: &Written) {
        let condition = &written.condition;
        let most = (condition.figure.quantity() == Quantity::Ratio).then_some(1.0);
        let never = match condition.comparison {
            Comparison::Less => condition.limit <= 0.0,
            Comparison::Greater => most.is_some_and(|most| condition.limit >= most),
            Comparison::LessOrEqual | Comparison::GreaterOrEqual => false,
        };
        if never {
            let sign = condition.comparison.sign();
            self.push(&that.range, format!("`{condition}` can never hold"), format!("write `{sign}=`, or another limit"));
        } else if let Some(seconds) = condition.bare_seconds() {
            let message = format!("`{seconds}` without a unit is {seconds} seconds");
            self.warn(&that.range, message, format!("write `{seconds}ms` if milliseconds are meant, or `{seconds}s`"));
        }
    }

    /// Finds windows and delays that are longer than the run.
    fn can_be_judged(
        &mut self,
        that: &Placed<Text>,
        written: &Written,
        (after, abort): (Duration, bool),
        load: Option<&Compiled>,
    ) {
        let Some(load) = load else { return };
        let ends: Option<Vec<Duration>> = load.crews.iter().map(Crew::end).collect();
        let Some(end) = ends.and_then(|ends| ends.into_iter().max()) else { return };
        let measured = format_duration(end.saturating_sub(load.warm_up));
        let first = written.over.unwrap_or_default().max(after);
        // What is of the whole run is judged at its end in any case.
        if first <= end.saturating_sub(load.warm_up) || (written.over.is_none() && !abort) {
            return;
        }
        let (message, hint) = match written.over {
            Some(over) if over >= after => {
                let message = format!("no window of {} fits into the {measured} that are measured", format_duration(over));
                (message, "without a window that was judged it does not pass; give a shorter one, or a longer run")
            }
            _ => {
                let message = format!("this is judged after {}, and {measured} are measured", format_duration(after));
                (message, "give a shorter `after`, or a longer run")
            }
        };
        self.warn(&that.range, message, hint);
    }

    fn requests_of(&mut self, scopes: &[(&Scope, Range<usize>)]) -> Option<Requests> {
        let mut chosen: Option<BTreeSet<RequestId>> = None;
        for (scope, place) in scopes {
            let of_kind = |at: usize| {
                let name = &self.catalog.requests[at];
                match scope.kind {
                    ScopeKind::Request => Some(&name.request),
                    ScopeKind::User => Some(&name.user),
                    ScopeKind::Task => Some(&name.task),
                    ScopeKind::Check => None,
                }
            };
            if scope.kind == ScopeKind::Check {
                continue;
            }
            let all = 0..self.catalog.requests.len();
            let named: BTreeSet<_> =
                all.clone().filter(|at| of_kind(*at) == Some(&scope.name)).map(|at| RequestId(at as u32)).collect();
            if named.is_empty() {
                let known: BTreeSet<&String> = all.filter_map(of_kind).collect();
                let known: Vec<String> = known.into_iter().cloned().collect();
                self.unknown(scope, place, &known);
                return None;
            }
            let both = chosen.map_or_else(|| named.clone(), |chosen| chosen.intersection(&named).copied().collect());
            if both.is_empty() {
                let message = format!("no request is of this {} and of what is named before", scope.kind.name());
                self.push(place, message, "`otload check` lists the requests of each user and task; leave one of the two out");
                return None;
            }
            chosen = Some(both);
        }
        Some(chosen.map_or(Requests::All, |chosen| Requests::Some(chosen.into_iter().collect())))
    }

    fn checks_of(
        &mut self,
        that: &Placed<Text>,
        requests: &Requests,
        scope: Option<&(&Scope, Range<usize>)>,
    ) -> Option<Vec<CheckId>> {
        let in_scope = |request: RequestId| match requests {
            Requests::All => true,
            Requests::Some(chosen) => chosen.contains(&request),
        };
        let all = self.catalog.checks.iter().enumerate().filter(|(_, check)| in_scope(check.request));
        let all: Vec<_> = all.map(|(at, check)| (CheckId(at as u32), check.check.clone())).collect();
        if all.is_empty() {
            let hint = "add `expect` to a request, such as `expect: {status: 200}`";
            self.push(&that.range, "none of these requests has checks", hint);
            return None;
        }
        let Some((scope, place)) = scope else { return Some(all.into_iter().map(|(id, _)| id).collect()) };
        let named: Vec<_> = all.iter().filter(|(_, name)| *name == scope.name).map(|(id, _)| *id).collect();
        if named.is_empty() {
            let known: BTreeSet<String> = all.into_iter().map(|(_, name)| name).collect();
            self.unknown(scope, place, &known.into_iter().collect::<Vec<_>>());
            return None;
        }
        Some(named)
    }

    fn unknown(&mut self, scope: &Scope, place: &Range<usize>, known: &[String]) {
        // Without requests something else is wrong.
        if known.is_empty() {
            return;
        }
        let kind = scope.kind.name();
        // What the tags leave out has no names any more; a threshold of it has nothing to judge, and is not to blame.
        if !self.overrides.tags.is_empty() || !self.overrides.exclude_tags.is_empty() {
            let message = format!("no {kind} named `{}` is left by --tags and --exclude-tags", scope.name);
            return self.warn(place, message, "this threshold is not judged");
        }
        const MOST: usize = 8;
        let hint = nearest(&scope.name, known.iter().map(String::as_str)).map_or_else(
            || {
                let names: Vec<_> = known.iter().take(MOST).map(|name| format!("`{name}`")).collect();
                let more = if known.len() > MOST { ", …" } else { "" };
                format!("there are {}{more}", names.join(", "))
            },
            |near| format!("did you mean `{near}`?"),
        );
        self.push(place, format!("no {kind} is named `{}`", scope.name), hint);
    }
}
