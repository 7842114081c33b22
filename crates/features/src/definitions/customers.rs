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
