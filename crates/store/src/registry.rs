//! The model registry: what each trained version was made from and how it scored, and which one is the champion of its
//! frame. SQLite by sqlx; the model files themselves lie in a folder beside it.

use std::path::Path;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sellcast_domain::TimeFrame;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Row, SqlitePool};

/// The registry could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} the model registry")]
pub struct RegistryError {
    step: &'static str,
    #[source]
    source: sqlx::Error,
}

/// One trained version of a frame's models.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RegisteredModel {
    /// `week/2017-12-04`.
    pub version: String,
    /// Its frame.
    pub frame: TimeFrame,
    /// When it was trained.
    pub trained_at: DateTime<Utc>,
    /// Training data versions, features, parameters, rows, seconds, importance.
    pub facts: serde_json::Value,
    /// Back-test metrics by model, made with models that had not seen the truth.
    pub metrics: serde_json::Value,
    /// Whether forecasts use it.
    pub is_champion: bool,
}

/// The registry of one installation.
#[derive(Clone, Debug)]
pub struct Registry {
    pool: SqlitePool,
}

impl Registry {
    /// Opens or makes the database. Its pool is shared with the job queue.
    ///
    /// # Errors
    /// When the file cannot be opened or migrated.
    pub async fn open(path: &Path) -> Result<Self, RegistryError> {
        let failed = |source| RegistryError { step: "open", source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(std::time::Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(failed)?;
        sqlx::query(
            r"create table if not exists models (
                version text primary key, frame text not null, trained_at text not null,
                facts text not null, metrics text not null, is_champion integer not null default 0)",
        )
        .execute(&pool)
        .await
        .map_err(failed)?;
        Ok(Self { pool })
    }

    /// The database, for the job queue.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Adds a version, or replaces one of the same name, and makes it the champion of its frame; in one transaction.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn promote(&self, model: &RegisteredModel) -> Result<(), RegistryError> {
        let failed = |source| RegistryError { step: "write", source };
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        sqlx::query("update models set is_champion = 0 where frame = ?")
            .bind(model.frame.name())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query("insert or replace into models values (?, ?, ?, ?, ?, 1)")
            .bind(&model.version)
            .bind(model.frame.name())
            .bind(model.trained_at.to_rfc3339())
            .bind(model.facts.to_string())
            .bind(model.metrics.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Every version, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn models(&self) -> Result<Vec<RegisteredModel>, RegistryError> {
        let failed = |source| RegistryError { step: "read", source };
        let rows = sqlx::query("select * from models order by trained_at desc, version").fetch_all(&self.pool).await.map_err(failed)?;
        let model = |row: &sqlx::sqlite::SqliteRow| -> Result<RegisteredModel, sqlx::Error> {
            let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
            let json = |column: &str| -> Result<serde_json::Value, sqlx::Error> {
                serde_json::from_str(row.try_get::<&str, _>(column)?).map_err(|error| decode(error.into()))
            };
            Ok(RegisteredModel {
                version: row.try_get("version")?,
                frame: TimeFrame::from_str(row.try_get("frame")?).map_err(|error| decode(error.into()))?,
                trained_at: row.try_get::<&str, _>("trained_at")?.parse().map_err(|error: chrono::ParseError| decode(error.into()))?,
                facts: json("facts")?,
                metrics: json("metrics")?,
                is_champion: row.try_get("is_champion")?,
            })
        };
        rows.iter().map(model).collect::<Result<_, _>>().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_has_one_champion() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let registry = Registry::open(&dir.path().join("sellcast.db")).await?;
        for day in ["2017-12-04", "2017-12-11"] {
            let model = RegisteredModel {
                version: format!("week/{day}"),
                frame: TimeFrame::Week,
                trained_at: format!("{day}T05:00:00Z").parse()?,
                facts: serde_json::json!({"rows": 3}),
                metrics: serde_json::json!({}),
                is_champion: true,
            };
            registry.promote(&model).await?;
        }
        let models = registry.models().await?;
        assert_eq!(
            models.iter().map(|m| (m.version.as_str(), m.is_champion)).collect::<Vec<_>>(),
            [("week/2017-12-11", true), ("week/2017-12-04", false)]
        );
        Ok(())
    }
}
