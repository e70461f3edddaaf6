//! A little statistics that judges and reports share: what is chance and what is not.

/// The chance of a normal figure beyond ±z: a series near 0, a continued fraction from there on (Abramowitz and Stegun, 26.2.11
/// and 26.2.14).
pub fn two_sided(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    if z < 3.0 {
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term > 1e-17 * sum {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        (1.0 - 2.0 * density * sum).clamp(0.0, 1.0)
    } else {
        let fraction = (1..=60).rev().fold(z, |below, k| z + f64::from(k) / below);
        (2.0 * density / fraction).min(1.0)
    }
}

/// The normal figure that is as unlikely as Student's `t` with so many degrees of freedom (Wallace, Ann. Math. Statist. 30, 1959:
/// right to a hundredth from 3 degrees on).
pub fn normal_of_student(t: f64, freedom: f64) -> f64 {
    (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * (freedom * (t * t / freedom).ln_1p()).sqrt()
}

/// The other way round: Student's `t` for a normal figure.
pub fn student_of_normal(z: f64, freedom: f64) -> f64 {
    let z = z * (8.0 * freedom + 3.0) / (8.0 * freedom + 1.0);
    (freedom * (z * z / freedom).exp_m1()).sqrt()
}

/// Of many tests some fall below any limit by chance. So each p becomes the share of false ones that one would have to put up
/// with to count it (Benjamini and Hochberg, J. R. Statist. Soc. B 57, 1995).
pub fn pay_for_number(p_values: &mut [f64]) {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let (all, mut least) = (order.len() as f64, 1.0f64);
    for (at, index) in order.into_iter().enumerate() {
        least = least.min(p_values[index] * all / (all - at as f64));
        p_values[index] = least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_tail_is_that_of_the_tables() {
        for (z, p) in [
            (0.0, 1.0),
            (1.0, 0.317_310_507_862_914),
            (1.959_963_984_540_054, 0.05),
            (2.575_829_303_548_901, 0.01),
            (3.0, 0.002_699_796_063_260),
            (5.0, 5.733_031_437_583_88e-7),
            (8.0, 1.244_192_114_854_36e-15),
        ] {
            assert!((two_sided(z) / p - 1.0).abs() < 1e-9, "{z}: {} for {p}", two_sided(z));
        }
        assert_eq!(two_sided(60.0), 0.0);
    }

    #[test]
    fn students_tail_is_that_of_the_tables() {
        for (freedom, t) in [(5.0, 4.032), (10.0, 3.169), (30.0, 2.750)] {
            let p = two_sided(normal_of_student(t, freedom));
            assert!((p - 0.01).abs() < 0.0005, "{freedom}: {p}");
            assert!((student_of_normal(2.575_829, freedom) - t).abs() < 0.06, "{freedom}");
        }
    }

    #[test]
    fn p_values_pay_for_their_number() {
        let mut values = [0.04, 0.01, 0.5, 0.03];
        pay_for_number(&mut values);
        let wanted = [0.16 / 3.0, 0.04, 0.5, 0.16 / 3.0];
        assert!(values.iter().zip(wanted).all(|(value, wanted)| (value - wanted).abs() < 1e-12), "{values:?}");
    }
}
