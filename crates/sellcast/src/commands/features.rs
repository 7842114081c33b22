//! `sellcast features verify`: is what is online what the offline store holds, and is that what the warehouse says?

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use sellcast_domain::{ProductId, ShopDay};
use sellcast_features::{Definitions, Difference, FeatureSet, MOST_READ, OfflineStore, OnlineStore, Panel};
use serde::Serialize;

use super::{Failure, Place, print, print_json};
use crate::online::differing_products;

/// Differences that are listed.
const LISTED: usize = 20;

#[derive(Args)]
pub(super) struct Features {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Compare the online features with the offline store, and those with the warehouse as it was then: every product,
    /// bit for bit.
    Verify(Verify),
}

#[derive(Args)]
struct Verify {
    #[command(flatten)]
    place: Place,
    /// The day of the set (default: of what is online; without a shared online store, the newest that is kept).
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<ShopDay>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    as_of: ShopDay,
    definitions_version: String,
    products: usize,
    /// Products compared online; null where the online store is within another process.
    compared_online: Option<usize>,
    /// By cause.
    differing_online: BTreeMap<&'static str, usize>,
    /// Products whose features come out otherwise when they are computed anew from the same versions of the warehouse.
    differing_anew: usize,
    examples: Vec<String>,
}

impl Features {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Action::Verify(verify) = self.action;
        verify.run().await
    }
}

impl Verify {
    async fn run(self) -> Result<(), Failure> {
        let config = self.place.config()?;
        let warehouse = config.store.warehouse(&self.place.dir.join("warehouse"), config.warehouse_settings()).await?;
        let definitions = Definitions::current();
        let offline = OfflineStore::new(&warehouse, &definitions);
        let online = config.store.features()?;
        let newest = if online.is_shared() {
            let set = online.current().await?.context("nothing is online yet: `sellcast serve` brings the newest features online")?;
            Some(set.as_of)
        } else {
            offline.newest().await?
        };
        let none = || anyhow!("no features are kept yet: `sellcast forecast` makes them");
        let as_of = self.as_of.or(newest).ok_or_else(none)?;
        let kept = offline.kept(as_of).await?.with_context(|| {
            format!("the offline store holds no features of {as_of} under this program's definitions ({})", definitions.version())
        })?;
        let mut verified = Verified {
            as_of,
            definitions_version: kept.version.clone(),
            products: kept.len(),
            compared_online: None,
            differing_online: BTreeMap::new(),
            differing_anew: 0,
            examples: Vec::new(),
        };
        if online.is_shared() {
            let (compared, differences) = compare(&online, &kept).await?;
            verified.compared_online = Some(compared);
            for difference in &differences {
                *verified.differing_online.entry(difference.cause.name()).or_default() += 1;
            }
            verified.examples.extend(differences.iter().take(LISTED).map(|one| format!("product {}: {}", one.product, one.cause)));
        }
        let versions = offline.made_from(as_of).await?.context("the set's lineage is missing: delete it, it is made anew")?;
        let then = warehouse.at(&versions, config.warehouse_settings()).await;
        let then =
            then.context("the warehouse no longer keeps what the features were made from; versions are kept for at least thirty days")?;
        let anew = FeatureSet::compute(&Panel::load(&then).await?, &definitions, as_of).await?;
        let differing = differing_products(&kept, &anew);
        verified.differing_anew = differing.len();
        verified.examples.extend(differing.iter().take(LISTED).map(|product| format!("product {product}: computed anew")));
        if self.json {
            print_json(&verified)?;
        } else {
            print(&verified.text());
        }
        if verified.differs() { Err(anyhow!("the features differ").into()) } else { Ok(()) }
    }
}

impl Verified {
    fn differs(&self) -> bool {
        !self.differing_online.is_empty() || self.differing_anew > 0
    }

    fn text(&self) -> String {
        let online = match self.compared_online {
            None => "online: in the memory of the serving process, which compares a sample by itself (metrics)".to_owned(),
            Some(compared) if self.differing_online.is_empty() => format!("online: {compared} products compared, all the same"),
            Some(compared) => {
                let causes: Vec<String> = self.differing_online.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
                format!("online: {compared} products compared, differing: {}", causes.join(", "))
            }
        };
        let anew = match self.differing_anew {
            0 => "computed anew from the same versions of the warehouse: all the same".to_owned(),
            count => format!("computed anew from the same versions of the warehouse: {count} products differ"),
        };
        let mut lines =
            vec![format!("features of {}, definitions {}, {} products", self.as_of, self.definitions_version, self.products), online, anew];
        lines.extend(self.examples.iter().map(|example| format!("  {example}")));
        lines.join("\n")
    }
}

/// Every product that is online or offline.
async fn compare(online: &OnlineStore, kept: &FeatureSet) -> Result<(usize, Vec<Difference>), Failure> {
    let mut products: Vec<ProductId> = online.products().await?;
    products.extend_from_slice(&kept.products);
    products.sort_unstable();
    products.dedup();
    let mut differences = Vec::new();
    for part in products.chunks(MOST_READ) {
        let read = online.read(part).await?.context("what was online is gone")?;
        differences.extend(read.differences(part, kept));
    }
    Ok((products.len(), differences))
}
