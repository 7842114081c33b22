//! The embedded stream: sources are read and their windows kept in one process, without Kafka. One state file holds
//! everything; what was read since the last save is read again after a crash.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use sellcast_domain::CategoryId;
use sellcast_domain::window::{BatchTile, Comparison, EventTime, Held, SaleBook, WatermarkSettings};

use crate::event::{Change, Poison, SaleChange};
use crate::intake::{ChangeCounts, Intake};
use crate::message::Share;
use crate::shard::Shard;
use crate::state::{DeadLetter, Meta, Save, SourceMark, StateError, StateFile};

/// Events that are looked at together before the first of them is followed.
pub(crate) const BUNCH: usize = 32;

/// One source of the pipeline.
#[derive(Debug)]
struct Reading {
    intake: Intake,
    position: i64,
}

/// Windows over the changes of one or more sources.
#[derive(Debug)]
pub struct Pipeline {
    settings: WatermarkSettings,
    sources: BTreeMap<String, Reading>,
    shard: Shard,
    dead: Vec<DeadLetter>,
    newest_poison: Option<String>,
    state: StateFile,
}

impl Pipeline {
    /// Opens the state at `path`, or begins it, and makes the windows again.
    ///
    /// # Errors
    /// When the state is in use, or cannot be read.
    pub fn open(path: &Path, settings: WatermarkSettings) -> Result<Self, StateError> {
        let (mut state, meta) = StateFile::open(path)?;
        let mut shard = Shard::new(Share::WHOLE, settings);
        state.restore(&mut shard, &meta)?;
        let resume = |(name, mark): (String, SourceMark)| {
            (name, Reading { intake: Intake::resume(settings, mark.watermark, mark.counts), position: mark.position })
        };
        let sources = meta.sources.into_iter().map(resume).collect();
        Ok(Self { settings, sources, shard, dead: Vec::new(), newest_poison: None, state })
    }

    /// The next position to read of a source: 0 for one that was never read.
    pub fn position(&self, source: &str) -> i64 {
        self.sources.get(source).map_or(0, |reading| reading.position)
    }

    /// Says where reading of a source begins.
    pub fn begin_at(&mut self, source: &str, position: i64) {
        let settings = self.settings;
        let reading = self.sources.entry(source.to_owned()).or_insert_with(|| Reading { intake: Intake::new(settings), position });
        reading.position = position;
    }

    /// What the events of a source were.
    pub fn counts(&self, source: &str) -> ChangeCounts {
        self.sources.get(source).map_or_else(ChangeCounts::default, |reading| reading.intake.counts())
    }

    /// Follows an event that stands at `position` of a source. One that was read before is skipped. `payload` gives its
    /// bytes if it must become a dead letter.
    pub fn read(&mut self, source: &str, position: i64, decoded: Result<Change, Poison>, payload: impl FnOnce() -> Vec<u8>) {
        let reading = match self.sources.get_mut(source) {
            Some(reading) => reading,
            None => self.sources.entry(source.to_owned()).or_insert(Reading { intake: Intake::new(self.settings), position: 0 }),
        };
        if position < reading.position {
            return;
        }
        reading.position = position + 1;
        match reading.intake.judge(decoded) {
            Ok((change, arrival)) => self.shard.follow(change, arrival),
            Err(poison) => {
                self.newest_poison = Some(format!("{source} at {position}: {poison}"));
                self.dead.push(DeadLetter { source: source.to_owned(), position, reason: poison.to_string(), payload: payload() });
            }
        }
    }

    /// Follows events of a source, each with its position: [`Pipeline::read`] for each, quicker because memory is asked for what
    /// several of them need at once. `payload` gives the bytes of the event that was the `n`th here.
    pub fn read_all(
        &mut self,
        source: &str,
        decoded: impl IntoIterator<Item = (i64, Result<Change, Poison>)>,
        payload: impl Fn(usize) -> Vec<u8>,
    ) {
        let mut decoded = decoded.into_iter();
        let mut bunch = Vec::with_capacity(BUNCH);
        let mut read = 0;
        loop {
            bunch.extend(decoded.by_ref().take(BUNCH));
            if bunch.is_empty() {
                return;
            }
            self.shard.book().look_ahead(bunch.iter().filter_map(|(_, event)| match event {
                Ok(Change::Sale(SaleChange { sale, row: Held::Sale(fact), .. })) => Some((*sale, fact.product)),
                _ => None,
            }));
            for (position, event) in bunch.drain(..) {
                self.read(source, position, event, || payload(read));
                read += 1;
            }
        }
    }

    /// Passes the wall clock in. `is_idle` says that no source has anything more to give at the moment.
    pub fn tick(&mut self, wall: EventTime, is_idle: bool) {
        for reading in self.sources.values_mut() {
            reading.intake.tick(wall, is_idle);
        }
        self.advance();
    }

    /// Saves everything in one transaction.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn save(&mut self) -> Result<(), StateError> {
        self.advance();
        let mark = |(name, reading): (&String, &Reading)| {
            let (watermark, counts) = (reading.intake.watermark(), reading.intake.counts());
            (name.clone(), SourceMark { position: reading.position, watermark, counts })
        };
        let meta = Meta {
            sources: self.sources.iter().map(mark).collect(),
            head: self.shard.book().board().head(),
            counts: self.shard.book().counts(),
        };
        self.state.save(Save { meta: &meta, shard: Some(&mut self.shard), dead: &self.dead })?;
        self.dead.clear();
        Ok(())
    }

    /// Tries the dead letters of a source again; those that are understood now are followed and removed. Tells how many.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub fn replay_dead_letters(
        &mut self,
        source: &str,
        mut decode: impl FnMut(&DeadLetter) -> Result<Change, Poison>,
    ) -> Result<usize, StateError> {
        self.save()?;
        let mut understood = Vec::new();
        let Some(reading) = self.sources.get_mut(source) else { return Ok(0) };
        for (number, letter) in self.state.dead_letters()? {
            if letter.source == source
                && let Ok((change, arrival)) = decode(&letter).and_then(|change| reading.intake.judge_again(change))
            {
                self.shard.follow(change, arrival);
                understood.push(number);
            }
        }
        // Saved first: a crash between the two follows them twice, which changes nothing.
        self.save()?;
        self.state.bury(&understood)?;
        Ok(understood.len())
    }

    /// Removes dead letters by their numbers.
    pub(crate) fn bury(&mut self, numbers: &[u64]) -> Result<(), StateError> {
        self.state.bury(numbers)
    }

    /// The newest event that was not understood since it was opened: where it stands and why.
    pub fn newest_poison(&self) -> Option<&str> {
        self.newest_poison.as_deref()
    }

    /// The sales and the windows.
    pub fn book(&self) -> &SaleBook {
        self.shard.book()
    }

    /// Says which categories are summed into others, see [`SaleBook::regroup`]. It is not saved.
    pub fn regroup(&mut self, groups: impl IntoIterator<Item = (CategoryId, CategoryId)>) {
        self.shard.book_mut().regroup(groups);
    }

    /// Compares with the warehouse, see [`Shard::compare`].
    pub fn compare(&self, batch: &[BatchTile], between: [EventTime; 2], read_at: DateTime<Utc>) -> Option<Comparison> {
        self.shard.compare(batch, between, read_at)
    }

    /// Makes what a comparison found, see [`Shard::repair`], and saves.
    ///
    /// # Errors
    /// When the state cannot be written; it is saved with the next attempt.
    pub fn repair(&mut self, comparison: &mut Comparison, read_at: DateTime<Utc>) -> Result<(), StateError> {
        self.shard.repair(comparison, read_at);
        self.save()
    }

    /// Where dead letters and late sales are listed.
    pub fn state(&self) -> &StateFile {
        &self.state
    }

    fn advance(&mut self) {
        if let Some(head) = self.sources.values().map(|reading| reading.intake.watermark().head()).max() {
            self.shard.advance(head);
        }
    }
}
