//! The model registry: what each trained version was made from and how it scored, which one is the champion of its frame
//! and which one waits as challenger, and why. SQLite by sqlx; the model files themselves lie in a folder beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sellcast_domain::{ModelEvent, ModelEventKind, ModelsRecord, TimeFrame};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow};
use sqlx::{Row, SqliteConnection, SqlitePool};

/// The registry could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} the model registry")]
pub struct RegistryError {
    step: &'static str,
    #[source]
    source: sqlx::Error,
}

fn reading(source: sqlx::Error) -> RegistryError {
    RegistryError { step: "read", source }
}

fn writing(source: sqlx::Error) -> RegistryError {
    RegistryError { step: "write", source }
}

/// What a version is to its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// Forecasts use it.
    Champion,
    /// It waits to be compared with the champion.
    Challenger,
}

impl Alias {
    const fn name(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
        }
    }
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
    /// Training data versions, features, parameters, rows, seconds, importance, digest of the files.
    pub facts: serde_json::Value,
    /// Back-test metrics by model, made with models that had not seen the truth.
    pub metrics: serde_json::Value,
    /// Whether forecasts use it.
    pub is_champion: bool,
    /// Whether it waits to be compared with the champion.
    pub is_challenger: bool,
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
        let migrations = [
            r"create table if not exists models (
                version text primary key, frame text not null, trained_at text not null,
                facts text not null, metrics text not null, is_champion integer not null default 0)",
            r"create table if not exists model_aliases (
                frame text not null, alias text not null, version text not null, primary key (frame, alias))",
            r"create table if not exists model_events (
                id integer primary key autoincrement, at text not null, frame text not null, version text not null,
                event text not null, reason text not null, duel text)",
            // Registries from before there were aliases marked the champion in its own row.
            r"insert or ignore into model_aliases select frame, 'champion', version from models where is_champion = 1",
            "update models set is_champion = 0 where is_champion = 1",
        ];
        for migration in migrations {
            sqlx::query(migration).execute(&pool).await.map_err(failed)?;
        }
        Ok(Self { pool })
    }

    /// The database, for the job queue.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Adds a version, or replaces one of the same name. It is neither champion nor challenger by that.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn add(&self, model: &RegisteredModel) -> Result<(), RegistryError> {
        sqlx::query("insert or replace into models values (?, ?, ?, ?, ?, 0)")
            .bind(&model.version)
            .bind(model.frame.name())
            .bind(model.trained_at.to_rfc3339())
            .bind(model.facts.to_string())
            .bind(model.metrics.to_string())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(writing)
    }

    /// Makes the event's version the champion of its frame, in place of whichever was, and keeps the event; in one
    /// transaction. A challenger of that version waits no longer.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn promote(&self, event: &ModelEvent) -> Result<(), RegistryError> {
        let mut transaction = self.pool.begin().await.map_err(writing)?;
        sqlx::query("delete from model_aliases where frame = ? and (alias = 'champion' or version = ?)")
            .bind(event.frame.name())
            .bind(&event.version)
            .execute(&mut *transaction)
            .await
            .map_err(writing)?;
        set_alias(&mut transaction, Alias::Champion, event).await?;
        insert(&mut transaction, event).await?;
        transaction.commit().await.map_err(writing)
    }

    /// Makes the event's version the challenger of its frame, in place of a former one, and keeps the event.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn challenge(&self, event: &ModelEvent) -> Result<(), RegistryError> {
        let mut transaction = self.pool.begin().await.map_err(writing)?;
        set_alias(&mut transaction, Alias::Challenger, event).await?;
        insert(&mut transaction, event).await?;
        transaction.commit().await.map_err(writing)
    }

    /// Keeps an event. One that says that a version is refused also takes its alias away.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note(&self, event: &ModelEvent) -> Result<(), RegistryError> {
        let mut transaction = self.pool.begin().await.map_err(writing)?;
        if event.event == ModelEventKind::Refused {
            sqlx::query("delete from model_aliases where version = ?")
                .bind(&event.version)
                .execute(&mut *transaction)
                .await
                .map_err(writing)?;
        }
        insert(&mut transaction, event).await?;
        transaction.commit().await.map_err(writing)
    }

    /// The versions that were champions of `frame` and could be again, newest first: the present one, then the one before
    /// it, and so on. A version that was rolled back from is not among them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn champions(&self, frame: TimeFrame) -> Result<Vec<String>, RegistryError> {
        let rows = sqlx::query("select version, event from model_events where frame = ? order by id")
            .bind(frame.name())
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        let mut line: Vec<String> = Vec::new();
        for row in &rows {
            let version: String = row.try_get("version").map_err(reading)?;
            match row.try_get::<&str, _>("event").map_err(reading)? {
                "promoted" => {
                    line.retain(|known| *known != version);
                    line.push(version);
                }
                "rolled_back" => match line.iter().position(|known| *known == version) {
                    Some(at) => line.truncate(at + 1),
                    None => line.push(version),
                },
                "refused" => line.retain(|known| *known != version),
                _ => {}
            }
        }
        // A champion from before events were kept has none.
        if let Some(champion) = self.aliases().await?.get(&(frame, Alias::Champion.name().to_owned()))
            && line.last() != Some(champion)
        {
            line.retain(|known| known != champion);
            line.push(champion.clone());
        }
        line.reverse();
        Ok(line)
    }

    /// Champions, challengers and the newest `most` events, for the pages.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn record(&self, most: u32) -> Result<ModelsRecord, RegistryError> {
        let aliases = self.aliases().await?;
        let of = |alias: Alias| {
            aliases.iter().filter(|((_, name), _)| name == alias.name()).map(|((frame, _), version)| (*frame, version.clone())).collect()
        };
        let (champions, challengers) = (of(Alias::Champion), of(Alias::Challenger));
        Ok(ModelsRecord { champions, challengers, events: self.events(most).await?, dear: BTreeMap::new() })
    }

    /// The newest `most` events, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events(&self, most: u32) -> Result<Vec<ModelEvent>, RegistryError> {
        let rows = sqlx::query("select * from model_events order by id desc limit ?").bind(most).fetch_all(&self.pool).await;
        rows.map_err(reading)?.iter().map(event).collect::<Result<_, _>>().map_err(reading)
    }

    /// Every version, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn models(&self) -> Result<Vec<RegisteredModel>, RegistryError> {
        let sql = r"select m.*, (select alias from model_aliases a where a.version = m.version) as alias
                    from models m order by trained_at desc, version";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.map_err(reading)?;
        rows.iter().map(model).collect::<Result<_, _>>().map_err(reading)
    }

    async fn aliases(&self) -> Result<BTreeMap<(TimeFrame, String), String>, RegistryError> {
        let rows = sqlx::query("select * from model_aliases").fetch_all(&self.pool).await.map_err(reading)?;
        let entry = |row: &SqliteRow| Ok(((frame(row)?, row.try_get("alias")?), row.try_get("version")?));
        rows.iter().map(entry).collect::<Result<_, sqlx::Error>>().map_err(reading)
    }
}

async fn set_alias(connection: &mut SqliteConnection, alias: Alias, event: &ModelEvent) -> Result<(), RegistryError> {
    sqlx::query("insert or replace into model_aliases values (?, ?, ?)")
        .bind(event.frame.name())
        .bind(alias.name())
        .bind(&event.version)
        .execute(connection)
        .await
        .map(drop)
        .map_err(writing)
}

async fn insert(connection: &mut SqliteConnection, event: &ModelEvent) -> Result<(), RegistryError> {
    let duel = event.duel.as_ref().and_then(|duel| serde_json::to_string(duel).ok());
    sqlx::query("insert into model_events (at, frame, version, event, reason, duel) values (?, ?, ?, ?, ?, ?)")
        .bind(event.at.to_rfc3339())
        .bind(event.frame.name())
        .bind(&event.version)
        .bind(event.event.name())
        .bind(&event.reason)
        .bind(duel)
        .execute(connection)
        .await
        .map(drop)
        .map_err(writing)
}

fn decode(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

fn frame(row: &SqliteRow) -> Result<TimeFrame, sqlx::Error> {
    TimeFrame::from_str(row.try_get("frame")?).map_err(decode)
}

fn event(row: &SqliteRow) -> Result<ModelEvent, sqlx::Error> {
    let duel: Option<&str> = row.try_get("duel")?;
    Ok(ModelEvent {
        at: row.try_get::<&str, _>("at")?.parse().map_err(|error: chrono::ParseError| decode(error))?,
        frame: frame(row)?,
        version: row.try_get("version")?,
        event: row.try_get::<&str, _>("event")?.parse().map_err(|error: sellcast_domain::InvalidModelEvent| decode(error))?,
        reason: row.try_get("reason")?,
        duel: duel.map(serde_json::from_str).transpose().map_err(decode)?,
    })
}

fn model(row: &SqliteRow) -> Result<RegisteredModel, sqlx::Error> {
    let json =
        |column: &str| -> Result<serde_json::Value, sqlx::Error> { serde_json::from_str(row.try_get::<&str, _>(column)?).map_err(decode) };
    let alias: Option<&str> = row.try_get("alias")?;
    Ok(RegisteredModel {
        version: row.try_get("version")?,
        frame: frame(row)?,
        trained_at: row.try_get::<&str, _>("trained_at")?.parse().map_err(|error: chrono::ParseError| decode(error))?,
        facts: json("facts")?,
        metrics: json("metrics")?,
        is_champion: alias == Some(Alias::Champion.name()),
        is_challenger: alias == Some(Alias::Challenger.name()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(version: &str, event: ModelEventKind) -> ModelEvent {
        ModelEvent {
            at: "2017-12-11T05:00:00Z".parse().expect("an instant"),
            frame: TimeFrame::Week,
            version: version.to_owned(),
            event,
            reason: "it won".to_owned(),
            duel: None,
        }
    }

    async fn with(versions: &[&str]) -> Result<(tempfile::TempDir, Registry), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let registry = Registry::open(&dir.path().join("sellcast.db")).await?;
        for (day, version) in (1..).zip(versions) {
            let model = RegisteredModel {
                version: (*version).to_owned(),
                frame: TimeFrame::Week,
                trained_at: format!("2017-12-{day:02}T05:00:00Z").parse()?,
                facts: serde_json::json!({"rows": 3}),
                metrics: serde_json::json!({}),
                is_champion: false,
                is_challenger: false,
            };
            registry.add(&model).await?;
        }
        Ok((dir, registry))
    }

    #[tokio::test]
    async fn a_frame_has_one_champion_and_one_challenger() -> Result<(), Box<dyn std::error::Error>> {
        let (_dir, registry) = with(&["a", "b", "c"]).await?;
        registry.promote(&event("a", ModelEventKind::Promoted)).await?;
        registry.challenge(&event("b", ModelEventKind::Challenged)).await?;
        registry.challenge(&event("c", ModelEventKind::Challenged)).await?;
        let marks = |models: Vec<RegisteredModel>| -> Vec<(String, bool, bool)> {
            models.into_iter().map(|m| (m.version, m.is_champion, m.is_challenger)).collect()
        };
        let expected = |list: [(&str, bool, bool); 3]| list.map(|(version, a, b)| (version.to_owned(), a, b)).to_vec();
        assert_eq!(marks(registry.models().await?), expected([("c", false, true), ("b", false, false), ("a", true, false)]));
        registry.promote(&event("c", ModelEventKind::Promoted)).await?;
        assert_eq!(marks(registry.models().await?), expected([("c", true, false), ("b", false, false), ("a", false, false)]));
        let record = registry.record(10).await?;
        assert_eq!(record.champions[&TimeFrame::Week], "c");
        assert!(record.challengers.is_empty());
        assert_eq!((record.events.len(), record.events[0].event), (4, ModelEventKind::Promoted));
        Ok(())
    }

    #[tokio::test]
    async fn rolling_back_twice_goes_back_two_champions() -> Result<(), Box<dyn std::error::Error>> {
        let (_dir, registry) = with(&["a", "b", "c"]).await?;
        for version in ["a", "b", "c"] {
            registry.promote(&event(version, ModelEventKind::Promoted)).await?;
        }
        assert_eq!(registry.champions(TimeFrame::Week).await?, ["c", "b", "a"]);
        registry.promote(&event("b", ModelEventKind::RolledBack)).await?;
        assert_eq!(registry.champions(TimeFrame::Week).await?, ["b", "a"]);
        registry.note(&event("a", ModelEventKind::Refused)).await?;
        assert_eq!(registry.champions(TimeFrame::Week).await?, ["b"]);
        Ok(())
    }
}
