//! Events as Debezium's connector for PostgreSQL writes them, for the benches: products, and sales of them at fifty a second.

use chrono::DateTime;

/// 2026-11-23T08:00:00Z.
pub(crate) const START: i64 = 1_795_420_800;
/// Products and categories of the measured stream.
pub(crate) const PRODUCTS: u64 = 100_000;
pub(crate) const CATEGORIES: u64 = 1_000;

/// A product in its category.
pub(crate) fn placed(product: u64) -> Vec<u8> {
    format!(
        r#"{{"before":null,"after":{{"id":{product},"name":"a product","category_id":{}}},"source":{{"lsn":{product}}},"op":"c"}}"#,
        product % CATEGORIES
    )
    .into_bytes()
}

/// The sale of a number; products come in no order.
pub(crate) fn sold(n: u64) -> Vec<u8> {
    sold_at(n, product(n, PRODUCTS), START + n as i64 / 50)
}

/// The sale of a number, of a product at a second.
pub(crate) fn sold_at(n: u64, product: u64, at: i64) -> Vec<u8> {
    let (customer, quantity) = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44, 1 + n % 4);
    let cents = 99 + n * 37 % 5_000;
    let total = cents * quantity;
    format!(
        concat!(
            r#"{{"before":null,"after":{{"id":{id},"product_id":{product},"category_id":{category},"customer_id":{customer},"#,
            r#""quantity":{quantity},"unit_price":"{units}.{rest:02}","total_price":"{total_units}.{total_rest:02}","#,
            r#""occurred_at":"{at}.123456Z"}},"#,
            r#""source":{{"version":"3.7.0.Final","connector":"postgresql","name":"shop","ts_ms":1795421179750,"snapshot":"false","#,
            r#""db":"shop","sequence":"[null,\"26373320\"]","ts_us":1795421179750064,"ts_ns":1795421179750064000,"schema":"public","#,
            r#""table":"transactions","txId":733,"lsn":{lsn},"xmin":null,"origin":null,"origin_lsn":null}},"transaction":null,"op":"c","#,
            r#""ts_ms":1795421179824,"ts_us":1795421179824462,"ts_ns":1795421179824462584}}"#
        ),
        id = n,
        product = product,
        category = product % CATEGORIES,
        customer = customer,
        quantity = quantity,
        units = cents / 100,
        rest = cents % 100,
        total_units = total / 100,
        total_rest = total % 100,
        at = DateTime::from_timestamp(at, 0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%S"),
        lsn = 26_373_320 + n * 112,
    )
    .into_bytes()
}

/// The product of a sale's number: a multiplicative sequence.
pub(crate) fn product(n: u64, products: u64) -> u64 {
    n.wrapping_mul(0xd6e8_feb8_6659_fd93) % products
}
