//! The words of sellcast: ids, money, shop days, time frames and periods, prediction documents,
//! the track record and problem types. No I/O, no async runtime, no clock of its own.

mod confidence;
mod currency;
mod day;
mod ids;
mod learning;
mod live;
mod live_chances;
mod live_forecast;
mod live_generation;
mod money;
mod period;
mod prediction;
mod problem;
mod record;
mod sales_profile;
mod what_if;
pub mod window;

pub use confidence::{ConfidenceFactors, TopK};
pub use currency::Currency;
pub use day::{InvalidDay, ShopDay};
pub use ids::{CategoryId, CustomerId, GenerationId, PredictionId, ProductId, SaleId};
pub use learning::{
    Arm, ArmScore, DearModel, DearRecord, Duel, Experiment, ExperimentPeriod, ExperimentRecord, GroupWeights, InvalidModelEvent, Learning,
    LearningStep, ModelEvent, ModelEventKind, ModelsRecord, Verdict, WeightChange,
};
pub use live::{LiveStatus, ReplayStatus};
pub use live_chances::{Outlook, chances, moved_chance};
pub use live_forecast::{Expected, LiveForecast};
pub use live_generation::{LiveCategory, LiveGeneration, LivePrediction, LiveProduct};
pub use money::{InvalidMoney, Money};
pub use period::{InvalidTimeFrame, Period, TimeFrame};
pub use prediction::{
    CategoryHistory, CategoryPrediction, Continuation, ContinuedProduct, Driver, Generation, Interval, ModelSource, ModelVersion,
    PredictionDocument, ProductHistory, ProductPrediction, Provenance, RankInterval, Stage,
};
pub use problem::{FieldError, Problem, ProblemKind};
pub use record::{
    FirstScore, FrameRecord, LiveLevel, LiveMetrics, LiveScore, Metrics, Miss, Origin, PeriodScore, ReliabilityBin, ScoredCategory,
    TrackRecord,
};
pub use sales_profile::{Course, Dispersion, HourlySales, SalesProfile, Scatter};
pub use what_if::{ChangedDriver, InvalidPromotionKind, PromotionKind, WhatIfAnswer, WhatIfOutcome, WhatIfPromotion, WhatIfQuestion};
