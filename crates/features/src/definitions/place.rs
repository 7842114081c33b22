//! A product among others: its category and department, its brand, the shop, and what rivals have on promotion.

use super::{Add, DefinitionKind, over, ratio, weeks};
use crate::among::SHOP;

pub(super) fn add(add: &mut Add<'_>) {
    let kind = || DefinitionKind::Derived;
    let by_category = |what: &str| over(what, "category_id");
    let trend = |by: &str| format!("({} / 4 + 1) / ({} / 13 + 1)", over(&weeks(1, 4), by), over("amount_91d", by));

    let category = "its category";
    add(kind(), category, "category_week_1", by_category("week_1"));
    add(kind(), category, "category_mean_4w", format!("{} / 4", by_category(&weeks(1, 4))));
    add(kind(), category, "category_mean_13w", format!("{} / 13", by_category("amount_91d")));
    add(kind(), category, "category_trend", trend("category_id"));
    add(kind(), category, "category_products", "[count(*) of category_id]".into());
    add(
        kind(),
        "this weekday's sales",
        "category_weekend_share_13w",
        ratio(&by_category("weekend_amount_91d"), &by_category("amount_91d")),
    );

    let department = "its department";
    add(kind(), department, "department_trend", trend("department_id"));
    add(kind(), department, "department_share_13w", ratio(&by_category("amount_91d"), &over("amount_91d", "department_id")));

    let place = "its place in the category";
    add(kind(), place, "share_13w", ratio("amount_91d", &by_category("amount_91d")));
    add(kind(), place, "share_4w", ratio(&weeks(1, 4), &by_category(&weeks(1, 4))));
    let rank = |order: &str| format!("row_number() over (partition by category_id order by {order}, product_id)");
    add(DefinitionKind::Place, place, "rank_13w", rank("amount_91d desc"));
    add(DefinitionKind::Place, place, "rank_1w", rank("week_1 desc, amount_91d desc"));

    let rivals = "rivals' promotions";
    add(kind(), rivals, "category_display_next_week", by_category("display_next_week"));
    add(kind(), rivals, "category_mailer_next_week", by_category("mailer_next_week"));
    for (name, by) in [("rivals", "category_id"), ("brand", "category_id, brand")] {
        let planned = others_lift("next_week", by);
        add(kind(), rivals, &format!("{name}_lift_next_week"), planned.clone());
        add(kind(), rivals, &format!("{name}_lift_change"), format!("{planned} - {}", others_lift("last_week", by)));
    }

    add(kind(), "brand", "brand_mean_13w", "[avg(amount_91d) of brand]".into());
    add(kind(), "brand", "brand_in_category_share", ratio(&over("amount_91d", "category_id, brand"), &by_category("amount_91d")));
    add(
        kind(),
        "the whole shop's sales",
        "shop_trend",
        format!("({} / 4) / nullif({} / 13, 0.0)", over(&weeks(1, 4), SHOP), over("amount_91d", SHOP)),
    );
}

/// Substitution: what a week's promotions are worth to the others of a group, as a share of what they usually sell. 0
/// where there are no others, or where they sell less than a millionth of the group (sums of doubles end there). Rounded, because
/// such sums are added in any order, and trees would split on the last digit.
fn others_lift(when: &str, by: &str) -> String {
    let usual = "greatest(amount_91d, 0.0)";
    let lifted = format!("{usual} * (display_{when} * display_lift + mailer_{when} * mailer_lift)");
    let total = over(usual, by);
    let others = format!("({} - {lifted}) / nullif(greatest({total} * 0.999999 - {usual}, 0.0), 0.0)", over(&lifted, by));
    format!("round(coalesce({others}, 0.0), 6)")
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use crate::small_shop::{COUSIN, DISPLAYED, OLD, RIVAL, features};

    #[tokio::test]
    async fn categories_are_held_against_their_department() -> Result<()> {
        let shop = features().await?;
        // Weeks 1 to 4 sold 140 in the department, 13 weeks 170 + 260 + 65.
        let trend = (140.0 / 4.0 + 1.0) / (495.0 / 13.0 + 1.0);
        shop.check(DISPLAYED, &[("department_trend", trend), ("department_share_13w", 430.0 / 495.0), ("weekend_share_13w", 0.0)]);
        shop.check(RIVAL, &[("weekend_share_13w", 1.0), ("category_weekend_share_13w", 260.0 / 430.0)]);
        shop.check(COUSIN, &[("department_trend", trend), ("department_share_13w", 65.0 / 495.0)]);
        // No parent and nothing sold for a quarter: a department of its own that stands still.
        shop.check(OLD, &[("department_trend", 1.0), ("department_share_13w", f32::NAN), ("weekend_share_13w", f32::NAN)]);
        Ok(())
    }

    #[tokio::test]
    async fn a_rivals_display_is_what_it_adds_to_the_others_of_the_category() -> Result<()> {
        let shop = features().await?;
        shop.check(RIVAL, &[("rivals_lift_next_week", 1.0 / 13.0), ("rivals_lift_change", 1.0 / 13.0), ("brand_lift_next_week", 0.0)]);
        shop.check(DISPLAYED, &[("rivals_lift_next_week", 0.0), ("rivals_lift_change", 0.0), ("brand_lift_change", 0.0)]);
        shop.check(COUSIN, &[("rivals_lift_next_week", 0.0)]);
        Ok(())
    }
}
