//! Whether a series of figures, some of them missing, rises or falls beyond chance, and by how much.
//!
//! ```text
//!  up to 240 windows ─▶ at most 48 blocks     a mean without the extremes of each: bursts are outvoted, neighbours nearly independent
//!                    ─▶ minus one wave        the strongest with three cycles or more, if it is a third of what moves
//!                    ─▶ S, Z, p               Mann-Kendall; its variance widened by what autocorrelation is left
//!                    ─▶ slope                 Theil-Sen
//!                    ─▶ step                  the one that explains most
//!                    ─▶ first, last           of quarters
//! ```
//!
//! Sources: Mann, "Nonparametric tests against trend", Econometrica 13 (1945); Kendall, Rank Correlation Methods (1975), for the
//! variance with ties; Sen, JASA 63 (1968); Hamed and Rao, J. Hydrology 204 (1998), for the variance under autocorrelation.

use std::ops::Range;

use super::wave;
use crate::statistics::two_sided;

/// What is known of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Of both sides; 1 when nothing rises or falls.
    pub p_value: f64,
    /// Theil-Sen's slope over the whole series, in the series' unit.
    pub rise: f64,
    /// Where that line begins.
    pub start: f64,
    /// Of the first and the last quarter.
    pub first: f64,
    pub last: f64,
    /// How high the step is that explains the series best; `None` if a line explains it better.
    pub step: Option<f64>,
}

/// Fewer windows, or fewer blocks with figures, than this are not judged.
pub const FEWEST: usize = 30;

/// More blocks than this gain nothing: their neighbours would depend on each other more.
const BLOCKS: usize = 48;

/// Buffers that are used again for the next series.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Place (in blocks) and figure.
    places: Vec<f64>,
    blocks: Vec<f64>,
    slopes: Vec<f64>,
    ranks: Vec<f64>,
    order: Vec<usize>,
    scratch: Vec<f64>,
}

/// The figure of some windows in a row, with a buffer to find it in.
pub type Mean<'a> = dyn FnMut(Range<usize>, &mut Vec<f64>) -> Option<f64> + 'a;

/// Judges `n` windows of which `mean(from..to)` gives the figure of some in a row; `None` when they have none.
pub fn trend(n: usize, space: &mut Workspace, mean: &mut Mean<'_>) -> Option<Trend> {
    if n < FEWEST {
        return None;
    }
    let count = n.min(BLOCKS);
    space.places.clear();
    space.blocks.clear();
    for block in 0..count {
        if let Some(figure) =
            mean(block * n / count..(block + 1) * n / count, &mut space.scratch).filter(|figure| figure.is_finite())
        {
            space.places.push(block as f64);
            space.blocks.push(figure);
        }
    }
    if space.blocks.len() < FEWEST {
        return None;
    }
    let (first, last) = (mean(0..n / 4, &mut space.scratch), mean(n - n / 4..n, &mut space.scratch));
    let (first, last) = (first?, last?);
    let (mut slope, mut score) = space.slope();
    if n >= 2 * FEWEST && wave::remove(&space.places, &mut space.blocks, slope, &mut space.scratch) {
        (slope, score) = space.slope();
    }
    let start = space.start(slope);
    let step = space.step();
    let p_value = space.p_value(score);
    Some(Trend { p_value, rise: slope * count as f64, start, first, last, step })
}

/// The mean of what is left when a quarter at each end is taken away; of three, the middle one.
pub fn middle_mean(figures: &mut [f64]) -> Option<f64> {
    let n = figures.len();
    let cut = if n >= 3 { (n / 4).max(1) } else { 0 };
    figures.sort_unstable_by(f64::total_cmp);
    let middle = &figures[cut..n - cut];
    (!middle.is_empty()).then(|| middle.iter().sum::<f64>() / middle.len() as f64)
}

fn median(figures: &mut [f64]) -> f64 {
    let middle = figures.len() / 2;
    if figures.is_empty() { 0.0 } else { *figures.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

impl Workspace {
    /// Theil-Sen: the median of the slopes between all pairs, for each block. And how many of them rise more than fall, which is
    /// Mann's score.
    fn slope(&mut self) -> (f64, f64) {
        self.slopes.clear();
        for (at, (place, figure)) in self.places.iter().zip(&self.blocks).enumerate() {
            let later = self.places.iter().zip(&self.blocks).skip(at + 1);
            self.slopes.extend(later.map(|(other, value)| (value - figure) / (other - place)));
        }
        let count = |rises: fn(&&f64) -> bool| self.slopes.iter().filter(rises).count() as f64;
        let score = count(|slope| **slope > 0.0) - count(|slope| **slope < 0.0);
        (median(&mut self.slopes), score)
    }

    /// The height at place 0 of the line of this slope that has as many blocks above as below.
    fn start(&mut self, slope: f64) -> f64 {
        self.scratch.clear();
        self.scratch.extend(self.places.iter().zip(&self.blocks).map(|(place, figure)| figure - slope * place));
        median(&mut self.scratch)
    }

    /// How high the step is that explains most of the squares about the mean: what lies after one of the blocks less what lies before
    /// it, at least an eighth of the blocks from either end. `None` if the line of least squares explains more.
    fn step(&mut self) -> Option<f64> {
        let n = self.blocks.len();
        let count = n as f64;
        let mean = self.blocks.iter().sum::<f64>() / count;
        let (mut before, mut most, mut split) = (0.0, 0.0f64, n / 2);
        for (at, figure) in self.blocks.iter().enumerate().take(n - n / 8) {
            before += figure - mean;
            let left = (at + 1) as f64;
            let explained = before * before * count / (left * (count - left));
            if at + 1 >= n / 8 && explained > most {
                (most, split) = (explained, at + 1);
            }
        }
        let middle = self.places.iter().sum::<f64>() / count;
        let (mut product, mut square) = (0.0, 0.0);
        for (place, figure) in self.places.iter().zip(&self.blocks) {
            product += (place - middle) * (figure - mean);
            square += (place - middle) * (place - middle);
        }
        if product * product > most * square {
            return None;
        }
        let Self { blocks, scratch, .. } = self;
        let [low, high] = [&blocks[..split], &blocks[split..]].map(|figures| {
            scratch.clear();
            scratch.extend(figures);
            middle_mean(scratch).unwrap_or(0.0)
        });
        Some(high - low)
    }

    fn p_value(&mut self, score: f64) -> f64 {
        let n = self.blocks.len() as f64;
        let ties = self.rank();
        let variance = (n * (n - 1.0) * (2.0 * n + 5.0) - ties) / 18.0;
        if variance <= 0.0 {
            return 1.0;
        }
        // Kendall's correction for a score that moves in steps of 2.
        let z = (f64::abs(score) - 1.0).max(0.0) / (variance * inflation(self.blocks.len(), self.autocorrelation())).sqrt();
        two_sided(z)
    }

    /// Fills in the ranks, equal ones sharing theirs; answers with the sum of t (t − 1) (2 t + 5) over groups of t ties.
    fn rank(&mut self) -> f64 {
        let Self { blocks, ranks, order, .. } = self;
        order.clear();
        order.extend(0..blocks.len());
        order.sort_unstable_by(|a, b| blocks[*a].total_cmp(&blocks[*b]));
        ranks.clear();
        ranks.resize(blocks.len(), 0.0);
        let (mut from, mut ties) = (0, 0.0);
        while from < order.len() {
            let same = order[from..].iter().take_while(|at| blocks[**at] == blocks[order[from]]).count().max(1);
            order[from..from + same].iter().for_each(|at| ranks[*at] = from as f64 + (same - 1) as f64 / 2.0);
            let t = same as f64;
            ties += t * (t - 1.0) * (2.0 * t + 5.0);
            from += same;
        }
        ties
    }

    /// How much a block's rank resembles that of the next one. Each half of the series is taken about a line of its own, so
    /// that neither a trend nor a step at half time counts as resemblance.
    fn autocorrelation(&self) -> f64 {
        let (mut product, mut square) = (0.0, 0.0);
        let half = self.ranks.len() / 2;
        for ranks in [&self.ranks[..half], &self.ranks[half..]] {
            let n = ranks.len() as f64;
            let (mean, middle) = (ranks.iter().sum::<f64>() / n, (n - 1.0) / 2.0);
            let rise: f64 = ranks.iter().enumerate().map(|(at, rank)| (at as f64 - middle) * (rank - mean)).sum();
            let slope = rise / (n * (n * n - 1.0) / 12.0);
            let mut before = 0.0;
            for (at, rank) in ranks.iter().enumerate() {
                let rest = rank - mean - slope * (at as f64 - middle);
                square += rest * rest;
                product += before * rest;
                before = rest;
            }
        }
        if square <= 0.0 {
            return 0.0;
        }
        // About a fitted line the estimate is too low by (2 + 4 r) / n; and it is only an estimate: the margin is for that.
        let n = half as f64;
        let r = (product / square + 2.0 / n) / (1.0 - 4.0 / n);
        (r + MARGIN / self.ranks.len() as f64).clamp(0.0, 0.97)
    }
}

/// Added to the autocorrelation, divided by the number of blocks; by simulation (docs/soak.md).
const MARGIN: f64 = 1.0;

/// By how much the score's variance grows when the resemblance of ranks falls off as r, r², r³ … (Hamed and Rao, equation 10).
fn inflation(blocks: usize, r: f64) -> f64 {
    let n = blocks as f64;
    let (mut sum, mut power) = (0.0, 1.0);
    for lag in 1..blocks.saturating_sub(2) {
        let lag = lag as f64;
        power *= r;
        if power < 1e-6 {
            break;
        }
        sum += (n - lag) * (n - lag - 1.0) * (n - lag - 2.0) * power;
    }
    1.0 + 2.0 * sum / (n * (n - 1.0) * (n - 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(series: &[f64]) -> Option<Trend> {
        let mut mean = |range: Range<usize>, scratch: &mut Vec<f64>| {
            scratch.clear();
            scratch.extend(series[range].iter().filter(|figure| !figure.is_nan()));
            middle_mean(scratch)
        };
        trend(series.len(), &mut Workspace::default(), &mut mean)
    }

    #[test]
    fn the_score_and_its_variance_are_kendalls() {
        // Gilbert, Statistical Methods for Environmental Pollution Monitoring (1987), 16.4: all 10 of 5 figures rise; ties of
        // two and three take away 18 and 66.
        let mut space = Workspace {
            blocks: vec![5.0, 5.0, 7.0, 7.0, 7.0, 9.0],
            places: (0..6).map(f64::from).collect(),
            ..Workspace::default()
        };
        assert_eq!(space.rank(), 18.0 + 66.0);
        assert_eq!(space.ranks, [0.5, 0.5, 3.0, 3.0, 3.0, 5.0]);
        // Of the 15 pairs 11 rise; the middle one of their slopes is that of 4 in 5 blocks.
        assert_eq!(space.slope(), (2.0 / 3.0, 11.0));
        assert_eq!(inflation(48, 0.0), 1.0);
        assert!((inflation(1000, 0.5) - 3.0).abs() < 0.02, "for long series it is (1 + r) / (1 - r)");
    }

    #[test]
    fn a_line_is_measured_exactly() {
        let line: Vec<f64> = (0..48).map(|at| 100.0 + f64::from(at)).collect();
        let found = of(&line).unwrap();
        assert!(found.p_value < 1e-9, "{found:?}");
        assert!((found.rise - 48.0).abs() < 1e-9 && (found.start - 100.0).abs() < 1e-9, "{found:?}");
        assert_eq!((found.first, found.last), (105.5, 141.5));
        let falling: Vec<f64> = line.iter().map(|figure| -figure).collect();
        assert!((of(&falling).unwrap().rise + 48.0).abs() < 1e-9);
    }

    #[test]
    fn a_step_is_as_high_as_it_is_wherever_it_lies() {
        let noise = |at: usize| [0.3, -0.5, 0.1, 0.4, -0.2, -0.1][at % 6];
        for (place, height) in [(0.2, 8.0), (0.35, -8.0), (0.5, 8.0), (0.6, 8.0), (0.8, -8.0)] {
            let figure = |at: usize| 100.0 + noise(at) + if (at as f64) < place * 96.0 { 0.0 } else { height };
            let found = of(&(0..96).map(figure).collect::<Vec<_>>()).unwrap();
            assert!((found.step.unwrap() - height).abs() < 0.3, "{place}: {found:?}");
        }
        assert_eq!(of(&[7.0; 96]).unwrap().step, Some(0.0));
        let line: Vec<f64> = (0..96).map(|at| 100.0 + noise(at) + at as f64 / 12.0).collect();
        assert_eq!(of(&line).unwrap().step, None);
    }

    #[test]
    fn what_does_not_move_has_no_trend() {
        for (figure, n) in [(0.0, 240), (7.5, 30), (1e-300, 60), (f64::MAX / 1e6, 60)] {
            let found = of(&vec![figure; n]).unwrap();
            assert_eq!((found.p_value, found.rise), (1.0, 0.0), "{figure}");
        }
        // All but one the same.
        let mut series = vec![1.0; 200];
        series[199] = 1e9;
        assert!(of(&series).unwrap().p_value > 0.5);
    }

    #[test]
    fn too_little_is_not_judged() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[1.0; FEWEST - 1]), None);
        // Enough windows, too few with figures; and enough, but none at the beginning.
        let mut gaps = vec![f64::NAN; 240];
        gaps[100..200].fill(1.0);
        assert_eq!(of(&gaps), None);
        let mut late = vec![f64::NAN; 240];
        late[80..].fill(1.0);
        assert_eq!(of(&late), None);
    }

    #[test]
    fn gaps_keep_their_place_in_time() {
        let mut line: Vec<f64> = (0..240).map(|at| 100.0 + f64::from(at)).collect();
        line[90..130].fill(f64::NAN);
        let found = of(&line).unwrap();
        assert!((found.rise - 240.0).abs() < 5.0 && found.p_value < 1e-6, "{found:?}");
    }

    #[test]
    fn a_wave_is_no_trend_and_hides_none() {
        let wave = |at: i32| (f64::from(at) / 20.0 * std::f64::consts::TAU).sin() * 30.0;
        let flat: Vec<f64> = (0..240).map(|at| 100.0 + wave(at)).collect();
        assert!(of(&flat).unwrap().p_value > 0.05, "{:?}", of(&flat));
        let rising: Vec<f64> = (0..240).map(|at| 100.0 + wave(at) + f64::from(at) / 16.0).collect();
        let found = of(&rising).unwrap();
        assert!(found.p_value < 1e-6 && (found.rise - 15.0).abs() < 1.5, "{found:?}");
    }

    #[test]
    fn odd_figures_do_no_harm() {
        for odd in [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -f64::MAX, f64::MIN_POSITIVE] {
            let series: Vec<f64> = (0..240).map(|at| if at % 7 == 0 { odd } else { 1.0 }).collect();
            let found = of(&series);
            assert!(found.is_none_or(|found| (0.0..=1.0).contains(&found.p_value)), "{odd}: {found:?}");
        }
    }
}
