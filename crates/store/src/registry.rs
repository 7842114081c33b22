//! The model registry: what each trained version was made from and how it scored, which one is the champion of its frame
//! and which one waits as challenger, and why. In a SQLite file or in PostgreSQL; the model files themselves lie elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sellcast_domain::{ModelEvent, ModelEventKind, ModelsRecord, TimeFrame};

use crate::metadata::{Metadata, MetadataAddress, Row, Statement};

const TABLES: [&str; 6] = [
    r"create table if not exists models (
        version {text} primary key, frame {text} not null, trained_at {text} not null,
        facts {text} not null, metrics {text} not null, is_champion integer not null default 0)",
    r"create table if not exists model_aliases (
        frame {text} not null, alias {text} not null, version {text} not null, primary key (frame, alias))",
    r"create table if not exists model_events (
        id {id}, at {text} not null, frame {text} not null, version {text} not null,
        event {text} not null, reason {text} not null, duel {text})",
    // Registries from before there were aliases marked the champion in its own row.
    r"insert into model_aliases select frame, 'champion', version from models where is_champion = 1 on conflict do nothing",
    "update models set is_champion = 0 where is_champion = 1",
    "create table if not exists secrets (name {text} primary key, value {text} not null)",
];

/// The registry could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file or the database cannot be opened, or its tables cannot be made.
    #[error("cannot open the model registry `{place}`; {mend}")]
    Open {
        /// The file, or the database without its password.
        place: String,
        /// What to do.
        mend: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// It cannot be read.
    #[error("cannot read the model registry")]
    Read(#[source] sqlx::Error),
    /// It cannot be written.
    #[error("cannot write the model registry")]
    Write(#[source] sqlx::Error),
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

/// The registry of one installation. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Registry {
    metadata: Metadata,
}

impl Registry {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be opened, or its tables cannot be made.
    pub async fn open(path: &Path) -> Result<Self, RegistryError> {
        let mend = "check its rights and the room on its disk";
        let failed = |source| RegistryError::Open { place: path.display().to_string(), mend, source };
        Ok(Self { metadata: Metadata::open(path, &TABLES).await.map_err(failed)? })
    }

    /// Connects to PostgreSQL and makes the tables where they are missing.
    ///
    /// # Errors
    /// When the server cannot be reached, or the tables can be neither read nor made.
    pub async fn connect(address: &MetadataAddress) -> Result<Self, RegistryError> {
        let mend = "see that the server runs, that user and password are right, and that the user may make tables there";
        let failed = |source| RegistryError::Open { place: address.to_string(), mend, source };
        Ok(Self { metadata: Metadata::connect(address, &TABLES).await.map_err(failed)? })
    }

    /// Whether processes on other machines use it too.
    pub fn is_shared(&self) -> bool {
        matches!(self.metadata, Metadata::Postgres(_))
    }

    /// Writes, reads and deletes a row, to show that the rights suffice.
    ///
    /// # Errors
    /// When one of the three is refused.
    pub async fn check_rights(&self) -> Result<(), RegistryError> {
        let mark =
            "insert into models (version, frame, trained_at, facts, metrics) values ('check', '', '', '', '') on conflict do nothing";
        let unmark = Statement::new("delete from models where version = 'check'");
        // In one transaction: nobody sees the row.
        self.write(&[Statement::new(mark), unmark]).await?;
        self.read(&Statement::new("select version from models limit 1")).await.map(drop)
    }

    /// The secret of a name that all machines of a shop share: the one that is kept, or `offered` when there is none yet.
    ///
    /// # Errors
    /// When the database can be neither read nor written.
    pub async fn agreed_secret(&self, name: &str, offered: &str) -> Result<String, RegistryError> {
        let offer = "insert into secrets (name, value) values ($1, $2) on conflict (name) do nothing";
        self.write(&[Statement::new(offer).bind(name).bind(offered)]).await?;
        let rows = self.read(&Statement::new("select value from secrets where name = $1").bind(name)).await?;
        let kept = rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.text("value"));
        kept.map(str::to_owned).map_err(RegistryError::Read)
    }

    /// Adds a version, or replaces one of the same name. It is neither champion nor challenger by that.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn add(&self, model: &RegisteredModel) -> Result<(), RegistryError> {
        let sql = r"insert into models (version, frame, trained_at, facts, metrics) values ($1, $2, $3, $4, $5)
                    on conflict (version) do update set frame = excluded.frame, trained_at = excluded.trained_at,
                    facts = excluded.facts, metrics = excluded.metrics";
        let add = Statement::new(sql)
            .bind(model.version.as_str())
            .bind(model.frame.name())
            .bind(model.trained_at.to_rfc3339())
            .bind(model.facts.to_string())
            .bind(model.metrics.to_string());
        self.write(&[add]).await
    }

    /// Makes the event's version the champion of its frame, in place of whichever was, and keeps the event; in one
    /// transaction. A challenger of that version waits no longer.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn promote(&self, event: &ModelEvent) -> Result<(), RegistryError> {
        let clear = Statement::new("delete from model_aliases where frame = $1 and (alias = 'champion' or version = $2)")
            .bind(event.frame.name())
            .bind(event.version.as_str());
        self.write(&[clear, set_alias(Alias::Champion, event), keep(event)]).await
    }

    /// Makes the event's version the challenger of its frame, in place of a former one, and keeps the event.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn challenge(&self, event: &ModelEvent) -> Result<(), RegistryError> {
        self.write(&[set_alias(Alias::Challenger, event), keep(event)]).await
    }

    /// Keeps an event. One that says that a version is refused also takes its alias away.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note(&self, event: &ModelEvent) -> Result<(), RegistryError> {
        let forget = Statement::new("delete from model_aliases where version = $1").bind(event.version.as_str());
        match event.event {
            ModelEventKind::Refused => self.write(&[forget, keep(event)]).await,
            _ => self.write(&[keep(event)]).await,
        }
    }

    /// The versions that were champions of `frame` and could be again, newest first: the present one, then the one before
    /// it, and so on. A version that was rolled back from is not among them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn champions(&self, frame: TimeFrame) -> Result<Vec<String>, RegistryError> {
        let promotions = Statement::new("select version, event from model_events where frame = $1 order by id").bind(frame.name());
        let rows = self.read(&promotions).await?;
        let mut line: Vec<String> = Vec::new();
        for row in &rows {
            let version = row.text("version").map_err(RegistryError::Read)?.to_owned();
            match row.text("event").map_err(RegistryError::Read)? {
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
        let newest = Statement::new("select * from model_events order by id desc limit $1").bind(most);
        self.read(&newest).await?.iter().map(event).collect::<Result<_, _>>().map_err(RegistryError::Read)
    }

    /// Every version, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn models(&self) -> Result<Vec<RegisteredModel>, RegistryError> {
        let sql = r"select m.*, (select alias from model_aliases a where a.version = m.version order by alias desc limit 1) as alias
                    from models m order by trained_at desc, version";
        self.read(&Statement::new(sql)).await?.iter().map(model).collect::<Result<_, _>>().map_err(RegistryError::Read)
    }

    /// The newest version of `frame` about which nothing was decided since it was added. A training that was killed leaves it behind.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn undecided(&self, frame: TimeFrame) -> Result<Option<RegisteredModel>, RegistryError> {
        let sql = r"select m.*, null as alias from models m
                    where m.frame = $1 and m.version not in (select version from model_events where event <> 'failed')
                      and m.version not in (select version from model_aliases)
                    order by m.trained_at desc, m.version desc limit 1";
        let rows = self.read(&Statement::new(sql).bind(frame.name())).await?;
        rows.first().map(model).transpose().map_err(RegistryError::Read)
    }

    async fn aliases(&self) -> Result<BTreeMap<(TimeFrame, String), String>, RegistryError> {
        let rows = self.read(&Statement::new("select * from model_aliases")).await?;
        let entry = |row: &Row| Ok(((frame(row)?, row.text("alias")?.to_owned()), row.text("version")?.to_owned()));
        rows.iter().map(entry).collect::<Result<_, sqlx::Error>>().map_err(RegistryError::Read)
    }

    async fn write(&self, statements: &[Statement]) -> Result<(), RegistryError> {
        self.metadata.write(statements).await.map_err(RegistryError::Write)
    }

    async fn read(&self, statement: &Statement) -> Result<Vec<Row>, RegistryError> {
        self.metadata.read(statement).await.map_err(RegistryError::Read)
    }
}

fn set_alias(alias: Alias, event: &ModelEvent) -> Statement {
    let sql = r"insert into model_aliases (frame, alias, version) values ($1, $2, $3)
                on conflict (frame, alias) do update set version = excluded.version";
    Statement::new(sql).bind(event.frame.name()).bind(alias.name()).bind(event.version.as_str())
}

fn keep(event: &ModelEvent) -> Statement {
    let duel = event.duel.as_ref().and_then(|duel| serde_json::to_string(duel).ok());
    Statement::new("insert into model_events (at, frame, version, event, reason, duel) values ($1, $2, $3, $4, $5, $6)")
        .bind(event.at.to_rfc3339())
        .bind(event.frame.name())
        .bind(event.version.as_str())
        .bind(event.event.name())
        .bind(event.reason.as_str())
        .bind(duel)
}

fn decode(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

fn frame(row: &Row) -> Result<TimeFrame, sqlx::Error> {
    TimeFrame::from_str(row.text("frame")?).map_err(decode)
}

fn event(row: &Row) -> Result<ModelEvent, sqlx::Error> {
    let duel = row.optional_text("duel")?;
    Ok(ModelEvent {
        at: row.text("at")?.parse().map_err(|error: chrono::ParseError| decode(error))?,
        frame: frame(row)?,
        version: row.text("version")?.to_owned(),
        event: row.text("event")?.parse().map_err(|error: sellcast_domain::InvalidModelEvent| decode(error))?,
        reason: row.text("reason")?.to_owned(),
        duel: duel.map(serde_json::from_str).transpose().map_err(decode)?,
    })
}

fn model(row: &Row) -> Result<RegisteredModel, sqlx::Error> {
    let json = |column: &str| -> Result<serde_json::Value, sqlx::Error> { serde_json::from_str(row.text(column)?).map_err(decode) };
    let alias = row.optional_text("alias")?;
    Ok(RegisteredModel {
        version: row.text("version")?.to_owned(),
        frame: frame(row)?,
        trained_at: row.text("trained_at")?.parse().map_err(|error: chrono::ParseError| decode(error))?,
        facts: json("facts")?,
        metrics: json("metrics")?,
        is_champion: alias == Some(Alias::Champion.name()),
        is_challenger: alias == Some(Alias::Challenger.name()),
    })
}
