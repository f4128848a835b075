//! The bound on a population that a sample gives.

/// Probability of a sample that has as few findings as this one, at and below which a number in the population is ruled out.
const LEVEL: f64 = 0.05;
/// Relative error of a probability here, with room to spare. A probability that is this near to [`LEVEL`] is taken for equal to it,
/// and rules out.
const PRECISION: f64 = 1e-9;
/// Terms are scaled down beyond this.
const LARGE: f64 = 1e200;

/// Returns the exact one-sided 95 % upper bound on the number of rows of a population that have a property, if `found` of `sampled`
/// rows have it, which were drawn without replacement: the largest number for which so few findings have a probability of more
/// than 5 % (hypergeometric distribution).
#[must_use]
pub(super) fn at_most(population: u64, sampled: u64, found: u64) -> u64 {
    // In the sample are `found`, and outside of it there is no more than all of the rest.
    let (mut low, mut high) = (found, population - sampled + found);
    while low < high {
        let middle = high - (high - low) / 2;
        if probability(population, sampled, middle, found) > LEVEL * (1.0 + PRECISION) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// Returns the probability of at most `found` rows with a property in a sample from a population in which `all` have it.
fn probability(population: u64, sampled: u64, all: u64, found: u64) -> f64 {
    let others = population - all;
    // At least these are in the sample: there are not enough others to fill it.
    let fewest = sampled.saturating_sub(others);
    let (mut term, mut sum) = (1.0_f64, 1.0_f64);
    let mut scale = ln_first(population, sampled, all);
    for n in fewest..found {
        term *= (all - n) as f64 * (sampled - n) as f64;
        term /= (n + 1) as f64 * (others + n + 1 - sampled) as f64;
        sum += term;
        if sum > LARGE {
            (term, sum) = (term / LARGE, sum / LARGE);
            scale += LARGE.ln();
        }
    }
    (scale + sum.ln()).exp().min(1.0)
}

/// Returns the logarithm of the probability of the smallest number of rows with the property that a sample can have.
fn ln_first(population: u64, sampled: u64, all: u64) -> f64 {
    let (others, outside) = (population - all, population - sampled);
    let ln_share = |of: u64, rows: u64| -> f64 {
        let ln = |n| ((of - n) as f64 / (population - n) as f64).ln();
        (0..rows).map(ln).sum()
    };
    if sampled <= others {
        // None: every sampled row is one of the others, or every row with the property is outside of the sample.
        if sampled <= all {
            ln_share(others, sampled)
        } else {
            ln_share(outside, all)
        }
    } else if outside <= others {
        // All others are in the sample, so every row outside of it has the property.
        ln_share(all, outside)
    } else {
        ln_share(sampled, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest population of the exhaustive test.
    const LARGEST: usize = 200;

    /// Binomial coefficients, by Pascal's triangle.
    fn binomials() -> Vec<Vec<f64>> {
        let mut rows = vec![vec![1.0]];
        for n in 1..=LARGEST {
            let above: &Vec<f64> = &rows[n - 1];
            let inner = above.windows(2).map(|pair| pair[0] + pair[1]);
            rows.push([1.0].into_iter().chain(inner).chain([1.0]).collect());
        }
        rows
    }

    #[test]
    fn bounds_are_those_of_an_independent_computation() {
        let binomials = binomials();
        let choose = |n: usize, k: usize| binomials[n].get(k).copied().unwrap_or(0.0);
        for population in 0..=LARGEST {
            for sampled in 0..=population {
                // Sums of the distribution for each number in the population, one finding further each time.
                let mut sums = vec![0.0; population + 1];
                let ways = choose(population, sampled);
                for found in 0..=sampled {
                    for (all, sum) in sums.iter_mut().enumerate() {
                        *sum += choose(all, found) * choose(population - all, sampled - found);
                    }
                    let is_plausible = |all: &usize| {
                        let probability: f64 = sums[*all] / ways;
                        let distance = (probability - LEVEL).abs();
                        // Nothing lies between equal and different.
                        assert!(!(1e-12..1e-9).contains(&distance), "{distance}");
                        distance > 1e-9 && probability > LEVEL
                    };
                    let plausible = (found..=population - sampled + found).rev();
                    let expected = plausible.into_iter().find(is_plausible);
                    let bound = at_most(population as u64, sampled as u64, found as u64);
                    assert_eq!(
                        Some(bound),
                        expected.map(|all| all as u64),
                        "{found} of {sampled} of {population}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_probability_of_exactly_the_level_rules_out() {
        // One of 20 rows is missed by a sample of 19 with a probability of exactly 5 %.
        assert_eq!(at_most(20, 19, 0), 0);
        assert_eq!(at_most(19, 18, 0), 1);
    }

    #[test]
    fn large_populations_are_quick_and_neither_overflow_nor_underflow() {
        // Of a very large population, a share of 1 - 0.05^(1/n) is missed with a probability of 5 %.
        let share = 1.0 - LEVEL.powf(1.0 / 3000.0);
        let expected = (share * 1e8).floor();
        let bound = at_most(100_000_000, 3000, 0) as f64;
        assert!(
            (bound - expected).abs() / expected < 1e-4,
            "{bound} {expected}"
        );
        assert_eq!(at_most(1_000_000, 3000, 3000), 1_000_000);
        assert_eq!(at_most(1_000_000, 1_000_000, 7), 7);
        assert_eq!(at_most(1_000_000, 0, 0), 1_000_000);
        let half = at_most(1_000_000, 100_000, 50_000);
        // The normal approximation, to a few rows: mean 50,000 and variance 100,000 / 4 * 0.9.
        let expected = 500_000.0 + 10.0 * 1.645 * (25_000.0_f64 * 0.9).sqrt();
        assert!((half as f64 - expected).abs() < 50.0, "{half} {expected}");
    }
}
