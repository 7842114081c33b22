//! `${NAME}` in an address stands for a variable of the environment, so that a password need not be written
//! into a file.

use std::fmt::Write as _;

/// The address with each `${NAME}` replaced. Between `://` and the last `@`, and after `password=`, the value is a user or a
/// password, and is written as a URL wants it.
///
/// # Errors
/// When a variable is not set, or a brace does not close.
pub fn filled(address: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let credentials = match (address.find("://"), address.rfind('@')) {
        (Some(from), Some(to)) => from..to,
        _ => 0..0,
    };
    let (mut filled, mut rest) = (String::new(), address);
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        let end = reference.find('}').ok_or_else(|| "an address has `${` without `}`; write `${NAME}`".to_owned())?;
        let name = &reference[2..end];
        let value = lookup(name).ok_or_else(|| format!("an address needs the variable `{name}`, which is not set; `export {name}=...`"))?;
        filled.push_str(before);
        if credentials.contains(&(address.len() - reference.len())) || before.ends_with("password=") {
            encode(&value, &mut filled);
        } else {
            filled.push_str(&value);
        }
        rest = &reference[end + 1..];
    }
    Ok(filled + rest)
}

fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(address: &str) -> Result<String, String> {
        filled(address, |name| match name {
            "PASSWORD" => Some("p@ss/w%rd".to_owned()),
            "HOST" => Some("db.example:5433".to_owned()),
            "URL" => Some("postgres://ada:secret@db/shop".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn a_variable_stands_for_a_password_or_for_any_other_part() {
        assert_eq!(fill("postgres://ada:${PASSWORD}@${HOST}/shop").expect("filled"), "postgres://ada:p%40ss%2Fw%25rd@db.example:5433/shop");
        assert_eq!(fill("postgres://db/shop?password=${PASSWORD}").expect("filled"), "postgres://db/shop?password=p%40ss%2Fw%25rd");
        assert_eq!(fill("${URL}").expect("filled"), "postgres://ada:secret@db/shop");
        assert_eq!(fill("sqlite:shop.db").expect("filled"), "sqlite:shop.db");
    }

    #[test]
    fn what_is_not_set_is_named() {
        assert!(fill("mysql://ada:${SECRET}@db/shop").expect_err("not set").contains("`SECRET`"));
        assert!(fill("mysql://ada:${PASSWORD@db/shop").expect_err("no brace").contains("${NAME}"));
    }
}
