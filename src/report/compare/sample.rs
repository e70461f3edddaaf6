//! One request of one run: its figures, and how much each would differ had chance been another. Intervals are resampled in
//! blocks (Künsch, Ann. Statist. 17, 1989), since those that follow each other resemble each other; of each resample, the
//! histograms of its blocks are added and the figure is read from the sum (Efron, Ann. Statist. 7, 1979).
//!
//! A few blocks say little of how much they vary. What requests vary by even if nothing else does is known without them, from the
//! ranks beside the quantile; so it is the least, and what blocks vary more is what they have in common.

use super::proportion::Proportion;
use super::{FEWEST, Interval};
use crate::measure::quantiles::Quantiles;
use crate::random::Random;

/// The blocks of one request.
#[derive(Debug)]
pub(super) struct Sample {
    blocks: Vec<Block>,
    /// The upper ends of the bins that occur, in seconds.
    values: Vec<f64>,
}

#[derive(Debug)]
struct Block {
    seconds: f64,
    requests: u64,
    failures: u64,
    times: Quantiles,
    /// How many are in the bins up to each of the sample's values.
    cumulative: Vec<u64>,
}

/// A figure, and the variance that chance gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    /// Of the value; for quantiles and throughput of its logarithm.
    pub(super) variance: f64,
    /// The degrees of freedom of that variance.
    pub(super) freedom: f64,
}

/// So many blocks at most, and resamples. The same runs give the same answer: chance has a fixed seed.
const BLOCKS: usize = 24;
/// So many intervals are in a block at least, if there are enough of them.
const LENGTH: usize = 3;
const RESAMPLES: usize = 1000;
/// With fewer blocks than this it cannot be seen how much they resemble each other.
const ENOUGH: usize = 12;
/// So much more than what few blocks show of a common level is assumed: that of (1 + r) / (1 − r) for r = 0.6, the most that is
/// assumed of many. It is a cautious choice, which unit tests cover; no simulation found it.
const LEVELS: f64 = 4.0;
const SEED: u64 = 0x5eed;

// === Sample ===

impl Sample {
    /// `None` when there are too few intervals with requests.
    pub(super) fn new(intervals: &[Interval]) -> Option<Self> {
        if intervals.iter().filter(|interval| interval.requests > 0).count() < FEWEST {
            return None;
        }
        let count = (intervals.len() / LENGTH).clamp(FEWEST, BLOCKS);
        let parts = (0..count).map(|at| &intervals[at * intervals.len() / count..(at + 1) * intervals.len() / count]);
        let mut blocks: Vec<Block> = parts.map(Block::of).collect();
        let mut all = Quantiles::default();
        blocks.iter().for_each(|block| all.add(&block.times));
        let values: Vec<f64> = all.steps().map(|(value, _)| value).collect();
        blocks.iter_mut().for_each(|block| block.accumulate(&values));
        Some(Self { blocks, values })
    }

    pub(super) fn requests(&self) -> u64 {
        self.blocks.iter().map(|block| block.requests).sum()
    }

    /// Quantiles, in seconds; the variances are of their logarithms. `None` without times.
    pub(super) fn quantiles<const N: usize>(&self, quantiles: [f64; N]) -> Option<[Estimate; N]> {
        let ones = vec![1; self.blocks.len()];
        let found = quantiles.map(|quantile| self.quantile(&ones, quantile));
        if found.contains(&None) {
            return None;
        }
        let mut moments = [Moments::default(); N];
        self.resample(|times| {
            for (moments, quantile) in moments.iter_mut().zip(quantiles) {
                moments.add(self.quantile(times, quantile).map(f64::ln));
            }
        });
        let mut at = 0;
        Some(quantiles.map(|quantile| {
            let by_block = self.blocks.iter().map(|block| block.times.at(quantile));
            let estimate =
                self.estimate(found[at].unwrap_or(0.0), moments[at].variance(), self.by_ranks(&ones, quantile), by_block);
            at += 1;
            estimate
        }))
    }

    /// The variance of a quantile's logarithm if all requests were independent: its ranks have a binomial error, and the values an
    /// error to either side lie two errors apart (Woodruff, J. Am. Stat. Assoc. 47, 1952).
    fn by_ranks(&self, ones: &[u32], quantile: f64) -> f64 {
        let error = (quantile * (1.0 - quantile) / self.timed().max(1.0)).sqrt();
        let at = |quantile: f64| self.quantile(ones, quantile.clamp(0.0, 1.0)).map(f64::ln);
        match (at(quantile - error), at(quantile + error)) {
            (Some(low), Some(high)) if low.is_finite() => ((high - low) / 2.0).powi(2),
            _ => 0.0,
        }
    }

    /// Failures, of so many requests as would be as sure if they were independent; and the degrees of freedom of what makes them fewer,
    /// `None` where blocks do not vary more than chance lets them.
    pub(super) fn failures(&self) -> (Proportion, Option<f64>) {
        let (requests, failures) = self.blocks.iter().fold((0, 0), |sum, block| (sum.0 + block.requests, sum.1 + block.failures));
        let whole = Proportion { failures: failures as f64, requests: requests as f64 };
        let (value, m) = (whole.ratio(), self.blocks.len() as f64);
        let binomial = value * (1.0 - value) / whole.requests.max(1.0);
        // The variance of a ratio of sums over blocks (Cochran, Sampling Techniques, 1977, 6.4).
        let square: f64 = self.blocks.iter().map(|b| (b.failures as f64 - value * b.requests as f64).powi(2)).sum();
        let between = square * m / (m - 1.0) / whole.requests.max(1.0).powi(2);
        let by_block = self.blocks.iter().map(|b| (b.requests > 0).then(|| b.failures as f64 / b.requests as f64));
        let design = if binomial > 0.0 { between * self.inflation(by_block) / binomial } else { 1.0 };
        if design > 1.0 {
            (Proportion { failures: whole.failures / design, requests: whole.requests / design }, Some(m - 1.0))
        } else {
            (whole, None)
        }
    }

    /// Requests per second; the variance is of the logarithm.
    pub(super) fn throughput(&self) -> Estimate {
        let rate = |requests: f64, seconds: f64| if seconds > 0.0 { requests / seconds } else { 0.0 };
        let mut moments = Moments::default();
        self.resample(|times| {
            let (mut requests, mut seconds) = (0.0, 0.0);
            for (block, times) in self.blocks.iter().zip(times) {
                requests += block.requests as f64 * f64::from(*times);
                seconds += block.seconds * f64::from(*times);
            }
            moments.add(Some(rate(requests, seconds)).filter(|rate| *rate > 0.0).map(f64::ln));
        });
        let by_block = self.blocks.iter().map(|b| (b.seconds > 0.0).then(|| b.requests as f64 / b.seconds));
        // Users who wait for their answers come more regularly than by chance, so chance is the most that is independent of blocks.
        let requests = self.requests() as f64;
        let independent = moments.variance().min(1.0 / requests.max(1.0));
        self.estimate(rate(requests, self.seconds()), moments.variance(), independent, by_block)
    }

    pub(super) fn seconds(&self) -> f64 {
        self.blocks.iter().map(|block| block.seconds).sum()
    }

    /// Requests that have a response time.
    pub(super) fn timed(&self) -> f64 {
        self.blocks.iter().map(|block| block.times.count()).sum::<u64>() as f64
    }

    /// Draws as many blocks as there are, again and again: how often each was drawn.
    fn resample(&self, mut look: impl FnMut(&[u32])) {
        let mut random = Random::new(SEED, 0);
        let mut times = vec![0; self.blocks.len()];
        for _ in 0..RESAMPLES {
            times.fill(0);
            for _ in 0..times.len() {
                times[random.below(self.blocks.len() as u64) as usize] += 1;
            }
            look(&times);
        }
    }

    /// The quantile of the blocks together, each as often as `times` says.
    fn quantile(&self, times: &[u32], quantile: f64) -> Option<f64> {
        let count = |at: usize| {
            let blocks = self.blocks.iter().zip(times);
            blocks.map(|(block, times)| block.cumulative.get(at).copied().unwrap_or(0) * u64::from(*times)).sum::<u64>()
        };
        let all = count(self.values.len().checked_sub(1)?);
        if all == 0 {
            return None;
        }
        let rank = ((quantile * all as f64).ceil() as u64).max(1);
        let (mut low, mut high) = (0, self.values.len() - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            if count(middle) >= rank { high = middle } else { low = middle + 1 }
        }
        self.values.get(low).copied()
    }

    /// Widens a resampled variance: by m / (m − 1), since m blocks vary less about their own mean than about the true one; and what
    /// is more than `independent` requests vary by what neighbouring blocks still have in common.
    fn estimate(&self, value: f64, variance: f64, independent: f64, by_block: impl Iterator<Item = Option<f64>>) -> Estimate {
        let m = self.blocks.len() as f64;
        let excess = (variance * m / (m - 1.0) - independent).max(0.0);
        let inflation = if self.blocks.len() < ENOUGH { LEVELS } else { self.inflation(by_block) };
        Estimate { value, variance: independent + excess * inflation, freedom: m - 1.0 }
    }

    /// By how much the variance of a mean grows when blocks resemble their neighbours (Bartlett, J. R. Statist. Soc. 98, 1935).
    fn inflation(&self, by_block: impl Iterator<Item = Option<f64>>) -> f64 {
        if self.blocks.len() < ENOUGH {
            return 1.0;
        }
        let figures: Vec<f64> = by_block.flatten().collect();
        let r = autocorrelation(&figures);
        (1.0 + r) / (1.0 - r)
    }
}

/// How much a figure resembles the one before; at least 0. The estimate is too low by (1 + 3 r) / n (Kendall, Biometrika 41, 1954).
fn autocorrelation(figures: &[f64]) -> f64 {
    let n = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / n;
    let square: f64 = figures.iter().map(|x| (x - mean) * (x - mean)).sum();
    let product: f64 = figures.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    if square > 0.0 && n >= FEWEST as f64 { ((product / square + 1.0 / n) / (1.0 - 3.0 / n)).clamp(0.0, 0.6) } else { 0.0 }
}

// === Block ===

impl Block {
    fn of(intervals: &[Interval]) -> Self {
        let mut block = Self { seconds: 0.0, requests: 0, failures: 0, times: Quantiles::default(), cumulative: Vec::new() };
        for interval in intervals {
            block.seconds += interval.seconds;
            block.requests += interval.requests;
            block.failures += interval.failures;
            block.times.add(&interval.times);
        }
        block
    }

    fn accumulate(&mut self, values: &[f64]) {
        let mut steps = self.times.steps().peekable();
        let mut count = 0;
        let up_to = values.iter().map(|value| {
            while let Some((_, more)) = steps.next_if(|(at, _)| at <= value) {
                count += more;
            }
            count
        });
        self.cumulative = up_to.collect();
    }
}

// === Moments ===

#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    square: f64,
}

impl Moments {
    /// Welford, Technometrics 4 (1962).
    fn add(&mut self, figure: Option<f64>) {
        let Some(figure) = figure else { return };
        self.count += 1.0;
        let before = figure - self.mean;
        self.mean += before / self.count;
        self.square += before * (figure - self.mean);
    }

    fn variance(&self) -> f64 {
        if self.count > 1.0 { self.square / (self.count - 1.0) } else { 0.0 }
    }
}
