//! Takes one wave out of a series. What comes and goes each hour (a cron job, a cache, a token) is no trend, but it is most of what
//! moves, and a rank test would take it for chance that hides one.

use std::f64::consts::TAU;

/// The least share of what moves about the line that must be the wave: less is left alone.
const SHARE: f64 = 0.3;

/// Frequencies are tried in steps of a quarter cycle over the series; the slowest has three.
const STEPS: usize = 4;
const FEWEST_CYCLES: usize = 3;

/// Finds the sine that explains most of the figures about a line of this slope, and
/// subtracts it if that is enough. Figures that are far off are pulled in first, so that a burst makes no wave. Whether there
/// was one.
pub(super) fn remove(places: &[f64], figures: &mut [f64], slope: f64, rest: &mut Vec<f64>) -> bool {
    let n = figures.len();
    let span = places.last().map_or(0.0, |last| last + 1.0);
    let Some(rest) = about_the_line(places, figures, slope, rest) else { return false };
    let all: f64 = rest.iter().map(|x| x * x).sum();
    let (mut best, mut strongest) = (0.0, 0.0);
    for quarter in FEWEST_CYCLES * STEPS..=n / 2 * STEPS {
        let frequency = TAU * quarter as f64 / STEPS as f64 / span;
        let power = power(frequency, places, rest);
        if power > strongest {
            (strongest, best) = (power, frequency);
        }
    }
    let best = Wave::fit(best, places, rest);
    let found = best.explains > SHARE * all;
    if found {
        for (figure, place) in figures.iter_mut().zip(places) {
            *figure -= best.at(*place);
        }
    }
    found
}

/// The figures less the line and less their mean, none further from the middle than three times the median distance; `None` when
/// most of them lie on the line.
fn about_the_line<'a>(places: &[f64], figures: &[f64], slope: f64, rest: &'a mut Vec<f64>) -> Option<&'a [f64]> {
    let n = figures.len();
    rest.clear();
    rest.extend(places.iter().zip(figures).map(|(place, figure)| figure - slope * place));
    let mut sorted = rest.clone();
    let middle = *sorted.select_nth_unstable_by(n / 2, f64::total_cmp).1;
    rest.iter_mut().for_each(|x| *x -= middle);
    sorted.iter_mut().zip(rest.iter()).for_each(|(distance, x)| *distance = x.abs());
    let limit = 3.0 * *sorted.select_nth_unstable_by(n / 2, f64::total_cmp).1;
    if !(limit > 0.0 && limit.is_finite()) {
        return None;
    }
    rest.iter_mut().for_each(|x| *x = x.clamp(-limit, limit));
    let mean = rest.iter().sum::<f64>() / n as f64;
    rest.iter_mut().for_each(|x| *x -= mean);
    Some(rest)
}

/// The power at one frequency, by Goertzel's recurrence (American Mathematical Monthly 65, 1958): one multiplication a figure.
fn power(frequency: f64, places: &[f64], rest: &[f64]) -> f64 {
    let factor = 2.0 * frequency.cos();
    let (mut one, mut two, mut reached) = (0.0, 0.0, 0.0);
    for (place, x) in places.iter().zip(rest) {
        while reached < *place {
            (one, two) = (factor * one - two, one);
            reached += 1.0;
        }
        (one, two) = (x + factor * one - two, one);
        reached += 1.0;
    }
    one * one + two * two - factor * one * two
}

#[derive(Clone, Copy, Debug, Default)]
struct Wave {
    frequency: f64,
    cosine: f64,
    sine: f64,
    /// Of the sum of squares.
    explains: f64,
}

impl Wave {
    fn fit(frequency: f64, places: &[f64], rest: &[f64]) -> Self {
        let (mut cc, mut ss, mut cs, mut xc, mut xs) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (place, x) in places.iter().zip(rest) {
            let (s, c) = (frequency * place).sin_cos();
            cc += c * c;
            ss += s * s;
            cs += c * s;
            xc += x * c;
            xs += x * s;
        }
        let determinant = cc * ss - cs * cs;
        // At the highest frequency every sine is 0.
        if determinant <= 1e-6 * cc * cc {
            return Self::default();
        }
        let (cosine, sine) = ((xc * ss - xs * cs) / determinant, (xs * cc - xc * cs) / determinant);
        Self { frequency, cosine, sine, explains: cosine * xc + sine * xs }
    }

    fn at(&self, place: f64) -> f64 {
        let (sine, cosine) = (self.frequency * place).sin_cos();
        self.cosine * cosine + self.sine * sine
    }
}
