//! What can go wrong between a shop's tables and the warehouse. Every message names its own step and a way to mend
//! it; causes stay in the chain.

use std::path::PathBuf;

use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;

use crate::check::MappingFault;

/// The warehouse cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarehouseError {
    /// The folder cannot be made or entered.
    #[error("cannot use the warehouse folder `{path}`; check that it exists and may be written")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bucket cannot be reached, or refuses.
    #[error(
        "cannot use the warehouse `{place}`; see that the bucket exists and that key, secret and region are right, in the address or as \
         `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`"
    )]
    Bucket {
        /// Bucket and prefix.
        place: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// A Delta table cannot be opened, read or committed.
    #[error("cannot {step} the table `{table}`")]
    Table {
        /// `read`, `write`, `merge into`, ...
        step: &'static str,
        /// Name of the table.
        table: String,
        /// Why.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A query over the tables failed.
    #[error("cannot compute {what}")]
    Query {
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// A view of the past was to be written.
    #[error("cannot write the table `{0}` of a past version of the warehouse; write to the warehouse itself")]
    Past(String),
    /// A stored record is not what this version writes.
    #[error("cannot read the record of run `{run}`; it was written by another version of sellcast")]
    Record {
        /// Its id.
        run: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The country has no built-in holidays.
    #[error("no holidays are built in for the country `{0}`; use one of {1}, or leave `country` empty")]
    UnknownCountry(String, String),
    /// The key for pseudonyms cannot be read or made.
    #[error("cannot use the pseudonym key `{path}`; it must be a file of 32 bytes outside the warehouse that only its owner reads")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// An ingest run did not finish. Run it again when it is mended: a run continues where the broken one stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The mapping does not fit the source. Nothing was written.
    #[error("the source mapping does not fit the source: {}", list(.0))]
    Mapping(Vec<MappingFault>),
    /// The source cannot be read.
    #[error("cannot read `{entity}` from the source")]
    Source {
        /// The entity that was read.
        entity: &'static str,
        /// Why.
        #[source]
        source: SourceError,
    },
    /// The warehouse cannot be read or written.
    #[error("cannot load the warehouse")]
    Warehouse(#[from] WarehouseError),
}

/// A source cannot be reached or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No reader for this kind of address.
    #[error(
        "`{0}` is no source address; use `postgres://user:password@host/database`, `mysql://user:password@host/database`, \
         `sqlite:path/to/shop.db` or `file:path/to/table.parquet` (a `.csv` or a folder works too)"
    )]
    UnknownScheme(String),
    /// The address of a server cannot be understood.
    #[error(
        "the source address `{place}` is not valid; write `scheme://user:password@host:port/database`, special characters of the password as `%40` and the like"
    )]
    BadAddress {
        /// The address without its secrets.
        place: String,
        /// Why, where the driver says so.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The file or folder is not there.
    #[error("the source `{0}` does not exist; check the `url` in the source mapping")]
    Missing(PathBuf),
    /// The folder holds no readable files.
    #[error("the folder `{0}` holds no `.parquet` or `.csv` files")]
    EmptyFolder(PathBuf),
    /// Someone else holds the database.
    #[error("the database `{path}` is locked by another program; end its transaction, then run again")]
    Locked {
        /// The database file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database refuses the query.
    #[error("the database `{path}` refuses the query; mend its `sql` in the source mapping")]
    Query {
        /// The database file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A database server refuses or breaks off.
    #[error("{}", .fault.told(.place))]
    Server {
        /// The address without its secrets.
        place: String,
        /// What kind of refusal.
        fault: ServerFault,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A database server says nothing.
    #[error(
        "the database server `{place}` says nothing for {seconds} seconds; check host and port in the `url`, and that no firewall is between"
    )]
    Silent {
        /// The address without its secrets.
        place: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// What the server sends cannot be understood.
    #[error("the data from `{place}` cannot be read; run again, and tell the makers of sellcast if it stays")]
    Damaged {
        /// The address without its secrets.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The column has a type without a plain value.
    #[error("the type `{type_name}` of the column `{column}` cannot be read; cast it to text, or to a number, in `sql`")]
    Unreadable {
        /// Its name.
        column: String,
        /// The source's name for its type.
        type_name: String,
    },
    /// Rows that were read do not make a batch.
    #[error("cannot make a batch of the rows read")]
    Batch(#[source] arrow::error::ArrowError),
    /// The files cannot be read by the query.
    #[error("the files at `{path}` cannot be read by the query; mend its `sql` in the source mapping (the files are the table `source`)")]
    Files {
        /// File or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The reading stopped half-way because its consumer did.
    #[error("reading was given up because loading failed")]
    GivenUp,
}

/// How a database server refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerFault {
    /// It does not answer, or broke off.
    Unreachable,
    /// No encryption that both sides know, or a certificate that the address does not accept.
    Encryption,
    /// User or password.
    Login,
    /// There is no such database.
    NoDatabase,
    /// The user may not read what the query needs.
    NoRight,
    /// The query itself.
    Query,
}

impl ServerFault {
    /// Of an error that the server itself did not send.
    pub(crate) fn on_the_way(source: &sqlx::Error) -> Self {
        match source {
            sqlx::Error::Tls(_) => Self::Encryption,
            // How a handshake's failure comes.
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => Self::Encryption,
            _ => Self::Unreachable,
        }
    }

    fn told(self, place: &str) -> String {
        match self {
            Self::Unreachable => format!(
                "the database server `{place}` does not answer or broke off; check host and port in the `url`, and that it runs and lets this machine in"
            ),
            Self::Encryption => format!(
                "no encrypted connection to the database server `{place}`: it must offer TLS 1.3, or 1.2 with a cipher of ECDHE, and a certificate that the options of the `url` accept; in a network that you trust, `?sslmode=disable` (PostgreSQL) or `?ssl-mode=DISABLED` (MySQL) at the end of the `url` reads without encryption"
            ),
            Self::Login => format!("the database server `{place}` refuses the user or the password; mend them in the `url`"),
            Self::NoDatabase => format!("the server has no database `{place}`; check the name at the end of the `url`"),
            Self::NoRight => format!(
                "the user of `{place}` may not read what the query needs; grant it `select` on those tables (docs/sources.md shows how)"
            ),
            Self::Query => format!("the database `{place}` refuses the query; mend its `sql` in the source mapping"),
        }
    }
}

fn list(faults: &[MappingFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Adds to an engine's error what was being computed.
pub(crate) trait Computing<T> {
    /// `what` continues "cannot compute ...".
    fn computing(self, what: &str) -> Result<T, WarehouseError>;
}

impl<T> Computing<T> for Result<T, DataFusionError> {
    fn computing(self, what: &str) -> Result<T, WarehouseError> {
        self.map_err(|source| WarehouseError::Query { what: what.to_owned(), source: Box::new(source) })
    }
}

impl<T> Computing<T> for Result<T, arrow::error::ArrowError> {
    fn computing(self, what: &str) -> Result<T, WarehouseError> {
        self.map_err(|source| WarehouseError::Query { what: what.to_owned(), source: Box::new(source.into()) })
    }
}

/// Adds to a Delta error the table and the step.
pub(crate) trait OnTable<T> {
    /// `step` continues "cannot ... the table".
    fn on_table(self, step: &'static str, table: &str) -> Result<T, WarehouseError>;
}

impl<T> OnTable<T> for Result<T, DeltaTableError> {
    fn on_table(self, step: &'static str, table: &str) -> Result<T, WarehouseError> {
        self.map_err(|source| WarehouseError::Table { step, table: table.to_owned(), source: Box::new(source) })
    }
}
