//! Where rows come from. A [`Reader`] describes a mapped query and streams its rows into a stager, in batches, with
//! the cursor filter and the projection pushed down into the source.

mod address;
mod files;
mod mysql;
mod postgres;
mod sqlite;

use std::path::Path;

use chrono::{DateTime, Duration, Utc};
use futures::FutureExt;
use sqlx::{ColumnIndex, Decode, Row};
use tokio::sync::mpsc::Sender;

use self::address::Address;
use crate::error::SourceError;
use crate::staging::{Staged, Stager};

/// A source that is open for reading.
pub(crate) enum Reader {
    Sqlite(sqlite::SqliteSource),
    Files(files::FileSource),
    Postgres(Box<postgres::PostgresSource>),
    MySql(Box<mysql::MySqlSource>),
}

/// A column of a query, as its source describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceColumn {
    pub(crate) name: String,
    /// The source's own name for the type; empty where it knows none (an expression in SQLite).
    pub(crate) type_name: String,
    /// Whether values of its type can be read.
    pub(crate) readable: bool,
}

/// What to read of a mapped query.
#[derive(Clone, Debug)]
pub(crate) struct Extract<'a> {
    pub(crate) sql: &'a str,
    /// Only rows whose cursor column is beyond this.
    pub(crate) after: Option<(&'a str, DateTime<Utc>)>,
    /// A key by which a large table may be read in parts.
    pub(crate) key: Option<&'a str>,
}

// The futures of the two servers are boxed: the driver's are not `Send` for every lifetime in the compiler's eyes, which
// would show only where a job is spawned.
impl Reader {
    /// Opens the source at `url`; a relative path counts from `base_dir`.
    pub(crate) async fn open(url: &str, base_dir: &Path) -> Result<Self, SourceError> {
        match Address::parse(url, base_dir)? {
            Address::Sqlite(path) => Ok(Self::Sqlite(sqlite::SqliteSource::open(path).await?)),
            Address::Files(path) => Ok(Self::Files(files::FileSource::open(path).await?)),
            Address::Postgres(server) => Ok(Self::Postgres(Box::new(postgres::PostgresSource::open(server).boxed().await?))),
            Address::MySql(server) => Ok(Self::MySql(Box::new(mysql::MySqlSource::open(server).boxed().await?))),
        }
    }

    /// The columns of `sql`. Reads nothing else.
    pub(crate) async fn describe(&mut self, sql: &str) -> Result<Vec<SourceColumn>, SourceError> {
        match self {
            Self::Sqlite(source) => source.describe(sql).await,
            Self::Files(source) => source.describe(sql).await,
            Self::Postgres(source) => source.describe(sql).boxed().await,
            Self::MySql(source) => source.describe(sql).boxed().await,
        }
    }

    /// The rows of a small query whose columns are all text.
    pub(crate) async fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        match self {
            Self::Sqlite(source) => source.texts(sql).await,
            Self::Files(_) => Ok(Vec::new()),
            Self::Postgres(source) => source.texts(sql).boxed().await,
            Self::MySql(source) => source.texts(sql).boxed().await,
        }
    }

    /// Streams the rows of `extract` through `stager` into `batches`.
    pub(crate) async fn read(&mut self, extract: Extract<'_>, stager: Stager<'_>, batches: Sender<Staged>) -> Result<(), SourceError> {
        match self {
            Self::Sqlite(source) => source.read(extract, stager, batches).await,
            Self::Files(source) => source.read(extract, stager, batches).await,
            Self::Postgres(source) => source.read(extract, stager, batches).boxed().await,
            Self::MySql(source) => source.read(extract, stager, batches).boxed().await,
        }
    }
}

/// The columns of a row as text; what is no text (broken bytes) counts as absent.
fn row_texts<'r, R: Row>(row: &'r R) -> Vec<Option<String>>
where
    usize: ColumnIndex<R>,
    Option<String>: Decode<'r, R::Database>,
{
    (0..row.columns().len()).map(|at| row.try_get_unchecked::<Option<String>, _>(at).unwrap_or_default()).collect()
}

/// Hands a batch on; an error if nobody takes it any more.
async fn hand_on(stager: &mut Stager<'_>, batches: &Sender<Staged>) -> Result<(), SourceError> {
    let staged = stager.finish().map_err(SourceError::Batch)?;
    batches.send(staged).await.map_err(|_| SourceError::GivenUp)
}

/// `columns` of `sql`, in the source's quotes, as a subquery that the source's planner can flatten.
fn projection<'a>(sql: &str, columns: impl Iterator<Item = &'a str>, quote: char) -> String {
    let columns: Vec<String> = columns.map(|column| format!("{quote}{column}{quote}")).collect();
    format!("select {} from (\n{}\n) as mapped", columns.join(", "), sql.trim().trim_end_matches(';'))
}

/// The rows of a projection beyond the cursor's bound. A row without a cursor is always read again: no bound could ever find
/// it. A second arm instead of `or` leaves the first one to the cursor's index.
fn filtered(projection: &str, cursor: &str, bound: &str) -> String {
    format!("{projection}\nwhere {cursor} > {bound}\nunion all\n{projection}\nwhere {cursor} is null")
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
    fn a_text_bound_is_written_as_the_source_writes_times() {
        let after = "2017-12-01T05:00:00Z".parse().expect("a time");
        assert_eq!(TextTime::of("2017-12-03 10:22:33").bound(after), "2017-12-01 05:00:00");
        assert_eq!(TextTime::of("2017-12-03T10:22:33.123Z").bound(after), "2017-12-01T05:00:00");
        assert_eq!(TextTime::of("2017-12-03T10:22:33+05:00").bound(after), "2017-11-30T05:00:00");
    }
}
