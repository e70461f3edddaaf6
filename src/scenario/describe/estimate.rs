//! What a plan is going to send at its peak, before it is known how fast the target answers: as if answers took no time. Of an open load
//! that is what arrives; of users with pauses the most that they can ask for; of users without it is as much as the target answers.

use std::time::Duration;

use crate::export::otlp::settings::Per;
use crate::load::Profile;
use crate::scenario::plan::{Action, Crew, Each, Order, Plan, Step, Task, Turns, UserType, Wait};
use crate::template::Value;

/// Figures a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Estimate {
    pub(super) tasks: f64,
    pub(super) requests: f64,
    /// Sampled ones that are exported.
    pub(super) spans: f64,
    /// There are users without any pause: nothing but the target limits them.
    pub(super) unlimited: bool,
}

/// What one task does on average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Work {
    requests: f64,
    /// Seconds of pauses.
    pauses: f64,
}

/// In sentences.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let Estimate { tasks, requests, spans, unlimited } = Estimate::of(plan);
    let mut lines = Vec::new();
    let open = plan.crews.iter().all(|crew| matches!(crew.profile, Profile::Open(_)));
    if tasks > 0.0 {
        let figures = format!("about {} and {} a second", counted(tasks, "task"), counted(requests, "request"));
        let condition = if open { "" } else { ", if answers took no time" };
        lines.push(format!("at the peak {figures}{condition}"));
    }
    if unlimited {
        let besides = if tasks > 0.0 { "besides, " } else { "" };
        lines.push(format!("{besides}as many requests as the target answers: there are users who never pause"));
    }
    if spans > 0.0 {
        lines.push(format!("at the peak about {} a second", counted(spans, "span")));
    }
    lines
}

/// With as many digits as one wants to read.
fn counted(value: f64, what: &str) -> String {
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {what}{}", if text == "1" { "" } else { "s" })
}

impl Estimate {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut all = Self::default();
        for crew in &plan.crews {
            let counts = shares(crew);
            for (user, count) in crew.users.iter().zip(counts) {
                all.add(plan, &plan.users[*user], &crew.profile, count);
            }
        }
        all
    }

    /// Adds `count` users of a type, or of an open load its share of the arrivals.
    fn add(&mut self, plan: &Plan, user: &UserType, profile: &Profile, count: f64) {
        let work =
            user.tasks.iter().zip(mix(user)).fold(Work::default(), |sum, (task, share)| sum.plus(work(&task.steps), share));
        let tasks = match profile {
            Profile::Open(open) => open.peak_rate() * count,
            _ => match cycle(user.wait_time, work.pauses) {
                0.0 if count > 0.0 => {
                    self.unlimited = true;
                    return;
                }
                seconds => count / seconds,
            },
        };
        self.tasks += tasks;
        self.requests += tasks * work.requests;
        if let Some(traces) = &plan.observe.traces {
            let of_task = if traces.per == Per::Task { 1.0 } else { 0.0 };
            self.spans += tasks * (of_task + work.requests) * traces.sample.get();
        }
    }
}

/// How many users of each type there are at the peak; of arrivals their shares.
fn shares(crew: &Crew) -> Vec<f64> {
    /// So many arrivals show the shares.
    const MANY: u32 = 10_000;
    let (slots, whole) = match crew.profile {
        Profile::Open(_) => (MANY, f64::from(MANY)),
        _ => (crew.profile.peak(), 1.0),
    };
    crew.counts(slots).into_iter().map(|count| f64::from(count) / whole).collect()
}

/// From the start of a task to the start of the next, in seconds.
fn cycle(wait: Wait, pauses: f64) -> f64 {
    match wait {
        Wait::Pacing(apart) => apart.as_secs_f64().max(pauses),
        Wait::Throughput(apart) => apart.as_secs_f64().max(pauses),
        other => mean(other) + pauses,
    }
}

fn mean(wait: Wait) -> f64 {
    let mean = match wait {
        Wait::Between(a, b) => (a + b) / 2,
        Wait::Constant(d) | Wait::Exponential(d) | Wait::Normal { mean: d, .. } => d,
        Wait::Pacing(_) | Wait::Throughput(_) => Duration::ZERO,
    };
    mean.as_secs_f64()
}

// === tasks ===

/// How often each task of a user is done in the long run, as shares of 1.
pub(super) fn mix(user: &UserType) -> Vec<f64> {
    let weights: Vec<f64> = match user.order {
        Order::Weighted | Order::Shuffle => user.tasks.iter().map(|task| f64::from(task.weight)).collect(),
        Order::Sequential => vec![1.0; user.tasks.len()],
    };
    let start = normal(weights);
    if !walks(user) {
        return start;
    }
    // Half of each step stays where it is: the limit is the same, and is reached also where tasks alternate.
    let follows = |task: &Task| {
        let mut row = vec![0.0; user.tasks.len()];
        task.next.iter().for_each(|(to, weight)| row[*to] += f64::from(*weight));
        if task.next.is_empty() { start.clone() } else { normal(row) }
    };
    let rows: Vec<_> = user.tasks.iter().map(follows).collect();
    let mut now = start.clone();
    for _ in 0..ROUNDS {
        let mut next: Vec<f64> = now.iter().map(|share| share / 2.0).collect();
        for (share, row) in now.iter().zip(&rows) {
            next.iter_mut().zip(row).for_each(|(to, part)| *to += share * part / 2.0);
        }
        now = next;
    }
    now
}

/// Far more than any scenario's walk takes to settle.
const ROUNDS: usize = 1000;

/// Whether its tasks say what comes next.
pub(super) fn walks(user: &UserType) -> bool {
    user.tasks.iter().any(|task| !task.next.is_empty())
}

fn normal(weights: Vec<f64>) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| if total > 0.0 { weight / total } else { 0.0 }).collect()
}

fn work(steps: &[Step]) -> Work {
    steps.iter().fold(Work::default(), |sum, step| sum.plus(of_step(step), 1.0))
}

fn of_step(step: &Step) -> Work {
    match step {
        Step::Request(_) => Work { requests: 1.0, pauses: 0.0 },
        Step::Think(wait) => Work { requests: 0.0, pauses: mean(*wait) },
        Step::Group { steps, .. } => work(steps),
        Step::Control(control) => match &control.action {
            Action::Loop(each) => Work::default().plus(work(&each.steps), turns(&each.turns)),
            // Nobody knows which; the one that does more.
            Action::If { then, otherwise, .. } => {
                let (then, otherwise) = (work(then), work(otherwise));
                if otherwise.requests > then.requests { otherwise } else { then }
            }
            Action::Choose(arms) => {
                let shares = normal(arms.iter().map(|(weight, _)| f64::from(*weight)).collect());
                arms.iter().zip(shares).fold(Work::default(), |sum, ((_, steps), share)| sum.plus(work(steps), share))
            }
            Action::Set(_) | Action::Rendezvous(_) | Action::Log(_) | Action::Fail(_) | Action::Stop(_) => Work::default(),
        },
    }
}

/// How often a loop is done; once, where only the run will know.
fn turns(turns: &Turns) -> f64 {
    match turns {
        Turns::Count(count) => *count as f64,
        Turns::Each { list: Each::Fixed(list), .. } => list.as_constant().and_then(Value::len).map_or(1.0, |len| len as f64),
        Turns::Counted(_) | Turns::While { .. } | Turns::Each { .. } => 1.0,
    }
}

impl Work {
    fn plus(self, other: Self, times: f64) -> Self {
        Self { requests: self.requests + other.requests * times, pauses: self.pauses + other.pauses * times }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::Source;
    use crate::scenario::{Overrides, compile};

    fn plan(users: &str, load: &str) -> Plan {
        let text = format!("host: http://127.0.0.1:1\n{users}\nload: {load}\n");
        compile(Arc::new(Source { name: "x.yaml".into(), text }), &Overrides::default()).unwrap().0
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn users_with_pauses() {
        for (users, tasks, requests) in [
            // 100 users, a task each 5 s, of one request.
            ("users: [{wait_time: 5s, tasks: [{get: /}]}]", 20.0, 20.0),
            ("users: [{wait_time: {between: [4s, 6s]}, tasks: [{get: /}]}]", 20.0, 20.0),
            (
                "users: [{wait_time: {constant_pacing: 10s}, tasks: [{name: t, flow: [{get: /a}, {think: 2s}, {get: /b}]}]}]",
                10.0,
                20.0,
            ),
            ("users: [{wait_time: {constant_throughput: 0.5/s}, tasks: [{get: /}]}]", 50.0, 50.0),
            // Thinking takes longer than the pacing.
            ("users: [{wait_time: {constant_pacing: 1s}, tasks: [{name: t, flow: [{get: /a}, {think: 20s}]}]}]", 5.0, 5.0),
            // Half of the tasks have one request, half of them three and a pause of 10 s.
            (
                "users: [{wait_time: 5s, tasks: [{get: /}, {name: t, flow: [{loop: {count: 3}, flow: [{get: /a}]}, {think: 10s}]}]}]",
                10.0,
                20.0,
            ),
            (
                "users: [{wait_time: 2s, tasks: [{name: t, flow: [{loop: {for_each: [1, 2, 3, 4]}, flow: [{get: /a}]}]}]}]",
                50.0,
                200.0,
            ),
            (
                "users: [{wait_time: 2s, tasks: [{name: t, flow: [{choose: [{weight: 3, flow: [{get: /a}]}, {flow: [{log: b}]}]}]}]}]",
                50.0,
                37.5,
            ),
            (
                "users: [{wait_time: 2s, tasks: [{name: t, flow: [{if: user_id > 5, then: [{get: /a}], else: [{get: /b}, {get: /c}]}]}]}]",
                50.0,
                100.0,
            ),
        ] {
            let estimate = Estimate::of(&plan(users, "{users: 100}"));
            close(estimate.tasks, tasks);
            close(estimate.requests, requests);
            assert!(!estimate.unlimited && estimate.spans == 0.0);
        }
    }

    #[test]
    fn what_is_said() {
        let said = |users: &str, load: &str| lines(&plan(users, load)).join("\n");
        let traced = "observe: {traces: {sample: 1%}}\nusers: [{wait_time: 3s, tasks: [{get: /}]}]";
        assert_eq!(
            said(traced, "{users: 100}"),
            "at the peak about 33.3 tasks and 33.3 requests a second, if answers took no time\nat the peak about 0.667 spans a second"
        );
        let arrivals = "{arrival_rate: 1234/s, max_users: 5, run_time: 1m}";
        assert_eq!(said("users: [{tasks: [{get: /}]}]", arrivals), "at the peak about 1234 tasks and 1234 requests a second");
        let endless = "as many requests as the target answers: there are users who never pause";
        assert_eq!(said("users: [{tasks: [{get: /}]}]", "{users: 1}"), endless);
        let both = "users: [{name: A, wait_time: 2s, tasks: [{get: /}]}, {name: B, tasks: [{get: /b}]}]";
        let first = "at the peak about 0.5 tasks and 0.5 requests a second, if answers took no time";
        assert_eq!(said(both, "{users: 2}"), format!("{first}\nbesides, {endless}"));
    }

    #[test]
    fn users_without_pauses_are_limited_by_the_target_alone() {
        let two = "users: [{name: A, fixed_count: 20, wait_time: 2s, tasks: [{get: /}]}, {name: B, tasks: [{get: /b}]}]";
        let estimate = Estimate::of(&plan(two, "{users: 100}"));
        assert!(estimate.unlimited);
        close(estimate.requests, 10.0);
    }

    #[test]
    fn arrivals_by_their_weights_and_spans_by_their_sample() {
        let users = "observe: {traces: {sample: 10%}}\nusers: [{name: A, weight: 3, tasks: [{get: /}]}, {name: B, tasks: [{name: t, flow: [{get: /a}, {get: /b}]}]}]";
        let estimate = Estimate::of(&plan(users, "{max_users: 50, stages: [{arrival_rate: 40/s, over: 1m}]}"));
        close(estimate.tasks, 40.0);
        close(estimate.requests, 50.0);
        close(estimate.spans, 9.0);
        let each = users.replace("sample: 10%", "sample: 10%, per: request");
        close(Estimate::of(&plan(&each, "{max_users: 50, stages: [{arrival_rate: 40/s, over: 1m}]}")).spans, 5.0);
    }

    #[test]
    fn a_walk_settles() {
        let users = "users: [{wait_time: 1s, tasks: [{name: a, get: /a, next: {b: 3, a: 1}}, {name: b, get: /b, weight: 0, next: {a: 1}}]}]";
        let shares = mix(&plan(users, "{users: 1}").users[0]);
        // a = a/4 + b, b = 3a/4.
        close(shares[0], 4.0 / 7.0);
        close(shares[1], 3.0 / 7.0);
        // Two that alternate never settle by themselves.
        let turns =
            "users: [{wait_time: 1s, tasks: [{name: a, get: /a, next: {b: 1}}, {name: b, get: /b, weight: 0, next: {a: 1}}]}]";
        mix(&plan(turns, "{users: 1}").users[0]).into_iter().for_each(|share| close(share, 0.5));
    }
}
