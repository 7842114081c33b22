//! The filters and the order of a category's product table. Their whole state is in the address; the page
//! and the CSV file read them alike.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::str::FromStr;

use sellcast_domain::{CategoryPrediction, Currency, Money, ProductPrediction};

use super::links::Link;
use crate::query::Parameters;

/// A product is a new arrival this long after its first sale.
const NEW_DAYS: u32 = 28;
/// Ends of the price bands, in whole units of the currency.
const PRICE_STEPS: [i64; 7] = [1, 2, 5, 10, 20, 50, 100];
const SURE_STEPS: [u8; 4] = [50, 70, 80, 90];

/// The names of the filters in an address.
pub(super) const NAMES: [&str; 5] = ["brand", "price", "sure", "sort", "new"];

/// A band of prices: from its lower end up to, but not including, its upper one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PriceBand {
    from: i64,
    below: Option<i64>,
}

impl FromStr for PriceBand {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::all().find(|band| band.name() == text).ok_or(())
    }
}

impl PriceBand {
    fn all() -> impl Iterator<Item = Self> {
        let ends = PRICE_STEPS.into_iter().map(Some).chain([None]);
        std::iter::once(0).chain(PRICE_STEPS).zip(ends).map(|(from, below)| Self { from, below })
    }

    fn holds(self, price: Money) -> bool {
        price.cents() >= self.from * 100 && self.below.is_none_or(|below| price.cents() < below * 100)
    }

    fn name(self) -> String {
        match self.below {
            Some(below) => format!("{}-{below}", self.from),
            None => format!("{}-", self.from),
        }
    }

    fn label(self, currency: &Currency) -> String {
        let show = |units: i64| currency.show(Money::from_cents(units * 100));
        match (self.from, self.below) {
            (0, Some(below)) => format!("under {}", show(below)),
            (from, Some(below)) => format!("{} to {}", show(from), show(below)),
            (from, None) => format!("{} and more", show(from)),
        }
    }
}

/// The order of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Rank,
    Sure,
    Rise,
    Price,
    Name,
}

impl Order {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Rank, "rank", "Rank"),
        (Self::Sure, "sure", "Surest"),
        (Self::Rise, "rise", "Rising most"),
        (Self::Price, "price", "Cheapest"),
        (Self::Name, "name", "Name"),
    ];
}

impl FromStr for Order {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|(_, name, _)| *name == text).map(|(order, _, _)| order).ok_or(())
    }
}

/// What is shown of a category's first 100 products, and in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filters {
    brand: Option<String>,
    price: Option<PriceBand>,
    sure: Option<u8>,
    only_new: bool,
    order: Order,
}

/// An entry of a select box.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) chosen: bool,
}

/// The select boxes above the table.
pub(super) struct Choices {
    pub(super) brands: Vec<Choice>,
    pub(super) prices: Vec<Choice>,
    pub(super) sure: Vec<Choice>,
    pub(super) orders: Vec<Choice>,
    pub(super) only_new: bool,
}

impl Filters {
    /// Reads them; an empty value is no filter, as forms send it.
    pub(super) fn read(parameters: &mut Parameters) -> Self {
        let given = |parameters: &Parameters, name: &str| parameters.text(name).is_some_and(|value| !value.is_empty());
        let price = given(parameters, "price").then(|| parameters.parsed("price", "a band such as 2-5 or 100-")).flatten();
        let sure = given(parameters, "sure").then(|| parameters.count("sure", 0, 100, "1 to 100") as u8);
        let order = given(parameters, "sort").then(|| parameters.parsed("sort", "rank, sure, rise, price, name")).flatten();
        let new = given(parameters, "new").then(|| parameters.count("new", 0, 1, "1"));
        Self {
            brand: parameters.text("brand").filter(|brand| !brand.is_empty()).map(str::to_owned),
            price,
            sure,
            only_new: new == Some(1),
            order: order.unwrap_or_default(),
        }
    }

    /// Whether the table is the plain list by rank, which goes on beyond the first 100.
    pub(super) fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds them to an address.
    pub(super) fn on(&self, link: Link) -> Link {
        let order = Order::ALL.into_iter().find(|(order, _, _)| *order == self.order && self.order != Order::Rank);
        link.with_some("brand", self.brand.as_ref())
            .with_some("price", self.price.map(PriceBand::name))
            .with_some("sure", self.sure)
            .with_some("new", self.only_new.then_some(1))
            .with_some("sort", order.map(|(_, name, _)| name))
    }

    /// The products that pass, in order. `sure` turns a score into what may still be claimed.
    pub(super) fn select<'a>(&self, category: &'a CategoryPrediction, sure: impl Fn(f64) -> f64) -> Vec<&'a ProductPrediction> {
        let least = f64::from(self.sure.unwrap_or(0)) / 100.0;
        let passes = |product: &&ProductPrediction| {
            self.brand.as_ref().is_none_or(|brand| product.brand.as_ref() == Some(brand))
                && self.price.is_none_or(|band| product.price.is_some_and(|price| band.holds(price)))
                && sure(product.confidence_score) >= least
                && (!self.only_new || is_new(product))
        };
        let mut products: Vec<&ProductPrediction> = category.top_products.iter().filter(passes).collect();
        match self.order {
            Order::Rank => {}
            Order::Sure => products.sort_by(|a, b| b.confidence_score.total_cmp(&a.confidence_score).then(a.rank.cmp(&b.rank))),
            Order::Rise => products.sort_by_key(|product| {
                (Reverse(product.previous_rank.map_or(0, |previous| i64::from(previous) - i64::from(product.rank))), product.rank)
            }),
            Order::Price => products.sort_by_key(|product| (product.price.is_none(), product.price, product.rank)),
            Order::Name => products.sort_by(|a, b| a.product_name.cmp(&b.product_name).then(a.rank.cmp(&b.rank))),
        }
        products
    }

    /// What can be chosen for this category: only values that some product has, and what is chosen now.
    pub(super) fn choices(&self, category: &CategoryPrediction, currency: &Currency) -> Choices {
        let products = &category.top_products;
        let mut brands: BTreeSet<&String> = products.iter().filter_map(|product| product.brand.as_ref()).collect();
        brands.extend(&self.brand);
        let bands = PriceBand::all()
            .filter(|band| self.price == Some(*band) || products.iter().filter_map(|product| product.price).any(|price| band.holds(price)));
        let mut sure: Vec<u8> = SURE_STEPS.into_iter().chain(self.sure).collect();
        sure.sort_unstable();
        sure.dedup();
        let sure = sure.into_iter().map(|least| choice(least.to_string(), format!("{least} %"), self.sure == Some(least)));
        Choices {
            brands: brands.into_iter().map(|brand| choice(brand.clone(), brand.clone(), self.brand.as_ref() == Some(brand))).collect(),
            prices: bands.map(|band| choice(band.name(), band.label(currency), self.price == Some(band))).collect(),
            sure: sure.collect(),
            orders: Order::ALL
                .into_iter()
                .map(|(order, name, label)| choice(name.to_owned(), label.to_owned(), order == self.order))
                .collect(),
            only_new: self.only_new,
        }
    }
}

/// Whether a product is a new arrival.
pub(super) fn is_new(product: &ProductPrediction) -> bool {
    product.days_on_sale.is_none_or(|days| days <= NEW_DAYS)
}

fn choice(value: String, label: String, chosen: bool) -> Choice {
    Choice { value, label, chosen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_lies_in_exactly_one_band() {
        for cents in [0, 99, 100, 199, 499, 500, 9_999, 10_000, 1_000_000] {
            let price = Money::from_cents(cents);
            assert_eq!(PriceBand::all().filter(|band| band.holds(price)).count(), 1, "{cents}");
        }
        assert_eq!("2-5".parse::<PriceBand>().map(PriceBand::name), Ok("2-5".to_owned()));
        assert!("2-7".parse::<PriceBand>().is_err());
    }
}
