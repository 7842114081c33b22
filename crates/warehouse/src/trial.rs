//! Reading everything that is mapped and writing nothing: how many rows there are, how many of them no column can hold, and
//! how fast the source gives them.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::check::Survey;
use crate::entity::Column;
use crate::error::IngestError;
use crate::mapping::SourceMapping;
use crate::progress::Progress;
use crate::pseudonym::PseudonymKey;
use crate::sources::Extract;
use crate::staging::{Secrets, Staged, Stager};

/// Staged batches that a reader may be ahead.
const BATCHES_AHEAD: usize = 4;

/// What reading one entity gave.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct TrialRead {
    /// Its name.
    pub entity: String,
    /// Rows read.
    pub rows: u64,
    /// Rows that would go to quarantine because a value is missing or unreadable.
    pub rejected: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Reads every mapped entity to its end.
pub(crate) async fn read(
    mapping: &SourceMapping,
    base_dir: &Path,
    key: &PseudonymKey,
    progress: &(dyn Progress + Sync),
) -> Result<Vec<TrialRead>, IngestError> {
    let mut survey = Survey::take(mapping, base_dir, &Default::default()).await;
    if !survey.faults.is_empty() {
        return Err(IngestError::Mapping(survey.faults));
    }
    let mut reads = Vec::new();
    for (entity, query, url) in mapping.mapped() {
        let Some(reader) = url.and_then(|url| survey.readers.get_mut(url)) else { continue };
        progress.step(entity.name());
        let clock = Instant::now();
        let given = survey.shapes.get(&entity).map(|shape| &shape.columns);
        let columns: Vec<&'static Column> =
            entity.columns().iter().filter(|column| given.is_some_and(|given| given.contains_key(column.name))).collect();
        let stager = Stager::new(entity, columns, Secrets::Replace(key)).with_text_keys(&query.text_keys);
        let (sender, mut receiver) = mpsc::channel::<Staged>(BATCHES_AHEAD);
        let reading = reader.read(Extract { sql: &query.sql, after: None, key: entity.single_key() }, stager, sender);
        let counting = async {
            let (mut rows, mut rejected) = (0, 0);
            while let Some(staged) = receiver.recv().await {
                rows += staged.read;
                rejected += staged.rejects.len() as u64;
                progress.rows(rows);
            }
            (rows, rejected)
        };
        let (read, (rows, rejected)) = tokio::join!(reading, counting);
        read.map_err(|source| IngestError::Source { entity: entity.name(), source })?;
        reads.push(TrialRead { entity: entity.name().to_owned(), rows, rejected, seconds: clock.elapsed().as_secs_f64() });
    }
    Ok(reads)
}
