//! The net itself: embeddings beside the numeric inputs, two hidden layers of rectified units, one output; forward,
//! backward, and its numbers as a file.

use ndarray::{Array1, Array2, Axis, Slice, concatenate};

use super::optimizer::{Adagrad, Adam, Random};
use crate::error::ForecastError;
use crate::models::file::{Reader, Writer};

const HIDDEN: [usize; 2] = [64, 32];
/// Highest step size; it falls to nothing towards the end of the training.
const RATE: f32 = 0.002;
const EMBEDDING_RATE: f32 = 0.02;
/// Shrinking of an embedding at each of its steps: what few rows say of a product is to be believed by halves.
const EMBEDDING_DECAY: f32 = 0.001;

#[derive(Clone, Debug)]
struct Layer {
    weights: Array2<f32>,
    bias: Array1<f32>,
}

impl Layer {
    fn new(from: usize, to: usize, random: &mut Random) -> Self {
        let bound = (6.0 / from as f32).sqrt();
        Self { weights: Array2::from_shape_simple_fn((from, to), || random.within(bound)), bias: Array1::zeros(to) }
    }

    fn apply(&self, inputs: &Array2<f32>) -> Array2<f32> {
        inputs.dot(&self.weights) + &self.bias
    }
}

/// The numbers of the net.
#[derive(Clone, Debug)]
pub(super) struct Net {
    features: usize,
    embeddings: [Array2<f32>; 2],
    layers: [Layer; 3],
}

/// What a forward pass keeps for the backward one.
pub(super) struct Forward {
    inputs: Array2<f32>,
    hidden: [Array2<f32>; 2],
    places: Vec<[usize; 2]>,
    pub(super) output: Vec<f32>,
}

/// The state of the descent.
pub(super) struct Training {
    layers: [(Adam, Adam); 3],
    embeddings: [Adagrad; 2],
}

impl Net {
    /// A net for so many numeric features and embeddings of the given sizes; they begin as zeros, so that what was never
    /// seen counts as average.
    pub(super) fn new(features: usize, embeddings: [(usize, usize); 2], random: &mut Random) -> Self {
        let width = features + embeddings[0].1 + embeddings[1].1;
        let mut layers = [Layer::new(width, HIDDEN[0], random), Layer::new(HIDDEN[0], HIDDEN[1], random), Layer::new(HIDDEN[1], 1, random)];
        // The first forecast is the steady expectation itself.
        layers[2].weights *= 0.1;
        let start = |(rows, width): (usize, usize), random: &mut Random| {
            let mut table = Array2::from_shape_simple_fn((rows, width), || random.within(0.05));
            table.row_mut(0).fill(0.0);
            table
        };
        Self { features, embeddings: [start(embeddings[0], random), start(embeddings[1], random)], layers }
    }

    /// One output per row of numeric inputs and places in the embeddings.
    pub(super) fn forward(&self, numeric: &Array2<f32>, places: &[[usize; 2]]) -> Forward {
        let embedded = |which: usize| {
            let rows: Vec<usize> = places.iter().map(|place| place[which]).collect();
            self.embeddings[which].select(Axis(0), &rows)
        };
        let inputs =
            concatenate(Axis(1), &[numeric.view(), embedded(0).view(), embedded(1).view()]).expect("parts with the same number of rows");
        let rectified = |mut values: Array2<f32>| {
            values.mapv_inplace(|value| value.max(0.0));
            values
        };
        let first = rectified(self.layers[0].apply(&inputs));
        let second = rectified(self.layers[1].apply(&first));
        let output = self.layers[2].apply(&second).into_iter().collect();
        Forward { inputs, hidden: [first, second], places: places.to_vec(), output }
    }

    /// The state of a descent that begins.
    pub(super) fn training(&self) -> Training {
        let adam = |layer: &Layer| (Adam::new(layer.weights.len()), Adam::new(layer.bias.len()));
        Training {
            layers: [adam(&self.layers[0]), adam(&self.layers[1]), adam(&self.layers[2])],
            embeddings: [Adagrad::new(self.embeddings[0].nrows()), Adagrad::new(self.embeddings[1].nrows())],
        }
    }

    /// One step down the gradient of the outputs; `progress` runs from 0 to 1.
    pub(super) fn learn(&mut self, forward: Forward, gradient: Vec<f32>, training: &mut Training, progress: f32) {
        let cosine = 0.5 * (1.0 + (std::f32::consts::PI * progress).cos());
        let mut back = Array1::from_vec(gradient).insert_axis(Axis(1));
        for at in (0..3).rev() {
            let inputs = if at == 0 { &forward.inputs } else { &forward.hidden[at - 1] };
            let by_weights = inputs.t().dot(&back);
            let by_bias = back.sum_axis(Axis(0));
            let mut before = back.dot(&self.layers[at].weights.t());
            if at > 0 {
                before.zip_mut_with(&forward.hidden[at - 1], |gradient, value| {
                    if *value <= 0.0 {
                        *gradient = 0.0;
                    }
                });
            }
            let layer = &mut self.layers[at];
            let (weights, bias) = &mut training.layers[at];
            weights.step(layer.weights.iter_mut(), by_weights.iter(), RATE * cosine);
            bias.step(layer.bias.iter_mut(), by_bias.iter(), RATE * cosine);
            back = before;
        }
        let mut from = self.features;
        for which in 0..2 {
            let width = self.embeddings[which].ncols();
            let part = back.slice_axis(Axis(1), Slice::from(from..from + width));
            from += width;
            for (row, place) in forward.places.iter().enumerate() {
                // Place 0 stays the average.
                if place[which] > 0 {
                    let mut target = self.embeddings[which].row_mut(place[which]);
                    let rate = training.embeddings[which].rate(place[which], part.row(row).iter(), EMBEDDING_RATE * cosine);
                    target.zip_mut_with(&part.row(row), |value, gradient| *value -= rate * gradient + EMBEDDING_DECAY * *value);
                }
            }
        }
    }

    /// Sum of the absolute weights of each numeric feature in the first layer.
    pub(super) fn strengths(&self) -> impl Iterator<Item = f64> {
        self.layers[0].weights.rows().into_iter().take(self.features).map(|row| row.iter().map(|w| f64::from(w.abs())).sum())
    }

    /// All numbers, layer by layer.
    pub(super) fn write(&self, writer: &mut Writer) {
        for table in &self.embeddings {
            writer.floats(table.iter());
        }
        for layer in &self.layers {
            writer.floats(layer.weights.iter());
            writer.floats(layer.bias.iter());
        }
    }

    /// Reads what [`Net::write`] wrote; `None` if the sizes are others.
    pub(super) fn read(reader: &mut Reader<'_>, features: usize, embeddings: [(usize, usize); 2]) -> Result<Option<Self>, ForecastError> {
        let mut net = Self::new(features, embeddings, &mut Random::new(0));
        let mut fits = true;
        let mut fill = |length: usize, target: &mut dyn Iterator<Item = &mut f32>| -> Result<(), ForecastError> {
            let values = reader.floats()?;
            fits &= values.len() == length;
            target.zip(values).for_each(|(target, value)| *target = value);
            Ok(())
        };
        for table in &mut net.embeddings {
            fill(table.len(), &mut table.iter_mut())?;
        }
        for layer in &mut net.layers {
            fill(layer.weights.len(), &mut layer.weights.iter_mut())?;
            fill(layer.bias.len(), &mut layer.bias.iter_mut())?;
        }
        Ok(fits.then_some(net))
    }
}
