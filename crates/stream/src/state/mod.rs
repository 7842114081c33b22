//! What survives a crash: the journal of a shard, the positions of the sources with their times and counts, dead
//! letters and late sales, in one file (redb) and each time in one transaction. What is not in it was never
//! acknowledged and is read again.
//!
//! One process at a time can open a file; a worker that was paused keeps its partitions until it is gone.

mod journal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use journal::Damaged;
pub(crate) use journal::Journal;
use journal::Room;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use sellcast_domain::window::{EventTime, StandingCounts, Watermark};
use serde::{Deserialize, Serialize};

use crate::intake::ChangeCounts;
use crate::shard::{LateSale, Shard};

const JOURNAL: TableDefinition<u64, &[u8]> = TableDefinition::new("journal");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// What stands in `meta`: [`Meta`] as JSON, and [`Room`].
const META_KEY: &str = "meta";
const ROOM: &str = "room";
const DEAD: TableDefinition<u64, &[u8]> = TableDefinition::new("dead_letters");
const LATE: TableDefinition<u64, &[u8]> = TableDefinition::new("late");

/// Late sales that are listed; the oldest go first, all are counted.
const LATE_KEPT: u64 = 10_000;
/// The journal is written anew when what was appended exceeds the last whole one by this much, or came in this many parts.
const SPARE: usize = 16 << 20;
const APPENDAGES: u32 = 600;
/// Pages that redb keeps in memory for each file.
const CACHE: usize = 8 << 20;

/// The state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it open.
    #[error("the state `{0}` is in use by another process: each partition is kept by one worker at a time")]
    InUse(PathBuf),
    /// The file cannot be read or written.
    #[error("cannot {step} the state `{path}`")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// Its content makes no sense.
    #[error("the state `{path}` is damaged: remove it and the worker reads its partition from the start")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// How far a source was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceMark {
    /// The next position to read.
    pub position: i64,
    /// How far its time has come.
    #[serde(default)]
    pub watermark: Watermark,
    /// What its events were.
    #[serde(default)]
    pub counts: ChangeCounts,
}

/// What stands beside the journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// How far each source was read, by its name.
    pub sources: BTreeMap<String, SourceMark>,
    /// Where the windows end.
    #[serde(default)]
    pub head: EventTime,
    /// What the rows came to.
    #[serde(default)]
    pub counts: StandingCounts,
}

/// An event that could not be understood, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The source it came from.
    pub source: String,
    /// Its position there.
    pub position: i64,
    /// Why it could not be understood.
    pub reason: String,
    /// The event.
    pub payload: Vec<u8>,
}

/// An open state file.
#[derive(Debug)]
pub struct StateFile {
    database: Database,
    path: PathBuf,
    /// Bytes and parts since the journal was last written anew, and its bytes then.
    appended: usize,
    appendages: u32,
    whole: usize,
}

/// Everything that is saved in one transaction.
#[derive(Debug)]
pub(crate) struct Save<'a> {
    pub(crate) meta: &'a Meta,
    pub(crate) shard: Option<&'a mut Shard>,
    pub(crate) dead: &'a [DeadLetter],
}

impl StateFile {
    /// Opens a file, or makes it, and reads what stands beside the journal.
    ///
    /// # Errors
    /// When another process has it, or it cannot be read.
    pub fn open(path: &Path) -> Result<(Self, Meta), StateError> {
        let failed = |error: redb::Error| StateError::Database { path: path.to_owned(), step: "open", source: Box::new(error) };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        }
        let database = Database::builder().set_cache_size(CACHE).create(path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StateError::InUse(path.to_owned()),
            error => failed(error.into()),
        })?;
        let mut file = Self { database, path: path.to_owned(), appended: 0, appendages: 0, whole: 0 };
        let meta = file.read_meta().map_err(failed)?;
        let meta = meta.map_or(Ok(Meta::default()), |bytes| serde_json::from_slice(&bytes).map_err(|error| file.damaged(error)))?;
        Ok((file, meta))
    }

    fn read_meta(&mut self) -> Result<Option<Vec<u8>>, redb::Error> {
        let write = self.database.begin_write()?;
        write.open_table(JOURNAL)?;
        write.open_table(DEAD)?;
        write.open_table(LATE)?;
        let meta = write.open_table(META)?.get(META_KEY)?.map(|value| value.value().to_vec());
        write.commit()?;
        Ok(meta)
    }

    /// Makes a shard's book and windows again from the journal.
    pub(crate) fn restore(&mut self, shard: &mut Shard, meta: &Meta) -> Result<(), StateError> {
        let path = self.path.clone();
        let failed = |error: redb::Error| StateError::Database { path: path.clone(), step: "read", source: Box::new(error) };
        let mut damaged = None;
        let mut book = shard.restore(meta.head);
        let mut read = || -> Result<(usize, u32), redb::Error> {
            let transaction = self.database.begin_read()?;
            if let Some(room) = transaction.open_table(META)?.get(ROOM)?.and_then(|bytes| Room::from_bytes(bytes.value())) {
                // A row has five bytes at least: no wrong number may ask for more than the file can hold.
                let most = self.size_bytes() / 5;
                book.expect(room.rows.min(most) as usize, room.homes.min(most) as usize);
            }
            let (mut bytes, mut pieces) = (0, 0);
            for piece in transaction.open_table(JOURNAL)?.iter()? {
                let (_, value) = piece?;
                bytes += value.value().len();
                pieces += 1;
                if let Err(error) = journal::replay(value.value(), &mut book) {
                    damaged = Some(error);
                    break;
                }
            }
            Ok((bytes, pieces))
        };
        (self.whole, self.appendages) = read().map_err(failed)?;
        if let Some(error) = damaged {
            return Err(self.damaged(error));
        }
        shard.go_on(book.finish(meta.counts));
        shard.remember_late(self.late_sales()?);
        Ok(())
    }

    /// Saves in one transaction; when this returns, what it says was read need never be read again.
    pub(crate) fn save(&mut self, save: Save<'_>) -> Result<(), StateError> {
        let (mut journal, mut late, mut is_whole) = (Journal::default(), Vec::new(), false);
        let mut shard = save.shard;
        if let Some(shard) = shard.as_deref_mut() {
            (journal, late) = shard.take_journal();
            is_whole = self.appended + journal.bytes().len() > self.whole + SPARE || self.appendages >= APPENDAGES;
        }
        let whole = shard.as_deref().filter(|_| is_whole).map(Shard::book);
        let mut length = 0;
        let written = self.write(|write| {
            let mut table = write.open_table(JOURNAL)?;
            let mut next = table.last()?.map_or(0, |(number, _)| number.value() + 1);
            if whole.is_some() {
                table.retain(|_, _| false)?;
            }
            let mut insert = |piece: &Journal| -> Result<(), redb::Error> {
                table.insert(next, piece.bytes())?;
                next += 1;
                length += piece.bytes().len();
                Ok(())
            };
            if let Some(book) = whole {
                let room = Journal::whole(book, insert)?;
                write.open_table(META)?.insert(ROOM, room.to_bytes().as_slice())?;
            } else if !journal.bytes().is_empty() {
                insert(&journal)?;
            }
            append(&mut write.open_table(DEAD)?, save.dead)?;
            let mut table = write.open_table(LATE)?;
            append(&mut table, &late)?;
            while table.len()? > LATE_KEPT {
                table.pop_first()?;
            }
            let bytes = serde_json::to_vec(save.meta).map_err(|error| redb::Error::Io(error.into()))?;
            write.open_table(META)?.insert(META_KEY, bytes.as_slice())?;
            Ok(())
        });
        if written.is_err() {
            // A full disk: the next attempt must save what this one took from the shard.
            self.appendages = APPENDAGES;
            if let Some(shard) = shard {
                shard.put_back(late);
            }
            return written;
        }
        if is_whole {
            (self.whole, self.appended, self.appendages) = (length, 0, 0);
        } else {
            self.appended += length;
            self.appendages += 1;
        }
        Ok(())
    }

    /// The dead letters, by number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn dead_letters(&self) -> Result<Vec<(u64, DeadLetter)>, StateError> {
        self.list(DEAD)
    }

    /// The newest late sales, the oldest of them first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn late_sales(&self) -> Result<Vec<LateSale>, StateError> {
        Ok(self.list(LATE)?.into_iter().map(|(_, sale)| sale).collect())
    }

    /// Removes dead letters that were understood after all.
    pub(crate) fn bury(&mut self, numbers: &[u64]) -> Result<(), StateError> {
        self.write(|write| {
            let mut table = write.open_table(DEAD)?;
            for number in numbers {
                table.remove(number)?;
            }
            Ok(())
        })
    }

    /// Bytes of the file.
    pub fn size_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    fn list<T: for<'de> Deserialize<'de>>(&self, table: TableDefinition<u64, &[u8]>) -> Result<Vec<(u64, T)>, StateError> {
        let read = || -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(table)?;
            let rows = table.iter()?;
            rows.map(|row| row.map(|(number, value)| (number.value(), value.value().to_vec())).map_err(Into::into)).collect()
        };
        let rows = read().map_err(|error| self.failed("read", error))?;
        let parse = |(number, bytes): (u64, Vec<u8>)| {
            serde_json::from_slice(&bytes).map(|value| (number, value)).map_err(|error| self.damaged(error))
        };
        rows.into_iter().map(parse).collect()
    }

    fn write(&self, work: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) -> Result<(), StateError> {
        let attempt = || -> Result<(), redb::Error> {
            let write = self.database.begin_write()?;
            work(&write)?;
            write.commit()?;
            Ok(())
        };
        attempt().map_err(|error| self.failed("write", error))
    }

    fn failed(&self, step: &'static str, error: redb::Error) -> StateError {
        StateError::Database { path: self.path.clone(), step, source: Box::new(error) }
    }

    fn damaged(&self, error: impl std::error::Error + Send + Sync + 'static) -> StateError {
        StateError::Damaged { path: self.path.clone(), source: Box::new(error) }
    }
}

fn append<T: Serialize>(table: &mut redb::Table<'_, u64, &[u8]>, rows: &[T]) -> Result<(), redb::Error> {
    let next = table.last()?.map_or(0, |(number, _)| number.value() + 1);
    for (number, row) in (next..).zip(rows) {
        let bytes = serde_json::to_vec(row).map_err(|error| redb::Error::Io(error.into()))?;
        table.insert(number, bytes.as_slice())?;
    }
    Ok(())
}
