//! Comparing a rebuilt document with the published one: every value, bit for bit, and where they first differ.

use serde::Serialize;
use serde_json::Value;

/// A place where two documents differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Path within the document (`categories[3].top_products[0].predicted_amount`).
    pub path: String,
    /// What was published; `null` where it has nothing.
    pub published: Value,
    /// What was rebuilt; `null` where it has nothing.
    pub rebuilt: Value,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Values that were compared.
    pub values: u64,
    /// How many of them differ.
    pub different: u64,
    /// The first differences.
    pub first: Vec<Difference>,
}

impl Comparison {
    /// Compares two documents; the first `most` differences are listed. Numbers are equal only if all digits are.
    pub fn of(published: &Value, rebuilt: &Value, most: usize) -> Self {
        let mut found = Self::default();
        found.compare("", published, rebuilt, most);
        found
    }

    /// Adds another document of the same forecast.
    pub fn and(&mut self, path: &str, published: &Value, rebuilt: &Value, most: usize) {
        self.compare(path, published, rebuilt, most);
    }

    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }

    fn compare(&mut self, path: &str, published: &Value, rebuilt: &Value, most: usize) {
        match (published, rebuilt) {
            (Value::Object(a), Value::Object(b)) => {
                let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for name in names {
                    let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.compare(&inner, a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null), most);
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                for at in 0..a.len().max(b.len()) {
                    self.compare(&format!("{path}[{at}]"), a.get(at).unwrap_or(&Value::Null), b.get(at).unwrap_or(&Value::Null), most);
                }
            }
            (a, b) => {
                self.values += 1;
                if a != b {
                    self.different += 1;
                    if self.first.len() < most {
                        self.first.push(Difference { path: path.to_owned(), published: a.clone(), rebuilt: b.clone() });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_digit_of_a_number_counts_and_is_named_by_its_path() {
        let published = json!({"a": [{"x": 0.1}, {"x": 0.2}], "b": "same"});
        let rebuilt = json!({"a": [{"x": 0.1}, {"x": 0.200_000_000_000_000_04}], "b": "same"});
        let found = Comparison::of(&published, &rebuilt, 5);
        assert_eq!((found.values, found.different), (3, 1));
        assert_eq!(found.first[0].path, "a[1].x");
        assert!(Comparison::of(&published, &published, 5).is_equal());
    }

    #[test]
    fn what_only_one_side_has_is_a_difference() {
        let found = Comparison::of(&json!({"a": [1, 2], "b": 1}), &json!({"a": [1]}), 1);
        assert_eq!((found.different, found.first.len()), (2, 1));
    }
}
