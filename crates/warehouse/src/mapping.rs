//! The source mapping as the configuration gives it: one query per entity, whose columns carry canonical names.

use serde::Deserialize;

use crate::entity::Entity;

/// Where each entity comes from.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct SourceMapping {
    /// Address of the source for every entity that names none of its own.
    #[serde(default)]
    pub url: Option<String>,
    /// How far behind the cursor each run reads again, for rows that were committed late.
    #[serde(default = "default_lag_hours")]
    pub lag_hours: u32,
    /// After so many days a run compares the keys of everything that is read by cursor with the source's, so that rows
    /// deleted before the lag window go as well; 0 for never.
    #[serde(default = "default_compare_keys_days")]
    pub compare_keys_days: u32,
    /// Compare all keys at the next run, however many rows go.
    #[serde(skip)]
    pub compare_keys_now: bool,
    /// The category tree.
    pub categories: EntityMapping,
    /// The catalogue.
    pub products: EntityMapping,
    /// Customers; only pseudonyms are kept.
    #[serde(default)]
    pub customers: Option<EntityMapping>,
    /// Sale lines.
    pub transactions: EntityMapping,
    /// Promotions, past and planned.
    #[serde(default)]
    pub promotions: Option<EntityMapping>,
    /// Days of note beside the country's public holidays.
    #[serde(default)]
    pub events: Option<EntityMapping>,
}

/// Where one entity comes from.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct EntityMapping {
    /// The query, in the source's own dialect.
    pub sql: String,
    /// Its own source, when it is not the shared one.
    #[serde(default)]
    pub url: Option<String>,
    /// The canonical column that grows when a row is written or changed (`updated_at`). Without one the entity is read
    /// whole at each run.
    #[serde(default)]
    pub cursor: Option<String>,
}

const fn default_lag_hours() -> u32 {
    72
}

const fn default_compare_keys_days() -> u32 {
    7
}

impl SourceMapping {
    /// The mapping of one entity, if it is mapped.
    pub(crate) fn entity(&self, entity: Entity) -> Option<&EntityMapping> {
        match entity {
            Entity::Categories => Some(&self.categories),
            Entity::Products => Some(&self.products),
            Entity::Customers => self.customers.as_ref(),
            Entity::Transactions => Some(&self.transactions),
            Entity::Promotions => self.promotions.as_ref(),
            Entity::Events => self.events.as_ref(),
        }
    }

    /// The mapped entities in loading order, each with its query and its source's address.
    pub(crate) fn mapped(&self) -> impl Iterator<Item = (Entity, &EntityMapping, Option<&str>)> {
        Entity::ALL.into_iter().filter_map(|entity| {
            let mapping = self.entity(entity)?;
            Some((entity, mapping, mapping.url.as_deref().or(self.url.as_deref())))
        })
    }
}
