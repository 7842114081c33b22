//! Several shards that hand sales on to each other: whatever arrives when, together they have what one would have. So has a follower
//! that reads what all of them are told, each partition at a pace of its own.

use std::collections::VecDeque;

use proptest::prelude::*;
use sellcast_domain::window::{Arrival, WatermarkSettings, WindowKey, WindowSpan};
use sellcast_stream::{Decoder, Dimension, Message, ProductColumns, SaleColumns, Shard, Share, Target, address};

use crate::shop::{Sale, Tables};

const SETTINGS: WatermarkSettings = WatermarkSettings { lateness_seconds: 600, idle_seconds: 60 };
const SHARES: u32 = 3;

/// Two readers with catalogues of their own, and shards with queues between; a follower reads copies of the queues.
struct Net {
    catalogues: [Dimension; 2],
    shards: Vec<Shard>,
    queues: Vec<VecDeque<Message>>,
    follower: Shard,
    copies: Vec<VecDeque<Message>>,
}

impl Net {
    fn new() -> Self {
        let shards = (0..SHARES).map(|index| Shard::new(Share { index, count: SHARES }, SETTINGS)).collect();
        let queues = vec![VecDeque::new(); SHARES as usize];
        Self { catalogues: Default::default(), shards, copies: queues.clone(), queues, follower: Shard::new(Share::WHOLE, SETTINGS) }
    }

    fn send(&mut self, messages: Vec<(Target, Message)>) {
        for (target, message) in messages {
            for index in target.indexes(SHARES) {
                self.queues[index as usize].push_back(message.clone());
                self.copies[index as usize].push_back(message.clone());
            }
        }
    }

    /// Lets the follower read the next messages of a partition.
    fn follow(&mut self, index: usize, count: usize) {
        let count = count.min(self.copies[index].len());
        let mut out = Vec::new();
        for message in self.copies[index].drain(..count) {
            self.follower.receive(message, &mut out);
        }
        assert!(out.is_empty(), "a follower hands nothing on: {out:?}");
    }

    /// Lets a shard follow its next message, twice if it is a duplicate.
    fn deliver(&mut self, index: usize, is_duplicate: bool) {
        let Some(message) = self.queues[index].pop_front() else { return };
        let mut out = Vec::new();
        if is_duplicate {
            self.queues[index].push_back(message.clone());
        }
        self.shards[index].receive(message, &mut out);
        self.send(out);
    }

    fn settle(&mut self, index: usize) {
        let mut out = Vec::new();
        self.shards[index].settle(&mut out);
        self.send(out);
    }

    fn drain(&mut self) {
        loop {
            for index in 0..self.queues.len() {
                while !self.queues[index].is_empty() {
                    self.deliver(index, false);
                }
                // Also where no message waits: products may be leaving.
                self.settle(index);
            }
            if self.queues.iter().all(VecDeque::is_empty) {
                return;
            }
        }
    }
}

proptest! {
    #[test]
    fn shards_together_have_what_one_would_have(
        steps in prop::collection::vec((0..12_u8, 0..40_i64, 0..6_i64, 0..9_i64, -300..3_000_i64), 1..150),
        deliveries in prop::collection::vec((0..SHARES as usize, any::<bool>(), prop::bool::weighted(0.2)), 450),
        paces in prop::collection::vec((0..SHARES as usize, 0..6_usize), 60),
        told in any::<bool>(),
    ) {
        let (mut tables, mut net) = (Tables::default(), Net::new());
        let (sales, products) = (Decoder::sales(&SaleColumns::default()), Decoder::products(&ProductColumns::default()));
        let mut lagging: Vec<Vec<u8>> = Vec::new();
        for (n, (kind, id, product, category, cents)) in steps.into_iter().enumerate() {
            let sale = Sale { product, customer: id, quantity: 1, cents, seconds: n as i64 };
            let reader = (id % 2) as usize;
            let (decoder, event) = match kind {
                0 | 1 => (&products, tables.place(product, category)),
                2 if tables.sales.contains_key(&id) => (&sales, tables.delete(id)),
                _ => {
                    let seconds = tables.sales.get(&id).map_or(sale.seconds, |old| old.seconds);
                    (&sales, tables.write(id, Sale { seconds, ..sale }))
                }
            };
            // Without `replica identity full` the source does not say what was there before.
            let event = if told { event } else { without_before(&event) };
            let mut out = Vec::new();
            let change = decoder.decode(&event).expect("an event");
            if kind < 2 {
                // The first reader has the partition of products; the second hears of them later.
                address(change, Arrival::InTime, &mut net.catalogues[0], &mut out);
                lagging.push(event);
            } else {
                address(change, Arrival::InTime, &mut net.catalogues[reader], &mut out);
            }
            net.send(out);
            if n % 7 == 6 {
                for event in lagging.drain(..) {
                    address(products.decode(&event).expect("an event"), Arrival::InTime, &mut net.catalogues[1], &mut Vec::new());
                }
            }
            let (partition, count) = paces[n % paces.len()];
            net.follow(partition, count);
            for (index, is_settled, is_duplicate) in deliveries.iter().skip(3 * n % deliveries.len()).take(3) {
                net.deliver(*index, *is_duplicate);
                if *is_settled {
                    net.settle(*index);
                }
            }
        }
        net.drain();
        let head = tables.head();
        let batch = tables.batch(head);
        let last_first = paces[0].1 % 2 == 0;
        for index in 0..SHARES as usize {
            net.follow(if last_first { SHARES as usize - 1 - index } else { index }, usize::MAX);
        }
        for shard in net.shards.iter_mut().chain([&mut net.follower]) {
            shard.advance(head);
        }
        let held: usize = net.shards.iter().flat_map(|shard| shard.book().rows()).filter(|row| matches!(row.2, sellcast_domain::window::Held::Sale(_))).count();
        prop_assert_eq!(held, tables.sales.len());
        for key in batch.keys() {
            for span in WindowSpan::ALL {
                let expected = batch.window(key, span);
                prop_assert_eq!(net.follower.book().board().window(key, span), expected);
                let windows = net.shards.iter().map(|shard| shard.book().board().window(key, span));
                let (amount, transactions) = windows.clone().fold((0, 0), |sum, window| (sum.0 + window.amount_cents, sum.1 + window.transactions));
                prop_assert_eq!((amount, transactions), (expected.amount_cents, expected.transactions));
                if matches!(key, WindowKey::Category(_)) {
                    prop_assert!(windows.clone().any(|window| window == expected));
                }
            }
        }
    }
}

/// The sale is of product 1 at first and of product 2 later; the shard that had it hands it over, and then the first version
/// comes once more.
#[test]
fn an_old_version_does_not_come_back_after_the_newest_was_handed_over() {
    let (mut tables, mut net) = (Tables::default(), Net::new());
    let (sales, products) = (Decoder::sales(&SaleColumns::default()), Decoder::products(&ProductColumns::default()));
    let tell = |net: &mut Net, decoder: &Decoder, event: &[u8]| {
        let mut out = Vec::new();
        address(decoder.decode(event).expect("an event"), Arrival::InTime, &mut net.catalogues[0], &mut out);
        net.send(out.clone());
        net.drain();
        out
    };
    let elsewhere = (1..).find(|category| Share::index_of(Some((*category).into()), SHARES) != Share::index_of(Some(0.into()), SHARES));
    for product in [1, 2] {
        tell(&mut net, &products, &tables.place(product, 0));
    }
    let sale = Sale { product: 1, customer: 1, quantity: 1, cents: 500, seconds: 0 };
    let first = tell(&mut net, &sales, &tables.write(1, sale));
    tell(&mut net, &sales, &tables.write(1, Sale { product: 2, ..sale }));
    tell(&mut net, &products, &tables.place(2, elsewhere.expect("a category")));
    net.send(first);
    net.drain();
    let amounts = |product: i64| {
        net.shards
            .iter()
            .map(move |shard| shard.book().board().window(WindowKey::Product(product.into()), WindowSpan::Week).amount_cents)
            .sum::<i64>()
    };
    assert_eq!((amounts(1), amounts(2)), (0, 500));
}

fn without_before(event: &[u8]) -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_slice(event).expect("JSON");
    if value["op"] == "d" {
        let id = value["before"]["id"].clone();
        value["before"] = serde_json::json!({ "id": id, "product_id": null, "occurred_at": null });
    } else {
        value["before"] = serde_json::Value::Null;
    }
    value.to_string().into_bytes()
}
