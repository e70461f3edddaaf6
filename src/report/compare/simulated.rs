//! Pairs of runs that never were, for the tests and for `cargo bench --bench compare`, which prints the figures of docs/compare.md.
//! Latencies are log-normal and drawn one by one; their level moves from interval to interval as noise with autocorrelation and
//! as a wave, and a little from run to run, as on every machine.

use std::time::Duration;

use super::{Interval, Point, Random, Request, RequestName, Run};

#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// Of 10 s.
    pub(super) intervals: usize,
    /// In an interval.
    pub(super) requests: u64,
    /// Of the logarithm: the level's from interval to interval, its autocorrelation, and from run to run.
    pub(super) noise: f64,
    pub(super) lag1: f64,
    pub(super) between: f64,
    /// Half the height of a wave, and how many intervals it takes.
    pub(super) wave: f64,
    pub(super) period: f64,
    pub(super) failure_ratio: f64,
    pub(super) names: usize,
}

impl Course {
    /// Ten minutes at 20 requests a second.
    pub(super) const USUAL: Self = Self {
        intervals: 60,
        requests: 200,
        noise: 0.03,
        lag1: 0.6,
        between: 0.01,
        wave: 0.03,
        period: 12.0,
        failure_ratio: 0.0,
        names: 1,
    };
    /// Nothing varies but single latencies.
    pub(super) const CALM: Self = Self { noise: 0.0, between: 0.0, wave: 0.0, ..Self::USUAL };
}

/// One run of such a course, all times `factor` times as long.
pub(super) fn run(course: Course, factor: f64, seed: u64) -> Run {
    let requests = (0..course.names).map(|name| request(course, factor, name, &mut Random::new(seed, name as u64))).collect();
    Run { peak_users: 10, valid: true, requests, ..Run::default() }
}

fn request(course: Course, factor: f64, name: usize, random: &mut Random) -> Request {
    let Course { intervals, requests, noise, lag1, between, wave, period, failure_ratio, .. } = course;
    let base = factor.ln() + between * random.normal();
    let (mut moved, phase) = (noise * random.normal(), random.uniform());
    let intervals = (0..intervals).map(|at| {
        moved = lag1 * moved + noise * (1.0 - lag1 * lag1).sqrt() * random.normal();
        let level = base + moved + wave * (std::f64::consts::TAU * (at as f64 / period + phase)).sin();
        let mut interval = Interval { seconds: 10.0, ..Interval::default() };
        for _ in 0..requests {
            interval.requests += 1;
            interval.failures += u64::from(random.uniform() < failure_ratio);
            let latency = Duration::from_secs_f64(0.02 * (level + 0.5 * random.normal()).exp());
            interval.times.record(&Point::new(latency, &[]));
        }
        interval
    });
    let name =
        RequestName { user: "U".to_owned(), task: "t".to_owned(), request: format!("GET /{name}"), method: "GET".to_owned() };
    Request { intervals: intervals.collect(), name }
}
