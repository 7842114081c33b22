//! Prices paid, against the category and the product's own past, and how deep discounts went. Prices are those of past
//! sales; what a catalogue says is known only since it was read.

use super::{Add, DefinitionKind, PART, over, ratio, weeks};

pub(super) fn add(add: &mut Add<'_>) {
    let theme = "price";
    let sum = |what: &str, when: &str| format!("coalesce(sum({what}) filter (where {when}), 0.0)");
    add(DefinitionKind::Sales, theme, "discount_28d", sum("discount", "age <= 28"));
    for what in ["amount", "quantity"] {
        add(DefinitionKind::Sales, PART, &format!("plain_{what}_182d"), sum(what, "age <= 182 and display = 0 and mailer = 0"));
    }
    let usual = "median(amount / nullif(quantity, 0.0)) filter (where amount > 0 and quantity > 0)";
    add(DefinitionKind::Week, PART, "usual_price", usual.into());

    let kind = || DefinitionKind::Derived;
    let month = ratio(&weeks(1, 4), "quantity_28d");
    let quarter = ratio("amount_91d", "quantity_91d");
    add(kind(), theme, "price_28d", month.clone());
    add(kind(), theme, "price_91d", quarter.clone());
    add(kind(), theme, "price_change", ratio(&month, &quarter));
    let category = ratio(&over("amount_91d", "category_id"), &over("quantity_91d", "category_id"));
    add(kind(), theme, "price_in_category", ratio(&quarter, &category));
    add(kind(), theme, "price_against_usual", ratio(&month, "usual_price"));
    add(kind(), theme, "last_price_against_usual", ratio(&ratio("week_1", "quantity_7d"), "usual_price"));
    let promoted = ratio("promoted_amount_182d", "promoted_quantity_182d");
    add(kind(), theme, "price_promoted_against_plain", ratio(&promoted, &ratio("plain_amount_182d", "plain_quantity_182d")));

    // Shares of the full price that were given away.
    let depth = |discount: &str, paid: &str| ratio(discount, &format!("{paid} + {discount}"));
    let all = "(promoted_discount_182d + plain_discount_182d)";
    add(DefinitionKind::Sales, PART, "plain_discount_182d", sum("discount", "age <= 182 and display = 0 and mailer = 0"));
    add(kind(), theme, "discount_share_4w", depth("discount_28d", &weeks(1, 4)));
    add(kind(), theme, "discount_share_26w", depth(all, "amount_182d"));
    add(kind(), theme, "discount_share_promoted", depth("promoted_discount_182d", "promoted_amount_182d"));
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use crate::small_shop::{DISPLAYED, OLD, RIVAL, features};

    /// 2.00 a piece, 2.50 in the last week, 1.50 (and half as much given away) in the two weeks on display.
    #[tokio::test]
    async fn prices_are_held_against_category_own_past_and_promotion() -> Result<()> {
        let shop = features().await?;
        shop.check(
            DISPLAYED,
            &[
                ("price_28d", 40.0 / 19.0),
                ("price_against_usual", 20.0 / 19.0),
                ("last_price_against_usual", 1.25),
                ("price_in_category", (170.0 / 94.0) / (430.0 / 120.0)),
                ("price_promoted_against_plain", 1.5 / (240.0 / 119.0)),
                ("discount_share_4w", 0.0),
                ("discount_share_26w", 20.0 / 320.0),
                ("discount_share_promoted", 0.25),
            ],
        );
        shop.check(RIVAL, &[("price_against_usual", 1.0), ("price_promoted_against_plain", f32::NAN)]);
        shop.check(OLD, &[("price_28d", f32::NAN), ("price_against_usual", f32::NAN), ("discount_share_4w", f32::NAN)]);
        Ok(())
    }
}
