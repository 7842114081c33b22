//! Descent: Adam for the layers (Kingma & Ba, 2015), Adagrad with one rate per row for the embeddings (Duchi et al.,
//! 2011), of which each step touches few; and the random numbers of the start and of the order of the rows.

const MOMENTUM: f32 = 0.9;
const MEMORY: f32 = 0.999;

/// State of Adam for one array of numbers.
pub(super) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
}

impl Adam {
    pub(super) fn new(size: usize) -> Self {
        Self { mean: vec![0.0; size], square: vec![0.0; size], steps: 0 }
    }

    /// Moves `values` against `gradient`.
    pub(super) fn step<'a>(&mut self, values: impl Iterator<Item = &'a mut f32>, gradient: impl Iterator<Item = &'a f32>, rate: f32) {
        self.steps += 1;
        let rate = rate * (1.0 - MEMORY.powi(self.steps)).sqrt() / (1.0 - MOMENTUM.powi(self.steps));
        let state = self.mean.iter_mut().zip(&mut self.square);
        for ((value, gradient), (mean, square)) in values.zip(gradient).zip(state) {
            *mean += (1.0 - MOMENTUM) * (gradient - *mean);
            *square += (1.0 - MEMORY) * (gradient * gradient - *square);
            *value -= rate * *mean / (square.sqrt() + 1e-8);
        }
    }
}

/// Sum of squared gradients of each row of an embedding.
pub(super) struct Adagrad {
    squares: Vec<f32>,
}

impl Adagrad {
    pub(super) fn new(rows: usize) -> Self {
        Self { squares: vec![0.0; rows] }
    }

    /// The step size of `row` after this gradient.
    pub(super) fn rate<'a>(&mut self, row: usize, gradient: impl ExactSizeIterator<Item = &'a f32>, rate: f32) -> f32 {
        let width = gradient.len().max(1) as f32;
        self.squares[row] += gradient.map(|g| g * g).sum::<f32>() / width;
        rate / (self.squares[row].sqrt() + 1e-6)
    }
}

/// SplitMix64 (Steele et al., 2014): the same seed gives the same numbers in every release.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly between `-bound` and `bound`.
    pub(super) fn within(&mut self, bound: f32) -> f32 {
        ((self.next() >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0) * bound
    }

    /// Fisher and Yates.
    pub(super) fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            values.swap(at, (self.next() % (at as u64 + 1)) as usize);
        }
    }
}
