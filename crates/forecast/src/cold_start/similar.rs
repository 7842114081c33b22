//! How alike two products are by what a catalogue tells of them before anything sold: the words of their names and their
//! brands, rare ones counting more, and their prices where both are known.

use std::collections::{BTreeSet, HashMap};

/// What likeness goes by; made by [`Words::of`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    /// Words by number, rising.
    words: Vec<u32>,
    /// Mean price paid for a unit; NaN when it is not known.
    pub(crate) price: f32,
}

/// The words of a catalogue with how much each tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    weights: Vec<f64>,
}

impl Words {
    /// Of the names and brands of a catalogue, and what each of its products is described by, its price left open. A word tells the
    /// less the more products share it (inverse document frequency, Spärck Jones 1972).
    pub(crate) fn of<'a>(catalogue: impl Iterator<Item = (&'a str, &'a str)>) -> (Self, Vec<Description>) {
        let (mut numbers, mut counts): (HashMap<String, u32>, Vec<f64>) = (HashMap::new(), Vec::new());
        let mut described = Vec::new();
        for (name, brand) in catalogue {
            let (name, brand) = (name.to_lowercase(), tagged(brand));
            let mut words: Vec<u32> = words(&name, &brand)
                .into_iter()
                .map(|word| {
                    let number = numbers.get(word).copied().unwrap_or_else(|| {
                        numbers.insert(word.to_owned(), counts.len() as u32);
                        counts.len() as u32
                    });
                    if number as usize == counts.len() {
                        counts.push(0.0);
                    }
                    counts[number as usize] += 1.0;
                    number
                })
                .collect();
            words.sort_unstable();
            described.push(Description { words, price: f32::NAN });
        }
        let products = described.len() as f64;
        (Self { weights: counts.into_iter().map(|count| ((1.0 + products) / count).ln()).collect() }, described)
    }

    /// Likeness from 0 to 1: the weight of the words that both have over that of all they have (weighted Jaccard), halved by a
    /// price of twice or half as much.
    pub(crate) fn likeness(&self, a: &Description, b: &Description) -> f64 {
        let (mut at, mut both, mut all) = (0, 0.0, 0.0);
        for word in &a.words {
            while b.words.get(at).is_some_and(|other| other < word) {
                all += self.weights[b.words[at] as usize];
                at += 1;
            }
            let weight = self.weights[*word as usize];
            all += weight;
            if b.words.get(at) == Some(word) {
                both += weight;
                at += 1;
            }
        }
        all += b.words[at..].iter().map(|word| self.weights[*word as usize]).sum::<f64>();
        if all <= 0.0 {
            return 0.0;
        }
        let apart = f64::from((a.price / b.price).ln().abs()) / std::f64::consts::LN_2;
        both / all * if apart.is_finite() { 0.5_f64.powf(apart) } else { 1.0 }
    }
}

/// The words of a name in small letters, numbers with their point, and the tagged brand as one word.
fn words<'a>(name: &'a str, brand: &'a str) -> BTreeSet<&'a str> {
    let split = name.split(|c: char| !c.is_alphanumeric() && c != '.').map(|word| word.trim_matches('.'));
    split.chain([brand]).filter(|word| !word.is_empty()).collect()
}

/// A brand as a word that no name has.
fn tagged(brand: &str) -> String {
    if brand.is_empty() { String::new() } else { format!("brand: {}", brand.to_lowercase()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOGUE: [(&str, &str); 5] = [
        ("Ground coffee, 12 oz", "Lark"),
        ("Ground coffee, 39 oz", "Lark"),
        ("Ground coffee, 12 oz (decaf)", "Owl"),
        ("Whole beans, 12 oz", "Owl"),
        ("Green tea, 20 bags", "Owl"),
    ];

    fn likeness(a: usize, b: usize, prices: (f32, f32)) -> f64 {
        let (words, described) = Words::of(CATALOGUE.into_iter());
        let describe = |at: usize, price: f32| Description { price, ..described[at].clone() };
        words.likeness(&describe(a, prices.0), &describe(b, prices.1))
    }

    #[test]
    fn a_product_is_most_like_itself_and_more_like_its_kind_than_another() {
        let unknown = (f32::NAN, f32::NAN);
        assert!((likeness(0, 0, unknown) - 1.0).abs() < 1e-12);
        assert!(likeness(0, 1, unknown) > likeness(0, 3, unknown), "same kind and brand before same size");
        assert!(likeness(0, 2, unknown) > likeness(0, 3, unknown));
        assert_eq!(likeness(0, 4, unknown), 0.0, "nothing in common");
        assert!((likeness(0, 3, unknown) - likeness(3, 0, unknown)).abs() < 1e-12);
    }

    #[test]
    fn another_price_makes_less_alike_and_an_unknown_one_nothing() {
        assert!((likeness(0, 1, (4.0, 8.0)) - likeness(0, 1, (f32::NAN, 8.0)) / 2.0).abs() < 1e-6);
        assert!((likeness(0, 1, (8.0, 4.0)) - likeness(0, 1, (4.0, 8.0))).abs() < 1e-6);
        assert!((likeness(0, 1, (4.0, 0.0)) - likeness(0, 1, (4.0, f32::NAN))).abs() < 1e-12, "a price of nothing says nothing");
    }

    #[test]
    fn a_product_without_words_is_like_none() {
        let (words, nothing) = Words::of([("", "")].into_iter());
        assert_eq!(words.likeness(&nothing[0], &nothing[0]), 0.0);
    }
}
