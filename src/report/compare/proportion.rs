//! Shares of failures: two proportions, compared. Requests that fail come in clusters, so each run counts as fewer requests than
//! it has, by as much as its blocks differ more than independent failures would (Rao and Scott, Biometrics 48, 1992).

/// Failures of so many independent requests; neither is a whole number when requests were clustered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Proportion {
    pub(super) failures: f64,
    pub(super) requests: f64,
}

impl Proportion {
    pub(super) fn ratio(self) -> f64 {
        if self.requests > 0.0 { self.failures / self.requests } else { 0.0 }
    }

    /// The score interval for the normal figure `z` (Wilson, J. Am. Stat. Assoc. 22, 1927).
    pub(super) fn interval(self, z: f64) -> [f64; 2] {
        let (n, p, square) = (self.requests, self.ratio(), z * z);
        if n <= 0.0 {
            return [0.0, 1.0];
        }
        let middle = p + square / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
        [middle - half, middle + half].map(|bound| (bound / (1.0 + square / n)).clamp(0.0, 1.0))
    }
}

/// The interval of the difference `after - before`, for the normal figure `z` (Newcombe, Statistics in Medicine 17, 1998,
/// 873–890, method 10).
pub(super) fn difference(before: Proportion, after: Proportion, z: f64) -> [f64; 2] {
    let (one, other) = (before.ratio(), after.ratio());
    let ([low_one, high_one], [low_other, high_other]) = (before.interval(z), after.interval(z));
    let value = other - one;
    [value - (other - low_other).hypot(high_one - one), value + (high_other - other).hypot(one - low_one)]
}

/// How far the difference is from none, in standard errors if there were none (the pooled test of two proportions, Fleiss, Statistical
/// Methods for Rates and Proportions, 1981, 2.5).
pub(super) fn score(before: Proportion, after: Proportion) -> f64 {
    let pooled = (before.failures + after.failures) / (before.requests + after.requests).max(f64::MIN_POSITIVE);
    let variance = pooled * (1.0 - pooled) * (1.0 / before.requests + 1.0 / after.requests);
    if variance > 0.0 && variance.is_finite() { (after.ratio() - before.ratio()) / variance.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::two_sided;

    fn of(failures: f64, requests: f64) -> Proportion {
        Proportion { failures, requests }
    }

    #[test]
    fn intervals_are_those_of_the_papers() {
        let z = 1.959_964;
        // Newcombe, Statistics in Medicine 17 (1998), 857-872, table I; and 873-890, table II, (a), (c) and (e), of method 10.
        let near = |found: [f64; 2], wanted: [f64; 2]| {
            assert!(found.iter().zip(wanted).all(|(one, other)| (one - other).abs() < 0.000_06), "{found:?}");
        };
        near(of(81.0, 263.0).interval(z), [0.2553, 0.3662]);
        near(of(15.0, 148.0).interval(z), [0.0624, 0.1605]);
        near(of(0.0, 20.0).interval(z), [0.0, 0.1611]);
        near(difference(of(48.0, 80.0), of(56.0, 70.0), z), [0.0524, 0.3339]);
        near(difference(of(0.0, 10.0), of(0.0, 10.0), z), [-0.2775, 0.2775]);
        near(difference(of(0.0, 10.0), of(10.0, 10.0), z), [0.6075, 1.0]);
    }

    #[test]
    fn half_a_per_cent_and_two_and_a_half_are_twelve_errors_apart() {
        let z = score(of(70.0, 13_000.0), of(317.0, 13_000.0));
        assert!((12.0..13.5).contains(&z), "{z}");
        assert!(two_sided(z) < 1e-30);
        assert_eq!(score(of(0.0, 10.0), of(0.0, 10.0)), 0.0);
        assert_eq!(score(of(0.0, 0.0), of(0.0, 10.0)), 0.0);
    }
}
