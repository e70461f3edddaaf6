//! What a run will do: the immutable result of compiling a scenario. Every name is interned in the [`Catalog`], every
//! template is parsed, every value is checked; from here on nothing about the file can be wrong.

mod capture;
mod data;
mod flow;
mod sent;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};
use url::Url;

use crate::diagnostic::Source;
use crate::export::otlp::settings::Observe;
use crate::http::settings::Settings;
use crate::load::{Course, Profile, Trend};
use crate::measure::catalog::{Catalog, CheckId, GroupId, RequestId, TaskId, UserId};
use crate::template::{Assigned, Expression, JsonTemplate, Shared, Template};
use crate::units::Ratio;

pub use capture::{Capture, Source as CaptureSource};
pub use sent::{Auth, AwsKeys, OAuth2, Part, PartContent, SentFile, StreamRule};

pub use data::{AtEnd, Feeder, Per, RowOrder, UserRows, Uses};
pub use flow::{Action, Control, Each, Loop, MOST_TURNS, OnFailure, Rendezvous, Stop, TURNS_OF_WHILE, Turns};

pub use super::threshold::{Comparison, Condition, Figure, Quantile, Requests, ScopeKind, Signal, Threshold, Times};

/// One test, ready to run.
#[derive(Debug)]
pub struct Plan {
    /// The label `test` of every series.
    pub name: String,
    /// The file as written, and the SHA-256 of its bytes in hex.
    pub source: Arc<Source>,
    pub sha256: String,
    /// Base of relative URLs; absent when every request is absolute.
    pub host: Option<Url>,
    /// What templates see in every user: `variables` and `env`.
    pub constants: Arc<Shared>,
    /// Files whose rows templates see.
    pub data: Vec<Feeder>,
    /// Where tokens are fetched.
    pub oauth2: Vec<OAuth2>,
    pub http: Settings,
    pub setup: Vec<Step>,
    pub teardown: Vec<Step>,
    /// In the order of the file; a user type's id is its index.
    pub users: Vec<UserType>,
    /// Where users wait for each other.
    pub rendezvous: Vec<Rendezvous>,
    /// At least one; each user type belongs to one of them.
    pub crews: Vec<Crew>,
    /// Left out of summary and thresholds; zero for none.
    pub warm_up: Duration,
    /// How long a stopping user may take to end its task.
    pub graceful_stop: Duration,
    pub validity: ValidityLimits,
    /// What counts as getting worse in a long run.
    pub soak: SoakLimits,
    /// What the run has to keep to pass.
    pub thresholds: Vec<Threshold>,
    /// Whether the run fails if anything fails.
    pub fail_on_errors: bool,
    /// Where telemetry is sent.
    pub observe: Observe,
    pub catalog: Arc<Catalog>,
    /// How many request steps there are.
    pub requests: usize,
    /// Values that must never be printed.
    pub secrets: Vec<String>,
}

/// What the generator may be guilty of before its figures are not believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValidityLimits {
    /// `false`: what is found is said, and the run stays valid.
    pub enabled: bool,
    /// Of each judged response time, the generator's own part may be as long as both together: a share of what the time would be
    /// without it, and a duration.
    pub max_generator_share: Ratio,
    pub max_generator_time: Duration,
    /// No worker may be busy for more than this share of the time, for so long without a break.
    pub busy: Ratio,
    pub busy_for: Duration,
    /// The share of arrivals that may find no user, and of due iterations that may not have begun at the end.
    pub dropped: Ratio,
}

/// What is accepted of a long run that changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoakLimits {
    /// How long the windows are at first that are compared.
    pub window: Duration,
    /// A change that is not larger is accepted, however certain.
    pub min_change: Ratio,
    /// Whether a run that gets worse has failed.
    pub fail_on_regression: bool,
}

/// User types that follow one load together.
#[derive(Debug)]
pub struct Crew {
    pub profile: Profile,
    /// When its time begins, since the run's start.
    pub start_after: Duration,
    /// What ends a stress, of the figures of a step.
    pub until: Option<Condition>,
    /// Its user types, by index into [`Plan::users`].
    pub users: Vec<usize>,
    /// The number of its first user: those of all crews are numbered through.
    pub first_slot: u32,
    mix: Mix,
}

/// One kind of user.
#[derive(Debug)]
pub struct UserType {
    pub id: UserId,
    pub name: String,
    pub share: Share,
    /// It shares no load with others.
    pub own_load: bool,
    /// After each task.
    pub wait_time: Wait,
    pub order: Order,
    pub on_start: Vec<Step>,
    pub on_stop: Vec<Step>,
    /// At least one.
    pub tasks: Vec<Task>,
    /// What rows it is given, besides those of its tasks.
    pub rows: UserRows,
    /// The names under which the steps of `on_start` and `on_stop` are measured.
    pub on_start_task: TaskId,
    pub on_stop_task: TaskId,
}

/// How many of the users are of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// In proportion to the weights of the other types; may be 0 beside others.
    Weight(u32),
    /// This many, before any weighted ones.
    Fixed(u32),
}

/// How a user chooses its next task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// At random, by weight.
    Weighted,
    /// As written, then from the start again.
    Sequential,
    /// All of them in random order, then shuffled anew; a task of weight 3 is there three times.
    Shuffle,
}

/// One unit of work of a user.
#[derive(Debug)]
pub struct Task {
    pub id: TaskId,
    pub name: String,
    pub weight: u32,
    pub steps: Vec<Step>,
    /// What gives it a row when it begins.
    pub rows: Uses,
    /// A Markov walk: which task comes next, by index into [`UserType::tasks`] and weight. Empty: the user's order decides.
    pub next: Vec<(usize, u32)>,
}

#[derive(Debug)]
pub enum Step {
    Request(Box<RequestStep>),
    Think(Wait),
    Group { id: GroupId, steps: Vec<Step> },
    Control(Box<Control>),
}

/// A pause: how long it lasts, or from when it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    Constant(Duration),
    /// Uniform.
    Between(Duration, Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Normal, cut at zero.
    Normal {
        mean: Duration,
        std: Duration,
    },
    /// Tasks start at least this far apart (`constant_pacing`): one that takes longer delays those after it.
    Pacing(Duration),
    /// Tasks are due this far apart (`constant_throughput`): after one that took longer, those that were due meanwhile follow
    /// at once, and their response times count from when they were due.
    Throughput(Duration),
}

#[derive(Debug)]
pub struct RequestStep {
    pub id: RequestId,
    /// Among all request steps of the plan, from 0. Steps of one name share an id, never a number.
    pub number: usize,
    /// As metrics carry it.
    pub name: String,
    pub method: Method,
    pub address: Address,
    /// Appended to the URL, percent-encoded.
    pub query: Vec<(Template, Template)>,
    /// Headers that are the same each time: the defaults, the request's own and the body's content type.
    pub headers: HeaderMap,
    /// Headers that are rendered; they replace the fixed ones of their name.
    pub rendered_headers: Vec<(HeaderName, Template)>,
    pub body: Body,
    /// The body is packed for each request.
    pub compress: bool,
    /// Who sends it, if that is no header that is there already.
    pub auth: Option<Box<Auth>>,
    /// The response is one of events.
    pub stream: Option<Box<StreamRule>>,
    pub timeout: Duration,
    /// Redirects followed at most.
    pub redirects: u32,
    /// Skipped, uncounted, unless true.
    pub when: Option<Expression>,
    /// What gives it a row of its own.
    pub rows: Uses,
    pub expect: Vec<Expectation>,
    /// What is taken out of the response, in the order of the file.
    pub captures: Vec<Capture>,
    pub on_failure: OnFailure,
    /// Whether anything looks into the response's body.
    pub keep_body: bool,
    /// Whether anything looks at the response's headers.
    pub keep_head: bool,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Address {
    Fixed(Url),
    /// Rendered each time; a result that begins with `/` or has no scheme is joined to the base.
    Rendered {
        base: Option<Url>,
        template: Template,
    },
}

#[derive(Debug)]
pub enum Body {
    None,
    Text(Template),
    Json(JsonTemplate),
    /// `application/x-www-form-urlencoded`
    Form(Vec<(Template, Template)>),
    /// `multipart/form-data`
    Multipart(Vec<Part>),
    File(SentFile),
}

/// One thing that a response must fulfil.
#[derive(Debug)]
pub struct Expectation {
    pub id: CheckId,
    pub rule: Rule,
}

#[derive(Debug)]
pub enum Rule {
    /// Any of these ranges, bounds included.
    Status(Vec<(u16, u16)>),
    Header(HeaderName, TextRule),
    /// `text` is the path as written.
    Json {
        text: String,
        path: crate::template::path::Path,
        rule: ValueRule,
    },
    Body(TextRule),
    /// Service time, to the last byte.
    MaxTime(Duration),
    That(Expression),
}

/// What a text must be. All given parts must hold.
#[derive(Debug, Default)]
pub struct TextRule {
    pub exists: Option<bool>,
    pub equals: Option<Template>,
    pub contains: Option<Template>,
    pub matches: Option<regex::Regex>,
}

/// What the first node that a JSONPath finds must be. All given parts must hold.
#[derive(Debug, Default)]
pub struct ValueRule {
    pub exists: Option<bool>,
    pub equals: Option<JsonTemplate>,
    /// Of a text: the part; of a list: the element; of an object: the key.
    pub contains: Option<JsonTemplate>,
    pub matches: Option<regex::Regex>,
    pub gt: Option<f64>,
    pub gte: Option<f64>,
    pub lt: Option<f64>,
    pub lte: Option<f64>,
    /// Of a text in characters, of a list or object in elements.
    pub length: Option<u64>,
}

// === impl ValidityLimits ===

impl ValidityLimits {
    /// The most that may be the generator's own of a time that would be so long without it; in seconds.
    pub fn generator_part(&self, without: f64) -> f64 {
        self.max_generator_share.get() * without + self.max_generator_time.as_secs_f64()
    }
}

impl Default for ValidityLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            max_generator_share: Ratio::TENTH,
            max_generator_time: Duration::from_micros(100),
            busy: Ratio::NINE_TENTHS,
            busy_for: Duration::from_secs(10),
            dropped: Ratio::THOUSANDTH,
        }
    }
}

// === impl SoakLimits ===

impl Default for SoakLimits {
    fn default() -> Self {
        Self { window: Duration::from_secs(60), min_change: Ratio::TENTH, fail_on_regression: false }
    }
}

// === impl Plan ===

impl Plan {
    /// When the load ends by itself, at the latest, since the run's start; `None` if it does not.
    pub fn end(&self) -> Option<Duration> {
        self.crews.iter().map(Crew::end).try_fold(Duration::ZERO, |longest, end| Some(longest.max(end?)))
    }

    /// Shows each request step of the plan.
    pub fn each_request(&self, show: &mut dyn FnMut(&RequestStep)) {
        self.each_step(&mut |step| {
            if let Step::Request(request) = step {
                show(request);
            }
        });
    }

    /// Shows each step of the plan, and those within it.
    fn each_step(&self, show: &mut dyn FnMut(&Step)) {
        fn walk(steps: &[Step], show: &mut dyn FnMut(&Step)) {
            for step in steps {
                show(step);
                step.inner().into_iter().for_each(|steps| walk(steps, show));
            }
        }
        walk(&self.setup, show);
        walk(&self.teardown, show);
        for user in &self.users {
            walk(&user.on_start, show);
            user.tasks.iter().for_each(|task| walk(&task.steps, show));
            walk(&user.on_stop, show);
        }
    }

    /// Whether a variable may decide to which host requests or their tokens go: directly, or by other variables.
    pub fn leads_to(&self, variable: &str) -> bool {
        let mut names = BTreeSet::from([variable.to_owned()]);
        loop {
            let known = names.len();
            self.each_step(&mut |step| {
                if let Step::Control(control) = step
                    && let Action::Set(pairs) = &control.action
                {
                    let follows = |value: &Assigned| value.references().any(|reference| names.contains(&*reference.root));
                    let more: Vec<_> =
                        pairs.iter().filter(|(_, value)| follows(value)).map(|(name, _)| name.to_string()).collect();
                    names.extend(more);
                }
            });
            if names.len() == known {
                break;
            }
        }
        let mut leads = self.oauth2.iter().any(|oauth2| oauth2.address.depends_on(&names));
        self.each_request(&mut |request| leads |= request.address.depends_on(&names));
        leads
    }

    /// Whether checks have a limit of time, which a generator that is late can break.
    pub fn has_timed_checks(&self) -> bool {
        let mut timed = false;
        self.each_request(&mut |request| {
            timed |= request.expect.iter().any(|check| matches!(check.rule, Rule::MaxTime(_)));
        });
        timed
    }

    /// The crew of the user type with index `user`.
    pub fn crew_of(&self, user: usize) -> Option<&Crew> {
        self.crews.iter().find(|crew| crew.users.contains(&user))
    }
}

// === impl Address ===

impl Address {
    /// Whether one of these names can change its host. What stands behind the host, and behind a path's first letter, cannot.
    fn depends_on(&self, names: &BTreeSet<String>) -> bool {
        let Self::Rendered { template, .. } = self else { return false };
        let source = template.source();
        let starts = ["{{", "{%", "{#"].iter().filter_map(|start| source.find(start));
        let literal = &source[..starts.min().unwrap_or(source.len())];
        let fixed = match literal.split_once("://") {
            Some((_, rest)) => rest.contains(['/', '?', '#']),
            None => literal.starts_with('/') && literal[1..].starts_with(|c: char| !matches!(c, '/' | '\\')),
        };
        !fixed && template.references().iter().any(|reference| names.contains(&*reference.root))
    }
}

// === impl Crew ===

impl Crew {
    pub fn new(
        profile: Profile,
        start_after: Duration,
        until: Option<Condition>,
        users: Vec<usize>,
        shares: &[Share],
        first_slot: u32,
    ) -> Self {
        Self { profile, start_after, until, users, first_slot, mix: Mix::new(shares) }
    }

    /// When it ends by itself, at the latest, since the run's start.
    pub fn end(&self) -> Option<Duration> {
        self.profile.end().map(|end| end.saturating_add(self.start_after))
    }

    /// When it ends by itself, given what became of it, since the run's start.
    pub fn end_of(&self, course: &Course) -> Option<Duration> {
        self.profile.end_of(course).map(|end| end.saturating_add(self.start_after))
    }

    /// The user type, by index into [`Plan::users`], of its slot or arrival `number` (from 0): fixed ones first, then weighted
    /// ones interleaved so that every prefix is as near to the weights as whole users can be.
    pub fn user_of(&self, number: u64) -> Option<usize> {
        self.users.get(self.mix.user_of(number)?).copied()
    }

    /// How many of its slots `0..users` each of its user types has, in the order of `self.users`.
    pub fn counts(&self, users: u32) -> Vec<u32> {
        self.mix.counts(users, self.users.len())
    }

    /// Where it stands at `elapsed` of the run, given what became of it; nowhere before it has begun.
    pub fn trend(&self, elapsed: Duration, course: &Course) -> Option<Trend> {
        Some(self.profile.trend(elapsed.checked_sub(self.start_after)?, course))
    }

    /// How many users it should have at `elapsed` of the run; of an open load, the most that there may be.
    pub fn users_at(&self, elapsed: Duration, course: &Course) -> u32 {
        elapsed.checked_sub(self.start_after).map_or(0, |elapsed| self.profile.users_at(elapsed, course))
    }
}

/// Which user type each slot has; a pure function of the slot.
#[derive(Clone, Debug)]
struct Mix {
    /// The slot after the last one of each fixed type, and the type: as short whatever the counts are.
    fixed: Vec<(u64, usize)>,
    /// One period of the weighted part.
    cycle: Vec<usize>,
}

/// Weights are scaled down such that a period is at most this long.
const LONGEST_CYCLE: u32 = 10_000;

impl Mix {
    fn new(shares: &[Share]) -> Self {
        let (mut fixed, mut end) = (Vec::new(), 0);
        let mut weights = Vec::new();
        for (index, share) in shares.iter().enumerate() {
            match *share {
                Share::Fixed(count) => {
                    end += u64::from(count);
                    fixed.push((end, index));
                }
                Share::Weight(weight) if weight > 0 => weights.push((index, u64::from(weight))),
                Share::Weight(_) => {}
            }
        }
        let divisor = weights.iter().fold(0, |a, (_, b)| gcd(a, *b)).max(1);
        let mut total: u64 = weights.iter().map(|(_, weight)| weight / divisor).sum();
        if total > u64::from(LONGEST_CYCLE) {
            let scale = total as f64 / f64::from(LONGEST_CYCLE);
            weights.iter_mut().for_each(|(_, weight)| *weight = ((*weight / divisor) as f64 / scale).round().max(1.0) as u64);
        } else {
            weights.iter_mut().for_each(|(_, weight)| *weight /= divisor);
        }
        total = weights.iter().map(|(_, weight)| weight).sum();
        // Smooth weighted round robin: each turn adds its weight to each, the highest is taken and pays the total.
        let mut credit = vec![0i64; weights.len()];
        let cycle = (0..total)
            .filter_map(|_| {
                credit.iter_mut().zip(&weights).for_each(|(credit, (_, weight))| *credit += *weight as i64);
                let best = (0..credit.len()).max_by_key(|at| (credit[*at], std::cmp::Reverse(*at)))?;
                credit[best] -= total as i64;
                Some(weights[best].0)
            })
            .collect();
        Self { fixed, cycle }
    }

    /// The index of the user type of slot `slot`; `None` when there are only fixed ones and fewer than that.
    fn user_of(&self, slot: u64) -> Option<usize> {
        match self.fixed.get(self.fixed.partition_point(|(end, _)| *end <= slot)) {
            Some((_, user)) => Some(*user),
            None if self.cycle.is_empty() => None,
            None => {
                let weighted = slot - self.fixed.last().map_or(0, |(end, _)| *end);
                self.cycle.get((weighted % self.cycle.len() as u64) as usize).copied()
            }
        }
    }

    /// How many of the slots `0..users` each of `types` user types has.
    fn counts(&self, users: u32, types: usize) -> Vec<u32> {
        let mut counts = vec![0; types];
        for slot in 0..users {
            match self.user_of(u64::from(slot)).and_then(|user| counts.get_mut(user)) {
                Some(count) => *count += 1,
                None => break,
            }
        }
        counts
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

// === impl RequestStep ===

impl RequestStep {
    /// Whether its headers are the same each time.
    pub fn has_fixed_headers(&self) -> bool {
        self.rendered_headers.is_empty() && self.auth.is_none() && !matches!(self.body, Body::Multipart(_))
    }
}

// === impl UserType ===

impl UserType {
    /// The feeders that it is given rows of, for as long as a task or longer; some more than once.
    pub fn uses(&self) -> impl Iterator<Item = usize> {
        let UserRows { user, on_start, on_stop } = &self.rows;
        let tasks = self.tasks.iter().flat_map(|task| task.rows.iter());
        [user, on_start, on_stop].into_iter().flat_map(|uses| uses.iter()).chain(tasks).copied()
    }

    /// Whether one of its steps may end the user.
    pub fn may_leave(&self) -> bool {
        let tasks = self.tasks.iter().map(|task| &task.steps);
        tasks.chain([&self.on_start]).any(|steps| steps.iter().any(Step::may_end_user))
    }

    /// The deck that `order: shuffle` deals: how many cards each task has, in the proportion of their weights and as few as
    /// that allows.
    pub fn deck(&self) -> Vec<u32> {
        let divisor = self.tasks.iter().fold(0, |a, task| gcd(a, u64::from(task.weight))).max(1);
        self.tasks.iter().map(|task| (u64::from(task.weight) / divisor) as u32).collect()
    }
}

/// A deck of `order: shuffle` has at most so many cards; each user holds one.
pub const LARGEST_DECK: u64 = 10_000;

// === impl Wait ===

impl Wait {
    pub const NONE: Self = Self::Constant(Duration::ZERO);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(shares: &[Share], slots: u64) -> Vec<Option<usize>> {
        let mix = Mix::new(shares);
        (0..slots).map(|slot| mix.user_of(slot)).collect()
    }

    #[test]
    fn fixed_users_come_first_and_weights_interleave() {
        let shares = [Share::Weight(3), Share::Fixed(2), Share::Weight(1)];
        assert_eq!(
            mix(&shares, 10),
            [1, 1, 0, 0, 2, 0, 0, 0, 2, 0].map(Some),
            "two fixed ones, then three to one, never all of one type at the end"
        );
    }

    #[test]
    fn every_prefix_is_near_the_weights() {
        let weights = [7u32, 2, 1];
        let mix = Mix::new(&weights.map(Share::Weight));
        let mut counts = [0f64; 3];
        for slot in 0..1000u64 {
            counts[mix.user_of(slot).unwrap()] += 1.0;
            for (count, weight) in counts.iter().zip(weights) {
                assert!((count - (slot + 1) as f64 * f64::from(weight) / 10.0).abs() <= 1.0, "slot {slot}: {counts:?}");
            }
        }
    }

    #[test]
    fn only_fixed_users_leave_later_slots_empty() {
        assert_eq!(mix(&[Share::Fixed(1)], 2), [Some(0), None]);
        assert_eq!(Mix::new(&[Share::Fixed(1)]).counts(5, 1), [1]);
    }

    #[test]
    fn fixed_users_take_no_memory() {
        let mix = Mix::new(&[Share::Fixed(u32::MAX), Share::Weight(1), Share::Fixed(u32::MAX)]);
        let last = u64::from(u32::MAX);
        assert_eq!([0, last - 1, last, 2 * last - 1, 2 * last].map(|slot| mix.user_of(slot)), [0, 0, 2, 2, 1].map(Some));
        assert!(mix.fixed.len() == 2 && mix.cycle.len() == 1);
    }

    #[test]
    fn counts_are_those_of_the_slots() {
        assert_eq!(Mix::new(&[Share::Weight(3), Share::Fixed(2), Share::Weight(1)]).counts(10, 3), [6, 2, 2]);
    }

    #[test]
    fn huge_weights_keep_their_proportion() {
        let mix = Mix::new(&[Share::Weight(1_000_003), Share::Weight(3_000_001)]);
        let first = (0..10_000).filter(|slot| mix.user_of(*slot) == Some(0)).count();
        assert!((2400..=2600).contains(&first), "{first}");
    }
}
