//! One request of one run: its figures, and how much each would differ had chance been another. Intervals are resampled in
//! blocks (Künsch, Ann. Statist. 17, 1989), since those that follow each other resemble each other; of each resample, the
//! histograms of its blocks are added and the figure is read from the sum (Efron, Ann. Statist. 7, 1979).

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
            let estimate = self.estimate(found[at].unwrap_or(0.0), moments[at].variance(), by_block);
            at += 1;
            estimate
        }))
    }

    /// The share of failures.
    pub(super) fn failure_ratio(&self) -> Estimate {
        let ratio = |failures: f64, requests: f64| if requests > 0.0 { failures / requests } else { 0.0 };
        let (requests, failures) = self.blocks.iter().fold((0, 0), |sum, block| (sum.0 + block.requests, sum.1 + block.failures));
        let value = ratio(failures as f64, requests as f64);
        let mut moments = Moments::default();
        self.resample(|times| {
            let (mut requests, mut failures) = (0.0, 0.0);
            for (block, times) in self.blocks.iter().zip(times) {
                requests += block.requests as f64 * f64::from(*times);
                failures += block.failures as f64 * f64::from(*times);
            }
            moments.add((requests > 0.0).then(|| failures / requests));
        });
        let by_block = self.blocks.iter().map(|b| (b.requests > 0).then(|| b.failures as f64 / b.requests as f64));
        let estimate = self.estimate(value, moments.variance(), by_block);
        // Failures that no block happens to have more of than another are still a matter of chance.
        let binomial = value * (1.0 - value) / (requests as f64).max(1.0);
        Estimate { variance: estimate.variance.max(binomial), ..estimate }
    }

    /// Requests a second; the variance is of the logarithm.
    pub(super) fn throughput(&self) -> Estimate {
        let rate = |requests: f64, seconds: f64| if seconds > 0.0 { requests / seconds } else { 0.0 };
        let seconds: f64 = self.blocks.iter().map(|block| block.seconds).sum();
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
        self.estimate(rate(self.requests() as f64, seconds), moments.variance(), by_block)
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

    /// Widens a resampled variance: by m / (m − 1), since m blocks vary less about their own mean than about the true one; and
    /// by what neighbouring blocks still have in common.
    fn estimate(&self, value: f64, variance: f64, by_block: impl Iterator<Item = Option<f64>>) -> Estimate {
        let figures: Vec<f64> = by_block.flatten().collect();
        let m = self.blocks.len() as f64;
        let r = autocorrelation(&figures);
        Estimate { value, variance: variance * m / (m - 1.0) * (1.0 + r) / (1.0 - r), freedom: m - 1.0 }
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
