//! The feature definitions, version 1: each has a name, one SQL expression and the words a seller reads when it
//! drives a forecast. They are the only place where a feature is defined; training, forecasting and the offline
//! store all read them from here.
//!
//! Levels build on each other: `Sales` aggregates a product's visible sales (`age` = days before as_of, from 1),
//! `Promotion` aggregates announced promotions (`starts`, `ends`, `strength`, `kind`), `Derived` combines those
//! columns and may use window functions over the category. `{as_of}` and `{history_weeks}` stand for numbers.

use std::fmt::Write as _;

/// Where an expression is evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefinitionKind {
    /// An aggregate over one product's sales visible at as_of.
    Sales,
    /// An aggregate over one product's promotions announced before as_of.
    Promotion,
    /// An expression over the aggregates of a product and, by window functions, of its category.
    Derived,
    /// A query of its own with the columns `product_id` and the feature's name (point-in-time by its own care).
    Query,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Column name.
    pub name: String,
    /// Where it is evaluated.
    pub kind: DefinitionKind,
    /// The expression.
    pub sql: String,
    /// Theme under which a driver is told to the seller (`recent sales`); the reasons of one theme are added up.
    pub theme: &'static str,
}

/// A version of the whole set.
#[derive(Clone, Debug)]
pub struct Definitions {
    version: String,
    features: Vec<Definition>,
}

impl Definitions {
    /// The current set. Its version changes with any change of a definition, because it is a digest of them.
    pub fn current() -> Self {
        let mut features = Vec::new();
        let mut add = |kind: DefinitionKind, theme: &'static str, name: &str, sql: String| {
            features.push(Definition { name: name.to_owned(), kind, sql, theme });
        };
        sales(&mut add);
        promotions(&mut add);
        derived(&mut add);
        Self::of(features)
    }

    /// A set of the given features, for trying out new ones.
    pub fn of(features: Vec<Definition>) -> Self {
        let mut text = String::new();
        for feature in &features {
            let _ = writeln!(text, "{} {:?} {}", feature.name, feature.kind, feature.sql);
        }
        Self { version: format!("v1-{}", &digest(&text)[..8]), features }
    }

    /// `v1-` and a digest of every definition.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// In column order.
    pub fn features(&self) -> &[Definition] {
        &self.features
    }

    /// Names in column order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(|feature| feature.name.as_str())
    }

    pub(crate) fn of_kind(&self, kind: DefinitionKind) -> impl Iterator<Item = &Definition> {
        self.features.iter().filter(move |feature| feature.kind == kind)
    }
}

/// FNV-1a with 64 bits, as hex: stable over releases, which the standard library's hasher does not promise.
fn digest(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

type Add<'a> = dyn FnMut(DefinitionKind, &'static str, &str, String) + 'a;

fn sales(add: &mut Add<'_>) {
    let kind = || DefinitionKind::Sales;
    let sum = |what: &str, when: &str| format!("coalesce(sum({what}) filter (where {when}), 0.0)");
    let recent = "recent sales";
    add(kind(), recent, "amount_1d", sum("amount", "age = 1"));
    add(kind(), recent, "amount_2d", sum("amount", "age = 2"));
    for week in 1..=8 {
        add(kind(), recent, &format!("week_{week}"), sum("amount", &format!("age between {} and {}", 7 * week - 6, 7 * week)));
    }
    for (days, theme) in [(91, "sales of the last months"), (182, "sales of the last months"), (364, "sales of the last months")] {
        add(kind(), theme, &format!("amount_{days}d"), sum("amount", &format!("age <= {days}")));
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
    add(kind(), "how often it sells", "days_since_last_sale", "min(age)".into());
    add(kind(), "time on sale", "days_since_first_sale", "max(age)".into());
    add(kind(), "price", "discount_28d", sum("discount", "age <= 28"));
    add(kind(), "past promotions", "display_amount_182d", sum("amount", "age <= 182 and display > 0"));
    add(kind(), "past promotions", "display_days_182d", "count(*) filter (where age <= 182 and display > 0)".into());
    add(kind(), "past promotions", "mailer_amount_182d", sum("amount", "age <= 182 and mailer > 0"));
    add(kind(), "past promotions", "mailer_days_182d", "count(*) filter (where age <= 182 and mailer > 0)".into());
    add(kind(), "past promotions", "plain_amount_91d", sum("amount", "age <= 91 and display = 0 and mailer = 0"));
}

fn promotions(add: &mut Add<'_>) {
    // Mean strength over the days of a stretch: strength weighted by the days that the promotion covers of it.
    let mean = |kind: &str, from: &str, to: &str| {
        format!(
            "coalesce(sum(strength * greatest(0, least(ends, {to}) - greatest(starts, {from}) + 1)) filter (where kind = '{kind}'), 0.0) / ({to} - {from} + 1)"
        )
    };
    for (kind, theme) in [("display", "on display"), ("mailer", "in the mailer")] {
        let kind_name = || DefinitionKind::Promotion;
        add(kind_name(), theme, &format!("{kind}_next_day"), mean(kind, "{as_of}", "{as_of}"));
        add(kind_name(), theme, &format!("{kind}_next_week"), mean(kind, "{as_of}", "({as_of} + 6)"));
        add(kind_name(), theme, &format!("{kind}_next_month"), mean(kind, "{as_of}", "({as_of} + 29)"));
        add(kind_name(), "past promotions", &format!("{kind}_last_week"), mean(kind, "({as_of} - 7)", "({as_of} - 1)"));
        add(kind_name(), "past promotions", &format!("{kind}_last_8w"), mean(kind, "({as_of} - 56)", "({as_of} - 1)"));
    }
    add(
        DefinitionKind::Promotion,
        "past promotions",
        "days_since_promotion",
        "coalesce(min({as_of} - ends) filter (where ends < {as_of}), 999)".into(),
    );
    add(
        DefinitionKind::Promotion,
        "past promotions",
        "promotions_26w",
        "count(distinct starts) filter (where ends >= {as_of} - 182 and ends < {as_of})".into(),
    );
}

fn derived(add: &mut Add<'_>) {
    let kind = || DefinitionKind::Derived;
    let category = "its category";
    let weeks = |from: u32, to: u32| (from..=to).map(|w| format!("week_{w}")).collect::<Vec<_>>().join(" + ");
    let squares = (1..=8).map(|w| format!("week_{w} * week_{w}")).collect::<Vec<_>>().join(" + ");
    let ratio = |a: &str, b: &str| format!("({a}) / nullif({b}, 0.0)");

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
    add(kind(), "price", "price_28d", ratio(&weeks(1, 4), "quantity_28d"));
    add(kind(), "price", "price_91d", ratio("amount_91d", "quantity_91d"));
    add(
        kind(),
        "price",
        "price_change",
        ratio(&format!("({}) / nullif(quantity_28d, 0.0)", weeks(1, 4)), "amount_91d / nullif(quantity_91d, 0.0)"),
    );
    add(
        kind(),
        "price",
        "price_in_category",
        ratio(
            "amount_91d / nullif(quantity_91d, 0.0)",
            "sum(amount_91d) over (partition by category_id) / nullif(sum(quantity_91d) over (partition by category_id), 0.0)",
        ),
    );
    add(kind(), "how often it sells", "amount_per_sale", ratio("amount_91d", "transactions_91d"));
    add(
        kind(),
        "past promotions",
        "display_response",
        ratio("display_amount_182d / nullif(display_days_182d, 0)", "amount_182d / nullif(selling_days_182d, 0)"),
    );
    add(
        kind(),
        "past promotions",
        "mailer_response",
        ratio("mailer_amount_182d / nullif(mailer_days_182d, 0)", "amount_182d / nullif(selling_days_182d, 0)"),
    );
    add(kind(), "past promotions", "plain_week", "plain_amount_91d / least(13.0, {history_weeks})".into());
    add(kind(), category, "category_week_1", "sum(week_1) over (partition by category_id)".into());
    add(kind(), category, "category_mean_4w", format!("sum({}) over (partition by category_id) / 4", weeks(1, 4)));
    add(kind(), category, "category_mean_13w", "sum(amount_91d) over (partition by category_id) / 13".into());
    add(
        kind(),
        category,
        "category_trend",
        format!(
            "(sum({}) over (partition by category_id) / 4 + 1) / (sum(amount_91d) over (partition by category_id) / 13 + 1)",
            weeks(1, 4)
        ),
    );
    add(kind(), category, "category_products", "count(*) over (partition by category_id)".into());
    add(kind(), "its place in the category", "share_13w", ratio("amount_91d", "sum(amount_91d) over (partition by category_id)"));
    add(
        kind(),
        "its place in the category",
        "share_4w",
        ratio(&weeks(1, 4), &format!("sum({}) over (partition by category_id)", weeks(1, 4))),
    );
    add(
        kind(),
        "its place in the category",
        "rank_13w",
        "row_number() over (partition by category_id order by amount_91d desc, product_id)".into(),
    );
    add(
        kind(),
        "its place in the category",
        "rank_1w",
        "row_number() over (partition by category_id order by week_1 desc, amount_91d desc, product_id)".into(),
    );
    add(kind(), "rivals' promotions", "category_display_next_week", "sum(display_next_week) over (partition by category_id)".into());
    add(kind(), "rivals' promotions", "category_mailer_next_week", "sum(mailer_next_week) over (partition by category_id)".into());
    add(kind(), "brand", "brand_mean_13w", "avg(amount_91d) over (partition by brand)".into());
    add(
        kind(),
        "brand",
        "brand_in_category_share",
        ratio("sum(amount_91d) over (partition by category_id, brand)", "sum(amount_91d) over (partition by category_id)"),
    );
    add(
        kind(),
        "the whole shop's sales",
        "shop_trend",
        format!("(sum({}) over () / 4) / nullif(sum(amount_91d) over () / 13, 0.0)", weeks(1, 4)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_the_version_follows_the_content() {
        let current = Definitions::current();
        let names: HashSet<_> = current.names().collect();
        assert_eq!(names.len(), current.features().len());
        let mut changed = current.features().to_vec();
        changed[0].sql.push(' ');
        assert_ne!(Definitions::of(changed).version(), current.version());
        assert_eq!(Definitions::current().version(), current.version());
    }
}
