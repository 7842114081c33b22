//! A small table of sales and one of products, whose changes are written as Debezium writes them, and what a batch over
//! the tables comes to.

use std::collections::BTreeMap;

use sellcast_domain::window::{EventTime, Quantity, SaleFact, WindowBoard, WindowSpan, differing_tiles};
use sellcast_domain::{CategoryId, CustomerId, Money, ProductId};
use serde_json::{Value, json};

/// 2026-11-23T08:00:00Z.
pub(crate) const START: i64 = 1_795_420_800;

/// A row of the table of sales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sale {
    pub(crate) product: i64,
    pub(crate) customer: i64,
    pub(crate) quantity: i64,
    pub(crate) cents: i64,
    pub(crate) seconds: i64,
}

/// The tables, and the position of their newest change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) sales: BTreeMap<i64, Sale>,
    pub(crate) products: BTreeMap<i64, i64>,
    pub(crate) position: i64,
    /// Seconds of the latest sale that was ever written.
    latest: i64,
}

impl Tables {
    /// Writes a sale and gives the event.
    pub(crate) fn write(&mut self, id: i64, sale: Sale) -> Vec<u8> {
        self.latest = self.latest.max(sale.seconds);
        let before = self.sales.insert(id, sale);
        let op = if before.is_some() { "u" } else { "c" };
        self.event(op, before.map(|sale| row(id, sale)), Some(row(id, sale)))
    }

    /// Deletes a sale and gives the event.
    pub(crate) fn delete(&mut self, id: i64) -> Vec<u8> {
        let before = self.sales.remove(&id).map(|sale| row(id, sale));
        self.event("d", before, None)
    }

    /// Puts a product into a category and gives the event.
    pub(crate) fn place(&mut self, product: i64, category: i64) -> Vec<u8> {
        let row = |category: i64| json!({"id": product, "name": "a name", "category_id": category});
        let before = self.products.insert(product, category);
        self.event(if before.is_some() { "u" } else { "c" }, before.map(row), Some(row(category)))
    }

    /// The events of a snapshot of all sales.
    pub(crate) fn snapshot(&mut self) -> Vec<Vec<u8>> {
        let rows: Vec<_> = self.sales.iter().map(|(id, sale)| row(*id, *sale)).collect();
        rows.into_iter().map(|row| self.event("r", None, Some(row))).collect()
    }

    fn event(&mut self, op: &str, before: Option<Value>, after: Option<Value>) -> Vec<u8> {
        self.position += 1;
        let source = json!({
            "version": "3.7.0.Final", "connector": "postgresql", "name": "shop", "ts_ms": START * 1000, "snapshot": "false", "db": "shop",
            "sequence": "[null,\"26373320\"]", "schema": "public", "table": "transactions", "txId": 733, "lsn": self.position,
        });
        json!({"before": before, "after": after, "source": source, "transaction": null, "op": op, "ts_ms": START * 1000})
            .to_string()
            .into_bytes()
    }

    /// The latest sale, even if it was deleted.
    pub(crate) fn head(&self) -> EventTime {
        time(self.latest)
    }

    /// The windows of a batch over the tables that end at `head`.
    pub(crate) fn batch(&self, head: EventTime) -> WindowBoard {
        let facts = self.sales.values().map(|sale| {
            let fact = SaleFact {
                product: ProductId::from(sale.product),
                customer: SaleFact::customer_mark(CustomerId::from(sale.customer)),
                occurred_at: time(sale.seconds),
                quantity: Quantity::from_thousandths(sale.quantity * 1000),
                amount: Money::from_cents(sale.cents),
            };
            (fact, self.products.get(&sale.product).copied().map(CategoryId::from))
        });
        WindowBoard::of_batch(facts, head, 70)
    }
}

/// A time as seconds after the start.
pub(crate) fn time(seconds: i64) -> EventTime {
    EventTime::try_from(START + seconds).expect("a time")
}

fn row(id: i64, sale: Sale) -> Value {
    let Sale { product, customer, quantity, cents, seconds } = sale;
    let at = chrono::DateTime::from_timestamp(START + seconds, 0).expect("a time").format("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
    let total = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
    json!({"id": id, "product_id": product, "customer_id": customer, "quantity": quantity, "unit_price": "1.00", "total_price": total,
        "occurred_at": at})
}

/// Fails unless every tile and every window is the same on both boards.
pub(crate) fn assert_same(stream: &WindowBoard, batch: &WindowBoard) {
    assert_eq!(differing_tiles(stream, batch), []);
    for key in batch.keys() {
        for span in WindowSpan::ALL {
            assert_eq!(stream.window(key, span), batch.window(key, span), "{key:?} {span}");
        }
    }
}
