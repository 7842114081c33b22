//! Features: one set of definitions, computed point in time from the warehouse, kept in an offline store with
//! version and lineage. A row of features at `as_of` holds only what was known before that day began.

mod among;
mod calendar;
mod compute;
mod definitions;
mod error;
mod guard;
mod offline;
mod online;
mod panel;
mod selling_hours;
#[cfg(test)]
mod small_shop;
mod targets;

pub use calendar::{CALENDAR_FEATURES, Calendar};
pub use compute::FeatureSet;
pub use definitions::{Definition, DefinitionKind, Definitions, PART};
pub use error::FeatureError;
pub use guard::check_for_leaks;
pub use offline::OfflineStore;
pub use online::{
    Difference, DifferenceCause, InvalidOnlineAddress, MOST_READ, OnlineAddress, OnlineError, OnlineRead, OnlineRow, OnlineSet, OnlineStore,
};
pub use panel::{Panel, PanelSource};
pub use selling_hours::SellingHours;
pub use targets::{Target, TargetRow};
