//! What a product sold: recent weeks, months, the same time last year, weekdays, steadiness and trend.

use super::{Add, DefinitionKind, PART, ratio, weeks};

pub(super) fn add(add: &mut Add<'_>) {
    let kind = || DefinitionKind::Sales;
    let sum = |what: &str, when: &str| format!("coalesce(sum({what}) filter (where {when}), 0.0)");
    let recent = "recent sales";
    add(kind(), recent, "amount_1d", sum("amount", "age = 1"));
    add(kind(), recent, "amount_2d", sum("amount", "age = 2"));
    for week in 1..=8 {
        add(kind(), recent, &format!("week_{week}"), sum("amount", &format!("age between {} and {}", 7 * week - 6, 7 * week)));
    }
    for days in [91, 182, 364] {
        add(kind(), "sales of the last months", &format!("amount_{days}d"), sum("amount", &format!("age <= {days}")));
    }
    // The same stretch a year (52 weeks) ago, as far as the history reaches.
    for (name, days) in [("week", 7), ("month", 30), ("quarter", 91)] {
        add(kind(), "this time last year", &format!("last_year_{name}"), sum("amount", &format!("age between {} and 364", 365 - days)));
    }
    for days in [7, 28, 91] {
        add(kind(), recent, &format!("quantity_{days}d"), sum("quantity", &format!("age <= {days}")));
    }
    for days in [28, 91, 182] {
        add(kind(), "how often it sells", &format!("transactions_{days}d"), sum("transactions", &format!("age <= {days}")));
        add(kind(), "how often it sells", &format!("selling_days_{days}d"), format!("count(*) filter (where age <= {days})"));
    }
    add(kind(), "this weekday's sales", "same_weekday_4w", sum("amount", "age in (7, 14, 21, 28)"));
    add(kind(), "this weekday's sales", "same_weekday_13w", sum("amount", "age % 7 = 0 and age <= 91"));
    // 1970-01-01 was a Thursday.
    add(kind(), PART, "weekend_amount_91d", sum("amount", "age <= 91 and (day + 3) % 7 >= 5"));
    add(kind(), "how often it sells", "days_since_last_sale", "min(age)".into());
    add(kind(), "time on sale", "days_since_first_sale", "max(age)".into());
    derived(add);
}

fn derived(add: &mut Add<'_>) {
    let kind = || DefinitionKind::Derived;
    let squares = (1..=8).map(|w| format!("week_{w} * week_{w}")).collect::<Vec<_>>().join(" + ");
    add(kind(), "recent sales", "mean_4w", format!("({}) / 4", weeks(1, 4)));
    add(kind(), "recent sales", "mean_8w", format!("({}) / 8", weeks(1, 8)));
    add(kind(), "sales of the last months", "mean_13w", "amount_91d / least(13.0, {history_weeks})".into());
    add(kind(), "sales of the last months", "mean_26w", "amount_182d / least(26.0, {history_weeks})".into());
    add(kind(), "sales of the last months", "mean_52w", "amount_364d / least(52.0, {history_weeks})".into());
    add(kind(), "how steadily it sells", "deviation_8w", format!("sqrt(greatest(0.0, ({squares}) / 8 - power(({}) / 8, 2)))", weeks(1, 8)));
    add(kind(), "how steadily it sells", "best_week_8w", format!("greatest({})", weeks(1, 8).replace(" + ", ", ")));
    add(kind(), "trend", "velocity", format!("(({}) - ({})) / 4", weeks(1, 4), weeks(5, 8)));
    add(kind(), "trend", "acceleration", "(week_1 + week_2) - 2 * (week_3 + week_4) + (week_5 + week_6)".into());
    add(kind(), "trend", "trend_ratio", format!("(({}) / 4 + 1) / (amount_91d / 13 + 1)", weeks(1, 4)));
    add(kind(), "how often it sells", "amount_per_sale", ratio("amount_91d", "transactions_91d"));
    add(kind(), "this weekday's sales", "weekend_share_13w", ratio("weekend_amount_91d", "amount_91d"));
}
