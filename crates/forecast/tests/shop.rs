//! A small shop, ingested.

use anyhow::Result;
use sellcast_domain::{Currency, ShopDay};
use sellcast_forecast::{ModelSet, Settings, Shop};
use sellcast_testkit::{TestDir, TinyShop};
use sellcast_warehouse::{PseudonymKey, SilentProgress, SourceMapping, Warehouse, WarehouseSettings};

pub(crate) struct Ready {
    pub(crate) warehouse: Warehouse,
    pub(crate) end: ShopDay,
    pub(crate) zone: chrono_tz::Tz,
    _dir: TestDir,
}

pub(crate) const SETTINGS: Settings = Settings { rounds: 15, seed: 7, models: ModelSet::DEFAULT };

/// A shop with `days` days of sales, in the warehouse.
pub(crate) async fn ready(days: i64) -> Result<Ready> {
    #[derive(serde::Deserialize)]
    struct File {
        source: SourceMapping,
        shop: Zone,
    }
    #[derive(serde::Deserialize)]
    struct Zone {
        time_zone: chrono_tz::Tz,
    }
    let dir = TestDir::new("forecast")?;
    let first: ShopDay = "2017-01-02".parse()?;
    let shop = TinyShop::builder().products(120).days(first, days).orders_a_day(40).write(&dir.path().join("shop.db")).await?;
    let file: File = toml::from_str(&shop.config())?;
    let zone = file.shop.time_zone;
    let settings = WarehouseSettings { time_zone: zone, country: "US".into(), forecast_level: None, excluded_categories: Vec::new() };
    let warehouse = Warehouse::open(&dir.path().join("warehouse"), settings).await?;
    let key = PseudonymKey::load_or_create(&dir.path().join("key"))?;
    warehouse.ingest(&file.source, dir.path(), &key, shop.end.starts_at(zone), &SilentProgress).await?;
    Ok(Ready { warehouse, end: shop.end, zone, _dir: dir })
}

pub(crate) fn heading() -> Shop {
    Shop { name: "Test".into(), currency: Currency::try_from("USD".to_owned()).expect("a code"), time_zone: "UTC".into() }
}
