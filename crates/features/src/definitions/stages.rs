//! The tables that definitions read, made one after the other for one as_of: what was visible, sales and promotions by
//! week, each product's steady week, what a unit of promotion was worth in the shop, and who bought what.

/// How a stage is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageForm {
    /// Put into each query that reads it.
    View,
    /// Computed once.
    Table,
}

/// A named query. `{sales}` stands for the expressions of the `Sales` definitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) form: StageForm,
    pub(crate) sql: &'static str,
}

/// In the order in which they build on each other.
pub(crate) const STAGES: [Stage; 9] = [
    Stage {
        name: "visible",
        form: StageForm::View,
        sql: "select *, {as_of} - day as age from panel where visible_from <= {as_of} and day < {as_of} and day >= {as_of} - 364",
    },
    Stage {
        name: "announced",
        form: StageForm::View,
        sql: "select * from promotions where visible_from <= {as_of} and ends >= {as_of} - 364 and starts <= {as_of} + 366",
    },
    Stage {
        name: "bought",
        form: StageForm::View,
        sql: "select *, {as_of} - day as age from customer_sales
              where visible_from <= {as_of} and day < {as_of} and day >= {as_of} - 364 and amount > 0",
    },
    Stage {
        name: "sold",
        form: StageForm::Table,
        sql: "select product_id, category_id, {sales} from visible group by product_id, category_id",
    },
    // Week 1 is the week before as_of. A promotion's strength counts by its days in the week. Weeks under promotion
    // without a sale are here too, with nothing sold.
    Stage {
        name: "weeks",
        form: StageForm::Table,
        sql: "
        with s as (
          select product_id, (age + 6) / 7 as week, sum(amount) as amount, sum(quantity) as quantity
          from visible where age <= 182 group by product_id, (age + 6) / 7),
        spans as (
          select product_id, kind, strength, starts, ends,
                 unnest(generate_series(greatest(1, ({as_of} - ends + 6) / 7), least(26, ({as_of} - starts + 6) / 7))) as week
          from announced where starts < {as_of} and ends >= {as_of} - 182),
        covered as (
          select product_id, week, kind,
                 strength * (least(ends, {as_of} - 7 * week + 6) - greatest(starts, {as_of} - 7 * week) + 1) / 7.0 as strength
          from spans),
        p as (
          select product_id, week, coalesce(sum(strength) filter (where kind = 'display'), 0.0) as display,
                 coalesce(sum(strength) filter (where kind <> 'display'), 0.0) as mailer
          from covered group by product_id, week)
        select coalesce(s.product_id, p.product_id) as product_id, coalesce(s.week, p.week) as week,
               coalesce(s.amount, 0.0) as amount, coalesce(s.quantity, 0.0) as quantity,
               coalesce(p.display, 0.0) as display, coalesce(p.mailer, 0.0) as mailer, p.product_id is not null as promoted
        from s full join p on p.product_id = s.product_id and p.week = s.week",
    },
    // What a product sells in a week without promotion, from at least four such weeks since it was first sold.
    Stage {
        name: "steady",
        form: StageForm::Table,
        sql: "
        select product_id, first_week, plain / plain_weeks as steady from (
          select w.product_id, f.first_week, sum(w.amount) filter (where not w.promoted) as plain,
                 f.first_week - count(*) filter (where w.promoted and w.week <= f.first_week) as plain_weeks
          from weeks w join (
            select product_id, least(26.0, ceil(max(days_since_first_sale) / 7.0)) as first_week from sold group by product_id) f
            on f.product_id = w.product_id
          group by w.product_id, f.first_week)
        where plain_weeks >= 4 and plain > 0",
    },
    // The lift of a unit of strength, of both kinds at once: least squares of what weeks under promotion sold beyond the
    // steady week, with variance in proportion to it (so that busy products count as they should), and a ridge that
    // shrinks it to 0 as if fifty more promoted weeks had shown no lift.
    Stage {
        name: "lifts",
        form: StageForm::Table,
        sql: "
        with t as (
          select w.display as d, w.mailer as m, w.amount - s.steady as excess, s.steady as e
          from weeks w join steady s on s.product_id = w.product_id
          where w.promoted and w.week <= least(13.0, s.first_week)),
        sums as (
          select coalesce(sum(e * d * d) * (1 + 50.0 / nullif(count(*) filter (where d > 0), 0)), 1.0) as dd,
                 coalesce(sum(e * m * m) * (1 + 50.0 / nullif(count(*) filter (where m > 0), 0)), 1.0) as mm,
                 coalesce(sum(e * d * m), 0.0) as dm, coalesce(sum(d * excess), 0.0) as bd, coalesce(sum(m * excess), 0.0) as bm
          from t)
        select coalesce((mm * bd - dm * bm) / nullif(dd * mm - dm * dm, 0.0), 0.0) as display_lift,
               coalesce((dd * bm - dm * bd) / nullif(dd * mm - dm * dm, 0.0), 0.0) as mailer_lift from sums",
    },
    // Product and customer: purchase days, and the weeks in which the customer shopped at all since the first of them
    // (`active`) and of the last eight (`shopping`).
    Stage {
        name: "pairs",
        form: StageForm::Table,
        sql: "
        with shopped as (
          select customer_id, week, row_number() over (partition by customer_id order by week) as active
          from (select distinct customer_id, (age + 6) / 7 as week from bought)),
        recent as (select customer_id, max(active) as weeks from shopped where week <= 8 group by customer_id)
        select p.product_id, p.purchases, p.amount, p.first_age, p.last_age, s.active,
               coalesce(r.weeks, 0) / least(8.0, {history_weeks}) as shopping
        from (select product_id, customer_id, count(*) as purchases, sum(amount) as amount, max(age) as first_age, min(age) as last_age
              from bought group by product_id, customer_id) p
        join shopped s on s.customer_id = p.customer_id and s.week = (p.first_age + 6) / 7
        left join recent r on r.customer_id = p.customer_id",
    },
    // What each customer is expected to spend on the product in a week: purchases per week in which they shop, times the
    // chance that they are still a customer of it, times how often they shop, times what they spend. Simplified from
    // the idea of BG/NBD (Fader, Hardie and Lee 2005): instead of its likelihood, a customer counts as lost when the
    // time since the last purchase passes a few of their usual gaps. Rates and gaps lean on the shop's own mean.
    Stage {
        name: "buyers",
        form: StageForm::View,
        sql: "
        select product_id, purchases, amount, first_age, last_age,
               (purchases - 1 + 8 * rate) / (active + 8) * shopping * amount / purchases
               / (1 + exp(least(50.0, (last_age / 7.0 - 3 * ((first_age - last_age) / 7.0 + gap) / purchases - 4) / 4))) as repurchase
        from pairs cross join (
          select coalesce(cast(sum(purchases - 1) as double) / sum(active), 0.0) as rate,
                 coalesce(sum(first_age - last_age) / 7.0 / nullif(sum(purchases - 1), 0), 0.0) as gap from pairs)",
    },
];
