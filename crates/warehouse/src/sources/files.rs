//! Parquet and CSV files as a source: the mapped query runs in DataFusion over the table `source`.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use chrono::{DateTime, Utc};
use datafusion::error::DataFusionError;
use datafusion::prelude::{CsvReadOptions, ParquetReadOptions, SessionContext};
use futures::TryStreamExt;
use tokio::sync::mpsc::Sender;

use super::{Extract, SourceColumn, TextTime, hand_on, projection};
use crate::cells::Cells;
use crate::error::SourceError;
use crate::staging::{Staged, Stager};

/// A file, or a folder of files of one kind.
pub(crate) struct FileSource {
    context: SessionContext,
    path: PathBuf,
}

impl FileSource {
    pub(super) async fn open(path: PathBuf) -> Result<Self, SourceError> {
        let context = SessionContext::new();
        let parquet = is_parquet(&path)?;
        let text = path.to_string_lossy().into_owned();
        // CSV has no types: its columns are text here, and each value is judged by the column it is mapped to.
        let registered = if parquet {
            context.register_parquet("source", &text, ParquetReadOptions::default()).await
        } else {
            context.register_csv("source", &text, CsvReadOptions::new().has_header(true).schema_infer_max_records(0)).await
        };
        registered.map_err(|source| fault(&path, source))?;
        Ok(Self { context, path })
    }

    pub(super) async fn describe(&mut self, sql: &str) -> Result<Vec<SourceColumn>, SourceError> {
        let frame = self.context.sql(sql).await.map_err(|source| fault(&self.path, source))?;
        let column = |field: &arrow::datatypes::FieldRef| SourceColumn {
            name: field.name().clone(),
            type_name: field.data_type().to_string(),
            readable: true,
        };
        Ok(frame.schema().fields().iter().map(column).collect())
    }

    pub(super) async fn read(&mut self, extract: Extract<'_>, mut stager: Stager<'_>, batches: Sender<Staged>) -> Result<(), SourceError> {
        let mut sql = projection(extract.sql, stager.columns().iter().map(|column| column.name), '"');
        if let Some((cursor, after)) = extract.after {
            sql += &self.filter(extract.sql, cursor, after).await?;
        }
        let frame = self.context.sql(&sql).await.map_err(|source| fault(&self.path, source))?;
        let mut stream = frame.execute_stream().await.map_err(|source| fault(&self.path, source))?;
        while let Some(batch) = stream.try_next().await.map_err(|source| fault(&self.path, source))? {
            let columns = Cells::of(&batch).map_err(|source| fault(&self.path, source.into()))?;
            let mut row = Vec::with_capacity(columns.len());
            for at in 0..batch.num_rows() {
                row.extend(columns.iter().map(|column| column.value(at)));
                stager.push(&row);
                row.clear();
                if stager.is_full() {
                    hand_on(&mut stager, &batches).await?;
                }
            }
        }
        hand_on(&mut stager, &batches).await
    }

    async fn filter(&mut self, sql: &str, cursor: &str, after: DateTime<Utc>) -> Result<String, SourceError> {
        let described = self.context.sql(sql).await.map_err(|source| fault(&self.path, source))?;
        let field = described.schema().field_with_unqualified_name(cursor).map_err(|source| fault(&self.path, source))?.clone();
        let bound = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                let frame = described.filter(datafusion::prelude::col(cursor).is_not_null()).and_then(|frame| frame.limit(0, Some(1)));
                let sample =
                    frame.map_err(|source| fault(&self.path, source))?.collect().await.map_err(|source| fault(&self.path, source))?;
                let sample = sample.iter().find_map(|batch| {
                    let text = cast(batch.column_by_name(cursor)?, &DataType::Utf8).ok()?;
                    (!text.is_empty()).then(|| text.as_string::<i32>().value(0).to_owned())
                });
                format!("'{}'", TextTime::of(sample.as_deref().unwrap_or_default()).bound(after))
            }
            data_type if data_type.is_numeric() => after.timestamp().to_string(),
            DataType::Date32 | DataType::Date64 => format!("date '{}'", after.format("%Y-%m-%d")),
            data_type => format!("arrow_cast('{}', '{data_type}')", after.format("%Y-%m-%dT%H:%M:%SZ")),
        };
        Ok(format!("\nwhere \"{cursor}\" > {bound} or \"{cursor}\" is null"))
    }
}

fn is_parquet(path: &Path) -> Result<bool, SourceError> {
    let extension = |path: &Path| path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    if !path.is_dir() {
        return Ok(extension(path).is_some_and(|extension| extension == "parquet"));
    }
    let files = std::fs::read_dir(path).map_err(|_| SourceError::Missing(path.to_owned()))?;
    let mut extensions: Vec<String> = files.flatten().filter_map(|file| extension(&file.path())).collect();
    extensions.retain(|extension| extension == "parquet" || extension == "csv");
    if extensions.is_empty() {
        return Err(SourceError::EmptyFolder(path.to_owned()));
    }
    Ok(extensions.iter().any(|extension| extension == "parquet"))
}

fn fault(path: &Path, source: DataFusionError) -> SourceError {
    SourceError::Files { path: path.to_owned(), source: Box::new(source) }
}
