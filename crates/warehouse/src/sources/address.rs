//! Addresses of sources: a file, a folder or a database on a server. What is said of one never holds a password.

use std::path::{Path, PathBuf};

use url::Url;

use crate::error::SourceError;

/// A parsed source address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    Sqlite(PathBuf),
    Files(PathBuf),
    Postgres(ServerAddress),
    MySql(ServerAddress),
}

/// The address of a database on a server.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ServerAddress {
    pub(super) url: Url,
    /// The address without user, password and options: what messages say.
    pub(super) place: String,
}

impl std::fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place)
    }
}

impl Address {
    pub(super) fn parse(url: &str, base_dir: &Path) -> Result<Self, SourceError> {
        let unknown = || SourceError::UnknownScheme(without_secrets(url));
        let (scheme, rest) = url.split_once(':').ok_or_else(unknown)?;
        match scheme {
            "postgres" | "postgresql" => return ServerAddress::parse("postgres", url, rest).map(Self::Postgres),
            "mysql" | "mariadb" => return ServerAddress::parse("mysql", url, rest).map(Self::MySql),
            _ => {}
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        if path.is_empty() {
            return Err(unknown());
        }
        let path = base_dir.join(path);
        let address = match scheme {
            "sqlite" => Self::Sqlite(path),
            "file" => Self::Files(path),
            _ => return Err(unknown()),
        };
        match &address {
            Self::Sqlite(path) | Self::Files(path) if !path.exists() => Err(SourceError::Missing(path.clone())),
            _ => Ok(address),
        }
    }
}

impl ServerAddress {
    fn parse(scheme: &str, given: &str, rest: &str) -> Result<Self, SourceError> {
        let url = Url::parse(&format!("{scheme}:{rest}"))
            .ok()
            .filter(Url::has_host)
            .ok_or_else(|| SourceError::BadAddress { place: without_secrets(given), source: None })?;
        let place = without_secrets(given);
        Ok(Self { url, place })
    }
}

/// An address as far as it may be shown. It need not be a valid one: a password may hold what a URL may not.
fn without_secrets(url: &str) -> String {
    let shown = url.rsplit_once('@').map_or(url, |(_, shown)| shown);
    let shown = shown.split_once('?').map_or(shown, |(shown, _)| shown);
    match url.split_once("://") {
        Some((scheme, _)) if url.contains('@') => format!("{scheme}://{shown}"),
        _ => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_and_relative_ones_count_from_the_base() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("shop.db"), b"").expect("a file");
        let path = folder.path().join("shop.db");
        for url in ["sqlite:shop.db", "sqlite://shop.db", "sqlite:shop.db?mode=ro", &format!("sqlite://{}", path.display())] {
            assert_eq!(Address::parse(url, folder.path()).expect(url), Address::Sqlite(path.clone()), "{url}");
        }
        assert!(matches!(Address::parse("file:none.csv", folder.path()), Err(SourceError::Missing(_))));
        for url in ["oracle:x", "shop.db", "sqlite:", ""] {
            assert!(matches!(Address::parse(url, folder.path()), Err(SourceError::UnknownScheme(_))), "{url}");
        }
    }

    #[test]
    fn servers_are_told_apart_and_shown_without_secrets() {
        for (url, shown) in [
            ("postgres://ada:secret@db.example:5433/shop?sslmode=require", "postgres://db.example:5433/shop"),
            ("postgresql://db.example/shop?user=ada&password=secret", "postgresql://db.example/shop"),
            ("mysql://ada:secret@db.example/shop", "mysql://db.example/shop"),
            ("mariadb://ada:se%40cret@db.example/shop", "mariadb://db.example/shop"),
        ] {
            let address = Address::parse(url, Path::new("")).expect(url);
            let (Address::Postgres(server) | Address::MySql(server)) = &address else { panic!("{url} is no server") };
            assert_eq!(server.place, shown);
            assert!(!format!("{address:?}").contains("secret"), "{address:?}");
            assert_eq!(matches!(address, Address::Postgres(_)), url.starts_with("postgres"), "{url}");
        }
        for url in ["postgres:shop", "postgres://ada:sec/ret@db.example/shop", "oracle://ada:secret@db.example/shop", "mysql://"] {
            let error = Address::parse(url, Path::new("")).expect_err(url);
            assert!(!format!("{error} {error:?}").contains("sec"), "{error:?}");
        }
    }
}
