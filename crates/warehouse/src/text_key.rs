//! Keys that are text in the source become numbers: the first bits of BLAKE3 over the text's UTF-8. The same text gives
//! the same number in every database, entity and run. A customer's key may be an e-mail address, so its hash is keyed.

use crate::staging::Secrets;
use crate::value::Value;

/// A number of an API that JavaScript reads exactly.
const SERVED_BITS: u32 = 53;
/// A sale's id is never served, and there are many.
const SALE_BITS: u32 = 63;

/// The number for a key; of no text there is none, and bytes that are no text stay what they are.
pub(crate) fn hashed<'a>(value: Value<'a>, column: &str, secrets: Secrets<'_>) -> Value<'a> {
    let number = value.with_text(|text| {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        let bytes = match secrets {
            Secrets::Replace(key) if column == "customer_id" => key.number(text.as_bytes()),
            _ => first_bytes(blake3::hash(text.as_bytes())),
        };
        let bits = if column == "sale_id" { SALE_BITS } else { SERVED_BITS };
        i64::try_from(u64::from_be_bytes(bytes) >> (u64::BITS - bits)).ok()
    });
    match number {
        Ok(number) => number.map_or(Value::Null, Value::Int),
        Err(_) => value,
    }
}

fn first_bytes(hash: blake3::Hash) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pseudonym::PseudonymKey;

    fn product(value: Value<'_>) -> Value<'_> {
        hashed(value, "product_id", Secrets::AlreadyReplaced)
    }

    #[test]
    fn a_text_has_one_number_whatever_type_it_comes_in() {
        assert_eq!(product(Value::Text("TEA-1")), Value::Int(5_516_996_833_358_826), "stored facts refer to it: it never changes");
        assert_eq!(product(Value::Text(" 17 ")), product(Value::Int(17)));
        assert_ne!(product(Value::Text("TEA-1")), product(Value::Text("tea-1")));
        assert_eq!(product(Value::Text("  ")), Value::Null);
        assert_eq!(product(Value::Null), Value::Null);
    }

    #[test]
    fn a_customer_cannot_be_guessed_without_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = PseudonymKey::load_or_create(&folder.path().join("key")).expect("a key");
        let address = Value::Text("ada@example.org");
        let keyed = hashed(address, "customer_id", Secrets::Replace(&key));
        assert_eq!(keyed, hashed(address, "customer_id", Secrets::Replace(&key)));
        assert_ne!(keyed, product(address));
        assert_eq!(hashed(address, "product_id", Secrets::Replace(&key)), product(address));
    }

    #[test]
    fn numbers_that_are_served_are_exact_in_a_browser() {
        for at in 0..1000 {
            let Value::Int(number) = product(Value::Int(at)) else { panic!("no number") };
            assert!((0..1 << 53).contains(&number));
        }
    }
}
