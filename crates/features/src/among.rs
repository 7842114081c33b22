//! Aggregates over all products that share something, written `[sum(amount_91d) of category_id, brand]` (or `of shop`) in an
//! expression. Each way of sharing becomes one query that groups by it, joined to the products: as window functions they would
//! sort all columns of all products once for each.

use std::fmt::Write as _;

/// How all products together are written.
pub(crate) const SHOP: &str = "shop";

/// The aggregates that some expressions ask for.
#[derive(Debug, Default)]
pub(crate) struct Among {
    /// What is shared, and the aggregates over it.
    groups: Vec<(String, Vec<String>)>,
}

impl Among {
    /// `expression` with the names of columns in place of its aggregates.
    pub(crate) fn resolve(&mut self, expression: &str) -> String {
        let mut resolved = String::with_capacity(expression.len());
        let mut rest = expression;
        while let Some((before, aggregate, shared, after)) = first(rest) {
            resolved.push_str(before);
            resolved.push_str(&self.column(aggregate, shared));
            rest = after;
        }
        resolved.push_str(rest);
        resolved
    }

    fn column(&mut self, aggregate: &str, shared: &str) -> String {
        let group = position_or_insert(&mut self.groups, |(known, _)| known == shared, || (shared.to_owned(), Vec::new()));
        let at = position_or_insert(&mut self.groups[group].1, |known| known == aggregate, || aggregate.to_owned());
        format!("among_{group}_{at}")
    }

    /// `, among_0 as (select ...)` for each way of sharing, over the rows of `table`.
    pub(crate) fn queries(&self, table: &str) -> String {
        let mut queries = String::new();
        for (group, (shared, aggregates)) in self.groups.iter().enumerate() {
            let shared = columns(shared);
            let keys = shared.iter().enumerate().map(|(at, column)| format!("{column} as by_{group}_{at}"));
            let values = aggregates.iter().enumerate().map(|(at, aggregate)| format!("{aggregate} as among_{group}_{at}"));
            let all: Vec<String> = keys.chain(values).collect();
            let _ = write!(queries, ", among_{group} as (select {} from {table}", all.join(", "));
            queries.push_str(&if shared.is_empty() { ")".to_owned() } else { format!(" group by {})", shared.join(", ")) });
        }
        queries
    }

    /// The joins of `table` with all of them.
    pub(crate) fn joins(&self, table: &str) -> String {
        let mut joins = String::new();
        for (group, (shared, _)) in self.groups.iter().enumerate() {
            let on: Vec<String> =
                (columns(shared).iter().enumerate()).map(|(at, column)| format!("by_{group}_{at} = {table}.{column}")).collect();
            let _ = if on.is_empty() {
                write!(joins, " cross join among_{group}")
            } else {
                write!(joins, " join among_{group} on {}", on.join(" and "))
            };
        }
        joins
    }
}

/// The first aggregate of an expression: what stands before it, the aggregate, what is shared, and what stands after it.
fn first(expression: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, rest) = expression.split_once('[')?;
    let (asked, after) = rest.split_once(']')?;
    let (aggregate, shared) = asked.rsplit_once(" of ")?;
    Some((before, aggregate, shared, after))
}

/// Where the one is that `known` knows, added where there is none.
fn position_or_insert<T>(all: &mut Vec<T>, known: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    all.iter().position(known).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    })
}

fn columns(shared: &str) -> Vec<&str> {
    if shared == SHOP { Vec::new() } else { shared.split(", ").collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_aggregate_is_asked_for_once() {
        let mut among = Among::default();
        assert_eq!(among.resolve("a / [sum(a) of category_id]"), "a / among_0_0");
        assert_eq!(
            among.resolve("[sum(greatest(a, 0)) of category_id, brand] - [sum(a) of category_id] + [avg(a) of shop]"),
            "among_1_0 - among_0_0 + among_2_0"
        );
        assert_eq!(among.resolve("[count(*) of category_id]"), "among_0_1");
        assert_eq!(among.resolve("a + b"), "a + b");
        assert_eq!(among.resolve("a[1] + b"), "a[1] + b", "an element of a list is left alone");
        let queries = among.queries("t");
        assert!(queries.contains("(select category_id as by_0_0, sum(a) as among_0_0, count(*) as among_0_1 from t group by category_id)"));
        assert!(queries.ends_with("among_2 as (select avg(a) as among_2_0 from t)"), "{queries}");
        assert_eq!(
            among.joins("t"),
            " join among_0 on by_0_0 = t.category_id join among_1 on by_1_0 = t.category_id and by_1_1 = t.brand cross join among_2"
        );
    }
}
