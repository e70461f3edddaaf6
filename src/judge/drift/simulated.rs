//! Runs that never were: windows as a run of hours would have given them, in microseconds. For the tests, and for
//! `cargo bench --bench drift`, which prints the figures of docs/soak.md.
//!
//! ```text
//!  log latency of a minute = log base + wave + noise + burst + drift          shared by all its requests
//!  its p50 and p99         = of N log-normal latencies about that             drawn from their normal limits
//!  failures                = of N, each by a chance of its own                Poisson
//! ```
//!
//! The quantile q of N draws has about a normal error of s √(q (1 − q) / N) / φ(z) in its logarithm (s is the spread of one
//! latency, z its normal quantile, φ the density there); so no latency has to be drawn one by one.

use super::{Cell, Random, Windows};

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) minutes: usize,
    /// Requests a minute, of one request name.
    pub(super) requests: f64,
    /// Of the logarithm: the spread of the level from minute to minute, and how much one minute's resembles the one before.
    pub(super) noise: f64,
    pub(super) lag1: f64,
    /// Half the height of the wave, and its period in minutes.
    pub(super) wave: f64,
    pub(super) period: f64,
    /// How often, for each minute, a burst of 1 to 5 minutes begins in which all is 1.5 to 4 times as slow.
    pub(super) bursts: f64,
    pub(super) failure_ratio: f64,
    /// The latencies rise by this share over the run in a line, or at half time in a step.
    pub(super) line: f64,
    pub(super) step: f64,
}

impl Course {
    /// Half a day with everything that disturbs and nothing that drifts.
    pub(super) const USUAL: Self = Self {
        minutes: 720,
        requests: 3000.0,
        noise: 0.05,
        lag1: 0.6,
        wave: 0.1,
        period: 60.0,
        bursts: 0.005,
        failure_ratio: 0.005,
        line: 0.0,
        step: 0.0,
    };
}

/// The spread of a single latency's logarithm.
const SPREAD: f64 = 0.5;

struct Minutes {
    course: Course,
    random: Random,
    noise: f64,
    phase: f64,
    burst: (u64, f64),
    minute: usize,
}

/// The windows of such a run with so many request names, each with a noise of its own.
pub(super) fn run(course: Course, names: usize, seed: u64) -> Windows {
    let mut windows = Windows::new(names, 60.0);
    let mut all: Vec<Minutes> = (0..names).map(|name| Minutes::new(course, Random::new(seed, name as u64))).collect();
    let mut memory = Random::new(seed, names as u64);
    let (mut cells, mut seconds) = (vec![Cell::EMPTY; names], 0.0);
    for _ in 0..course.minutes {
        for (cell, minutes) in cells.iter_mut().zip(&mut all) {
            *cell = cell.join(minutes.next());
        }
        seconds += 60.0;
        if seconds >= windows.seconds() {
            windows.push(cells.iter().copied(), Some(5e7 * (1.0 + 0.01 * memory.normal())));
            (cells, seconds) = (vec![Cell::EMPTY; names], 0.0);
        }
    }
    windows
}

impl Minutes {
    fn new(course: Course, mut random: Random) -> Self {
        let (noise, phase) = (course.noise * random.normal(), random.uniform());
        Self { course, random, noise, phase, burst: (0, 0.0), minute: 0 }
    }

    fn next(&mut self) -> Cell {
        let Course { minutes, requests, noise, lag1, wave, period, bursts, failure_ratio, line, step } = self.course;
        let random = &mut self.random;
        let at = self.minute as f64;
        self.noise = lag1 * self.noise + noise * (1.0 - lag1 * lag1).sqrt() * random.normal();
        self.burst = match self.burst {
            (0, _) if random.uniform() < bursts => (random.below(5), (1.5 + 2.5 * random.uniform()).ln()),
            (0, _) => (0, 0.0),
            (left, factor) => (left - 1, factor),
        };
        let drift = 1.0 + line * at / minutes as f64 + if 2 * self.minute >= minutes { step } else { 0.0 };
        let level = (wave * (std::f64::consts::TAU * (at / period + self.phase)).sin() + self.noise + self.burst.1).exp() * drift;
        self.minute += 1;
        // What is slower is asked a little less often, as users who wait between requests do.
        let count = poisson(requests * level.powf(-0.05), random);
        let failures = poisson(count * failure_ratio * if self.burst.1 > 0.0 { 5.0 } else { 1.0 }, random).min(count);
        let quantile = |z: f64, q: f64, random: &mut Random| {
            let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let error = (q * (1.0 - q) / count.max(1.0)).sqrt() / density;
            0.02 * level * (SPREAD * (z + error * random.normal())).exp()
        };
        let (p50, p99) = (quantile(0.0, 0.5, random), quantile(2.326, 0.99, random));
        Cell { seconds: 60.0, requests: count, failures, p50, p99 }
    }
}

/// By Knuth's product for few, by the normal limit for many.
fn poisson(mean: f64, random: &mut Random) -> f64 {
    if mean > 50.0 {
        return (mean + mean.sqrt() * random.normal()).round().max(0.0);
    }
    let (limit, mut product, mut count) = ((-mean).exp(), random.uniform(), 0.0);
    while product > limit {
        product *= random.uniform();
        count += 1.0;
    }
    count
}
