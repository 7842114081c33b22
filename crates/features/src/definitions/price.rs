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
