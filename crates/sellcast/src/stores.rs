//! The section `[store]`: where results are kept when one machine is not enough. What it leaves out lies in the data folder.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use object_store::ObjectStore;
use sellcast_features::{OnlineAddress, OnlineStore};
use sellcast_store::{ClusterAddress, MetadataAddress, PredictionStore, Registry};
use sellcast_warehouse::{BucketAddress, Warehouse, WarehouseSettings, filled_address, stream_copies};
use serde::Deserialize;

use crate::folder::Folder;

/// The addresses of the stores that are not files of the data folder.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stores {
    predictions: Option<At<ClusterAddress>>,
    metadata: Option<At<MetadataAddress>>,
    warehouse: Option<At<BucketAddress>>,
    features: Option<At<OnlineAddress>>,
}

/// An address in which `${NAME}` stood for a variable of the environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String", bound(deserialize = "At<T>: TryFrom<String, Error = String>"))]
struct At<T>(T);

impl<T: FromStr<Err: Display>> TryFrom<String> for At<T> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let filled = filled_address(&text, |name| std::env::var(name).ok())?;
        filled.parse().map(Self).map_err(|error: T::Err| error.to_string())
    }
}

impl Stores {
    /// Opens the warehouse, in `folder` unless a bucket is named; makes it where it is missing.
    pub(crate) async fn warehouse(&self, folder: &Path, settings: WarehouseSettings) -> anyhow::Result<Warehouse> {
        Ok(match &self.warehouse {
            Some(At(address)) => Warehouse::connect(address, settings).await?,
            None => Warehouse::open(folder, settings).await?,
        })
    }

    /// Where workers of the stream keep copies for other machines: beside the warehouse in its bucket, if it is in one.
    pub(crate) async fn stream_copies(&self) -> anyhow::Result<Option<Arc<dyn ObjectStore>>> {
        let Some(At(address)) = &self.warehouse else { return Ok(None) };
        Ok(Some(stream_copies(address).await.context("the stream's state cannot be copied beside the warehouse")?))
    }

    /// Opens the store of the published forecasts, making it where it is missing.
    pub(crate) async fn predictions(&self, folder: &Folder) -> anyhow::Result<PredictionStore> {
        match &self.predictions {
            Some(At(address)) => Ok(PredictionStore::connect(address).await?),
            None => {
                let path = folder.predictions();
                Ok(tokio::task::spawn_blocking(move || PredictionStore::open(&path)).await??)
            }
        }
    }

    /// The database of the metadata, unless it is the data folder's file.
    pub(crate) fn metadata(&self) -> Option<&MetadataAddress> {
        self.metadata.as_ref().map(|At(address)| address)
    }

    /// Opens the model registry, making it where it is missing.
    pub(crate) async fn registry(&self, folder: &Folder) -> anyhow::Result<Registry> {
        Ok(match &self.metadata {
            Some(At(address)) => Registry::connect(address).await?,
            None => Registry::open(&folder.metadata()).await?,
        })
    }

    /// Opens the store of the online features: in memory unless a server is named.
    pub(crate) fn features(&self) -> anyhow::Result<OnlineStore> {
        Ok(match &self.features {
            Some(At(address)) => OnlineStore::at(address)?,
            None => OnlineStore::memory(),
        })
    }

    /// Reaches every store on another machine and writes, reads and deletes a row there. Files are left alone: another
    /// command may hold them.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        if let Some(At(address)) = &self.predictions {
            PredictionStore::connect(address).await?.check_rights().await.context("`store.predictions` cannot be used")?;
        }
        if let Some(At(address)) = &self.metadata {
            Registry::connect(address).await?.check_rights().await.context("`store.metadata` cannot be used")?;
        }
        if let Some(At(address)) = &self.features {
            OnlineStore::at(address)?.check_rights().await.context("`store.features` cannot be used")?;
        }
        Ok(())
    }
}
