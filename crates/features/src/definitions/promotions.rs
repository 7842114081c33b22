//! Promotions: what is planned and what was, what a unit of it was worth in this shop, and what sales were without it.
//!
//! `display` and `mailer` are strengths; every kind of promotion that is no display counts as a mailer.

use super::{Add, DefinitionKind, PART, over, ratio};
use crate::among::SHOP;

/// As if so many more average promoted weeks had responded like the whole shop.
const PRIOR_WEEKS_OF_PRODUCT: u32 = 4;
/// The same for a group of products, which are less alike than a product is to itself.
const PRIOR_WEEKS_OF_GROUP: u32 = 20;

pub(super) fn add(add: &mut Add<'_>) {
    announced(add);
    past(add);
    lifts(add);
}

fn announced(add: &mut Add<'_>) {
    let kind = || DefinitionKind::Promotion;
    // Mean strength over the days of a stretch: strength weighted by the days that the promotion covers of it.
    let mean = |which: &str, from: &str, to: &str| {
        format!(
            "coalesce(sum(strength * greatest(0, least(ends, {to}) - greatest(starts, {from}) + 1)) filter (where {which}), 0.0) / ({to} - {from} + 1)"
        )
    };
    for (name, which, theme) in [("display", "kind = 'display'", "on display"), ("mailer", "kind <> 'display'", "in the mailer")] {
        add(kind(), theme, &format!("{name}_next_day"), mean(which, "{as_of}", "{as_of}"));
        add(kind(), theme, &format!("{name}_next_week"), mean(which, "{as_of}", "({as_of} + 6)"));
        add(kind(), theme, &format!("{name}_next_month"), mean(which, "{as_of}", "({as_of} + 29)"));
        add(kind(), "past promotions", &format!("{name}_last_week"), mean(which, "({as_of} - 7)", "({as_of} - 1)"));
        add(kind(), "past promotions", &format!("{name}_last_8w"), mean(which, "({as_of} - 56)", "({as_of} - 1)"));
    }
    let past = "past promotions";
    let since = "coalesce(min({as_of} - ends) filter (where ends < {as_of}), 999)";
    add(kind(), past, "days_since_promotion", since.into());
    let times = "count(distinct starts) filter (where ends >= {as_of} - 182 and ends < {as_of})";
    add(kind(), past, "promotions_26w", times.into());
}

fn past(add: &mut Add<'_>) {
    let theme = "past promotions";
    let kind = || DefinitionKind::Sales;
    let sum = |what: &str, when: &str| format!("coalesce(sum({what}) filter (where {when}), 0.0)");
    for name in ["display", "mailer"] {
        add(kind(), theme, &format!("{name}_amount_182d"), sum("amount", &format!("age <= 182 and {name} > 0")));
        add(kind(), theme, &format!("{name}_days_182d"), format!("count(*) filter (where age <= 182 and {name} > 0)"));
        let response = ratio(&format!("{name}_amount_182d / nullif({name}_days_182d, 0)"), "amount_182d / nullif(selling_days_182d, 0)");
        add(DefinitionKind::Derived, theme, &format!("{name}_response"), response);
    }
    add(kind(), theme, "plain_amount_91d", sum("amount", "age <= 91 and display = 0 and mailer = 0"));
    add(DefinitionKind::Derived, theme, "plain_week", "plain_amount_91d / least(13.0, {history_weeks})".into());
    for what in ["amount", "quantity", "discount"] {
        add(kind(), PART, &format!("promoted_{what}_182d"), sum(what, "age <= 182 and (display > 0 or mailer > 0)"));
    }
}

/// Sales are thought of as a steady week times `1 + lift`, where the lift is the strength of the week's promotions times
/// what a unit of each kind was worth in the shop's last 13 weeks (stage `lifts`).
fn lifts(add: &mut Add<'_>) {
    let (week, derived) = (|| DefinitionKind::Week, || DefinitionKind::Derived);
    for weeks in [8, 26] {
        let sum = format!("sum(amount / greatest(0.2, 1 + lift)) filter (where week <= {weeks})");
        add(week(), PART, &format!("plain_sum_{weeks}w"), sum);
    }
    let counted = "promoted and week <= 13 and steady > 0 and week <= first_week";
    add(week(), PART, "promoted_amount_13w", format!("sum(amount) filter (where {counted})"));
    add(week(), PART, "promoted_expected_13w", format!("sum(steady * greatest(0.2, 1 + lift)) filter (where {counted})"));
    add(week(), PART, "promoted_weeks_13w", format!("count(*) filter (where {counted})"));

    let worth = |when: &str| format!("(display_{when} * display_lift + mailer_{when} * mailer_lift)");
    let planned = "planned promotions";
    for frame in ["day", "week", "month"] {
        add(derived(), planned, &format!("planned_lift_{frame}"), worth(&format!("next_{frame}")));
    }
    add(derived(), "past promotions", "lift_last_week", worth("last_week"));
    add(derived(), "past promotions", "lift_last_8w", worth("last_8w"));
    for weeks in [8, 26] {
        let mean = format!("plain_sum_{weeks}w / least({weeks}.0, {{history_weeks}})");
        add(derived(), "sales without promotions", &format!("plain_{weeks}w"), mean.clone());
        add(derived(), planned, &format!("planned_{weeks}w"), format!("{mean} * greatest(0.2, 1 + {})", worth("next_week")));
    }
    // How much better or worse than the shop's lift led to expect, shrunk to 1.
    let response = |sum: &dyn Fn(&str) -> String, prior: u32| {
        let prior = format!("{prior} * {} / nullif({}, 0.0)", over("promoted_expected_13w", SHOP), over("promoted_weeks_13w", SHOP));
        format!("coalesce(({} + {prior}) / nullif({} + {prior}, 0.0), 1.0)", sum("promoted_amount_13w"), sum("promoted_expected_13w"))
    };
    let theme = "past promotions";
    add(derived(), theme, "promotion_response", response(&|column| column.to_owned(), PRIOR_WEEKS_OF_PRODUCT));
    for (name, by) in [("brand", "category_id, brand"), ("category", "category_id")] {
        add(derived(), theme, &format!("{name}_promotion_response"), response(&|column| over(column, by), PRIOR_WEEKS_OF_GROUP));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use crate::small_shop::{COUSIN, DISPLAYED, OLD, RIVAL, features};

    /// Two weeks at strength 4 sold 30 instead of the steady 10: the excess of 4 x 20 x 2, over 10 x 4 x 4 x 2 and the same
    /// for fifty more weeks, shared out over the two: 160 / 8320 a unit, 1/13 at strength 4.
    #[tokio::test]
    async fn the_planned_lift_is_learnt_from_the_shops_own_promotions() -> Result<()> {
        let shop = features().await?;
        let lift = 1.0 / 13.0;
        shop.check(
            DISPLAYED,
            &[
                ("planned_lift_day", lift),
                ("planned_lift_week", lift),
                ("planned_lift_month", lift * 7.0 / 30.0),
                ("lift_last_week", 0.0),
                ("lift_last_8w", lift / 8.0),
                ("plain_8w", (70.0 + 30.0 / (1.0 + lift)) / 8.0),
                ("plain_26w", (240.0 + 60.0 / (1.0 + lift)) / 26.0),
                ("planned_8w", (70.0 + 30.0 / (1.0 + lift)) / 8.0 * (1.0 + lift)),
                ("days_since_promotion", 29.0),
            ],
        );
        // Its mailers are announced after as_of.
        shop.check(RIVAL, &[("planned_lift_week", 0.0), ("plain_8w", 20.0), ("planned_26w", 20.0), ("mailer_next_week", 0.0)]);
        shop.check(OLD, &[("plain_8w", 0.0), ("planned_26w", 8.0 / 26.0), ("days_since_promotion", 999.0)]);
        Ok(())
    }

    #[tokio::test]
    async fn responses_are_ratios_to_the_shops_lift_that_shrink_to_one() -> Result<()> {
        let shop = features().await?;
        let week = 10.0 * 14.0 / 13.0;
        let group = (60.0 + 20.0 * week) / (2.0 * week + 20.0 * week);
        shop.check(
            DISPLAYED,
            &[
                ("promotion_response", (60.0 + 4.0 * week) / (2.0 * week + 4.0 * week)),
                ("brand_promotion_response", group),
                ("category_promotion_response", group),
            ],
        );
        shop.check(RIVAL, &[("promotion_response", 1.0), ("brand_promotion_response", 1.0), ("category_promotion_response", group)]);
        shop.check(COUSIN, &[("category_promotion_response", 1.0)]);
        Ok(())
    }
}
