//! New products in plain words: the launches that one is most like, and how often such products begin to sell.

use chrono::Datelike;
use sellcast_domain::{ProductId, ShopDay};

use super::ColdStart;
use super::curves::Curves;

/// Similar products that are named.
const NAMED: usize = 3;

/// Tells what new products are like.
pub(crate) struct Teller<'a> {
    cold: &'a ColdStart,
    curves: Curves<'a>,
}

impl<'a> Teller<'a> {
    pub(crate) fn of(cold: &'a ColdStart) -> Self {
        Self { cold, curves: Curves::new(&cold.newcomers, 0) }
    }

    /// What stands in for a product's own history; `None` for products that are not new or like none.
    pub(crate) fn told<'n>(&self, id: ProductId, name: impl Fn(ProductId) -> Option<&'n str>) -> Option<String> {
        let cold = self.cold;
        let newcomer = cold.newcomers.get(id).filter(|newcomer| newcomer.first.is_none() || cold.young(newcomer).is_some())?;
        let like = self.curves.like(newcomer, NAMED);
        let names: Vec<&str> = like.iter().filter_map(|other| name(other.id)).collect();
        let mut days: Vec<ShopDay> = like.iter().filter_map(|other| other.first).map(ShopDay::from_epoch_days).collect();
        days.sort_unstable();
        let year = ShopDay::from_epoch_days(cold.newcomers.as_of).date().year();
        let mut months: Vec<String> = days.into_iter().map(|day| month(day, year)).collect();
        months.dedup();
        let first_sale = cold.chances.get(&id).map(|chance| chance_of_first_sale(*chance)).unwrap_or_default();
        (!names.is_empty()).then(|| format!("like {}, launched in {}{first_sale}", listed(&names), listed(&months)))
    }
}

/// `May`, or `December 2016` if that is another year than `this_year`.
fn month(day: ShopDay, this_year: i32) -> String {
    let date = day.date();
    date.format(if date.year() == this_year { "%B" } else { "%B %Y" }).to_string()
}

/// `A`, `A and B`, `A, B and C`.
fn listed(parts: &[impl AsRef<str>]) -> String {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match &parts[..] {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

fn chance_of_first_sale(chance: f64) -> String {
    let of_hundred = (100.0 * chance).round();
    let share = if of_hundred < 1.0 { "fewer than 1 in 100 products".to_owned() } else { format!("{of_hundred} of 100 products") };
    format!("; {share} that wait like it are first sold in a given week")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_months_read_as_one_would_say_them() {
        assert_eq!(listed(&["A"]), "A");
        assert_eq!(listed(&["A", "B"]), "A and B");
        assert_eq!(listed(&["A", "B", "C"]), "A, B and C");
        let day: ShopDay = "2016-12-01".parse().expect("a day");
        assert_eq!(month(day, 2016), "December");
        assert_eq!(month(day, 2017), "December 2016");
    }

    #[test]
    fn a_small_chance_is_no_promise_of_nothing() {
        assert!(chance_of_first_sale(0.004).contains("fewer than 1 in 100"));
        assert!(chance_of_first_sale(0.021).contains("2 of 100"));
    }
}
