//! A paired test without assumptions about the distribution: Wilcoxon's signed-rank test (Wilcoxon 1945), with the normal
//! approximation, its correction for ties (Lehmann 1975) and for continuity.

/// Fewest pairs that differ for the approximation to hold.
pub(crate) const LEAST_PAIRS: usize = 10;

/// The one-sided probability of differences so clearly below zero if they were symmetric about it. 1 with fewer than
/// [`LEAST_PAIRS`] differences, because so few decide nothing.
pub(crate) fn below_zero(differences: &[f64]) -> f64 {
    let mut decided: Vec<f64> = differences.iter().copied().filter(|d| d.is_finite() && *d != 0.0).collect();
    let n = decided.len();
    if n < LEAST_PAIRS {
        return 1.0;
    }
    decided.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (mut positive, mut ties) = (0.0_f64, 0.0_f64);
    let mut at = 0;
    while at < n {
        let mut end = at + 1;
        while end < n && decided[end].abs() == decided[at].abs() {
            end += 1;
        }
        // Equal differences share the mean of their ranks.
        let rank = (at + 1 + end) as f64 / 2.0;
        positive += rank * decided[at..end].iter().filter(|d| **d > 0.0).count() as f64;
        let tied = (end - at) as f64;
        ties += tied.powi(3) - tied;
        at = end;
    }
    let n = n as f64;
    let mean = n * (n + 1.0) / 4.0;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    if variance <= 0.0 {
        return 1.0;
    }
    normal((positive - mean + 0.5) / variance.sqrt())
}

/// The standard normal distribution function, by the error function of Abramowitz & Stegun 7.1.26 (error below 1.5e-7).
pub(crate) fn normal(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let upper = 0.5 * series * (-x * x).exp();
    if z > 0.0 { 1.0 - upper } else { upper }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_textbook_example_comes_out() {
        // R: wilcox.test(x, exact = FALSE, alternative = "less")$p.value for these differences is 0.0207 (V = 10).
        let differences = [-1.5, -2.1, 0.3, -0.9, -3.2, -0.7, 0.4, -2.6, -1.1, -0.2, 1.0, -1.9];
        let p = below_zero(&differences);
        // Ranks of the positive ones: .3 -> 2, .4 -> 3, 1.0 -> 6: V = 11, z = (11 - 39 + .5) / sqrt(162.5).
        assert!((p - normal(-27.5 / 162.5_f64.sqrt())).abs() < 1e-9);
        assert!((p - 0.0155).abs() < 5e-4, "{p}");
    }

    #[test]
    fn symmetric_or_few_differences_decide_nothing() {
        let symmetric: Vec<f64> = (1..=50).flat_map(|i| [f64::from(i), -f64::from(i)]).collect();
        assert!((below_zero(&symmetric) - 0.5).abs() < 0.01);
        assert_eq!(below_zero(&[-1.0; 9]), 1.0);
        assert_eq!(below_zero(&[0.0; 100]), 1.0);
        assert!(below_zero(&[-1.0; 100]) < 1e-6);
    }

    #[test]
    fn false_alarms_come_as_often_as_stated() {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let alarms = (0..2000).filter(|_| below_zero(&(0..40).map(|_| uniform() - 0.5).collect::<Vec<_>>()) < 0.05).count();
        assert!((70..130).contains(&alarms), "{alarms} of 2000, about 100 expected");
    }
}
