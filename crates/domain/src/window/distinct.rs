//! How many different customers bought, estimated from a sample by hash (adaptive sampling, Flajolet 1990): customers
//! whose hash begins with enough zero bits are kept with the minutes of their purchases, all others are left out.
//! When the sample is full one more zero bit is asked for. A purchase that is taken back leaves the sample again, and
//! one sample answers for all windows, neither of which a HyperLogLog can do.

use serde::Serialize;

/// An estimated number of different customers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DistinctCustomers {
    /// The estimate; exact when `standard_error` is 0.
    pub estimate: u64,
    /// Its standard error, in customers.
    pub standard_error: f64,
}

/// The sample of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct CustomerSample {
    /// Minute and customer of each purchase, in no order.
    purchases: Vec<u64>,
    /// Zero bits that a customer's hash must begin with.
    zeros: u32,
}

const fn purchase(minute: u32, customer: u32) -> u64 {
    (minute as u64) << 32 | customer as u64
}

impl CustomerSample {
    /// Adds a purchase. With more than `limit`, those before minute `first` are dropped and, if need be, half of the rest.
    pub(super) fn add(&mut self, minute: u32, customer: u32, limit: usize, first: u32) {
        if customer.leading_zeros() < self.zeros {
            return;
        }
        if self.purchases.len() >= limit {
            self.drop_before(first);
            while self.purchases.len() * 4 > limit * 3 {
                self.zeros += 1;
                let zeros = self.zeros;
                self.purchases.retain(|purchase| (*purchase as u32).leading_zeros() >= zeros);
            }
            if customer.leading_zeros() < self.zeros {
                return;
            }
        }
        self.purchases.push(purchase(minute, customer));
    }

    /// Leaves out the customers that another sample cannot have, so that what is added of it or taken away is all there is of those
    /// that stay.
    pub(super) fn thin_to(&mut self, other: &Self) {
        if other.zeros > self.zeros {
            self.zeros = other.zeros;
            self.purchases.retain(|purchase| (*purchase as u32).leading_zeros() >= other.zeros);
        }
    }

    /// Makes room for this many more purchases.
    pub(super) fn make_room(&mut self, purchases: usize) {
        self.purchases.reserve_exact(purchases);
    }

    /// Takes a purchase back.
    pub(super) fn retract(&mut self, minute: u32, customer: u32) {
        let wanted = purchase(minute, customer);
        if let Some(place) = self.purchases.iter().rposition(|purchase| *purchase == wanted) {
            self.purchases.swap_remove(place);
        }
    }

    /// Drops purchases before minute `first`.
    pub(super) fn drop_before(&mut self, first: u32) {
        let oldest = purchase(first, 0);
        self.purchases.retain(|purchase| *purchase >= oldest);
        if self.purchases.is_empty() {
            *self = Self::default();
        } else if self.purchases.capacity() > 4 * self.purchases.len() {
            self.purchases.shrink_to(2 * self.purchases.len());
        }
    }

    /// Different customers from minute `first` up to and including `last`.
    pub(super) fn distinct(&self, first: u32, last: u32) -> DistinctCustomers {
        let inside = purchase(first, 0)..=purchase(last, u32::MAX);
        let mut customers: Vec<u32> =
            self.purchases.iter().filter(|purchase| inside.contains(purchase)).map(|purchase| *purchase as u32).collect();
        customers.sort_unstable();
        customers.dedup();
        let sampled = customers.len() as f64;
        let factor = (1_u64 << self.zeros) as f64;
        // Of n customers each is in the sample with probability p = 1 / factor: the variance of k / p is n (1 - p) / p.
        let standard_error = (sampled * factor * (factor - 1.0)).sqrt();
        DistinctCustomers { estimate: (sampled * factor) as u64, standard_error }
    }

    /// Minute and customer of each purchase in the sample.
    pub(super) fn purchases(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.purchases.iter().map(|purchase| ((purchase >> 32) as u32, *purchase as u32))
    }

    /// The customer of the last purchase, or 0.
    pub(super) fn newest(&self) -> u32 {
        self.purchases.last().map_or(0, |purchase| *purchase as u32)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.purchases.is_empty()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.purchases.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CustomerId;
    use crate::window::SaleFact;

    #[test]
    fn few_customers_are_counted_exactly_and_many_within_the_stated_error() {
        for customers in [10_u64, 1_000, 50_000, 400_000] {
            let mut worst: f64 = 0.0;
            let mut sum_of_squares = 0.0;
            let trials = 20;
            for trial in 0..trials {
                let mut sample = CustomerSample::default();
                for customer in 0..customers {
                    let mark = SaleFact::customer_mark(CustomerId::from((trial * 10_000_000 + customer) as i64));
                    sample.add((customer % 100) as u32, mark, 4096, 0);
                }
                let found = sample.distinct(0, 99);
                assert!(found.standard_error < 0.04 * customers as f64, "{found:?}");
                if customers < 4096 {
                    assert_eq!(found.estimate, customers);
                    assert_eq!(found.standard_error, 0.0);
                }
                let error = (found.estimate as f64 - customers as f64) / customers as f64;
                worst = worst.max(error.abs());
                sum_of_squares += error * error;
            }
            let rms = (sum_of_squares / trials as f64).sqrt();
            assert!(rms < 0.03 && worst < 0.09, "{customers}: {rms} {worst}");
        }
    }

    #[test]
    fn a_retracted_purchase_no_longer_counts_and_another_of_the_same_customer_still_does() {
        let mut sample = CustomerSample::default();
        sample.add(5, 77, 512, 0);
        sample.add(6, 77, 512, 0);
        sample.retract(5, 77);
        assert_eq!(sample.distinct(0, 10).estimate, 1);
        sample.retract(6, 77);
        assert_eq!(sample.distinct(0, 10).estimate, 0);
    }
}
