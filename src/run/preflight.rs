//! What the system must have before the run begins: a descriptor for each connection, and a local port. The limit of
//! descriptors is raised as far as it goes; what cannot be held even so is refused, and what may not be held is warned of.
//!
//! ```text
//!  descriptors ≥ users × (1, or 2 when the demo holds the other end here) + the generator's own
//!  ports       ≥ users ÷ (source addresses × targets)            while connections are kept alive
//!              ≥ connections opened while a closed one keeps its port, mostly 60 s      otherwise
//! ```
//!
//! The arithmetic is pure; [`System::read`] is the one place that asks the system.

mod need;
mod system;

use need::Need;
use system::System;

use crate::diagnostic::Diagnostic;
use crate::scenario::plan::Plan;
use crate::units::format_duration;

/// Raises the limit of descriptors, hands what may go wrong to `warn`, and refuses what must.
///
/// # Errors
/// Says what there is not enough of, and what to do.
pub(super) fn check(plan: &Plan, workers: u32, demo: bool, warn: &mut dyn FnMut(&Diagnostic)) -> Result<Room, Diagnostic> {
    let (system, problem) = System::read(&plan.http.source_addresses);
    problem.iter().for_each(&mut *warn);
    let need = Need::of(plan, workers, demo);
    for problem in judge(&need, &system) {
        match problem {
            // Whoever wants no judgement gets none here either.
            Problem::Certain(problem) if plan.validity.enabled => return Err(problem),
            Problem::Certain(problem) | Problem::Possible(problem) => {
                warn(&Diagnostic { severity: crate::diagnostic::Severity::Warning, ..problem });
            }
        }
    }
    Ok(Room { need, system })
}

/// For how many users there is room, as it was found before the run.
pub(super) struct Room {
    need: Need,
    system: System,
}

impl Room {
    /// Why so many users would be too many; those of the plan are not.
    pub(super) fn refuses(&self, users: u64) -> Option<Diagnostic> {
        if users <= self.need.users {
            return None;
        }
        let need = Need { users, ..self.need.clone() };
        judge(&need, &self.system).into_iter().find_map(|problem| match problem {
            Problem::Certain(problem) => Some(problem),
            Problem::Possible(_) => None,
        })
    }
}

/// How sure it is that something will be short.
#[derive(Debug)]
enum Problem {
    Certain(Diagnostic),
    Possible(Diagnostic),
}

/// Each worker's event loop and timer.
const FOR_A_WORKER: u64 = 8;
/// Metrics, results, lookups of names.
const FOR_THE_REST: u64 = 32;

fn judge(need: &Need, system: &System) -> Vec<Problem> {
    let mut problems: Vec<_> = system
        .foreign
        .iter()
        .map(|address| {
            let message = format!("`http.source_addresses` has {address}, which is no address of this machine");
            Problem::Certain(
                Diagnostic::error(message).hint("`ip address` lists those that are; 127.0.0.0/8 all belong to loopback"),
            )
        })
        .collect();
    problems.extend(descriptors(need, system));
    problems.extend(ports(need, system));
    problems
}

fn descriptors(need: &Need, system: &System) -> Option<Problem> {
    let limit = system.descriptors?;
    let own = system.open + need.workers * FOR_A_WORKER + FOR_THE_REST;
    let each = if need.demo { 2 } else { 1 };
    let (least, most) = (need.users * each + own, need.users * need.targets.unwrap_or(1).max(1) * each + own);
    let fit = limit.saturating_sub(own) / each;
    let hint = |fit: u64| {
        format!(
            "raise the hard limit (`ulimit -Hn` shows it), split the run over several processes, or keep the users of one \
             process under {}",
            fit + 1
        )
    };
    let demo = if need.demo { ", two for each because the demo holds the other end" } else { "" };
    if least > limit {
        let message =
            format!("{} need {least} file descriptors{demo}, but this process may open only {limit}", users(need.users));
        return Some(Problem::Certain(Diagnostic::error(message).hint(hint(fit))));
    }
    if most > limit {
        let targets = need.targets.unwrap_or(1);
        let message = format!(
            "{} may need {most} file descriptors, one for each of {targets} targets{demo}, but this process may open only {limit}",
            users(need.users)
        );
        return Some(Problem::Possible(Diagnostic::error(message).hint(hint(fit / targets.max(1)))));
    }
    None
}

fn ports(need: &Need, system: &System) -> Option<Problem> {
    let (range, targets) = (system.ports?, need.targets?);
    let most = range * need.sources.max(1) * targets.max(1);
    let there_are = format!(
        "there are {most}: {range} local ports, times {} and {}",
        counted(need.sources.max(1), "source address", "source addresses"),
        counted(targets.max(1), "target", "targets")
    );
    if need.keep_alive {
        let hint = format!(
            "add `http.source_addresses`, widen net.ipv4.ip_local_port_range, split the run over several machines, or keep the \
             users under {}",
            most + 1
        );
        let message = format!("{} need as many connections, but {there_are}", users(need.users));
        return (need.users > most).then(|| Problem::Certain(Diagnostic::error(message).hint(hint)));
    }
    let rest = system.reuse.rest(need.loopback);
    if need.opened_within(rest) <= most as f64 {
        return None;
    }
    let message = format!(
        "local ports may run out: `keep_alive: false` opens a connection for each request, and a closed one may keep its port \
         for {}; {there_are}",
        format_duration(rest)
    );
    let hint = "keep connections alive, add `http.source_addresses`, widen net.ipv4.ip_local_port_range, or lower the load";
    Some(Problem::Possible(Diagnostic::error(message).hint(hint)))
}

fn users(count: u64) -> String {
    counted(count, "user", "users")
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
