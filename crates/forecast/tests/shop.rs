//! A small shop, ingested.

use anyhow::Result;
use sellcast_domain::{Currency, ShopDay};
use sellcast_forecast::{ModelSet, Settings, Shop};
use sellcast_testkit::{TestDir, TinyShop, TinyShopBuilder};
use sellcast_warehouse::{PseudonymKey, SilentProgress, SourceMapping, Warehouse, WarehouseSettings};

pub(crate) struct Ready {
    pub(crate) warehouse: Warehouse,
    pub(crate) shop: TinyShop,
    pub(crate) end: ShopDay,
    pub(crate) zone: chrono_tz::Tz,
    source: SourceMapping,
    key: PseudonymKey,
    dir: TestDir,
}

pub(crate) const SETTINGS: Settings = Settings { rounds: 15, seed: 7, models: ModelSet::DEFAULT, dear: ModelSet::CORE };

/// A shop with `days` days of sales, in the warehouse.
pub(crate) async fn ready(days: i64) -> Result<Ready> {
    ready_after(days, "").await
}

/// The same after `statements` changed its database.
pub(crate) async fn ready_after(days: i64, statements: &str) -> Result<Ready> {
    let builder = TinyShop::builder().products(120).orders_a_day(40);
    ingested(builder.days("2017-01-02".parse()?, days), statements).await
}

/// Any shop, in the warehouse.
pub(crate) async fn ingested(builder: TinyShopBuilder, statements: &str) -> Result<Ready> {
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
    let shop = builder.write(&dir.path().join("shop.db")).await?;
    shop.change(statements).await?;
    let File { source, shop: Zone { time_zone: zone } } = toml::from_str(&shop.config())?;
    let settings = WarehouseSettings { time_zone: zone, country: "US".into(), forecast_level: None, excluded_categories: Vec::new() };
    let warehouse = Warehouse::open(&dir.path().join("warehouse"), settings).await?;
    let key = PseudonymKey::load_or_create(&dir.path().join("key"))?;
    let ready = Ready { warehouse, end: shop.end, shop, zone, source, key, dir };
    ready.ingest(ready.end).await?;
    Ok(ready)
}

impl Ready {
    /// Reads what is new in the shop as `day` begins.
    pub(crate) async fn ingest(&self, day: ShopDay) -> Result<()> {
        self.warehouse.ingest(&self.source, self.dir.path(), &self.key, day.starts_at(self.zone), &SilentProgress).await?;
        Ok(())
    }
}

pub(crate) fn heading() -> Shop {
    Shop { name: "Test".into(), currency: Currency::try_from("USD".to_owned()).expect("a code"), time_zone: "UTC".into() }
}
