//! The warehouse: from a shop's own tables to a star schema in Delta tables. Source readers and mapping, validation and
//! quarantine, dimensions, facts, aggregates that follow incrementally, and the records of every run.

mod bucket;
mod calendar;
mod category_tree;
mod cells;
mod check;
mod discover;
mod entity;
mod error;
mod fail_point;
mod ingest;
mod journal;
mod key_comparison;
mod lake;
mod layout;
mod load;
mod mapping;
mod progress;
mod pseudonym;
mod quarantine;
mod record;
mod settings;
mod sources;
mod staging;
mod text_key;
mod trial;
mod value;
mod variables;
mod warehouse;
mod window_sales;

pub use bucket::{BucketAddress, InvalidBucketAddress, stream_copies};
pub use check::MappingFault;
pub use discover::{
    Alternative, Answers, ColumnProposal, Dialect, DiscoverError, Discovery, EntityProposal, Guess, Proposal, Sample, Seen, ShopAnswers,
    ShopGuess,
};
pub use error::{IngestError, ServerFault, SourceError, WarehouseError};
pub use fail_point::fail_point;
pub use mapping::{EntityMapping, SourceMapping};
pub use progress::{Progress, SilentProgress};
pub use pseudonym::PseudonymKey;
pub use record::{EntityCounts, RunKind, RunRecord, TouchedDays};
pub use settings::WarehouseSettings;
pub use trial::TrialRead;
pub use variables::filled as filled_address;
pub use warehouse::{Maintenance, Warehouse};
