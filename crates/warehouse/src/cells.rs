//! Arrow columns as values: the way out of a batch for files as a source and for rows that go to quarantine.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use crate::value::Value;

/// A column in one of the few shapes that values come from.
pub(crate) enum Cells {
    Int(ArrayRef),
    Real(ArrayRef),
    Text(ArrayRef),
    Bytes(ArrayRef),
    Instant(ArrayRef),
    Day(ArrayRef),
    Decimal(ArrayRef, i8),
    Null,
}

impl Cells {
    /// The columns of a batch.
    pub(crate) fn of(batch: &RecordBatch) -> Result<Vec<Self>, arrow::error::ArrowError> {
        let shape = |array: &ArrayRef| {
            let to = |data_type: DataType| cast(array, &data_type);
            Ok(match array.data_type() {
                DataType::Null => Cells::Null,
                DataType::Boolean => Cells::Int(to(DataType::Int64)?),
                data_type if data_type.is_integer() => Cells::Int(to(DataType::Int64)?),
                data_type if data_type.is_floating() => Cells::Real(to(DataType::Float64)?),
                DataType::Decimal128(_, scale) => Cells::Decimal(array.clone(), *scale),
                DataType::Decimal256(precision, scale) => Cells::Decimal(to(DataType::Decimal128((*precision).min(38), *scale))?, *scale),
                DataType::Timestamp(_, None) => Cells::Instant(to(DataType::Timestamp(TimeUnit::Microsecond, None))?),
                DataType::Timestamp(_, Some(_)) => Cells::Instant(to(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?),
                DataType::Date32 | DataType::Date64 => Cells::Day(to(DataType::Date32)?),
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                    Cells::Bytes(to(DataType::Binary)?)
                }
                _ => Cells::Text(to(DataType::Utf8)?),
            })
        };
        batch.columns().iter().map(shape).collect()
    }

    /// The value in row `at`.
    pub(crate) fn value(&self, at: usize) -> Value<'_> {
        let (Self::Int(array)
        | Self::Real(array)
        | Self::Text(array)
        | Self::Bytes(array)
        | Self::Instant(array)
        | Self::Day(array)
        | Self::Decimal(array, _)) = self
        else {
            return Value::Null;
        };
        if array.is_null(at) {
            return Value::Null;
        }
        match self {
            Self::Int(array) => Value::Int(array.as_primitive::<Int64Type>().value(at)),
            Self::Real(array) => Value::Real(array.as_primitive::<Float64Type>().value(at)),
            Self::Text(array) => Value::Text(array.as_string::<i32>().value(at)),
            Self::Bytes(array) => Value::Bytes(array.as_binary::<i32>().value(at)),
            Self::Instant(array) => Value::Instant(array.as_primitive::<TimestampMicrosecondType>().value(at)),
            Self::Day(array) => Value::Day(array.as_primitive::<Date32Type>().value(at)),
            Self::Decimal(array, scale) => Value::Decimal(array.as_primitive::<Decimal128Type>().value(at), *scale),
            Self::Null => Value::Null,
        }
    }
}
