//! A plan as a text for people: what `otload check` prints.

mod estimate;
mod steps;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use url::Position;

use super::plan::{
    AtEnd, Crew, Feeder, OnFailure, Order, Per as RowPer, Plan, RequestStep, RowOrder, Share, SoakLimits, Step, Task, Threshold,
    UserType, ValidityLimits, Wait,
};
use crate::export::otlp::settings::{Observe, Per, Protocol, Target};
use crate::http::settings::{Carrier, Version};
use crate::load::{self, Profile, Spacing};
use crate::units::{Rate, format_duration};

/// The whole plan: load, users with their tasks and steps, and how many series it makes.
pub fn describe(plan: &Plan) -> String {
    let mut out = Description { text: String::new(), plan, common: Common::new(plan), failing: OnFailure::Continue };
    out.head();
    out.once("setup", &plan.setup);
    plan.users.iter().for_each(|user| out.user(user));
    out.once("teardown", &plan.teardown);
    out.text.push('\n');
    estimate::lines(plan).iter().for_each(|line| out.line(0, line));
    out.line(0, &format!("at most {} time series", plan.catalog.series()));
    out.text
}

struct Description<'a> {
    text: String,
    plan: &'a Plan,
    common: Common,
    /// What comes after a failure, as was said last.
    failing: OnFailure,
}

/// What is the same for most requests, said once.
struct Common {
    bounds: Option<(Duration, u32)>,
    /// Of all requests.
    headers: Vec<(String, String)>,
}

impl Common {
    fn new(plan: &Plan) -> Self {
        let users = plan.users.iter().flat_map(|user| {
            [&user.on_start, &user.on_stop]
                .into_iter()
                .chain(user.tasks.iter().map(|task| &task.steps))
                .flat_map(|steps| requests(steps))
        });
        let all: Vec<&RequestStep> = requests(&plan.setup).into_iter().chain(users).chain(requests(&plan.teardown)).collect();
        let mut counts: BTreeMap<(Duration, u32), usize> = BTreeMap::new();
        all.iter().for_each(|request| *counts.entry((request.timeout, request.redirects)).or_default() += 1);
        let bounds = counts.into_iter().max_by_key(|(_, count)| *count).map(|(bounds, _)| bounds);
        let mut headers =
            if all.len() > 1 { all.first().map(|request| headers(request)).unwrap_or_default() } else { Vec::new() };
        headers.retain(|header| all.iter().all(|request| self::headers(request).contains(header)));
        Self { bounds, headers }
    }
}

fn requests(steps: &[Step]) -> Vec<&RequestStep> {
    let mut found = Vec::new();
    for step in steps {
        if let Step::Request(request) = step {
            found.push(&**request);
        }
        step.inner().into_iter().for_each(|steps| found.extend(requests(steps)));
    }
    found
}

/// Names and values, as written.
fn headers(request: &RequestStep) -> Vec<(String, String)> {
    let fixed = request.headers.iter().map(|(name, value)| {
        (
            name.to_string(),
            if value.is_sensitive() { "***".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() },
        )
    });
    let rendered = request.rendered_headers.iter().map(|(name, value)| (name.to_string(), value.source().to_owned()));
    fixed.chain(rendered).collect()
}

fn bounds(timeout: Duration, redirects: u32) -> String {
    match redirects {
        0 => format!("within {}, no redirects", format_duration(timeout)),
        most => format!("within {}, at most {most} redirects", format_duration(timeout)),
    }
}

impl Description<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.text, "{}", format!("{}{text}", "  ".repeat(depth)).trim_end());
    }

    fn head(&mut self) {
        let plan = self.plan;
        self.line(0, &plan.name);
        if let Some(host) = &plan.host {
            self.line(1, &format!("host      {}", host.as_str().trim_end_matches('/')));
        }
        let shared = plan.crews.iter().find(|crew| !self.is_own(crew));
        if let Some(crew) = shared {
            self.load(crew);
        }
        if !plan.warm_up.is_zero() {
            self.line(1, &format!("warm-up   {}, not in the summary", format_duration(plan.warm_up)));
        }
        self.line(1, &format!("stopping  a user may take {} to end its task", format_duration(plan.graceful_stop)));
        if plan.validity != ValidityLimits::default() {
            self.line(1, &format!("validity  {}", validity_of(&plan.validity)));
        }
        if plan.soak != SoakLimits::default() {
            self.line(1, &format!("soak      {}", soak_of(&plan.soak)));
        }
        for feeder in &plan.data {
            self.line(1, &format!("data      {}", rows_of(feeder)));
        }
        if let Some((timeout, redirects)) = self.common.bounds {
            self.line(1, &format!("requests  {}", bounds(timeout, redirects)));
        }
        self.http();
        for (number, threshold) in plan.thresholds.iter().enumerate() {
            let head = if number == 0 { "passes if" } else { "" };
            self.line(1, &format!("{head:<9} {}", threshold_of(threshold)));
        }
        if plan.fail_on_errors {
            self.line(1, "fails if  any request or iteration fails");
        }
        observed(&plan.observe).iter().for_each(|line| self.line(1, line));
        let headers: Vec<_> = self.common.headers.iter().map(|(name, value)| format!("header    {name}: {value}")).collect();
        headers.iter().for_each(|header| self.line(1, header));
        if let Some(crew) = shared {
            self.text.push('\n');
            self.curve(crew);
        }
    }

    /// What is spoken and by what, if the scenario says something of that.
    fn http(&mut self) {
        let http = &self.plan.http;
        let spoken = match (http.version, http.carrier) {
            (Version::Auto, Carrier::Auto) if http.proxy.is_none() => return,
            (Version::Auto, Carrier::Auto | Carrier::Reqwest) => "HTTP/1.1, or HTTP/2 where a server of https offers it",
            (Version::Auto, Carrier::Wire) | (Version::Http1, _) => "HTTP/1.1",
            (Version::Http2, _) => "HTTP/2",
        };
        let by = match http.carrier {
            Carrier::Auto => "",
            Carrier::Wire => ", by `wire`",
            Carrier::Reqwest => ", by `reqwest`",
        };
        // Without user and password.
        let proxy = http.proxy.as_ref().map(|url| &url[Position::BeforeHost..Position::AfterPort]);
        let proxy = proxy.map_or_else(String::new, |address| format!(", through the proxy {address}"));
        self.line(1, &format!("speaks    {spoken}{by}{proxy}"));
    }

    /// A user type's own, rather than one that several may share.
    fn is_own(&self, crew: &Crew) -> bool {
        matches!(*crew.users, [one] if self.plan.users[one].own_load)
    }

    fn load(&mut self, crew: &Crew) {
        let after = if crew.start_after.is_zero() {
            String::new()
        } else {
            format!(", begins after {}", format_duration(crew.start_after))
        };
        self.line(1, &format!("load      {}{after}", load_of(&crew.profile)));
        if let Some(until) = &crew.until {
            self.line(1, &format!("until     {until}, of all requests of a step"));
        }
    }

    fn curve(&mut self, crew: &Crew) {
        for line in load::draw(&crew.profile).lines() {
            self.line(1, line.trim_end());
        }
    }

    fn once(&mut self, name: &str, steps: &[Step]) {
        if !steps.is_empty() {
            self.line(0, "");
            self.line(0, &format!("{name}, once"));
            self.prevailing(1, steps);
            self.steps(1, steps);
        }
    }

    fn user(&mut self, user: &UserType) {
        self.line(0, "");
        self.line(0, &format!("{}, {}", user.name, share_of(self.plan, user)));
        let crew = self.plan.crew_of(user.id.index());
        if let Some(crew) = crew.filter(|crew| self.is_own(crew)) {
            self.load(crew);
        }
        let open = crew.is_some_and(|crew| matches!(crew.profile, Profile::Open(_)));
        let wait = if open { "none: tasks start when they arrive".to_owned() } else { wait_of(user.wait_time) };
        self.line(1, &format!("wait      {wait}"));
        self.line(
            1,
            match user.order {
                Order::Weighted => "order     at random, by weight",
                Order::Sequential => "order     one after the other",
                Order::Shuffle => "order     shuffled",
            },
        );
        for (name, steps) in [("on_start", &user.on_start), ("on_stop", &user.on_stop)] {
            if !steps.is_empty() {
                self.line(1, name);
                self.prevailing(2, steps);
                self.steps(2, steps);
            }
        }
        for (task, share) in user.tasks.iter().zip(estimate::mix(user)) {
            self.task(user, task, share);
        }
        if let Some(crew) = crew.filter(|crew| self.is_own(crew)) {
            self.text.push('\n');
            self.curve(crew);
        }
    }

    fn task(&mut self, user: &UserType, task: &Task, share: f64) {
        let share = percent((share * 1000.0).round() as u64, 1000);
        let share = match user.order {
            _ if estimate::walks(user) && task.weight == 0 => format!(" ({share} in the long run; only after another)"),
            _ if estimate::walks(user) => format!(" ({share} in the long run)"),
            Order::Sequential => String::new(),
            _ if task.weight == 0 => " (only after another)".to_owned(),
            _ => format!(" ({share})"),
        };
        self.line(1, &format!("task `{}`{share}", task.name));
        if !task.next.is_empty() {
            let total: u64 = task.next.iter().map(|(_, weight)| u64::from(*weight)).sum();
            let next = task.next.iter().filter_map(|(at, weight)| {
                Some(format!("`{}` {}", user.tasks.get(*at)?.name, percent(u64::from(*weight), total)))
            });
            let next: Vec<_> = next.collect();
            self.line(2, &format!("then {}", next.join(", ")));
        }
        self.prevailing(2, &task.steps);
        self.steps(2, &task.steps);
    }
}

fn load_of(profile: &Profile) -> String {
    let count = |users: u32| format!("{users} user{}", if users == 1 { "" } else { "s" });
    let mut text = match profile {
        Profile::Open(open) => {
            let most = if open.settled().is_zero() { "" } else { "at most " };
            let spacing = if open.spacing() == Spacing::Poisson { ", at random (Poisson)" } else { "" };
            let rate = Rate::try_new(open.peak_rate()).map_or_else(String::new, |rate| rate.to_string());
            format!("{most}{rate} arrivals{spacing}, at most {} at once", count(open.max_users()))
        }
        Profile::Stress(stress) => {
            format!("{} to {} in {} steps, then {} again", stress.from(), count(stress.to()), stress.steps(), stress.from())
        }
        Profile::Closed { users, .. } => format!("at most {}", count(users.peak())),
    };
    let (settled, end) = (profile.settled(), profile.end());
    if !settled.is_zero() && end.is_none_or(|end| settled < end) && !matches!(profile, Profile::Stress(_)) {
        let _ = write!(text, ", steady after {}", format_duration(settled));
    }
    match (end, profile.iterations()) {
        (Some(end), None) => drop(write!(text, ", ends after {}", format_duration(end))),
        (Some(end), Some(tasks)) => drop(write!(text, ", ends after {tasks} tasks or {}", format_duration(end))),
        (None, Some(tasks)) => drop(write!(text, ", ends after {tasks} tasks")),
        (None, None) => text.push_str(", until stopped"),
    }
    text
}

fn rows_of(feeder: &Feeder) -> String {
    let order = match feeder.order {
        RowOrder::Circular => "in turn",
        RowOrder::Random => "at random",
        RowOrder::Shuffle => "shuffled",
        RowOrder::Queue => "each once",
    };
    let per = match feeder.per {
        RowPer::Task => "task",
        RowPer::User => "user",
        RowPer::Request => "request",
    };
    let end = match feeder.at_end {
        AtEnd::Repeat => "",
        AtEnd::StopUser => "; who finds none stops",
        AtEnd::StopRun => "; then the run stops",
    };
    let rows = feeder.table.rows();
    let plural = if rows == 1 { "" } else { "s" };
    format!("`{}`: {rows} row{plural} of {}, {order}, one for each {per}{end}", feeder.name, feeder.file)
}

fn threshold_of(threshold: &Threshold) -> String {
    let mut text = threshold.written.to_string();
    if threshold.name != text {
        let _ = write!(text, ", as `{}`", threshold.name);
    }
    if !threshold.after.is_zero() {
        let _ = write!(text, ", judged after {}", format_duration(threshold.after));
    }
    if threshold.abort {
        text.push_str(", else the run stops");
    }
    text
}

fn validity_of(limits: &ValidityLimits) -> String {
    let ValidityLimits { enabled, max_generator_share, max_generator_time, busy, busy_for, dropped } = limits;
    if !enabled {
        return "not judged".to_owned();
    }
    format!(
        "generator's part at most {max_generator_share} + {}, workers busy at most {busy} for {}, at most {dropped} of arrivals dropped",
        format_duration(*max_generator_time),
        format_duration(*busy_for)
    )
}

fn soak_of(limits: &SoakLimits) -> String {
    let SoakLimits { window, min_change, fail_on_regression } = limits;
    let fails = if *fail_on_regression { "; a run that gets worse fails" } else { "" };
    format!("worse from {min_change} on, in windows of {}{fails}", format_duration(*window))
}

/// What is said of `observe`. Headers are not: their values are secrets.
fn observed(observe: &Observe) -> Vec<String> {
    let mut lines = Vec::new();
    if !observe.labels.is_empty() {
        let labels: Vec<_> = observe.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        lines.push(format!("labels    {}", labels.join(", ")));
    }
    if let Some(traces) = &observe.traces {
        let per = if traces.per == Per::Task { "tasks" } else { "requests" };
        let mut text = format!("traces    {} of all {per}", traces.sample);
        if traces.keep.errors {
            text.push_str(", and failed requests");
        }
        if let Some(limit) = traces.keep.slower_than {
            let _ = write!(text, ", and requests slower than {}", format_duration(limit));
        }
        let told = if traces.propagate_all { "; the target is told to keep all" } else { "" };
        lines.push(format!("{text}, {}{told}", to(&traces.target)));
    }
    if let Some(metrics) = &observe.metrics {
        lines.push(format!("metrics   every {}, {}", format_duration(metrics.interval), to(&metrics.target)));
    }
    if let Some(logs) = &observe.logs {
        lines.push(format!("logs      failed requests, {}", to(&logs.target)));
    }
    lines
}

fn to(target: &Target) -> String {
    let protocol = match target.protocol {
        None => "",
        Some(Protocol::Grpc) => " by gRPC",
        Some(Protocol::Http) => " by HTTP",
    };
    match &target.endpoint {
        // A query may hold a key.
        Some(url) => {
            let url = url.as_str().split(['?', '#']).next().unwrap_or_default();
            format!("to {}{protocol}", url.trim_end_matches('/'))
        }
        None => format!("to where the environment says{protocol}"),
    }
}

fn share_of(plan: &Plan, user: &UserType) -> String {
    if user.own_load {
        return "a load of its own".to_owned();
    }
    let open = plan.crew_of(user.id.index()).is_some_and(|crew| matches!(crew.profile, Profile::Open(_)));
    let share = share_of_users(plan, user);
    if open { share.replace("users", "arrivals") } else { share }
}

fn share_of_users(plan: &Plan, user: &UserType) -> String {
    match user.share {
        Share::Fixed(count) => format!("always {count}"),
        Share::Weight(weight) => {
            let weight_of = |user: &UserType| if let Share::Weight(weight) = user.share { u64::from(weight) } else { 0 };
            let sharing = || plan.users.iter().filter(|user| !user.own_load);
            let others = sharing().any(|user| matches!(user.share, Share::Fixed(_)));
            let total = sharing().map(weight_of).sum();
            match (u64::from(weight) == total, others) {
                (true, false) => "all users".to_owned(),
                (true, true) => "all other users".to_owned(),
                (false, false) => format!("{} of all users", percent(u64::from(weight), total)),
                (false, true) => format!("{} of the other users", percent(u64::from(weight), total)),
            }
        }
    }
}

fn percent(part: u64, total: u64) -> String {
    let text = format!("{:.1}", part as f64 * 100.0 / total.max(1) as f64);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

fn wait_of(wait: Wait) -> String {
    let d = format_duration;
    match wait {
        Wait::Constant(duration) if duration.is_zero() => "none".to_owned(),
        Wait::Constant(duration) => d(duration),
        Wait::Between(a, b) => format!("{} to {}", d(a), d(b)),
        Wait::Exponential(mean) => format!("exponential, {} on average", d(mean)),
        Wait::Normal { mean, std } => format!("normal, {} ± {}", d(mean), d(std)),
        Wait::Pacing(duration) => format!("tasks start {} apart", d(duration)),
        Wait::Throughput(duration) => format!("tasks are due {} apart, and late ones are made up for", d(duration)),
    }
}
