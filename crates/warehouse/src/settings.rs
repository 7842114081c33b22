//! What the warehouse needs to know about the shop. The binary fills it from the configuration.

use chrono_tz::Tz;

/// The shop's settings.
#[derive(Clone, Debug)]
pub struct WarehouseSettings {
    /// The zone that shop days are counted in.
    pub time_zone: Tz,
    /// ISO 3166 alpha-2 code of the country whose holidays count; empty for none.
    pub country: String,
    /// Level of the category tree that is forecast (roots are level 1); `None` chooses the deepest level with at most
    /// 2,000 members.
    pub forecast_level: Option<u32>,
    /// Names or ids of categories that are not forecast, with everything below them. They are loaded all the same.
    pub excluded_categories: Vec<String>,
}
