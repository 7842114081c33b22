//! The redb tables behind the store and the transactions on them. Everything here speaks redb's errors;
//! the parent gives them their words.

use std::path::Path;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use sellcast_domain::{GenerationId, ShopDay};
use uuid::Uuid;

use super::live_table::LIVE;
use super::pack::Packed;

/// (generation, name of the document) -> packed document.
const DOCUMENTS: TableDefinition<'_, (u128, &str), &[u8]> = TableDefinition::new("documents");
/// generation -> digest of its content.
const DIGESTS: TableDefinition<'_, u128, [u8; 32]> = TableDefinition::new("digests");
/// (as_of in days since 1970, running number) -> generation. The last of a day is what readers of that day see.
const PUBLISHED: TableDefinition<'_, (i32, u64), u128> = TableDefinition::new("published");
/// The one pointer: () -> (as_of, generation).
const CURRENT: TableDefinition<'_, (), (i32, u128)> = TableDefinition::new("current");
/// Pages kept in memory. The server keeps parsed documents of its own, so little is needed.
const CACHE_BYTES: usize = 64 << 20;

/// What became of a generation's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// They are in the file, from now or from before.
    Here,
    /// The id is published with other content.
    Changed,
}

pub(super) fn open(path: &Path) -> Result<Database, redb::Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if !path.exists() {
        make(path)?;
    }
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    if !is_prepared(&database)? {
        let writing = database.begin_write()?;
        writing.open_table(DOCUMENTS)?;
        writing.open_table(PUBLISHED)?;
        writing.open_table(CURRENT)?;
        writing.open_table(DIGESTS)?;
        writing.open_table(LIVE)?;
        remove_unpublished(&writing)?;
        writing.commit()?;
    }
    Ok(database)
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

pub(super) fn current(database: &Database) -> Result<Option<GenerationId>, redb::Error> {
    let table = database.begin_read()?.open_table(CURRENT)?;
    Ok(table.get(())?.map(|entry| id(entry.value().1)))
}

/// Writes the documents of a generation, in one transaction.
pub(super) fn write(database: &Database, generation: GenerationId, packed: &Packed) -> Result<Written, redb::Error> {
    let key = generation.uuid().as_u128();
    let writing = database.begin_write()?;
    let known = writing.open_table(DIGESTS)?.get(key)?.map(|digest| digest.value());
    if known == Some(packed.digest) {
        writing.abort()?;
        return Ok(Written::Here);
    }
    if known.is_some() {
        if is_published(&writing, key)? {
            writing.abort()?;
            return Ok(Written::Changed);
        }
        remove(&writing, key)?;
    }
    {
        let mut documents = writing.open_table(DOCUMENTS)?;
        for (name, bytes) in &packed.documents {
            documents.insert((key, name.as_str()), bytes.as_slice())?;
        }
        writing.open_table(DIGESTS)?.insert(key, packed.digest)?;
    }
    writing.commit()?;
    Ok(Written::Here)
}

/// Makes a written generation visible, in one transaction; returns the generation that is current afterwards.
pub(super) fn point(database: &Database, generation: GenerationId, as_of: ShopDay) -> Result<GenerationId, redb::Error> {
    let key = generation.uuid().as_u128();
    let day = as_of.epoch_days();
    let writing = database.begin_write()?;
    let published = is_published(&writing, key)?;
    let current = {
        let mut pointer = writing.open_table(CURRENT)?;
        let current = pointer.get(())?.map(|entry| entry.value());
        match current {
            Some((_, current)) if published => current,
            Some((newest_day, current)) if newest_day > day => {
                list(&writing, day, key)?;
                current
            }
            _ => {
                list(&writing, day, key)?;
                pointer.insert((), (day, key))?;
                key
            }
        }
    };
    writing.commit()?;
    Ok(id(current))
}

pub(super) fn document(reading: &ReadTransaction, generation: GenerationId, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let table = reading.open_table(DOCUMENTS)?;
    Ok(table.get((generation.uuid().as_u128(), name))?.map(|bytes| bytes.value().to_vec()))
}

pub(super) fn newest_for(reading: &ReadTransaction, as_of: ShopDay) -> Result<Option<GenerationId>, redb::Error> {
    let day = as_of.epoch_days();
    let table = reading.open_table(PUBLISHED)?;
    let newest = table.range((day, 0)..=(day, u64::MAX))?.next_back().transpose()?;
    Ok(newest.map(|(_, generation)| id(generation.value())))
}

pub(super) fn nearest(reading: &ReadTransaction, day: ShopDay) -> Result<Option<ShopDay>, redb::Error> {
    let table = reading.open_table(PUBLISHED)?;
    let wanted = day.epoch_days();
    let before = table.range(..=(wanted, u64::MAX))?.next_back().transpose()?.map(|(key, _)| key.value().0);
    let after = table.range((wanted, 0)..)?.next().transpose()?.map(|(key, _)| key.value().0);
    let nearest = match (before, after) {
        (Some(before), Some(after)) => {
            Some(if i64::from(wanted) - i64::from(before) <= i64::from(after) - i64::from(wanted) { before } else { after })
        }
        (before, after) => before.or(after),
    };
    Ok(nearest.map(ShopDay::from_epoch_days))
}

pub(super) fn published_days(reading: &ReadTransaction) -> Result<Vec<ShopDay>, redb::Error> {
    let table = reading.open_table(PUBLISHED)?;
    let mut days = Vec::new();
    for entry in table.iter()? {
        days.push(ShopDay::from_epoch_days(entry?.0.value().0));
    }
    days.dedup();
    Ok(days)
}

/// Every published generation, oldest first.
pub(super) fn generations(reading: &ReadTransaction) -> Result<Vec<GenerationId>, redb::Error> {
    let table = reading.open_table(PUBLISHED)?;
    table.iter()?.map(|entry| Ok(id(entry?.1.value()))).collect()
}

/// Whether all tables are there and hold no unpublished generation, so that opening needs no write (the disk may be full).
fn is_prepared(database: &Database) -> Result<bool, redb::Error> {
    let reading = database.begin_read()?;
    if reading.list_tables()?.count() < 5 {
        return Ok(false);
    }
    Ok(reading.open_table(DIGESTS)?.len()? == reading.open_table(PUBLISHED)?.len()?)
}

fn remove_unpublished(writing: &WriteTransaction) -> Result<(), redb::Error> {
    let written: Vec<u128> =
        writing.open_table(DIGESTS)?.iter()?.map(|entry| entry.map(|(key, _)| key.value())).collect::<Result<_, _>>()?;
    for key in written {
        if !is_published(writing, key)? {
            remove(writing, key)?;
        }
    }
    Ok(())
}

fn remove(writing: &WriteTransaction, key: u128) -> Result<(), redb::Error> {
    // No name of ours reaches the last code point, so this range holds all of the generation's documents.
    writing.open_table(DOCUMENTS)?.retain_in((key, "")..=(key, "\u{10ffff}"), |_, _| false)?;
    writing.open_table(DIGESTS)?.remove(key)?;
    Ok(())
}

fn is_published(writing: &WriteTransaction, key: u128) -> Result<bool, redb::Error> {
    for entry in writing.open_table(PUBLISHED)?.iter()? {
        if entry?.1.value() == key {
            return Ok(true);
        }
    }
    Ok(false)
}

fn list(writing: &WriteTransaction, day: i32, key: u128) -> Result<(), redb::Error> {
    let mut published = writing.open_table(PUBLISHED)?;
    let number = published.range((day, 0)..=(day, u64::MAX))?.next_back().transpose()?.map_or(0, |(last, _)| last.value().1 + 1);
    published.insert((day, number), key)?;
    Ok(())
}

fn id(key: u128) -> GenerationId {
    GenerationId::from(Uuid::from_u128(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_put_in_its_place_whole_and_never_over_another() -> anyhow::Result<()> {
        let folder = sellcast_testkit::TestDir::new("tables")?;
        let path = folder.path().join("predictions.redb");
        drop(open(&path)?);
        let written = std::fs::read(&path)?;
        make(&path)?;
        assert_eq!(std::fs::read(&path)?, written, "another process was faster");
        let names: Vec<_> =
            std::fs::read_dir(folder.path())?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
        assert_eq!(names, ["predictions.redb"]);
        Ok(())
    }
}
