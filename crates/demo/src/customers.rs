//! The shop's customers. The source knows households by number only; names and addresses are made up from the number
//! so that the shop has personal data to protect, and nobody's.

use crate::data::Household;

/// A customer as the shop knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) customer_id: i64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) segment: String,
    /// Seconds since 1970.
    pub(crate) last_login: Option<i64>,
}

const FIRST_NAMES: [&str; 48] = [
    "Ada", "Amos", "Bela", "Bruno", "Cleo", "Cyrus", "Dara", "Dylan", "Edith", "Elmer", "Farah", "Felix", "Greta", "Gus", "Hana", "Hugo",
    "Ida", "Ivan", "Jana", "Jonas", "Kira", "Kofi", "Lena", "Louis", "Mabel", "Milo", "Nadia", "Niles", "Olga", "Otis", "Paula", "Percy",
    "Queenie", "Quinn", "Rosa", "Ruben", "Sana", "Silas", "Tara", "Theo", "Uma", "Ulric", "Vera", "Vito", "Wanda", "Wes", "Yara", "Zeno",
];
const LAST_NAMES: [&str; 53] = [
    "Alder",
    "Ashby",
    "Barrow",
    "Birch",
    "Calder",
    "Cress",
    "Dale",
    "Dunmore",
    "Eastley",
    "Elm",
    "Fairfax",
    "Fern",
    "Garland",
    "Gorse",
    "Hale",
    "Hawthorn",
    "Ingle",
    "Ivy",
    "Jarrow",
    "Juniper",
    "Keel",
    "Knapweed",
    "Larch",
    "Linden",
    "Maple",
    "Marsh",
    "Nettle",
    "Norwood",
    "Oakley",
    "Orchard",
    "Pine",
    "Primrose",
    "Quarry",
    "Quince",
    "Redwood",
    "Rowan",
    "Sedge",
    "Sorrel",
    "Tamarack",
    "Thistle",
    "Underhill",
    "Upton",
    "Vale",
    "Violet",
    "Walnut",
    "Willow",
    "Yarrow",
    "Yew",
    "Zinnia",
    "Aspen",
    "Brook",
    "Cedar",
    "Dewey",
];

/// The customer that stands for a household.
pub(crate) fn customer(household: &Household) -> Customer {
    let id = household.household_id;
    // The two lists have no common divisor, so neighbours differ in both names.
    let first = FIRST_NAMES[(id.rem_euclid(48)) as usize];
    let last = LAST_NAMES[(id.rem_euclid(53)) as usize];
    let email = format!("{}.{}.{id}@example.com", first.to_lowercase(), last.to_lowercase());
    Customer { customer_id: id, name: format!("{first} {last}"), email, segment: segment(household), last_login: household.last_purchase }
}

/// `Family, 35-44`; `No details` for households without demographics.
fn segment(household: &Household) -> String {
    let home = match household.composition.as_deref() {
        Some(text) if text.contains("Kids") && !text.contains("No Kids") => "Family",
        Some("2 Adults No Kids") => "Couple",
        Some("1 Adult No Kids") => "Single",
        _ => "Household",
    };
    household.age.as_ref().map_or_else(|| "No details".to_owned(), |age| format!("{home}, {age}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_are_fictional_and_always_the_same() {
        let household =
            Household { household_id: 900, age: Some("35-44".into()), composition: Some("2 Adults Kids".into()), last_purchase: None };
        assert_eq!(customer(&household).segment, "Family, 35-44");
        assert!(customer(&household).email.ends_with(".900@example.com"));
        assert_eq!(customer(&household), customer(&household));
    }
}
