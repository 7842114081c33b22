//! Orders that are no sales: a status column with well-known values tells cancelled, refunded and unfinished orders.

use super::catalogue::{Column, Dialect, Family};
use super::draft::Draft;
use super::scope::Scope;
use super::words::{STATUS, tokens};

/// Words of a status that mean: this is no sale, or no longer one. Without accents, in the languages of `words`.
const NO_SALE: [&str; 55] = [
    "cancelled",
    "canceled",
    "cancel",
    "void",
    "voided",
    "failed",
    "failure",
    "refunded",
    "refund",
    "returned",
    "chargeback",
    "fraud",
    "draft",
    "quotation",
    "quote",
    "cart",
    "basket",
    "abandoned",
    "expired",
    "rejected",
    "declined",
    "trash",
    "deleted",
    "incomplete",
    "storniert",
    "storno",
    "abgebrochen",
    "abgelehnt",
    "annulliert",
    "fehlgeschlagen",
    "entwurf",
    "erstattet",
    "retourniert",
    "annule",
    "annulee",
    "rembourse",
    "remboursee",
    "brouillon",
    "echoue",
    "cancelado",
    "cancelada",
    "anulado",
    "anulada",
    "reembolsado",
    "borrador",
    "fallido",
    "devuelto",
    "annullato",
    "annullata",
    "rimborsato",
    "bozza",
    "geannuleerd",
    "terugbetaald",
    "anulowane",
    "zwrocone",
];

/// Adds a condition to `draft` where the table has such a status; was there one?
pub(super) fn filter(scope: &Scope<'_>, alias: &str, at: usize, draft: &mut Draft) -> bool {
    let Some((column, _)) = scope.best(at, &STATUS, |column| !column.values.is_empty()) else { return false };
    let (out, kept): (Vec<&String>, Vec<&String>) = column.values.iter().partition(|value| is_no_sale(value, &column.values));
    if column.family == Family::Integer || out.is_empty() || kept.is_empty() {
        draft.because(format!(
            "`{}.{}` may tell cancelled orders, but its values ({}) are not known: nothing is left out",
            scope.table(at).name,
            column.name,
            quoted(&column.values)
        ));
        return false;
    }
    let name = draft.dialect.column(alias, &column.name);
    // A value that is no label of a PostgreSQL enum would be an error.
    let compared = if is_enum(draft.dialect, column) { draft.dialect.as_text(&name) } else { name.clone() };
    let list: Vec<String> = out.iter().map(|value| draft.dialect.text(value)).collect();
    let condition = format!("{compared} not in ({})", list.join(", "));
    draft.query.conditions.push(if column.nullable { format!("({name} is null or {condition})") } else { condition });
    let (out, kept) = (out.into_iter().cloned().collect::<Vec<_>>(), kept.into_iter().cloned().collect::<Vec<_>>());
    draft.because(format!("orders with `{}` {} are no sales and are left out; kept are {}", column.name, quoted(&out), quoted(&kept)));
    true
}

fn is_enum(dialect: Dialect, column: &Column) -> bool {
    dialect == Dialect::Postgres && column.family == Family::Other || column.type_name.starts_with("enum")
}

fn is_no_sale(value: &str, all: &[String]) -> bool {
    let words = tokens(value);
    // Odoo's `sent` is a quotation, as its `sale` is what others call an order; elsewhere `sent` goods are sold.
    let sent_is_quotation = || value == "sent" && all.iter().any(|other| other == "sale");
    words.iter().any(|word| NO_SALE.contains(&word.as_str())) && !words.iter().any(|word| word == "partially" || word == "partial")
        || sent_is_quotation()
}

fn quoted(values: &[String]) -> String {
    let shown: Vec<String> = values.iter().take(12).map(|value| format!("`{value}`")).collect();
    let more = if values.len() > 12 { ", ..." } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_tell_what_is_no_sale_in_any_spelling() {
        let all = ["draft".to_owned(), "sent".to_owned(), "sale".to_owned()];
        for value in ["cancelled", "wc-cancelled", "CANCELED", "storniert", "annulée", "checkout-draft", "sent", "Refunded"] {
            assert!(is_no_sale(value, &all), "{value}");
        }
        for value in ["complete", "wc-processing", "shipped", "bezahlt", "sale", "partially_refunded"] {
            assert!(!is_no_sale(value, &all), "{value}");
        }
        assert!(!is_no_sale("sent", &["sent".into(), "paid".into()]));
    }
}
