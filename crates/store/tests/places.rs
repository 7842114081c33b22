//! Where a store under test lies: a file in a folder of its own, or a keyspace of its own on a real Cassandra node.

use std::path::PathBuf;

use anyhow::Result;
use sellcast_store::PredictionStore;
use sellcast_testkit::Cassandra;

pub(crate) enum Place {
    /// A file, in a folder that is removed with the place.
    File(PathBuf, tempfile::TempDir),
    Keyspace(String),
}

impl Place {
    pub(crate) fn file() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self::File(folder.path().join("some/where/predictions.redb"), folder))
    }

    pub(crate) fn keyspace() -> Result<Self> {
        Ok(Self::Keyspace(Cassandra::shared()?.keyspace()?))
    }

    pub(crate) async fn open(&self) -> Result<PredictionStore> {
        Ok(match self {
            Self::File(path, folder) => {
                assert!(path.starts_with(folder.path()));
                PredictionStore::open(path)?
            }
            Self::Keyspace(address) => PredictionStore::connect(&address.parse()?).await?,
        })
    }
}

/// Each test on redb and, among the slow ones, on Cassandra.
macro_rules! on_every_backend {
    ($($name:ident),+ $(,)?) => {
        mod on_redb {
            use crate::places::Place;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() -> anyhow::Result<()> {
                super::$name(Place::file()?).await
            })+
        }
        mod on_cassandra {
            use crate::places::Place;
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "slow"]
            async fn $name() -> anyhow::Result<()> {
                super::$name(Place::keyspace()?).await
            })+
        }
    };
}

pub(crate) use on_every_backend;
