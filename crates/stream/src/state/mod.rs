//! What survives a crash: the journal of a shard, the positions of the sources with their times and counts, dead
//! letters and late sales, in one file (redb) and each time in one transaction. What is not in it was never
//! acknowledged and is read again.
//!
//! One process at a time can open a file; a worker that was paused keeps its partitions until it is gone.
//!
//! A write that fails, as on a full disk, takes nothing away: the file holds what was saved before, and the next attempt opens
//! it anew, as redb wants it, and saves all that is new since then.

mod error;
mod journal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use error::StateError;
pub use journal::Damaged;
pub(crate) use journal::Journal;
use journal::Room;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
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
const TABLES: usize = 4;

/// Late sales that are listed; the oldest go first, all are counted.
const LATE_KEPT: u64 = 10_000;
/// The journal is written anew when what was appended exceeds the last whole one by this much, or came in this many parts.
const SPARE: usize = 16 << 20;
const APPENDAGES: u32 = 600;
/// Pages that redb keeps in memory for each file.
const CACHE: usize = 8 << 20;

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
    /// Absent from a failed write until the next one.
    database: Option<Database>,
    path: PathBuf,
    /// What stands in `meta`: as it was saved last, and as a failed attempt may have saved it after all.
    known: [Vec<u8>; 2],
    next: Next,
    /// Changes that failed attempts took from the shard, if the journal need not be written anew.
    unsaved: Journal,
    /// Bytes and parts since the journal was last written anew, and its bytes then.
    appended: usize,
    appendages: u32,
    whole: usize,
}

/// Numbers of the next rows of the tables. They stay when an attempt fails, so that the next one writes over what the failed
/// one may have saved after all.
#[derive(Clone, Copy, Debug)]
struct Next {
    piece: u64,
    dead: u64,
    late: u64,
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
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| StateError::failed(path, "open", error.into()))?;
        }
        let (database, bytes, next) = open_database(path)?;
        let meta = if bytes.is_empty() { Ok(Meta::default()) } else { serde_json::from_slice(&bytes) };
        let meta = meta.map_err(|error| StateError::damaged(path, error))?;
        let file = Self {
            database: Some(database),
            path: path.to_owned(),
            known: [bytes.clone(), bytes],
            next,
            unsaved: Journal::default(),
            appended: 0,
            appendages: 0,
            whole: 0,
        };
        Ok((file, meta))
    }

    /// Makes a shard's book and windows again from the journal.
    pub(crate) fn restore(&mut self, shard: &mut Shard, meta: &Meta) -> Result<(), StateError> {
        let mut damaged = None;
        let mut book = shard.restore(meta.head);
        let mut read = || -> Result<(usize, u32), redb::Error> {
            let transaction = self.begin_read()?;
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
        let found = read();
        (self.whole, self.appendages) = found.map_err(|error| StateError::failed(&self.path, "read", error))?;
        if let Some(error) = damaged {
            return Err(StateError::damaged(&self.path, error));
        }
        shard.go_on(book.finish(meta.counts));
        shard.remember_late(self.late_sales()?);
        Ok(())
    }

    /// Saves in one transaction; when this returns, what it says was read need never be read again. When it fails, the file
    /// is as before, and the next attempt must be given the same dead letters first.
    pub(crate) fn save(&mut self, save: Save<'_>) -> Result<(), StateError> {
        let meta = serde_json::to_vec(save.meta).map_err(|error| StateError::damaged(&self.path, error))?;
        let (mut journal, mut late, mut is_whole) = (std::mem::take(&mut self.unsaved), Vec::new(), false);
        let mut shard = save.shard;
        if let Some(shard) = shard.as_deref_mut() {
            let (changes, came_late) = shard.take_journal();
            journal.append(changes);
            late = came_late;
            is_whole = self.appended + journal.bytes().len() > self.whole + SPARE || self.appendages >= APPENDAGES;
        }
        let whole = shard.as_deref().filter(|_| is_whole).map(Shard::book);
        let (mut length, mut next) = (0, self.next);
        self.known[1].clone_from(&meta);
        let written = self.write(|write| {
            let mut table = write.open_table(JOURNAL)?;
            if whole.is_some() {
                table.retain(|_, _| false)?;
            }
            let mut insert = |piece: &Journal| -> Result<(), redb::Error> {
                table.insert(next.piece, piece.bytes())?;
                next.piece += 1;
                length += piece.bytes().len();
                Ok(())
            };
            if let Some(book) = whole {
                let room = Journal::whole(book, insert)?;
                write.open_table(META)?.insert(ROOM, room.to_bytes().as_slice())?;
            } else if !journal.bytes().is_empty() {
                insert(&journal)?;
            }
            append(&mut write.open_table(DEAD)?, &mut next.dead, save.dead)?;
            let mut table = write.open_table(LATE)?;
            append(&mut table, &mut next.late, &late)?;
            while table.len()? > LATE_KEPT {
                table.pop_first()?;
            }
            write.open_table(META)?.insert(META_KEY, meta.as_slice())?;
            Ok(())
        });
        if written.is_err() {
            // A full disk: the next attempt must save what this one took from the shard. A whole journal has it anyway.
            if is_whole {
                self.appendages = APPENDAGES;
            } else {
                self.unsaved = journal;
            }
            if let Some(shard) = shard {
                shard.put_back(late);
            }
            return written;
        }
        (self.next, self.known[0]) = (next, meta);
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
            let transaction = self.begin_read()?;
            let table = transaction.open_table(table)?;
            let rows = table.iter()?;
            rows.map(|row| row.map(|(number, value)| (number.value(), value.value().to_vec())).map_err(Into::into)).collect()
        };
        let rows = read().map_err(|error| StateError::failed(&self.path, "read", error))?;
        let parse = |(number, bytes): (u64, Vec<u8>)| {
            serde_json::from_slice(&bytes).map(|value| (number, value)).map_err(|error| StateError::damaged(&self.path, error))
        };
        rows.into_iter().map(parse).collect()
    }

    fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        Ok(self.database.as_ref().ok_or(redb::Error::PreviousIo)?.begin_read()?)
    }

    /// After a failed write redb refuses everything until the file is opened anew: it is closed then, and opened by the next.
    fn write(&mut self, work: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) -> Result<(), StateError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open_anew()?,
        };
        let attempt = || -> Result<(), redb::Error> {
            let write = database.begin_write()?;
            work(&write)?;
            write.commit()?;
            Ok(())
        };
        attempt().map_err(|error| StateError::failed(&self.path, "write", error))?;
        self.database = Some(database);
        Ok(())
    }

    /// While it was closed another process may have taken it: what that one saved must not be overwritten.
    fn open_anew(&self) -> Result<Database, StateError> {
        let (database, meta, _) = open_database(&self.path)?;
        if self.known.contains(&meta) { Ok(database) } else { Err(StateError::Changed(self.path.clone())) }
    }
}

/// A new file is put in its place when it is whole: a process that dies while redb makes a file leaves one that nothing can open. A
/// file that another process has put there meanwhile stays.
fn make(path: &Path) -> Result<(), redb::Error> {
    let folder = path.parent().unwrap_or(path);
    let draft = tempfile::Builder::new().suffix(".draft").make_in(folder, |draft| std::fs::File::create_new(draft))?.into_temp_path();
    drop(Database::create(&draft)?);
    match draft.persist_noclobber(path) {
        Err(failed) if !path.exists() => Err(failed.error.into()),
        _ => Ok(()),
    }
}

/// Opens a file, or makes it, and reads what stands in `meta`, which is nothing before the first save.
fn open_database(path: &Path) -> Result<(Database, Vec<u8>, Next), StateError> {
    let failed = |error: redb::Error| StateError::failed(path, "open", error);
    if !path.exists() {
        make(path).map_err(failed)?;
    }
    let database = Database::builder().set_cache_size(CACHE).create(path).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StateError::InUse(path.to_owned()),
        error => failed(error.into()),
    })?;
    let look = || -> Result<(Vec<u8>, Next), redb::Error> {
        // Nothing is written to a file that has all tables: it can be opened on a full disk too.
        if database.begin_read()?.list_tables()?.count() < TABLES {
            let write = database.begin_write()?;
            write.open_table(JOURNAL)?;
            write.open_table(META)?;
            write.open_table(DEAD)?;
            write.open_table(LATE)?;
            write.commit()?;
        }
        let read = database.begin_read()?;
        let next = |table: TableDefinition<u64, &'static [u8]>| -> Result<u64, redb::Error> {
            Ok(read.open_table(table)?.last()?.map_or(0, |(number, _)| number.value() + 1))
        };
        let next = Next { piece: next(JOURNAL)?, dead: next(DEAD)?, late: next(LATE)? };
        let meta = read.open_table(META)?.get(META_KEY)?.map(|value| value.value().to_vec());
        Ok((meta.unwrap_or_default(), next))
    };
    let (meta, next) = look().map_err(failed)?;
    Ok((database, meta, next))
}

fn append<T: Serialize>(table: &mut redb::Table<'_, u64, &[u8]>, next: &mut u64, rows: &[T]) -> Result<(), redb::Error> {
    for row in rows {
        let bytes = serde_json::to_vec(row).map_err(|error| redb::Error::Io(error.into()))?;
        table.insert(*next, bytes.as_slice())?;
        *next += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_put_in_its_place_whole_and_never_over_another() -> anyhow::Result<()> {
        let folder = sellcast_testkit::TestDir::new("state")?;
        let path = folder.path().join("outbox.redb");
        drop(StateFile::open(&path)?);
        let written = std::fs::read(&path)?;
        make(&path)?;
        assert_eq!(std::fs::read(&path)?, written, "another process was faster");
        let names: Vec<_> =
            std::fs::read_dir(folder.path())?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
        assert_eq!(names, ["outbox.redb"]);
        Ok(())
    }
}
