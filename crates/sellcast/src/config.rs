//! Configuration: the embedded defaults, the file, the environment and the flags, in this order; unknown keys are
//! errors. Only the binary reads it; every component gets its own part, resolved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use chrono_tz::Tz;
use figment::Figment;
use figment::providers::{Env, Format, Toml};
use sellcast_domain::window::WatermarkSettings;
use sellcast_domain::{Arm, Currency, Experiment, TimeFrame};
use sellcast_forecast::{ModelKind, ModelSet, PUBLISHED, UnknownModel};
use sellcast_stream::{OutboxQueries, ProductColumns, SaleColumns, Snapshots, WorkerSettings};
use sellcast_warehouse::{SourceMapping, WarehouseSettings};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::stores::Stores;

/// The defaults, which are also the reference of all keys.
pub(crate) const DEFAULTS: &str = include_str!("default.toml");

/// The configuration as read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) shop: Shop,
    pub(crate) forecast: Forecast,
    pub(crate) server: Server,
    pub(crate) stream: StreamSection,
    /// What is kept elsewhere than in the data folder.
    pub(crate) store: Stores,
    /// Absent unless arms are to be compared.
    pub(crate) experiment: Option<ExperimentSection>,
    /// Absent until the shop's tables are mapped.
    pub(crate) source: Option<SourceMapping>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shop {
    pub(crate) name: String,
    pub(crate) currency: Currency,
    pub(crate) time_zone: Tz,
    pub(crate) country: String,
    pub(crate) clock: ClockKind,
}

/// Which clock the shop goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClockKind {
    System,
    Data,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forecast {
    pub(crate) level: Option<u32>,
    pub(crate) exclude: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) seed: u64,
    pub(crate) models: ModelSet,
    pub(crate) dear_models: DearModels,
    pub(crate) retrain_days: u32,
}

/// The models of which a bandit chooses one for each training.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(crate) struct DearModels(Vec<ModelKind>);

impl TryFrom<Vec<String>> for DearModels {
    type Error = UnknownModel;

    fn try_from(names: Vec<String>) -> Result<Self, UnknownModel> {
        Ok(Self(names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?))
    }
}

impl DearModels {
    pub(crate) fn set(&self) -> ModelSet {
        self.0.iter().copied().collect()
    }

    /// A model that is trained each time has no need to be chosen.
    fn check(&self, always: ModelSet) -> anyhow::Result<()> {
        match self.0.iter().find(|kind| always.contains(**kind)) {
            Some(kind) => {
                bail!("`forecast.dear_models` names `{kind}`, which every training has: leave it out there or in `forecast.models`")
            }
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExperimentSection {
    frame: TimeFrame,
    arms: Vec<String>,
    share: Option<Vec<f64>>,
}

impl ExperimentSection {
    /// The experiment, the published arm first.
    pub(crate) fn resolve(&self) -> anyhow::Result<Experiment> {
        let shares = self.share.clone().unwrap_or_else(|| vec![1.0; self.arms.len()]);
        if shares.len() != self.arms.len() {
            bail!(
                "`experiment.share` has {} entries for {} arms: give each arm one, or leave it out for equal shares",
                shares.len(),
                self.arms.len()
            );
        }
        if let Some(share) = shares.iter().find(|share| !share.is_finite() || **share <= 0.0) {
            bail!("`experiment.share` holds {share}: shares are positive numbers");
        }
        let different: std::collections::BTreeSet<&String> = self.arms.iter().collect();
        if self.arms.len() < 2 || different.len() < self.arms.len() || !self.arms.iter().any(|arm| arm == PUBLISHED) {
            bail!("`experiment.arms` are [{}]: name `published` and at least one other arm, each once", self.arms.join(", "));
        }
        let mut arms: Vec<Arm> = self.arms.iter().zip(shares).map(|(name, share)| Arm { name: name.clone(), share }).collect();
        arms.sort_by_key(|arm| arm.name != PUBLISHED);
        Ok(Experiment { frame: self.frame, arms })
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) port: u16,
}

/// How running sales are followed; nothing is unless a source is named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamSection {
    pub(crate) lateness_seconds: u32,
    pub(crate) still_after_seconds: u32,
    pub(crate) poll_milliseconds: u32,
    pub(crate) outbox: Option<OutboxSection>,
    pub(crate) kafka: Option<KafkaSection>,
}

/// Debezium's topics on Kafka.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSection {
    brokers: String,
    sales_topic: String,
    products_topic: String,
    group: Option<String>,
    keyed_topic: Option<String>,
    keyed_partitions: Option<u32>,
    state_folder: Option<PathBuf>,
    worker: Option<bool>,
    copy_seconds: Option<u32>,
    #[serde(default)]
    sales: SaleColumns,
    #[serde(default)]
    products: ProductColumns,
}

impl KafkaSection {
    /// True unless workers of their own share all the work.
    pub(crate) fn works(&self) -> bool {
        self.worker.unwrap_or(true)
    }

    /// How often the state of each partition is copied for other machines; never for 0.
    fn copies_every(&self) -> Option<Duration> {
        let seconds = self.copy_seconds.unwrap_or(60);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// The worker of a data folder. By the data's clock nothing that stands still is idle: only sales tell the time.
    pub(crate) async fn worker(&self, dir: &Path, config: &Config) -> anyhow::Result<WorkerSettings> {
        let is_data_clock = config.shop.clock == ClockKind::Data;
        let idle_seconds = if is_data_clock { u32::MAX } else { WatermarkSettings::default().idle_seconds };
        let mut snapshots = None;
        if let Some(every) = self.copies_every() {
            snapshots = config.store.stream_copies().await?.map(|store| Snapshots::new(store, every, Handle::current()));
        }
        Ok(WorkerSettings {
            brokers: self.brokers.clone(),
            group: self.group.clone().unwrap_or_else(|| "sellcast".to_owned()),
            sales_topic: self.sales_topic.clone(),
            products_topic: self.products_topic.clone(),
            keyed_topic: self.keyed_topic.clone().unwrap_or_else(|| "sellcast.sales".to_owned()),
            keyed_partitions: self.keyed_partitions.unwrap_or(8),
            state_folder: self.state_folder.clone().unwrap_or_else(|| dir.join("stream")),
            sales: self.sales.clone(),
            products: self.products.clone(),
            watermark: WatermarkSettings { lateness_seconds: config.stream.lateness_seconds, idle_seconds },
            snapshots,
        })
    }
}

/// A table of changes in the shop's SQLite database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutboxSection {
    /// Of the source unless given.
    pub(crate) url: Option<String>,
    newest: String,
    changes: String,
    snapshot: String,
}

impl OutboxSection {
    pub(crate) fn queries(&self) -> OutboxQueries {
        OutboxQueries { newest: self.newest.clone(), changes: self.changes.clone(), snapshot: self.snapshot.clone() }
    }
}

impl Config {
    /// Reads the configuration of a data folder. A file named by hand must exist; the folder's own may be missing.
    pub(crate) fn load(dir: &Path, named: Option<&Path>) -> anyhow::Result<Self> {
        let file = named.map_or_else(|| dir.join("sellcast.toml"), PathBuf::from);
        if named.is_some() && !file.is_file() {
            bail!("there is no configuration file `{}`", file.display());
        }
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if file.exists() {
            figment = figment.merge(Toml::file_exact(&file));
        }
        let figment = figment.merge(Env::prefixed("SELLCAST__").split("__"));
        let mut config: Self = figment.extract().map_err(|errors| {
            let lines: Vec<String> = errors.into_iter().map(|error| explain(&error)).collect();
            anyhow::anyhow!(
                "the configuration `{}` is not valid:\n  {}\n  every key is listed by `sellcast config`",
                file.display(),
                lines.join("\n  ")
            )
        })?;
        if let Some(source) = config.source.take() {
            let filled = source.with_variables(|name| std::env::var(name).ok());
            config.source =
                Some(filled.map_err(|faults| {
                    anyhow::anyhow!("the configuration `{}` cannot be used:\n  {}", file.display(), faults.join("\n  "))
                })?);
        }
        if config.forecast.rounds == 0 || config.forecast.rounds > 5_000 {
            bail!("`forecast.rounds` is {}: between 1 and 5000 are allowed", config.forecast.rounds);
        }
        if config.forecast.retrain_days == 0 {
            bail!("`forecast.retrain_days` is 0: at least 1 is needed");
        }
        if config.stream.outbox.is_some() && config.stream.kafka.is_some() {
            bail!("`stream.outbox` and `stream.kafka` are both there: sales are followed in one way, remove the other");
        }
        config.forecast.dear_models.check(config.forecast.models)?;
        if let Some(experiment) = &config.experiment {
            experiment.resolve()?;
        }
        Ok(config)
    }

    pub(crate) fn warehouse_settings(&self) -> WarehouseSettings {
        WarehouseSettings {
            time_zone: self.shop.time_zone,
            country: self.shop.country.clone(),
            forecast_level: self.forecast.level,
            excluded_categories: self.forecast.exclude.clone(),
        }
    }

    /// The mapping, or what to do about its absence.
    pub(crate) fn mapping(&self, dir: &Path) -> anyhow::Result<&SourceMapping> {
        self.source.as_ref().with_context(|| {
            format!(
                "no `[source]` in `{}`: map the shop's tables first, with `sellcast init --source URL` or by hand (docs/configuration.md shows how)",
                dir.join("sellcast.toml").display()
            )
        })
    }
}

fn explain(error: &figment::Error) -> String {
    let place = if error.path.is_empty() { String::new() } else { format!("`{}`: ", error.path.join(".")) };
    format!("{place}{}", error.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> anyhow::Result<Config> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("sellcast.toml"), text)?;
        Config::load(dir.path(), None)
    }

    fn refuses(text: &str, words: &[&str]) {
        let message = load(text).expect_err("it is not valid").to_string();
        for word in words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = load("").expect("valid");
        assert_eq!(config.server.port, 8080);
        assert!(config.source.is_none());
        assert_eq!(config.forecast.models, ModelSet::DEFAULT);
    }

    #[test]
    fn faults_name_the_key_and_what_is_allowed() {
        refuses("[server]\nprot = 80\n", &["prot", "port"]);
        refuses("[shop]\ncurrency = \"dollars\"\n", &["shop.currency", "USD"]);
        refuses("[shop]\ntime_zone = \"Mars/Olympus\"\n", &["time_zone", "Mars/Olympus"]);
        refuses("[forecast]\nrounds = 0\n", &["forecast.rounds", "5000"]);
        refuses("[forecast]\nmodels = [\"oracle\"]\n", &["forecast.models", "oracle", "gbm_amount", "lambdamart"]);
        refuses("[forecast]\ndear_models = [\"oracle\"]\n", &["forecast.dear_models", "oracle", "neural"]);
        refuses("[forecast]\ndear_models = [\"gbm_promoted\"]\n", &["forecast.dear_models", "`gbm_promoted`", "forecast.models"]);
        refuses("[forecast]\ndear_models = [\"gbm_amount\"]\n", &["`gbm_amount`", "every training has"]);
        refuses("[experiment]\nframe = \"week\"\narms = [\"mean_4w\", \"mean_8w\"]\n", &["experiment.arms", "`published`"]);
        refuses("[experiment]\nframe = \"week\"\narms = [\"published\", \"mean_8w\"]\nshare = [1]\n", &["experiment.share"]);
        refuses("[experiment]\nframe = \"fortnight\"\narms = [\"published\", \"mean_8w\"]\n", &["experiment.frame", "half_year"]);
        refuses("[stream]\nlateness = 5\n", &["stream", "lateness_seconds"]);
        let outbox = "[stream.outbox]\nnewest = \"\"\nchanges = \"\"\nsnapshot = \"\"\n";
        let kafka = "[stream.kafka]\nbrokers = \"\"\nsales_topic = \"\"\nproducts_topic = \"\"\n";
        refuses(&format!("{outbox}{kafka}"), &["stream.outbox", "stream.kafka"]);
        refuses("[store]\npredictions = \"redis://a/b\"\n", &["`store.predictions`", "`redis`", "cassandra://host1,host2"]);
        refuses("[store]\nfeatures = \"memcached://a/b\"\n", &["`store.features`", "`memcached`", "redis://user"]);
        refuses("[store]\npredictions = \"cassandra://me:secret@a,b\"\n", &["`store.predictions`", "keyspace"]);
        refuses("[store]\npredictions = \"cassandra://me:${SELLCAST_NOT_SET}@a/b\"\n", &["SELLCAST_NOT_SET", "export"]);
        refuses("[store]\npredicitons = \"\"\n", &["predicitons", "predictions"]);
        refuses("[nonsense]\nkey = 1\n", &["nonsense"]);
        refuses("[store]\nmetadata = \"mysql://a/b\"\n", &["`store.metadata`", "`mysql`", "postgres://user"]);
        refuses("[store]\nwarehouse = \"s3://bucket\"\n", &["`store.warehouse`", "prefix", "s3://bucket/prefix"]);
        let hidden = load("[store]\npredictions = \"cassandra://me:secret@a,b\"\n").expect_err("no keyspace").to_string();
        assert!(!hidden.contains("secret"), "{hidden}");
        let source = "[source]\nurl = \"postgres://ada:${SELLCAST_NOT_SET}@db/shop\"\ncategories.sql = \"\"\nproducts.sql = \"\"\ntransactions.sql = \"\"\n";
        refuses(source, &["SELLCAST_NOT_SET", "export"]);
    }
}
