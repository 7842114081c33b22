//! The quick way through an event's JSON reads what serde_json reads, or leaves it alone. A key with an escape is never read
//! the quick way, so an event with one more of it must mean the same, however its bytes are damaged.

use proptest::prelude::*;
use sellcast_stream::{Change, Decoder, Poison, SaleColumns};

const POSTGRES: &str = r#"{"before":{"id":1,"product_id":7,"customer_id":3,"quantity":"1.500","unit_price":"1.00","total_price":null,"occurred_at":"2026-11-23T08:00:00Z"},"after":{"id":1,"product_id":"8","category_id":[1,{"a":"\u00e4\n"}],"customer_id":-3,"quantity":2,"unit_price":"1.00","total_price":"2.00","occurred_at":1795420800000,"größe":1.5e-3},"source":{"version":"3.7.0.Final","ts_ms":1795421179750,"snapshot":"false","sequence":"[null,\"26373320\"]","lsn":26373320,"xmin":null},"transaction":null,"op":"u","ts_ms":1795421179824}"#;
const MYSQL: &str = r#"{ "schema": {"type": "struct", "fields": [{"type": "int64", "optional": false}, true]}, "payload": {"before": null, "after": {"id": 5, "product_id": 7, "customer_id": 3, "quantity": 1, "unit_price": 1, "total_price": 0.5, "occurred_at": "2026-11-23 08:00:00"}, "source": {"file": "binlog.000003", "pos": 154, "row": 1, "ts_ms": 0, "gtid": null}, "op": "c"} }"#;

/// Errors without the place in the bytes, which the added key moves.
fn meaning(bytes: &[u8]) -> Result<Change, Poison> {
    Decoder::sales(&SaleColumns::default()).decode(bytes).map_err(|poison| match poison {
        Poison::Format(_) => Poison::Format(String::new()),
        poison => poison,
    })
}

fn check(event: &[u8]) {
    let Some(brace) = event.iter().position(|byte| *byte == b'{') else { return };
    let mut slow = event.to_vec();
    let is_empty = event[brace + 1..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let key: &[u8] = if is_empty { br#""\u0078":0"# } else { br#""\u0078":0,"# };
    slow.splice(brace + 1..brace + 1, key.iter().copied());
    assert_eq!(meaning(event), meaning(&slow), "{}", String::from_utf8_lossy(event));
}

#[test]
fn whole_events_mean_the_same_both_ways() {
    for event in [POSTGRES, MYSQL] {
        assert!(meaning(event.as_bytes()).is_ok(), "{event}");
        check(event.as_bytes());
    }
    for event in [
        "{}",
        "{ }",
        r#"{"op":"m"}"#,
        r#"{"payload":null}"#,
        r#"{"payload":{},"op":"c"}"#,
        r#"{"op":"c","payload":{"op":"m"}}"#,
        r#"{"source":{"lsn":1,"lsn":2},"op":"t"}"#,
        r#"{"source":{"lsn":-1},"op":"t"}"#,
        r#"{"source":{"lsn":18446744073709551615},"op":"t"}"#,
        r#"{"source":{"lsn":null,"file":"b.2","pos":3},"op":"t"}"#,
        r#"{"source":{"lsn":1},"op":"t","rest":[[[[1,-0,0.5,1E+5]]],{}]}"#,
        r#"{"source":{"lsn":01},"op":"t"}"#,
        r#"{"source":{"lsn":1},"op":"t","rest":01}"#,
        r#"{"source":{"lsn":1},"op":"t","rest":1.}"#,
        r#"{"source":{"lsn":1},"op":"t","rest":[1,]}"#,
        r#"{"source":{"lsn":1},"op":"t",}"#,
        r#"{"source":{"lsn":1},"op":"t"} x"#,
        r#"{"source":{"lsn":1},"op":"t","rest":"\ud800"}"#,
        r#"{"source":{"lsn":1},"op":"t","rest":"\x"}"#,
        "{\"source\":{\"lsn\":1},\"op\":\"t\",\"rest\":\"\t\"}",
        "{\"source\":{\"lsn\":1},\"op\":\"t\"}\n",
    ] {
        check(event.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn damaged_events_mean_the_same_both_ways(
        postgres in any::<bool>(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, prop_oneof![
            any::<u8>(),
            prop::sample::select(b"\"\\{}[]:,.-+eE0123456789 \tntfu\x1f\x7f".to_vec()),
        ]), 1..4),
    ) {
        let mut event = if postgres { POSTGRES } else { MYSQL }.as_bytes().to_vec();
        for (place, kind, byte) in damages {
            let place = place.index(event.len());
            match kind {
                0 => event[place] = byte,
                1 => event.insert(place, byte),
                _ => {
                    event.remove(place);
                }
            }
        }
        // The first brace stays the first, or the added key is somewhere else.
        event[0] = b'{';
        check(&event);
    }
}
