//! Address of a metadata database: `postgres://[user[:password]@]host[:port]/database`.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use url::Url;

/// The text is no address of a metadata database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of the metadata has {fault}; write `postgres://user:password@host:5432/database`")]
pub struct InvalidMetadataAddress {
    fault: String,
}

/// A PostgreSQL database. Printing it leaves user and password out.
#[derive(Clone)]
pub struct MetadataAddress {
    pub(super) options: PgConnectOptions,
    place: String,
}

impl MetadataAddress {
    /// How to connect to it, for others that keep tables of their own there.
    pub fn connect_options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl FromStr for MetadataAddress {
    type Err = InvalidMetadataAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = |fault: String| InvalidMetadataAddress { fault };
        let url = Url::parse(text).map_err(|error| fault(format!("a form that is not understood ({error})")))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(fault(format!("the scheme `{}`", url.scheme())));
        }
        let database = url.path().trim_start_matches('/');
        if database.is_empty() {
            return Err(fault("no database".to_owned()));
        }
        let place = format!("postgres://{}:{}/{database}", url.host_str().unwrap_or("localhost"), url.port().unwrap_or(5432));
        let options = text.parse().map_err(|_| fault("parameters that PostgreSQL does not have".to_owned()))?;
        Ok(Self { options, place })
    }
}

impl fmt::Display for MetadataAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for MetadataAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_printed_without_user_and_password() {
        let address: MetadataAddress = "postgres://me:secret@db.example/shop?sslmode=require".parse().expect("valid");
        assert_eq!(format!("{address} {address:?}"), "postgres://db.example:5432/shop postgres://db.example:5432/shop");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("sellcast.db", "form"),
            ("mysql://me:secret@db/shop", "`mysql`"),
            ("postgres://me:secret@db", "no database"),
            ("postgres://me:secret@db/shop?sslmode=perhaps", "parameters"),
        ] {
            let error = text.parse::<MetadataAddress>().expect_err("it is not valid").to_string();
            assert!(error.contains(word) && !error.contains("secret"), "`{word}` is not in: {error}");
        }
    }
}
