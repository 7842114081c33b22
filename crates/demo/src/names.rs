//! Turns the source's labels (`FRZN ICE`, `SW GDS:DONUTS-LSS THN 6`) into names that people read. Departments and
//! categories are named one by one in `names/*.tsv`; product types by the words they are made of, some by hand.

use std::collections::HashMap;

/// How a category is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CategoryName {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its products are called when the type alone (`PREMIUM`) does not say what they are.
    pub(crate) noun: &'static str,
}

/// The tables of names.
pub(crate) struct Names {
    departments: HashMap<&'static str, &'static str>,
    categories: HashMap<&'static str, CategoryName>,
    types: HashMap<&'static str, &'static str>,
    words: HashMap<&'static str, &'static str>,
}

/// Types that mean nothing without their category.
const BARE: [&str; 24] = [
    "ACCESSORIES",
    "ACTIVITY",
    "BOXED",
    "CUPS",
    "DECOR",
    "DIGITAL",
    "DRY",
    "FRESH",
    "GAMES",
    "KITS",
    "MISC",
    "MISCELLANEOUS",
    "NOVELTIES",
    "OTHER",
    "OUTDOOR",
    "PROCESSED OTHER",
    "PROMO",
    "PROMO/ENDCAP",
    "PROMOTIONAL",
    "SEASONAL",
    "SPECIALTY",
    "TREATS",
    "VALUE",
    "VEGETABLE",
];

/// Beginnings of labels that stand for a few words.
const BEGINNINGS: [(&str, &str); 12] = [
    ("SEAFOOD-FRZ-BRD", "Breaded seafood, "),
    ("SEAFOOD-FRZ-", "Frozen seafood, "),
    ("SEAFOOD-FRE-", "Fresh seafood, "),
    ("SEAFOOD-MISC-", "Seafood, "),
    ("NUT SUPP-", "Supplements, "),
    ("SV BEV:", "Counter drinks, "),
    ("SW GDS:", "Sweet goods, "),
    ("DL SPEC:", "Deli specialty, "),
    ("PREP FD:", "Prepared food, "),
    ("QSR FD:", "Quick service, "),
    ("COFF SHOP:", "Coffee shop, "),
    ("CHIX:", "Chicken, "),
];

fn lines(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.is_empty()).map(|line| line.split('\t').collect())
}

fn pairs(table: &'static str) -> HashMap<&'static str, &'static str> {
    lines(table).filter_map(|fields| Some((*fields.first()?, *fields.get(1)?))).collect()
}

impl Names {
    /// Reads the tables that are built in.
    pub(crate) fn built_in() -> Self {
        let category = |fields: Vec<&'static str>| {
            let name = *fields.get(1)?;
            Some((*fields.first()?, CategoryName { name, noun: fields.get(2).copied().unwrap_or_default() }))
        };
        Self {
            departments: pairs(include_str!("../names/departments.tsv")),
            categories: lines(include_str!("../names/categories.tsv")).filter_map(category).collect(),
            types: pairs(include_str!("../names/types.tsv")),
            words: pairs(include_str!("../names/words.tsv")),
        }
    }

    /// The name of a department.
    pub(crate) fn department(&self, label: &str) -> String {
        self.departments.get(label).map_or_else(|| self.by_words(label), |name| (*name).to_owned())
    }

    /// The name of a product category.
    pub(crate) fn category(&self, label: &str) -> String {
        self.categories.get(label).map_or_else(|| self.by_words(label), |category| category.name.to_owned())
    }

    /// The name of a product type inside a category.
    pub(crate) fn kind(&self, category_label: Option<&str>, label: &str) -> String {
        let name = self.types.get(label).map_or_else(|| self.by_words(label), |name| (*name).to_owned());
        let category = category_label.and_then(|label| self.categories.get(label));
        let noun =
            category.map_or("", |category| if category.noun.is_empty() && BARE.contains(&label) { category.name } else { category.noun });
        if noun.is_empty() || says(&name, noun) { name } else { format!("{noun}, {}", lower_first(&name)) }
    }

    /// Sentence case with abbreviations written out: `FRZN BRD STICK/PORTON` -> `Frozen breaded stick/portions`.
    fn by_words(&self, label: &str) -> String {
        let label = closed(label);
        if let Some((rest, written)) = BEGINNINGS.iter().find_map(|(begin, written)| Some((label.strip_prefix(begin)?, written))) {
            return format!("{written}{}", lower_first(&self.by_words(rest.trim_start_matches(['-', ' ']))));
        }
        if let Some(subject) = label.strip_suffix("-MAGAZINE") {
            return format!("{} magazine", self.by_words(subject));
        }
        let mut name = String::with_capacity(label.len() + 16);
        let mut word = String::new();
        for character in label.chars().chain(['\n']) {
            if character.is_ascii_alphanumeric()
                || character == '\''
                || (character == '.' && word.chars().all(|c| c.is_ascii_digit()) && !word.is_empty())
            {
                word.push(character);
                continue;
            }
            if word == "S" && name.ends_with(' ') {
                // `DVD S`, `CHILDREN S`: an apostrophe or a space that was lost.
                name.truncate(name.trim_end().len());
                name.push('s');
                word.clear();
            }
            if !word.is_empty() {
                match self.words.get(word.as_str()) {
                    Some(written) => name.push_str(written),
                    None => name.push_str(&word.to_ascii_lowercase()),
                }
                word.clear();
            }
            match character {
                '&' => name.push_str(" and "),
                ':' => name.push_str(": "),
                '\n' => {}
                other => name.push(other),
            }
        }
        let tidy = name.split_whitespace().collect::<Vec<_>>().join(" ").replace(" - ", ", ").replace(" -", ", ").replace("- ", ", ");
        let tidy = tidy.replace(" :", ":").replace(" /", "/").replace("/ ", "/").replace(",,", ",").replace("..", ".");
        upper_first(tidy.trim_end_matches([' ', '/', ',', '&', '-', '(', ':', '<', '=']).trim_end_matches(" and"))
    }

    /// A package size: `12 PK/12 OZ` -> `12 pack/12 oz`. Nothing for sizes that say nothing.
    pub(crate) fn size(label: &str) -> Option<String> {
        let words = label.split_whitespace().map(|word| match word {
            "L" => "L".to_owned(),
            "GA" => "gal".to_owned(),
            "CTN" => "carton".to_owned(),
            "DZ" => "dozen".to_owned(),
            word if word.starts_with('.') => format!("0{}", word.to_ascii_lowercase()),
            word => word.to_ascii_lowercase().replace("pk/", "pack/"),
        });
        let size = words.collect::<Vec<_>>().join(" ");
        let size = size.strip_suffix(" pk").map_or(size.clone(), |count| format!("{count} pack"));
        // Numbers of five digits are the makers' own codes.
        let is_code = size.split(' ').next().is_some_and(|count| count.len() >= 5 && count.bytes().all(|byte| byte.is_ascii_digit()));
        match size.as_str() {
            _ if is_code => None,
            "" | "." | "0" | "n/a" => None,
            "gal" | "pt" | "qt" | "lb" | "oz" | "ct" => Some(format!("1 {size}")),
            _ => Some(size),
        }
    }
}

/// The label without a bracket that was cut off before it closed.
fn closed(label: &str) -> &str {
    match label.rfind('(') {
        Some(at) if at > 0 && !label[at..].contains(')') => label[..at].trim_end(),
        _ => label,
    }
}

/// Whether `name` already contains every word of `noun`, in singular or plural.
fn says(name: &str, noun: &str) -> bool {
    let name = name.to_lowercase();
    noun.to_lowercase().split(' ').all(|word| name.contains(word.trim_end_matches('s')))
}

/// With a capital first letter.
pub(crate) fn upper_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// With a small first letter, unless the word is an abbreviation or a proper name with further capitals.
pub(crate) fn lower_first(text: &str) -> String {
    let first_word = text.split(' ').next().unwrap_or_default();
    if first_word.chars().skip(1).any(char::is_uppercase) {
        return text.to_owned();
    }
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_names() {
        let names = Names::built_in();
        for (category, label, expected) in [
            (Some("FRZN ICE"), "ICE - CRUSHED/CUBED", "Ice, crushed or cubed"),
            (Some("COFFEE"), "GROUND COFFEE", "Ground coffee"),
            (Some("ICE CREAM/MILK/SHERBTS"), "SUPER PREMIUM PINTS", "Ice cream, super premium pints"),
            (Some("SEAFOOD - FROZEN"), "FRZN BRD STICK/PORTON", "Frozen breaded stick/portions"),
            (Some("CANDY - CHECKLANE"), "CANDY BARS (SINGLES)(INCLUDING", "Candy bars (singles)"),
            (Some("EASTER"), "SEASONAL", "Easter, seasonal"),
            (Some("BEANS - CANNED GLASS & MW"), "VARIETY BEANS - KIDNEY PINTO", "Variety beans, kidney pinto"),
            (Some("MAKEUP AND TREATMENT"), "LOREAL COSMETICS", "L'Oréal cosmetics"),
            (None, "DVD S", "DVDs"),
            (Some("MAGAZINE"), "HOME DECOR-MAGAZINE", "Home decor magazine"),
            (Some("SEAFOOD - FROZEN"), "SEAFOOD-FRZ-IQF COOKED SHRIMP", "Frozen seafood, individually frozen cooked shrimp"),
        ] {
            assert_eq!(names.kind(category, label), expected, "{label}");
        }
        assert_eq!(names.department("MEAT-PCKGD"), "Packaged meat");
        assert_eq!(names.category("FRZN NOVELTIES/WTR ICE"), "Ice cream novelties");
    }

    #[test]
    fn sizes_read_naturally() {
        for (label, expected) in [
            ("22 LB", Some("22 lb")),
            (".5 OZ", Some("0.5 oz")),
            ("12 PK/12 OZ", Some("12 pack/12 oz")),
            ("6 PK", Some("6 pack")),
            ("GAL", Some("1 gal")),
            ("2 L", Some("2 L")),
            ("974246 PK", None),
            ("", None),
        ] {
            assert_eq!(Names::size(label).as_deref(), expected, "{label}");
        }
    }
}
