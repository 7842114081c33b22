//! What Debezium really sent, captured from PostgreSQL, and what must not be understood.

use sellcast_domain::window::{Held, Quantity, Version};
use sellcast_domain::{CategoryId, Money, ProductId, SaleId};
use sellcast_stream::{Before, Change, Decoder, Entity, Poison, ProductColumns, SaleChange, SaleColumns};
use serde_json::{Value, json};

fn sample(name: &str) -> Value {
    let path = format!("{}/tests/debezium-samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a sample");
    serde_json::from_str::<Value>(&text).expect("JSON")["value"].clone()
}

fn decode(value: &Value) -> Result<Change, Poison> {
    Decoder::sales(&SaleColumns::default()).decode(value.to_string().as_bytes())
}

fn sale(value: &Value) -> SaleChange {
    match decode(value).expect("an event") {
        Change::Sale(change) => change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn captured_events_become_canonical_ones() {
    let created = sale(&sample("c"));
    let Held::Sale(fact) = created.row else { panic!("{created:?}") };
    assert_eq!((created.sale, created.version), (SaleId::from(6), Version::written(26_373_320, 0)));
    assert_eq!((created.before, created.is_snapshot), (Before::Nothing, false));
    assert_eq!((fact.product, fact.quantity), (ProductId::from(101), Quantity::from_thousandths(3_000)));
    assert_eq!((fact.amount, fact.occurred_at.seconds()), (Money::from_cents(5_997), 1_795_420_800));

    let updated = sale(&sample("u"));
    assert_eq!(updated.before, Before::Product(ProductId::from(101)));
    assert!(updated.version > created.version);

    let deleted = sale(&sample("d"));
    assert_eq!(deleted.row, Held::Deleted(fact.occurred_at));
    assert!(deleted.version > updated.version);

    assert!(sale(&sample("r")).is_snapshot);
    assert_eq!(decode(&sample("tombstone")), Ok(Change::Nothing));
    assert_eq!(Decoder::sales(&SaleColumns::default()).decode(b""), Ok(Change::Nothing));
}

#[test]
fn an_event_with_its_schema_says_the_same() {
    let plain = sample("u");
    let with_schema = json!({"schema": {"type": "struct", "fields": [{"field": "before", "op": "x"}]}, "payload": plain});
    assert_eq!(decode(&with_schema), decode(&plain));
    assert_eq!(decode(&json!({"payload": plain, "schema": null})), decode(&plain));
}

#[test]
fn a_change_of_key_gives_deletion_and_creation_one_position_and_the_creation_wins() {
    let (mut deleted, mut created) = (sample("d"), sample("c"));
    deleted["source"]["lsn"] = json!(77);
    created["source"]["lsn"] = json!(77);
    assert!(sale(&created).version > sale(&deleted).version);
}

#[test]
fn new_columns_are_passed_over_and_renamed_ones_follow_the_mapping() {
    let mut value = sample("c");
    value["after"]["colour"] = json!({"deep": [1, 2, {"x": "y"}]});
    assert_eq!(decode(&value), decode(&sample("c")));
    let price = value["after"]["total_price"].take();
    value["after"].as_object_mut().expect("a row").remove("total_price");
    value["after"]["sum"] = price;
    let columns = SaleColumns { total_price: "sum".to_owned(), ..SaleColumns::default() };
    assert_eq!(Decoder::sales(&columns).decode(value.to_string().as_bytes()), decode(&sample("c")));
    // Without any total, quantity times price.
    assert_eq!(decode(&value), decode(&sample("c")));
}

#[test]
fn a_truncate_empties_the_table_and_marks_of_transactions_say_nothing() {
    let mut value = sample("c");
    value["op"] = json!("t");
    value["after"] = Value::Null;
    assert_eq!(decode(&value), Ok(Change::Emptied { entity: Entity::Sales, position: 26_373_320 }));
    assert_eq!(decode(&json!({"status": "BEGIN", "id": "733:26373320", "event_count": null})), Ok(Change::Nothing));
    assert_eq!(decode(&json!({"source": {"file": "binlog.000003", "pos": 4}, "ddl": "alter table"})), Ok(Change::Nothing));
}

#[test]
fn positions_of_mysql_are_ordered_by_file_offset_and_row() {
    let version = |file: &str, pos: u64, row: u32| {
        let mut value = sample("c");
        value["source"] = json!({"connector": "mysql", "file": file, "pos": pos, "row": row, "ts_ms": 1_795_421_179_750_i64});
        sale(&value).version
    };
    let ordered = [
        version("binlog.000009", 4_000_000_000, 0),
        version("binlog.000010", 4, 0),
        version("binlog.000010", 4, 1),
        version("binlog.000010", 900, 0),
    ];
    assert!(ordered.is_sorted());
    assert_ne!(ordered[1], ordered[2]);
}

#[test]
fn what_cannot_be_understood_says_why_and_shows_no_value() {
    let check = |change: &dyn Fn(&mut Value), expected: &str| {
        let mut value = sample("c");
        change(&mut value);
        let poison = decode(&value).expect_err(expected).to_string();
        assert!(poison.contains(expected), "{poison}");
        assert!(!poison.contains("secret"), "{poison}");
    };
    check(&|value| value["after"]["quantity"] = json!("secret"), "`quantity` holds text where a decimal number is expected");
    check(&|value| value["after"]["total_price"] = json!({"scale": 2, "value": "AZ8="}), "`total_price` holds an object");
    check(&|value| value["after"]["occurred_at"] = json!("secret"), "`occurred_at` holds text");
    check(&|value| value["after"]["product_id"] = Value::Null, "`product_id` holds null");
    check(&|value| value["after"]["customer_id"] = json!(u64::MAX), "has another shape");
    check(
        &|value| {
            value["after"].as_object_mut().expect("a row").remove("product_id");
        },
        "no `product_id`",
    );
    check(&|value| value["source"] = json!({"connector": "secret"}), "no position");
    check(&|value| value["op"] = json!("x"), "operation `x`");
    check(&|value| value["after"] = Value::Null, "no `after`");
    check(&|value| *value = json!(["secret"]), "another shape");
    for bytes in [&b"secret"[..], b"{\"before\": nul", b"{} {}", b"\xff\xfe", b"{\"op\":\"c\"", b"5"] {
        let poison = Decoder::sales(&SaleColumns::default()).decode(bytes).expect_err("poison").to_string();
        assert!(poison.contains("no Debezium change event") && !poison.contains("secret"), "{poison}");
    }
}

#[test]
fn products_are_followed_to_their_category_and_out_of_it() {
    let decoder = Decoder::products(&ProductColumns::default());
    let event = |op: &str, before: Value, after: Value| json!({"op": op, "before": before, "after": after, "source": {"lsn": 5}});
    let read = |value: Value| decoder.decode(value.to_string().as_bytes());
    let product = ProductId::from(7);
    assert_eq!(
        read(event("u", Value::Null, json!({"id": 7, "name": "x", "category_id": 3}))),
        Ok(Change::Product { product, category: Some(CategoryId::from(3)), version: Version::written(5, 0) })
    );
    assert_eq!(
        read(event("c", Value::Null, json!({"id": 7, "category_id": null}))),
        Ok(Change::Product { product, category: None, version: Version::written(5, 0) })
    );
    assert_eq!(
        read(event("d", json!({"id": 7}), Value::Null)),
        Ok(Change::Product { product, category: None, version: Version::deleted(5, 0) })
    );
    assert!(matches!(read(event("c", Value::Null, json!({"id": 7}))), Err(Poison::Missing(column)) if column == "category_id"));
}
