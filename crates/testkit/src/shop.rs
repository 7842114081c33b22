//! A small shop: a SQLite database of a few hundred products and months of sales, the same for the same settings. It has
//! weekdays, a few favourites, promotions that help, returns, and products that start late or never sell.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use chrono_tz::Tz;
use sellcast_domain::ShopDay;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

const TABLES: &str = "
create table categories (category_id integer primary key, name text not null, parent_category_id integer references categories (category_id));
create table products (product_id integer primary key, name text not null, category_id integer not null references categories (category_id),
  brand text not null, current_price text, created_at text not null, updated_at text not null);
create table customers (customer_id integer primary key, name text not null, email text not null, customer_segment text, created_at text not null);
create table orders (order_id integer primary key, customer_id integer not null references customers (customer_id), ordered_at text not null);
create table order_lines (line_id integer primary key, order_id integer not null references orders (order_id), product_id integer not null,
  quantity integer not null, unit_price text not null, total_price text not null, discount text not null, updated_at text not null);
create table promotions (promotion_id integer primary key, product_id integer not null, starts_on text not null, ends_on text not null,
  kind text not null, strength integer not null, announced_at text not null);
create index order_lines_by_update on order_lines (updated_at);
create index order_lines_by_order on order_lines (order_id);
";
const DEPARTMENTS: [&str; 4] = ["Kitchen", "Garden", "Books", "Games"];
const CATEGORIES_EACH: i64 = 5;

/// Settings of a shop; begin with [`TinyShop::builder`].
#[derive(Clone, Copy, Debug)]
pub struct TinyShopBuilder {
    products: i64,
    customers: i64,
    first_day: ShopDay,
    days: i64,
    orders_a_day: i64,
    seed: u64,
    zone: Tz,
}

/// A shop that was written.
#[derive(Clone, Debug)]
pub struct TinyShop {
    file: PathBuf,
    /// First day with sales.
    pub first_day: ShopDay,
    /// First day without sales.
    pub end: ShopDay,
    /// Rows of `order_lines`.
    pub lines: i64,
    /// Sum of `order_lines.total_price` in cents.
    pub cents: i64,
}

impl TinyShop {
    /// 300 products in 20 categories of 4 departments, 200 customers, 150 days of 60 orders from 2017-01-02 on.
    pub fn builder() -> TinyShopBuilder {
        let first_day = ShopDay::from_epoch_days(17_168);
        TinyShopBuilder {
            products: 300,
            customers: 200,
            first_day,
            days: 150,
            orders_a_day: 60,
            seed: 1,
            zone: chrono_tz::America::New_York,
        }
    }

    /// The database.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A writable connection, for a test that changes the shop under sellcast.
    ///
    /// # Errors
    /// When the file is gone.
    pub async fn connect(&self) -> Result<SqliteConnection> {
        SqliteConnectOptions::new()
            .filename(&self.file)
            .foreign_keys(false)
            .connect()
            .await
            .with_context(|| format!("cannot open `{}`", self.file.display()))
    }

    /// Runs statements on the shop's database: for a test that needs another history.
    ///
    /// # Errors
    /// When the file is gone or a statement fails.
    pub async fn change(&self, statements: &str) -> Result<()> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.context("cannot change the shop")?;
        connection.close().await?;
        Ok(())
    }

    /// `sellcast.toml` for this shop.
    pub fn config(&self) -> String {
        format!(
            r#"[shop]
name = "Tiny shop"
currency = "USD"
time_zone = "America/New_York"
country = "US"

[forecast]
level = 2

[source]
url = "sqlite:{}"
lag_hours = 72

[source.categories]
sql = "select category_id, name, parent_category_id from categories"

[source.products]
sql = "select product_id, name, category_id, brand, current_price, created_at, updated_at from products"

[source.customers]
sql = "select customer_id, name, email, customer_segment, created_at from customers"

[source.transactions]
sql = """
select l.line_id as sale_id, l.product_id, o.customer_id, l.quantity, l.unit_price, l.total_price, l.discount,
       o.ordered_at as occurred_at, l.updated_at
from order_lines l join orders o using (order_id)
"""
cursor = "updated_at"

[source.promotions]
sql = "select product_id, starts_on, ends_on, kind, strength, announced_at from promotions"
"#,
            self.file.display()
        )
    }
}

impl TinyShopBuilder {
    /// Number of products; at least 20, one for each category.
    pub const fn products(mut self, products: i64) -> Self {
        self.products = products;
        self
    }

    /// First day and number of days with sales.
    pub const fn days(mut self, first_day: ShopDay, days: i64) -> Self {
        (self.first_day, self.days) = (first_day, days);
        self
    }

    /// Orders on a usual day; each has one to four lines.
    pub const fn orders_a_day(mut self, orders: i64) -> Self {
        self.orders_a_day = orders;
        self
    }

    /// Another seed gives another shop.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Writes the shop to `file`, which must not exist.
    ///
    /// # Errors
    /// When it exists or cannot be written.
    pub async fn write(self, file: &Path) -> Result<TinyShop> {
        ensure!(!file.exists(), "`{}` exists already", file.display());
        let options =
            SqliteConnectOptions::new().filename(file).create_if_missing(true).foreign_keys(false).synchronous(SqliteSynchronous::Off);
        let mut connection = options.connect().await.with_context(|| format!("cannot create `{}`", file.display()))?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await?;
        let mut transaction = connection.begin().await?;
        self.write_catalogue(&mut transaction).await?;
        let (lines, cents) = self.write_sales(&mut transaction).await?;
        transaction.commit().await?;
        connection.close().await?;
        Ok(TinyShop { file: file.to_owned(), first_day: self.first_day, end: self.first_day + self.days, lines, cents })
    }

    async fn write_catalogue(&self, connection: &mut SqliteConnection) -> Result<()> {
        let opened = format!("{}T12:00:00Z", self.first_day - 30);
        for (department, name) in (1..).zip(DEPARTMENTS) {
            sqlx::query("insert into categories values (?, ?, null)").bind(department).bind(name).execute(&mut *connection).await?;
            for number in 1..=CATEGORIES_EACH {
                let category_id = 100 * department + number;
                sqlx::query("insert into categories values (?, ?, ?)")
                    .bind(category_id)
                    .bind(format!("{name} {number}"))
                    .bind(department)
                    .execute(&mut *connection)
                    .await?;
            }
        }
        for product in 1..=self.products {
            sqlx::query("insert into products values (?, ?, ?, ?, ?, ?, ?)")
                .bind(product)
                .bind(format!("Product {product}"))
                .bind(category_of(product))
                .bind(format!("Brand {}", product % 7))
                .bind(money(price_cents(product)))
                .bind(&opened)
                .bind(&opened)
                .execute(&mut *connection)
                .await?;
        }
        for customer in 1..=self.customers {
            sqlx::query("insert into customers values (?, ?, ?, ?, ?)")
                .bind(customer)
                .bind(format!("Customer {customer}"))
                .bind(format!("customer.{customer}@example.com"))
                .bind(if customer % 3 == 0 { "regular" } else { "guest" })
                .bind(&opened)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    async fn write_sales(&self, connection: &mut SqliteConnection) -> Result<(i64, i64)> {
        let mut random = Random(self.seed);
        let (mut order_id, mut line_id, mut promotion_id, mut cents) = (0, 0, 0, 0);
        let mut promoted = 0;
        for number in 0..self.days {
            let day = self.first_day + number;
            if number % 7 == 0 {
                promotion_id += 1;
                promoted = 1 + random.below(self.products - self.products / 20);
                sqlx::query("insert into promotions values (?, ?, ?, ?, 'mailer', ?, ?)")
                    .bind(promotion_id)
                    .bind(promoted)
                    .bind(day.to_string())
                    .bind((day + 6).to_string())
                    .bind(10 + random.below(90))
                    .bind(format!("{}T12:00:00Z", day - 5))
                    .execute(&mut *connection)
                    .await?;
            }
            // Saturdays and Sundays are busier; so is the end of the history.
            let weekend = i64::from(day.weekday().num_days_from_monday() >= 5);
            let orders = self.orders_a_day * (100 + 40 * weekend + 20 * number / self.days.max(1)) / 100;
            for order in 0..orders {
                order_id += 1;
                let second = 32_400 + order * 39_600 / orders + random.below(30);
                let at = (day.starts_at(self.zone) + std::time::Duration::from_secs(second.unsigned_abs()))
                    .format("%Y-%m-%dT%H:%M:%SZ")
                    .to_string();
                let customer = 1 + random.below(self.customers);
                sqlx::query("insert into orders values (?, ?, ?)")
                    .bind(order_id)
                    .bind(customer)
                    .bind(&at)
                    .execute(&mut *connection)
                    .await?;
                for _ in 0..=random.below(4) {
                    line_id += 1;
                    let product = self.choice(&mut random, number, promoted);
                    let returned = random.below(200) == 0;
                    let quantity = (1 + random.below(3)) * if returned { -1 } else { 1 };
                    let price = price_cents(product) * if product == promoted { 80 } else { 100 } / 100;
                    cents += price * quantity;
                    sqlx::query("insert into order_lines values (?, ?, ?, ?, ?, ?, ?, ?)")
                        .bind(line_id)
                        .bind(order_id)
                        .bind(product)
                        .bind(quantity)
                        .bind(money(price))
                        .bind(money(price * quantity))
                        .bind(money((price_cents(product) - price) * quantity.max(0)))
                        .bind(&at)
                        .execute(&mut *connection)
                        .await?;
                }
            }
        }
        Ok((line_id, cents))
    }

    /// A few products are bought often and most seldom; each tenth starts in the second half, the last twentieth never
    /// sells.
    fn choice(&self, random: &mut Random, day: i64, promoted: i64) -> i64 {
        if random.below(12) == 0 {
            return promoted;
        }
        loop {
            let range = self.products - self.products / 20;
            let product = 1 + random.below(range) * random.below(range) / range;
            if product % 10 != 9 || 2 * day >= self.days {
                return product;
            }
        }
    }
}

fn category_of(product: i64) -> i64 {
    let departments = DEPARTMENTS.len() as i64;
    100 * (1 + product % departments) + 1 + product / departments % CATEGORIES_EACH
}

fn price_cents(product: i64) -> i64 {
    199 + product * 7_919 % 4_800
}

fn money(cents: i64) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}

/// SplitMix64 (Steele, Lea and Flood, 2014): enough for a test, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1).unsigned_abs()) as i64
    }
}
