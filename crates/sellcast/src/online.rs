//! The online features of this process: brought online with each publication, compared with the offline store on a sample
//! from time to time, read for the server.

use std::sync::{Arc, Weak};
use std::time::Duration;

use metrics::{counter, describe_counter};
use sellcast_domain::{Problem, ProblemKind, ProductId, ShopDay};
use sellcast_features::{Definitions, Difference, FeatureSet, OfflineStore, OnlineRow};
use sellcast_server::{FeatureReads, FeatureRow, FeaturesRead, ReadingFeatures};

use crate::engine::Engine;

/// Products of which features were compared.
const COMPARED: &str = "sellcast_features_compared_total";
/// Products whose features online were not those offline.
const DIFFERING: &str = "sellcast_features_differing_total";
/// Between two comparisons.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// Between two looks whether the newest set is online.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Products of a comparison.
const SAMPLE: usize = 100;
/// Differences that the log names.
const NAMED: usize = 3;

impl Engine {
    /// Brings online what the newest forecast was made from, unless it is there; tells the day of what is online now. A machine
    /// that did not publish it brings nothing, if the warehouse is not shared.
    pub(crate) async fn bring_features_online(&self) -> anyhow::Result<Option<ShopDay>> {
        let Some(as_of) = self.published_as_of() else { return Ok(None) };
        let definitions = Definitions::current();
        let online = self.features.current().await?;
        if online.as_ref().is_some_and(|set| set.as_of == as_of && set.version == definitions.version()) {
            return Ok(Some(as_of));
        }
        let Some(set) = OfflineStore::new(&self.warehouse, &definitions).kept(as_of).await? else { return Ok(online.map(|set| set.as_of)) };
        self.features.publish(&set).await?;
        tracing::info!(%as_of, products = set.len(), "features are online");
        Ok(Some(as_of))
    }

    /// Compares a sample of what is online with the offline store; what differs is told, counted and brought online again.
    async fn compare_features(&self, turn: usize) -> anyhow::Result<()> {
        let Some(online) = self.features.current().await? else { return Ok(()) };
        let definitions = Definitions::current();
        let store = OfflineStore::new(&self.warehouse, &definitions);
        let products = sample(&store.products(online.as_of).await?, turn);
        let (Some(offline), Some(read)) = (store.kept_of(online.as_of, &products).await?, self.features.read(&products).await?) else {
            return Ok(());
        };
        let differences = read.differences(&products, &offline);
        counter!(COMPARED).increment(products.len() as u64);
        if differences.is_empty() {
            return Ok(());
        }
        tell(&differences);
        if let Some(whole) = store.kept(offline.as_of).await? {
            self.features.publish(&whole).await?;
        }
        Ok(())
    }
}

/// Every so-manieth product, others each turn.
fn sample(products: &[ProductId], turn: usize) -> Vec<ProductId> {
    let step = products.len().div_ceil(SAMPLE).max(1);
    products.iter().copied().skip(turn % step).step_by(step).collect()
}

fn tell(differences: &[Difference]) {
    for difference in differences {
        counter!(DIFFERING, "cause" => difference.cause.name()).increment(1);
    }
    let named: Vec<String> = differences.iter().take(NAMED).map(|one| format!("{}: {}", one.product, one.cause)).collect();
    tracing::warn!(
        products = differences.len(),
        such_as = named.join("; "),
        "features online are not those offline; they are brought online again"
    );
}

/// Keeps the newest features online while the engine lives. A fault is told once and tried again.
pub(crate) async fn watch(engine: Weak<Engine>) {
    sellcast_server::install_metrics();
    describe_counter!(COMPARED, "Products whose online features were compared with the offline store's.");
    describe_counter!(DIFFERING, "Products whose online features differed, by cause.");
    let (mut looks, mut is_told) = (0_u64, false);
    let looks_per_comparison = COMPARE_EVERY.as_secs() / LOOK_EVERY.as_secs();
    while let Some(engine) = engine.upgrade() {
        let done = async {
            engine.bring_features_online().await?;
            if looks % looks_per_comparison == 1 {
                engine.compare_features((looks / looks_per_comparison) as usize).await?;
            }
            anyhow::Ok(())
        };
        match done.await {
            Ok(()) => is_told = false,
            Err(error) if !std::mem::replace(&mut is_told, true) => {
                tracing::warn!(error = format!("{error:#}"), "features are not online; trying again");
            }
            Err(_) => {}
        }
        looks += 1;
        drop(engine);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reads for the server, which must not keep the engine alive.
pub(crate) struct Reader {
    engine: Weak<Engine>,
    definitions: Definitions,
    names: Arc<[String]>,
}

impl Reader {
    pub(crate) fn new(engine: &Arc<Engine>) -> Self {
        let definitions = Definitions::current();
        let names = definitions.names().map(str::to_owned).collect();
        Self { engine: Arc::downgrade(engine), definitions, names }
    }

    async fn read(&self, products: Vec<ProductId>) -> Result<FeaturesRead, Problem> {
        let not_ready = |detail: &str| Problem::new(ProblemKind::NotReady, detail);
        let engine = self.engine.upgrade().ok_or_else(|| not_ready("the server is stopping"))?;
        let read = engine.features.read(&products).await.map_err(|error| {
            tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "features cannot be read");
            not_ready("the store of the online features does not answer; the log of the server says why")
        })?;
        let read = read.ok_or_else(|| not_ready("no features are online yet; try again in a few seconds"))?;
        if read.set.version != self.definitions.version() {
            return Err(not_ready("the features online are of another version of sellcast; they are replaced with the next publication"));
        }
        let row = |OnlineRow { category, values }| FeatureRow { category, values };
        Ok(FeaturesRead {
            as_of: read.set.as_of,
            definitions_version: read.set.version,
            names: self.names.clone(),
            rows: read.rows.into_iter().map(|found| found.map(row)).collect(),
        })
    }
}

impl FeatureReads for Reader {
    fn read(&self, products: Vec<ProductId>) -> ReadingFeatures<'_> {
        Box::pin(self.read(products))
    }
}

/// How two sets differ, product by product: what the offline store holds against the same computed anew.
pub(crate) fn differing_products(kept: &FeatureSet, anew: &FeatureSet) -> Vec<ProductId> {
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let is_same =
        |at: usize, place: usize| kept.categories[at] == anew.categories[place] && kept.row(at).iter().zip(anew.row(place)).all(same);
    let mut differing: Vec<ProductId> = kept
        .products
        .iter()
        .enumerate()
        .filter(|(at, product)| anew.products.binary_search(product).map_or(true, |place| !is_same(*at, place)))
        .map(|(_, product)| *product)
        .collect();
    differing.extend(anew.products.iter().filter(|product| kept.products.binary_search(product).is_err()));
    differing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_to_every_product() {
        let products: Vec<ProductId> = (0..1_050).map(ProductId::from).collect();
        let mut met: Vec<ProductId> = (0..11).flat_map(|turn| sample(&products, turn)).collect();
        met.sort_unstable();
        assert_eq!(met, products);
        assert!(sample(&products, 3).len() <= SAMPLE);
        assert!(sample(&[], 3).is_empty());
    }
}
