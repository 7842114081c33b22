//! What was known at an as_of of products that are new to the shop: those that never sold, those that were first sold
//! lately, and the launches before them, with the sales of their lives so far and of their categories. Every query is
//! restricted to what was visible then.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use sellcast_domain::{CategoryId, ProductId, ShopDay};
use sellcast_features::Panel;

use super::similar::{Description, Words};
use crate::error::ForecastError;

/// Days after the shop's first sale in which a first sale may well be none: the product sold before the history began.
const UNSURE_DAYS: i64 = 56;
/// Days after which a launch is too old to tell how products start now.
const MEMORY_DAYS: i64 = 364;

/// A product that never sold, or whose first sale is known.
#[derive(Clone, Debug)]
pub(crate) struct Newcomer {
    pub(crate) id: ProductId,
    pub(crate) category: CategoryId,
    pub(crate) description: Description,
    /// From which day on the catalogue had it.
    pub(crate) known_from: i32,
    /// Day of its first sale; `None` before it.
    pub(crate) first: Option<i32>,
    /// What it sold up to and including each day of its life on which it sold; the first sale is on day 0.
    life: Vec<Lived>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lived {
    day: i32,
    amount: f64,
    transactions: f64,
}

impl Newcomer {
    fn until(&self, day: i32) -> Lived {
        let after = self.life.partition_point(|lived| lived.day < day);
        after.checked_sub(1).map_or_else(Lived::default, |at| self.life[at])
    }

    /// What it sold from day `from` of its life on, before day `to`.
    pub(crate) fn amount(&self, from: i32, to: i32) -> f64 {
        self.until(to).amount - self.until(from).amount
    }

    /// How often it was sold again before day `to` of its life.
    pub(crate) fn repeats(&self, to: i32) -> f64 {
        (self.until(to).transactions - 1.0).max(0.0)
    }
}

/// A promotion of a newcomer.
#[derive(Clone, Copy, Debug)]
struct Planned {
    starts: i32,
    ends: i32,
    known_from: i32,
}

/// A category's sales.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sold<'a> {
    first: i32,
    /// Before each day from the first on.
    before: &'a [f64],
}

impl Sold<'_> {
    /// From one day on, before another.
    pub(crate) fn amount(&self, from: i32, to: i32) -> f64 {
        let at = |day: i32| self.before[(day - self.first).clamp(0, self.before.len() as i32 - 1) as usize];
        at(to) - at(from)
    }
}

/// The shop's newcomers as of a day.
#[derive(Clone, Debug)]
pub(crate) struct Newcomers {
    /// Days since 1970.
    pub(crate) as_of: i32,
    /// First sales before this day may be none.
    pub(crate) sure_from: i32,
    /// By id.
    pub(crate) all: Vec<Newcomer>,
    pub(crate) words: Words,
    names: HashMap<ProductId, usize>,
    /// What each category had sold before each day, from the first day on.
    categories: BTreeMap<CategoryId, (i32, Vec<f64>)>,
    promotions: HashMap<ProductId, Vec<Planned>>,
}

impl Newcomers {
    /// Reads them from the panel.
    pub(crate) async fn load(panel: &Panel, as_of: ShopDay) -> Result<Self, ForecastError> {
        let day = as_of.epoch_days();
        let sure_from = (panel.first_day() + UNSURE_DAYS).epoch_days();
        let since = sure_from.max((as_of - MEMORY_DAYS).epoch_days());
        let visible = format!("visible_from <= {day} and day < {day}");
        let firsts = format!("select product_id, min(day) as first from panel where {visible} group by product_id");
        let newcomers = format!(
            "select p.product_id, p.category_id, cast(p.brand as varchar) as brand, cast(p.name as varchar) as name, cast(p.known_from as int) as known_from, cast(f.first as int) as first
             from products p left join ({firsts}) f on f.product_id = p.product_id
             where p.known_from <= {day} and (f.first is null or f.first >= {since})"
        );
        let lives = format!(
            "select s.product_id, cast(s.day - f.first as int) as day, sum(s.amount) as amount, sum(s.quantity) as quantity, sum(s.transactions) as transactions
             from panel s join (select * from ({firsts}) where first >= {since}) f on f.product_id = s.product_id
             where s.{visible} group by s.product_id, s.day - f.first order by 1, 2",
            visible = visible.replace(" and day", " and s.day")
        );
        let mut found = Self {
            as_of: day,
            sure_from,
            all: Vec::new(),
            words: Words::default(),
            names: HashMap::new(),
            categories: BTreeMap::new(),
            promotions: HashMap::new(),
        };
        let mut lived = read_lives(panel, &lives).await?;
        found.read_newcomers(panel, &format!("{newcomers} order by p.product_id"), &mut lived).await?;
        found.read_categories(panel, &visible).await?;
        // Only those that had not sold when the promotion was announced or ran are asked about.
        let promotions = format!(
            "select r.product_id, cast(r.starts as int) as starts, cast(r.ends as int) as ends, cast(r.visible_from as int) as visible_from
             from promotions r join ({newcomers}) n on n.product_id = r.product_id
             where r.visible_from <= {day} and r.ends >= {} order by 1, 2, 3, 4",
            day - 91
        );
        for batch in panel.context().sql(&promotions).await?.collect().await? {
            let (ids, starts, ends, known) =
                (longs(&batch, "product_id"), ints(&batch, "starts"), ints(&batch, "ends"), ints(&batch, "visible_from"));
            for row in 0..batch.num_rows() {
                let planned = Planned { starts: starts[row], ends: ends[row], known_from: known[row] };
                found.promotions.entry(ids[row].into()).or_default().push(planned);
            }
        }
        Ok(found)
    }

    async fn read_newcomers(
        &mut self,
        panel: &Panel,
        sql: &str,
        lived: &mut HashMap<ProductId, (Vec<Lived>, f32)>,
    ) -> Result<(), ForecastError> {
        let batches = panel.context().sql(sql).await?.collect().await?;
        let mut texts = Vec::with_capacity(batches.len());
        for batch in &batches {
            texts.push((text(&batch["name"])?, text(&batch["brand"])?));
        }
        let named = texts.iter().flat_map(|(names, brands)| names.iter().zip(brands)).map(|(name, brand)| (&**name, &**brand));
        let (words, described) = Words::of(named);
        self.words = words;
        let mut described = described.into_iter();
        for batch in &batches {
            let (ids, categories, known) = (longs(batch, "product_id"), longs(batch, "category_id"), ints(batch, "known_from"));
            let first = batch["first"].as_primitive::<Int32Type>();
            for row in 0..batch.num_rows() {
                let id = ProductId::from(ids[row]);
                let mut description = described.next().unwrap_or_default();
                let (life, price) = lived.remove(&id).unwrap_or((Vec::new(), f32::NAN));
                description.price = price;
                self.names.insert(id, self.all.len());
                self.all.push(Newcomer {
                    id,
                    category: categories[row].into(),
                    description,
                    known_from: known[row],
                    first: first.is_valid(row).then(|| first.value(row)),
                    life,
                });
            }
        }
        Ok(())
    }

    async fn read_categories(&mut self, panel: &Panel, visible: &str) -> Result<(), ForecastError> {
        let from = panel.first_day().epoch_days().max(self.as_of - MEMORY_DAYS as i32 - 31);
        let days = (self.as_of - from).max(0) as usize;
        let sql = format!(
            "select category_id, cast(day as int) as day, sum(amount) as amount from panel where {visible} and day >= {from} group by 1, 2 order by 1, 2"
        );
        for batch in panel.context().sql(&sql).await?.collect().await? {
            let (ids, day, amounts) = (longs(&batch, "category_id"), ints(&batch, "day"), doubles(&batch, "amount"));
            for row in 0..batch.num_rows() {
                let (_, before) = self.categories.entry(ids[row].into()).or_insert_with(|| (from, vec![0.0; days + 1]));
                before[(day[row] - from) as usize + 1] = amounts[row];
            }
        }
        for (_, before) in self.categories.values_mut() {
            (1..before.len()).for_each(|at| before[at] += before[at - 1]);
        }
        Ok(())
    }

    /// A newcomer by its id.
    pub(crate) fn get(&self, id: ProductId) -> Option<&Newcomer> {
        self.names.get(&id).map(|at| &self.all[*at])
    }

    /// The sales of a category by day.
    pub(crate) fn sold(&self, category: CategoryId) -> Sold<'_> {
        self.categories.get(&category).map_or(Sold { first: 0, before: &[0.0] }, |(first, before)| Sold { first: *first, before })
    }

    /// Whether a promotion of the stretch from `day` on, before `end`, was known when `day` began.
    pub(crate) fn is_promoted(&self, id: ProductId, day: i32, end: i32) -> bool {
        let covers = |planned: &Planned| planned.known_from <= day && planned.starts < end && planned.ends >= day;
        self.promotions.get(&id).is_some_and(|promotions| promotions.iter().any(covers))
    }
}

/// Each product's life with the mean price of a unit in it.
async fn read_lives(panel: &Panel, sql: &str) -> Result<HashMap<ProductId, (Vec<Lived>, f32)>, ForecastError> {
    let mut lives: HashMap<ProductId, (Vec<Lived>, f64)> = HashMap::new();
    for batch in panel.context().sql(sql).await?.collect().await? {
        let (ids, days) = (longs(&batch, "product_id"), ints(&batch, "day"));
        let (amounts, quantities, transactions) = (doubles(&batch, "amount"), doubles(&batch, "quantity"), doubles(&batch, "transactions"));
        for row in 0..batch.num_rows() {
            let (life, units) = lives.entry(ids[row].into()).or_default();
            let before = life.last().copied().unwrap_or_default();
            life.push(Lived {
                day: days[row],
                amount: before.amount + amounts[row],
                transactions: before.transactions + transactions[row],
            });
            *units += quantities[row];
        }
    }
    let priced = |(life, units): (Vec<Lived>, f64)| {
        let amount = life.last().map_or(0.0, |lived| lived.amount);
        let price = if amount > 0.0 && units > 0.0 { (amount / units) as f32 } else { f32::NAN };
        (life, price)
    };
    Ok(lives.into_iter().map(|(id, lived)| (id, priced(lived))).collect())
}

fn longs<'a>(batch: &'a RecordBatch, name: &str) -> &'a [i64] {
    batch[name].as_primitive::<Int64Type>().values()
}

fn ints<'a>(batch: &'a RecordBatch, name: &str) -> &'a [i32] {
    batch[name].as_primitive::<Int32Type>().values()
}

fn doubles<'a>(batch: &'a RecordBatch, name: &str) -> &'a [f64] {
    batch[name].as_primitive::<Float64Type>().values()
}

fn text(column: &ArrayRef) -> Result<Vec<String>, ForecastError> {
    let column = arrow::compute::cast(column, &DataType::Utf8).map_err(datafusion::error::DataFusionError::from)?;
    Ok(column.as_string::<i32>().iter().map(|value| value.unwrap_or_default().to_owned()).collect())
}
