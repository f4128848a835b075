//! The upper bound on the rows that are still linked, from a sample of them.

/// Probability below which a number of linked rows is ruled out: 1 minus the confidence of 95 %. Doubled, the statement would
/// claim 95 % and keep 90; `the_bound_is_exact_for_all_small_populations` would fail.
const LEVEL: f64 = 0.05;

/// Relative distance from [`LEVEL`] within which a probability counts as equal to it: well above the rounding errors where
/// exact ties occur, among few terms.
const TIE: f64 = 1e-12;

/// Share of the largest term below which terms are not added: all of them together change no digit of a sum.
const NEGLIGIBLE: f64 = 1e-20;

/// Returns the exact one-sided upper confidence bound of 95 % on the linked rows of a population, of which `sampled` rows were
/// drawn at random without replacement and `found` of these were linked: the largest number with which so few are found with a
/// probability above 5 %. A number with which it is 5 % exactly is ruled out.
#[must_use]
pub fn upper_bound(population: u64, sampled: u64, found: u64) -> u64 {
    assert!(
        found <= sampled && sampled <= population,
        "what is found was drawn, and what is drawn is there"
    );
    // The rows that were drawn and are not linked rule out every larger number.
    let (mut possible, mut excluded) = (found, population - sampled + found + 1);
    while excluded - possible > 1 {
        let middle = possible.midpoint(excluded);
        if at_most(found, population, middle, sampled) > LEVEL * (1.0 + TIE) {
            possible = middle;
        } else {
            excluded = middle;
        }
    }
    possible
}

/// Returns the probability that at most `found` of the rows drawn are linked, if `linked` of the population are: the cumulative
/// hypergeometric distribution.
///
/// Terms are added outwards from the largest, which is set to 1, and divided by their sum. So no term overflows, one that
/// underflows does not count, and there is no difference of large logarithms that would lose digits.
fn at_most(found: u64, population: u64, linked: u64, sampled: u64) -> f64 {
    let fewest = (sampled + linked).saturating_sub(population);
    let most = sampled.min(linked);
    let likeliest = (u128::from(sampled) + 1) * (u128::from(linked) + 1);
    let likeliest = likeliest / (u128::from(population) + 2);
    let likeliest = u64::try_from(likeliest).map_or(most, |term| term.clamp(fewest, most));
    // The quotient of the terms of `n` and `n - 1` linked rows.
    let step = |n: u64| {
        let unlinked = population - linked + n - sampled;
        (linked - n + 1) as f64 * (sampled - n + 1) as f64 / (n as f64 * unlinked as f64)
    };
    let (mut sum, mut total) = (0.0, 0.0);
    let mut add = |n: u64, term: f64| {
        total += term;
        if n <= found {
            sum += term;
        }
        term > NEGLIGIBLE
    };
    let (mut n, mut term) = (likeliest, 1.0);
    while add(n, term) && n > fewest {
        term /= step(n);
        n -= 1;
    }
    let (mut n, mut term) = (likeliest, 1.0);
    while n < most {
        n += 1;
        term *= step(n);
        if !add(n, term) {
            break;
        }
    }
    sum / total
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{DiscreteCDF, Hypergeometric};

    use super::*;

    /// An integer below 2^256, its lowest digit first.
    type Wide = [u64; 4];

    fn sum(a: &Wide, b: &Wide) -> Wide {
        let mut carry = false;
        std::array::from_fn(|i| {
            let (digit, over) = a[i].overflowing_add(b[i]);
            let (digit, again) = digit.overflowing_add(u64::from(carry));
            carry = over || again;
            digit
        })
    }

    fn difference(a: &Wide, b: &Wide) -> Wide {
        let mut borrow = false;
        std::array::from_fn(|i| {
            let (digit, under) = a[i].overflowing_sub(b[i]);
            let (digit, again) = digit.overflowing_sub(u64::from(borrow));
            borrow = under || again;
            digit
        })
    }

    fn product(a: &Wide, b: &Wide) -> Wide {
        let mut product = [0; 4];
        for i in (0..4).filter(|i| a[*i] != 0) {
            let mut carry = 0;
            for j in 0..4 - i {
                let digit =
                    u128::from(a[i]) * u128::from(b[j]) + u128::from(product[i + j]) + carry;
                product[i + j] = u64::try_from(digit & u128::from(u64::MAX)).expect("64 bits");
                carry = digit >> 64;
            }
        }
        product
    }

    fn is_less(a: &Wide, b: &Wide) -> bool {
        a.iter().rev().lt(b.iter().rev())
    }

    /// Returns the rows of Pascal's triangle up to this one.
    fn binomials(last: usize) -> Vec<Vec<Wide>> {
        let mut rows = vec![vec![[1, 0, 0, 0]]];
        for n in 1..=last {
            let above = &rows[n - 1];
            let inner = above.windows(2).map(|pair| sum(&pair[0], &pair[1]));
            let one = [[1, 0, 0, 0]];
            rows.push(one.into_iter().chain(inner).chain(one).collect());
        }
        rows
    }

    /// Compares with integers: of the C(N, n) samples, those with at most k linked rows are counted while k and D grow.
    #[test]
    fn the_bound_is_exact_for_all_small_populations() {
        const LARGEST: usize = 200;
        let binomials = binomials(LARGEST);
        let twenty = [20, 0, 0, 0];
        let mut ties = 0;
        for population in 0..=LARGEST {
            for sampled in 0..=population {
                let all = binomials[population][sampled];
                let (mut linked, mut fitting) = (0, all);
                for found in 0..=sampled {
                    while linked < population {
                        // With one more linked row, the samples that have it and `found` others no longer fit.
                        let mut fewer = fitting;
                        let others = population - linked - 1;
                        if found <= linked && found < sampled && sampled - found - 1 <= others {
                            let lost = product(
                                &binomials[linked][found],
                                &binomials[others][sampled - found - 1],
                            );
                            fewer = difference(&fitting, &lost);
                        }
                        let scaled = product(&twenty, &fewer);
                        ties += usize::from(scaled == all);
                        if !is_less(&all, &scaled) {
                            break;
                        }
                        (linked, fitting) = (linked + 1, fewer);
                    }
                    let bound = upper_bound(population as u64, sampled as u64, found as u64);
                    assert_eq!(bound, linked as u64, "{population} {sampled} {found}");
                    // The samples with one more linked row.
                    let unlinked = population - linked;
                    if found < linked && found < sampled && sampled - found - 1 <= unlinked {
                        let more = product(
                            &binomials[linked][found + 1],
                            &binomials[unlinked][sampled - found - 1],
                        );
                        fitting = sum(&fitting, &more);
                    }
                }
            }
        }
        assert!(ties > 10, "{ties} probabilities are 5 % exactly");
    }

    #[test]
    fn a_number_with_a_probability_of_exactly_5_percent_is_ruled_out() {
        assert_eq!(upper_bound(20, 19, 0), 0);
        assert_eq!(upper_bound(19, 18, 0), 1);
        assert_eq!(upper_bound(100_000_000, 99_999_999, 4_999_999), 4_999_999);
        assert_eq!(upper_bound(100_000_000, 99_999_999, 5_000_000), 5_000_001);
    }

    #[test]
    fn large_bounds_agree_with_another_implementation() {
        for (population, sampled, found) in [
            (1_000_000, 3000, 0),
            (1_000_000, 3000, 2),
            (1_000_000, 3000, 2999),
            (1_000_000, 500_000, 1000),
            (10_000_000, 3000, 1),
            (10_000_000, 9_999_000, 100),
            (100_000_000, 3000, 0),
            (100_000_000, 3000, 1500),
            (100_000_000, 1_000_000, 20),
        ] {
            let bound = upper_bound(population, sampled, found);
            let probability = |linked| {
                Hypergeometric::new(population, linked, sampled)
                    .expect("no more is drawn than is there")
                    .cdf(found)
            };
            let [at, beyond] = [bound, bound + 1].map(probability);
            assert!(
                at > LEVEL && beyond <= LEVEL,
                "{population} {sampled} {found}: {bound}, {at} {beyond}"
            );
        }
        assert_eq!(upper_bound(1_000_000, 3000, 0), 996);
    }

    #[test]
    fn a_bound_is_exact_at_the_edges() {
        const LARGEST: u64 = 100_000_000;
        for population in [0, 1, 2, 19, 3000, LARGEST] {
            // Nothing is known of what was not drawn, everything of what was.
            assert_eq!(upper_bound(population, 0, 0), population);
            assert_eq!(upper_bound(population, population, 0), 0);
            assert_eq!(
                upper_bound(population, population, population / 2),
                population / 2
            );
            for sampled in [population, population / 2] {
                assert_eq!(upper_bound(population, sampled, sampled), population);
            }
        }
        // The widest distribution, whose standard deviation is a quarter of the root, for half the rows.
        let half = LARGEST / 2;
        let bound = upper_bound(LARGEST, half, half / 2);
        let roots = (bound - half) as f64 / (LARGEST as f64).sqrt();
        assert!((roots - 1.645 / 2.0).abs() < 0.001, "{roots}");
    }
}
