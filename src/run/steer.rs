//! What an order to scale means for a plan: which load is meant, and whether it can be steered.

use serde_json::json;

use crate::control::{Effect, Refusal, Scale};
use crate::diagnostic::nearest;
use crate::load::limits::{self, LimitError};
use crate::load::{Profile, Steering, Wish};
use crate::scenario::plan::{Crew, Plan};
use crate::units::{Rate, format_duration};

/// The crew that is meant, and what is wanted of it.
///
/// # Errors
/// When nothing can come of it, with what would.
pub(super) fn meant(plan: &Plan, scale: &Scale) -> Result<(usize, Wish), Refusal> {
    let wish =
        match *scale {
            Scale { users: Some(to), spawn_rate, arrival_rate: None, .. } => {
                if spawn_rate.is_some_and(|rate| rate.per_second() == 0.0) {
                    return Err(Refusal::wrong("with a spawn rate of 0 nobody would come or go")
                        .hint("leave it out to change all at once"));
                }
                // Down to nobody, too; and as many may have to go as there can be.
                limits::total_users(u64::from(to)).map_err(beyond)?;
                spawn_rate.map(|rate| limits::spawn_rate(limits::MOST_USERS, rate)).transpose().map_err(beyond)?;
                Wish::Users { to, spawn_rate }
            }
            Scale { users: None, spawn_rate: None, arrival_rate: Some(rate), .. } => {
                Wish::Arrivals(limits::arrival_rate(rate).map_err(beyond)?)
            }
            Scale { users: None, arrival_rate: None, .. } => {
                return Err(Refusal::wrong("neither `users` nor `arrival_rate` is given")
                    .hint("send `{\"users\": 100, \"spawn_rate\": 10}`"));
            }
            _ => {
                return Err(Refusal::wrong("`arrival_rate` is given with `users` or `spawn_rate`")
                    .hint("`users` and `spawn_rate` are of closed loads, `arrival_rate` is of open ones"));
            }
        };
    let crew = crew(plan, scale.user.as_deref())?;
    let of = &plan.crews[crew];
    match (&of.profile, wish) {
        (Profile::Open(_), Wish::Users { .. }) => {
            Err(Refusal::conflict("this load is open: tasks arrive, however many users there are")
                .hint("send `arrival_rate`; `max_users` of the scenario is the most users there may be"))
        }
        (Profile::Closed { .. } | Profile::Stress(_), Wish::Arrivals(_)) => {
            Err(Refusal::conflict("this load is closed: it has a number of users").hint("send `users` and `spawn_rate`"))
        }
        (Profile::Closed { iterations: Some(_), .. }, _) => {
            Err(Refusal::conflict("this load has a number of `iterations`, which are dealt out to its users beforehand")
                .hint("only loads without `iterations` can be scaled"))
        }
        (_, Wish::Users { to, .. }) if to > 0 && of.user_of(u64::from(to) - 1).is_none() => {
            Err(Refusal::conflict("all user types of this load have a fixed number of users, and there are no more")
                .hint("give one of them a `weight` instead of `fixed_count`"))
        }
        _ => limits::total_users(most_users(plan, crew, wish)).map(|_| (crew, wish)).map_err(beyond),
    }
}

/// What no scenario could ask for either.
fn beyond(error: LimitError) -> Refusal {
    Refusal::wrong(error.to_string()).hint(error.hint())
}

fn crew(plan: &Plan, user: Option<&str>) -> Result<usize, Refusal> {
    let names = |own: bool| {
        let of = plan.users.iter().filter(|user| user.own_load == own).map(|user| format!("`{}`", user.name));
        of.collect::<Vec<_>>().join(", ")
    };
    let owner = |crew: &Crew| crew.users.first().is_some_and(|user| plan.users[*user].own_load);
    let Some(name) = user else {
        let shared = plan.crews.iter().position(|crew| !owner(crew));
        let alone = (plan.crews.len() == 1).then_some(0);
        return shared.or(alone).ok_or_else(|| {
            Refusal::conflict("every user type has a load of its own").hint(format!("say whose with `user`: {}", names(true)))
        });
    };
    let Some(at) = plan.users.iter().position(|user| user.name == name) else {
        let all = || plan.users.iter().map(|user| user.name.as_str());
        let hint = match nearest(name, all()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", all().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        return Err(Refusal::wrong(format!("there is no user type `{name}`")).hint(hint));
    };
    if !plan.users[at].own_load && plan.users.len() > 1 {
        let error = format!("`{name}` shares the load of {}", names(false));
        return Err(Refusal::conflict(error)
            .hint("leave out `user` to scale all of them; a user type with a `load` of its own is scaled alone"));
    }
    plan.crews.iter().position(|crew| crew.users.contains(&at)).ok_or_else(|| Refusal::conflict(format!("`{name}` has no load")))
}

/// The most users that there will be if this is done.
pub(super) fn most_users(plan: &Plan, crew: usize, wish: Wish) -> u64 {
    let all = plan.crews.iter().enumerate().map(|(index, of)| match wish {
        Wish::Users { to, .. } if index == crew => to,
        _ => of.profile.peak(),
    });
    all.map(u64::from).sum()
}

/// What came of it: as JSON, and in words.
pub(super) fn effect(plan: &Plan, scale: &Scale, crew: usize, steering: Steering, from_rate: f64) -> (Effect, String) {
    let of = &plan.crews[crew];
    let whose = scale.user.as_ref().map_or_else(String::new, |name| format!(" of `{name}`"));
    let (from, to, reached, words) = match steering {
        Steering::Users { from, to, spawn_rate, .. } => {
            let steps = from.abs_diff(to).saturating_sub(1);
            let reached = spawn_rate.map_or(0.0, |rate| f64::from(steps) / rate.per_second());
            let at = spawn_rate.map_or_else(|| "at once".to_owned(), |rate: Rate| format!("at {rate}"));
            (f64::from(from), f64::from(to), reached, format!("users{whose} from {from} to {to} {at}"))
        }
        Steering::Arrivals { rate, .. } => {
            let before = Rate::try_new(from_rate).map_or_else(String::new, |rate| format!(" from {rate}"));
            (from_rate, rate.per_second(), 0.0, format!("arrivals{whose}{before} to {rate}"))
        }
    };
    let left = of.profile.settled() > std::time::Duration::ZERO;
    let end = of.end().map(|end| format!("the load ends after {} as planned", format_duration(end)));
    let note = [left.then(|| "what was left of the load's stages or shape is overridden".to_owned()), end];
    let note = note.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let value = json!({ "user": scale.user, "from": from, "to": to, "reached_in_seconds": reached, "note": (!note.is_empty()).then_some(note) });
    (Effect(value), words)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::Source;
    use crate::scenario;

    fn plan(load: &str) -> Plan {
        let text = format!("host: http://127.0.0.1:1\nusers: [{{name: U, tasks: [{{get: /}}]}}]\nload: {load}\n");
        let source = Arc::new(Source { name: "x.yaml".to_owned(), text });
        scenario::compile(source, &scenario::Overrides::default()).unwrap().0
    }

    /// What a file may not ask for cannot be asked for later either.
    #[test]
    fn a_load_is_scaled_within_the_limits_of_a_file() {
        let (closed, open) = (plan("{users: 5}"), plan("{arrival_rate: 10/s, max_users: 5}"));
        let rate = Rate::try_new;
        let users = |users, per_second: Option<f64>| Scale {
            users: Some(users),
            spawn_rate: per_second.and_then(rate),
            ..Scale::default()
        };
        let arrivals = |per_second| Scale { arrival_rate: rate(per_second), ..Scale::default() };
        for (plan, scale) in
            [(&closed, users(0, None)), (&closed, users(1_000_000, Some(1.0))), (&open, arrivals(0.0)), (&open, arrivals(1e6))]
        {
            assert!(meant(plan, &scale).is_ok(), "{scale:?}");
        }
        for (plan, scale, error) in [
            (&open, arrivals(1e12), "1000000000000/s are more arrivals than one machine can start"),
            (&closed, users(u32::MAX, None), "4294967295 users are more than the 1000000 that one machine may run"),
            (&closed, users(9, Some(1e-9)), "longer than ten years"),
        ] {
            let refusal = meant(plan, &scale).unwrap_err();
            assert!(refusal.error.contains(error) && refusal.hint.is_some(), "{refusal:?}");
        }
    }
}
