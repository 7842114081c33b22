//! Where rows come from. A [`Reader`] describes a mapped query and streams its rows into a stager, in batches, with
//! the cursor filter and the projection pushed down into the source.

mod files;
mod sqlite;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, Utc};
use tokio::sync::mpsc::Sender;

use crate::error::SourceError;
use crate::staging::{Staged, Stager};

/// A source that is open for reading.
pub(crate) enum Reader {
    Sqlite(sqlite::SqliteSource),
    Files(files::FileSource),
}

/// A column of a query, as its source describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceColumn {
    pub(crate) name: String,
    /// The source's own name for the type; empty where it knows none (an expression in SQLite).
    pub(crate) type_name: String,
}

/// What to read of a mapped query.
#[derive(Clone, Debug)]
pub(crate) struct Extract<'a> {
    pub(crate) sql: &'a str,
    /// Only rows whose cursor column is beyond this.
    pub(crate) after: Option<(&'a str, DateTime<Utc>)>,
}

impl Reader {
    /// Opens the source at `url`; a relative path counts from `base_dir`.
    pub(crate) async fn open(url: &str, base_dir: &Path) -> Result<Self, SourceError> {
        match Address::parse(url, base_dir)? {
            Address::Sqlite(path) => Ok(Self::Sqlite(sqlite::SqliteSource::open(path).await?)),
            Address::Files(path) => Ok(Self::Files(files::FileSource::open(path).await?)),
        }
    }

    /// The columns of `sql`. Reads nothing else.
    pub(crate) async fn describe(&mut self, sql: &str) -> Result<Vec<SourceColumn>, SourceError> {
        match self {
            Self::Sqlite(source) => source.describe(sql).await,
            Self::Files(source) => source.describe(sql).await,
        }
    }

    /// Streams the rows of `extract` through `stager` into `batches`.
    pub(crate) async fn read(&mut self, extract: Extract<'_>, stager: Stager<'_>, batches: Sender<Staged>) -> Result<(), SourceError> {
        match self {
            Self::Sqlite(source) => source.read(extract, stager, batches).await,
            Self::Files(source) => source.read(extract, stager, batches).await,
        }
    }
}

/// A parsed source address.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Sqlite(PathBuf),
    Files(PathBuf),
}

impl Address {
    fn parse(url: &str, base_dir: &Path) -> Result<Self, SourceError> {
        let unknown = || SourceError::UnknownScheme(url.to_owned());
        let (scheme, rest) = url.split_once(':').ok_or_else(unknown)?;
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
            Self::Sqlite(path) | Self::Files(path) if path.exists() => Ok(address),
            Self::Sqlite(path) | Self::Files(path) => Err(SourceError::Missing(path.clone())),
        }
    }
}

/// Hands a batch on; an error if nobody takes it any more.
async fn hand_on(stager: &mut Stager<'_>, batches: &Sender<Staged>, path: &Path) -> Result<(), SourceError> {
    let staged = stager.finish().map_err(|source| SourceError::Files { path: path.to_owned(), source: Box::new(source.into()) })?;
    batches.send(staged).await.map_err(|_| SourceError::GivenUp)
}

/// `columns` of `sql`, quoted, as a subquery that the source's planner can flatten.
fn projection(sql: &str, columns: impl Iterator<Item = &'static str>) -> String {
    let columns: Vec<String> = columns.map(|column| format!("\"{column}\"")).collect();
    format!("select {} from (\n{}\n) as mapped", columns.join(", "), sql.trim().trim_end_matches(';'))
}

/// How a source writes times as text, so that a bound can be compared as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TextTime {
    separator: char,
    /// The text carries an offset other than UTC: comparing text is then off by up to a day.
    local: bool,
}

impl TextTime {
    fn of(sample: &str) -> Self {
        let separator = if sample.as_bytes().get(10) == Some(&b'T') { 'T' } else { ' ' };
        let offset = sample.get(19..).unwrap_or_default().trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        Self { separator, local: !matches!(offset, "" | "Z" | "+00:00" | "+00" | " UTC") }
    }

    fn bound(self, after: DateTime<Utc>) -> String {
        let after = if self.local { after - Duration::days(1) } else { after };
        format!("{}{}{}", after.format("%Y-%m-%d"), self.separator, after.format("%H:%M:%S"))
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
    fn a_text_bound_is_written_as_the_source_writes_times() {
        let after = "2017-12-01T05:00:00Z".parse().expect("a time");
        assert_eq!(TextTime::of("2017-12-03 10:22:33").bound(after), "2017-12-01 05:00:00");
        assert_eq!(TextTime::of("2017-12-03T10:22:33.123Z").bound(after), "2017-12-01T05:00:00");
        assert_eq!(TextTime::of("2017-12-03T10:22:33+05:00").bound(after), "2017-11-30T05:00:00");
    }
}
