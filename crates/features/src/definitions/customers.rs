//! Who buys a product: how many, how many come back, whether one of them carries it, and what they should buy next.
//! Customers are the warehouse's ids; nothing else about them is read.

use super::{Add, DefinitionKind, PART, ratio};

pub(super) fn add(add: &mut Add<'_>) {
    let (kind, theme) = (|| DefinitionKind::Customer, "its customers");
    for days in [28, 91, 364] {
        add(kind(), theme, &format!("customers_{days}d"), format!("count(*) filter (where last_age <= {days})"));
    }
    add(kind(), PART, "customers_again", "count(*) filter (where purchases >= 2)".into());
    add(kind(), PART, "customers_amount", "sum(amount)".into());
    add(kind(), PART, "biggest_customer", "max(amount)".into());
    add(kind(), "customers who come back", "expected_repurchases", "sum(repurchase)".into());
    add(DefinitionKind::Derived, "customers who come back", "repeat_rate", ratio("customers_again", "customers_364d"));
    add(DefinitionKind::Derived, theme, "biggest_customer_share", ratio("biggest_customer", "customers_amount"));
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use crate::small_shop::{COUSIN, DISPLAYED, OLD, RIVAL, features};

    /// Customer 1 bought the cousin weekly in weeks 14 to 26 and has stopped, customer 2 in weeks 2 to 13, customer 3 in
    /// week 1 alone. Over all pairs 48 purchases followed a first one in 66 weeks of shopping, a week apart. So customer 1
    /// is worth (12 + 8 x 48/66) / 34 x 5.00 at a chance of .162 to be still a buyer: .425; customer 2 2.926, customer 3 .337.
    #[tokio::test]
    async fn customers_are_counted_and_their_return_is_expected() -> Result<()> {
        let shop = features().await?;
        shop.check(
            COUSIN,
            &[
                ("customers_28d", 2.0),
                ("customers_91d", 2.0),
                ("customers_364d", 3.0),
                ("repeat_rate", 2.0 / 3.0),
                ("biggest_customer_share", 0.5),
                ("expected_repurchases", 3.687_136_3),
            ],
        );
        shop.check(DISPLAYED, &[("customers_28d", 1.0), ("biggest_customer_share", 1.0), ("expected_repurchases", 8.712_213)]);
        shop.check(OLD, &[("customers_91d", 0.0), ("customers_364d", 1.0), ("repeat_rate", 0.0), ("expected_repurchases", 0.0)]);
        Ok(())
    }

    #[tokio::test]
    async fn a_product_that_only_guests_buy_has_no_customers() -> Result<()> {
        let missing = f32::NAN;
        let expected =
            [("customers_364d", 0.0), ("expected_repurchases", 0.0), ("repeat_rate", missing), ("biggest_customer_share", missing)];
        features().await?.check(RIVAL, &expected);
        Ok(())
    }
}
