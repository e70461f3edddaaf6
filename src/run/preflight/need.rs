//! What a plan needs of the system.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::load::Profile;
use crate::scenario::plan::{Action, Address, Control, Crew, Loop, Plan, RequestStep, Step, Turns, UserType, Wait};

/// What is needed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Need {
    /// At the peak.
    pub(super) users: u64,
    /// Addresses and ports that are connected to; `None` when a template decides.
    pub(super) targets: Option<u64>,
    /// Local addresses that are used in turn; 0 when the system chooses.
    pub(super) sources: u64,
    pub(super) workers: u64,
    /// The other ends of the connections are in this process too.
    pub(super) demo: bool,
    pub(super) keep_alive: bool,
    /// Requests a second at most, and over the whole run if that has an end.
    pub(super) rate: f64,
    pub(super) requests: Option<f64>,
    /// They all stay on this machine.
    pub(super) loopback: bool,
}

/// A target that answers at once still takes about this long.
const FASTEST_ANSWER: Duration = Duration::from_millis(1);

impl Need {
    pub(super) fn of(plan: &Plan, workers: u32, demo: bool) -> Self {
        let users: u64 = plan.crews.iter().map(|crew| u64::from(crew.profile.peak())).sum();
        let rate: f64 = plan.crews.iter().map(|crew| rate_of(plan, crew)).sum();
        // Of all crews together, if each has an end.
        let requests = plan.crews.iter().map(|crew| requests_of(plan, crew)).sum::<Option<f64>>();
        let targets = targets(plan);
        Self {
            users,
            targets: targets.as_ref().map(|targets| addresses(plan, targets)),
            sources: plan.http.source_addresses.iter().collect::<BTreeSet<_>>().len() as u64,
            workers: workers.into(),
            demo,
            keep_alive: plan.http.keep_alive,
            rate,
            requests,
            loopback: targets.is_some_and(|targets| targets.iter().all(|(host, _)| is_loopback(host))),
        }
    }

    /// How many requests there may be within a while.
    pub(super) fn opened_within(&self, span: Duration) -> f64 {
        let within = self.rate * span.as_secs_f64();
        self.requests.map_or(within, |all| all.min(within))
    }
}

// === targets ===

type Target = (String, u16);

/// Hosts and ports of the users' requests; `None` when a template decides. Through a proxy there is but one.
fn targets(plan: &Plan) -> Option<BTreeSet<Target>> {
    if let Some(proxy) = &plan.http.proxy {
        return target(proxy).map(|target| BTreeSet::from([target]));
    }
    let mut found = BTreeSet::new();
    for request in plan.users.iter().flat_map(requests) {
        found.insert(match &request.address {
            Address::Fixed(url) => target(url)?,
            Address::Rendered { base, template } => rendered(base.as_ref(), template.source())?,
        });
    }
    Some(found)
}

fn target(url: &Url) -> Option<Target> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

/// Where a URL leads that is rendered, if its beginning already tells.
fn rendered(base: Option<&Url>, source: &str) -> Option<Target> {
    let absolute = ["http://", "https://"].iter().find_map(|scheme| Some((*scheme, source.strip_prefix(scheme)?)));
    let Some((scheme, rest)) = absolute else {
        return if source.starts_with('{') { None } else { target(base?) };
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    if authority.contains('{') { None } else { target(&Url::parse(&format!("{scheme}{authority}")).ok()?) }
}

/// A name in `resolve` may have several addresses. One that is looked up is taken for one, for only the first is used.
fn addresses(plan: &Plan, targets: &BTreeSet<Target>) -> u64 {
    let own = |host: &str| plan.http.resolve.iter().filter(|(name, _)| name.eq_ignore_ascii_case(host)).count().max(1);
    targets.iter().map(|(host, _)| own(host) as u64).sum()
}

fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        Ok(Host::Domain(name)) => name == "localhost",
        Err(_) => false,
    }
}

fn requests(user: &UserType) -> Vec<&RequestStep> {
    fn collect<'a>(steps: &'a [Step], found: &mut Vec<&'a RequestStep>) {
        for step in steps {
            if let Step::Request(request) = step {
                found.push(request);
            }
            step.inner().into_iter().for_each(|steps| collect(steps, found));
        }
    }
    let mut found = Vec::new();
    let tasks = user.tasks.iter().map(|task| &task.steps);
    [&user.on_start, &user.on_stop].into_iter().chain(tasks).for_each(|steps| collect(steps, &mut found));
    found
}

// === rates ===

/// Requests a second of a crew at its peak.
fn rate_of(plan: &Plan, crew: &Crew) -> f64 {
    let kinds = || crew.users.iter().map(|user| &plan.users[*user]);
    if let Profile::Open(open) = &crew.profile {
        return open.peak_rate() * kinds().map(most_requests).fold(0.0, f64::max);
    }
    kinds().zip(crew.counts(crew.profile.peak())).map(|(user, count)| f64::from(count) * rate(user)).sum()
}

/// Requests of a crew over the whole run, if that has an end.
fn requests_of(plan: &Plan, crew: &Crew) -> Option<f64> {
    let in_time = crew.profile.end().map(|end| rate_of(plan, crew) * end.as_secs_f64());
    let longest = crew.users.iter().map(|user| most_requests(&plan.users[*user])).fold(0.0, f64::max);
    let in_tasks = crew.profile.iterations().map(|tasks| tasks as f64 * longest);
    in_time.into_iter().chain(in_tasks).reduce(f64::min)
}

/// Requests of the user's longest task.
fn most_requests(user: &UserType) -> f64 {
    user.tasks.iter().map(|task| work(&task.steps).0).fold(0.0, f64::max)
}

/// Requests a second of one such user, before a target that answers at once.
fn rate(user: &UserType) -> f64 {
    let (mut weights, mut requests, mut pauses) = (0.0, 0.0, 0.0);
    for task in &user.tasks {
        let (weight, (count, pause)) = (f64::from(task.weight), work(&task.steps));
        weights += weight;
        requests += weight * count;
        pauses += weight * pause;
    }
    if weights == 0.0 {
        return 0.0;
    }
    let (requests, pauses) = (requests / weights, pauses / weights);
    let busy = requests * FASTEST_ANSWER.as_secs_f64() + pauses;
    let period = match user.wait_time {
        Wait::Pacing(apart) | Wait::Throughput(apart) => busy.max(apart.as_secs_f64()),
        wait => busy + mean(wait),
    };
    if period > 0.0 { requests / period } else { 0.0 }
}

/// Requests and seconds of pause in one go through the steps.
fn work(steps: &[Step]) -> (f64, f64) {
    steps.iter().fold((0.0, 0.0), |(requests, pauses), step| match step {
        Step::Request(_) => (requests + 1.0, pauses),
        Step::Think(wait) => (requests, pauses + mean(*wait)),
        Step::Group { steps, .. } => {
            let (more, longer) = work(steps);
            (requests + more, pauses + longer)
        }
        Step::Control(control) => {
            let (more, longer) = work_within(control);
            (requests + more, pauses + longer)
        }
    })
}

/// Of branches the one with the most requests, of a loop whose turns are not known beforehand one turn.
fn work_within(control: &Control) -> (f64, f64) {
    let inner = control.inner().into_iter().map(work).reduce(|one, other| if other.0 > one.0 { other } else { one });
    let (requests, pauses) = inner.unwrap_or_default();
    match &control.action {
        Action::Loop(Loop { turns: Turns::Count(turns), .. }) => (requests * *turns as f64, pauses * *turns as f64),
        _ => (requests, pauses),
    }
}

/// In seconds.
fn mean(wait: Wait) -> f64 {
    match wait {
        Wait::Constant(pause)
        | Wait::Pacing(pause)
        | Wait::Throughput(pause)
        | Wait::Exponential(pause)
        | Wait::Normal { mean: pause, .. } => pause.as_secs_f64(),
        Wait::Between(least, most) => (least.as_secs_f64() + most.as_secs_f64()) / 2.0,
    }
}
