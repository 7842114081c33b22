//! A shop of four products and 26 weeks whose features can be worked out by hand. Later rows and rows that became known
//! late are there too, so that a feature which looks at them is caught.

use anyhow::Result;
use datafusion::prelude::SessionContext;
use sellcast_domain::ShopDay;

use crate::compute::FeatureSet;
use crate::definitions::Definitions;
use crate::panel::{Panel, materialise};

/// A Monday.
const AS_OF: i32 = 17_441;
/// On display in weeks 5 and 9 before and in the week after `as_of`.
pub(crate) const DISPLAYED: i64 = 1;
/// In the same category; sells on Saturdays, to guests.
pub(crate) const RIVAL: i64 = 2;
/// In another category of the same department; three customers.
pub(crate) const COUSIN: i64 = 3;
/// In a category without parent; sold once, 26 weeks ago.
pub(crate) const OLD: i64 = 4;

pub(crate) fn as_of() -> ShopDay {
    ShopDay::from_epoch_days(AS_OF)
}

#[derive(Clone, Copy)]
struct Line {
    product: i64,
    category: i64,
    customer: Option<i64>,
    day: i32,
    visible_from: i32,
    amount: f64,
    quantity: f64,
    discount: f64,
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |product: i64, category: i64, customer: Option<i64>, age: i32, (amount, quantity, discount): (f64, f64, f64)| {
        let day = AS_OF - age;
        lines.push(Line { product, category, customer, day, visible_from: day + 1, amount, quantity, discount });
    };
    for week in 1..=26 {
        // On Thursdays.
        let age = 7 * week - 3;
        let displayed = match week {
            1 => (10.0, 4.0, 0.0),
            5 | 9 => (30.0, 20.0, 10.0),
            _ => (10.0, 5.0, 0.0),
        };
        add(DISPLAYED, 10, Some(1), age, displayed);
        add(RIVAL, 10, None, age - 2, (20.0, 2.0, 0.0));
        let customer = if week == 1 { 3 } else { 1 + i64::from(week <= 13) };
        add(COUSIN, 20, Some(customer), age, (5.0, 1.0, 0.0));
    }
    add(OLD, 30, Some(4), 182, (8.0, 1.0, 0.0));
    // The future: a good week for all, by a customer who was never seen.
    for product in [DISPLAYED, RIVAL, COUSIN] {
        add(product, 10 + 10 * i64::from(product == COUSIN), Some(9), -3, (500.0, 50.0, 5.0));
    }
    // Sold before as_of, but heard of only afterwards.
    add(COUSIN, 20, Some(9), 10, (300.0, 30.0, 0.0));
    if let Some(late) = lines.last_mut() {
        late.visible_from = AS_OF + 2;
    }
    lines
}

/// Product, kind, strength, first and last day, and the day from which it is known.
fn promotions() -> Vec<(i64, &'static str, f64, i32, i32, i32)> {
    let week = |product: i64, kind: &'static str, strength: f64, week: i32, known: i32| {
        (product, kind, strength, AS_OF - 7 * week, AS_OF - 7 * week + 6, known)
    };
    vec![
        week(DISPLAYED, "display", 4.0, 5, AS_OF - 40),
        week(DISPLAYED, "display", 4.0, 9, AS_OF - 70),
        week(DISPLAYED, "display", 4.0, 0, AS_OF - 2),
        // Announced after as_of, for weeks before and after it.
        week(RIVAL, "mailer", 50.0, 0, AS_OF + 1),
        week(RIVAL, "mailer", 50.0, 3, AS_OF + 1),
    ]
}

pub(crate) async fn panel() -> Result<Panel> {
    let context = SessionContext::new();
    let rows: Vec<_> = lines()
        .iter()
        .map(|l| {
            let customer = l.customer.map_or("null".to_owned(), |id| id.to_string());
            format!(
                "({},{},{customer},{},{},{:?},{:?},{:?})",
                l.product, l.category, l.day, l.visible_from, l.amount, l.quantity, l.discount
            )
        })
        .collect();
    let sales = format!(
        "select column1 as product_id, column2 as category_id, cast(column3 as bigint) as customer_id, cast(column4 as int) as day,
                cast(column5 as int) as visible_from, column6 as amount, column7 as quantity, 1.0 as transactions, column8 as discount
         from (values {})",
        rows.join(", ")
    );
    materialise(&context, &context, "sales", &sales).await?;
    let rows: Vec<_> = promotions().iter().map(|p| format!("({}, '{}', {:?}, {}, {}, {})", p.0, p.1, p.2, p.3, p.4, p.5)).collect();
    let promotions = format!(
        "select column1 as product_id, column2 as kind, column3 as strength, cast(column4 as int) as starts, cast(column5 as int) as ends,
                cast(column6 as int) as visible_from from (values {})",
        rows.join(", ")
    );
    materialise(&context, &context, "promotions", &promotions).await?;
    let products = "select column1 as product_id, column2 as category_id, column3 as brand, column3 as name
                    from (values (1, 10, 'A'), (2, 10, 'B'), (3, 20, 'A'), (4, 30, ''))";
    materialise(&context, &context, "products", products).await?;
    let ended = format!("select cast({OLD} as bigint) as product_id, cast({} as int) as ended_from", as_of().epoch_days() + 1);
    materialise(&context, &context, "ended", &ended).await?;
    let categories = "select column1 as category_id, cast(column2 as bigint) as department_id
                      from (values (10, 1), (20, 1), (30, null), (1, null))";
    materialise(&context, &context, "categories", categories).await?;
    Ok(Panel::of_tables(context).await?)
}

/// The shop's features, to be asked by product and name.
pub(crate) struct Known(FeatureSet);

pub(crate) async fn features() -> Result<Known> {
    Ok(Known(FeatureSet::compute(&panel().await?, &Definitions::current(), as_of()).await?))
}

impl Known {
    pub(crate) fn of(&self, product: i64, feature: &str) -> f32 {
        let row = self.0.products.iter().position(|id| id.get() == product).expect("a product of the shop");
        self.0.column(feature).expect("a feature")[row]
    }

    /// Compares with values worked out by hand.
    #[track_caller]
    pub(crate) fn check(&self, product: i64, expected: &[(&str, f32)]) {
        for (feature, value) in expected {
            let found = self.of(product, feature);
            let same = found.is_nan() && value.is_nan() || (found - value).abs() <= 1e-5 * value.abs().max(1.0);
            assert!(same, "`{feature}` of product {product} is {found}, not {value}");
        }
    }
}

mod tests {
    use anyhow::Result;

    use super::{DISPLAYED, FeatureSet, OLD, as_of, features, panel};
    use crate::definitions::{Definition, DefinitionKind, Definitions};
    use crate::error::FeatureError;
    use crate::guard::check_for_leaks;

    #[tokio::test]
    async fn no_definition_looks_at_later_or_late_rows() -> Result<()> {
        check_for_leaks(&panel().await?, &Definitions::current(), as_of()).await?;
        Ok(())
    }

    #[tokio::test]
    async fn the_guard_catches_a_definition_that_looks_ahead_in_any_table() -> Result<()> {
        let panel = panel().await?;
        for (name, sql) in [
            (
                "customers_to_come",
                "select product_id, count(distinct customer_id) as customers_to_come from customer_sales group by product_id",
            ),
            (
                "heard_of_later",
                "select product_id, sum(amount) as heard_of_later from customer_sales where day < {as_of} group by product_id",
            ),
            ("not_yet_announced", "select product_id, sum(strength) as not_yet_announced from promotions group by product_id"),
            ("sold_later", "select product_id, sum(amount) as sold_later from panel where visible_from <= {as_of} + 9 group by product_id"),
        ] {
            let mut definitions = Definitions::current().features().to_vec();
            definitions.push(Definition { name: name.into(), kind: DefinitionKind::Query, sql: sql.into(), theme: "planted" });
            let caught = check_for_leaks(&panel, &Definitions::of(definitions), as_of()).await;
            assert!(matches!(&caught, Err(FeatureError::Leak { feature, .. }) if feature == name), "{name}: {caught:?}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_product_that_the_shop_removed_has_features_until_that_is_known() -> Result<()> {
        let (panel, definitions) = (panel().await?, Definitions::current());
        for (days, has) in [(0, true), (1, false), (30, false)] {
            let set = FeatureSet::compute(&panel, &definitions, as_of() + days).await?;
            assert_eq!(set.products.iter().any(|id| id.get() == OLD), has, "{days} days on");
            assert!(set.products.iter().any(|id| id.get() == DISPLAYED));
        }
        Ok(())
    }

    #[tokio::test]
    async fn every_feature_is_a_number_or_missing() -> Result<()> {
        let known = features().await?;
        assert_eq!(known.0.len(), 4);
        for (at, name) in known.0.names.iter().enumerate() {
            for row in 0..known.0.len() {
                assert!(!known.0.row(row)[at].is_infinite(), "{name}");
            }
        }
        Ok(())
    }
}
