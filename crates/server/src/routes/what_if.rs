//! `POST /api/v1/what-if`: a product's forecast under another price or promotion, beside the published one, which stays
//! as it is.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sellcast_domain::{ChangedDriver, FieldError, Money, TimeFrame, WhatIfAnswer, WhatIfOutcome, WhatIfPromotion, WhatIfQuestion};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::categories::FrameName;
use crate::problems::{ApiError, ProblemBody, field_error, invalid};
use crate::query::Parameters;
use crate::state::AppState;
use crate::what_if::{MOST_STRENGTH, PRICES, STRENGTHS, ask, price};
use crate::wording::round_quantity;

/// A question needs no more.
const MAX_BODY_BYTES: usize = 4 << 10;

/// What is asked. At least one of `price` and `promotion` must be there.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in the API's document; it is read field by field to tell all faults at once")]
struct WhatIfBody {
    /// The product.
    product_id: i64,
    /// The forecast that is asked about.
    time_frame: FrameName,
    /// Another price, in units of the currency.
    price: Option<f64>,
    /// Another promotion, over the whole period.
    promotion: Option<PromotionBody>,
}

/// A promotion, in place of what is planned of its kind.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the API's document")]
struct PromotionBody {
    /// `display` or `mailer`.
    kind: String,
    /// As the shop measures it; 0 takes a planned one away.
    strength: f64,
}

/// The answer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WhatIfReply {
    generation_id: String,
    product_id: i64,
    product_name: String,
    category_id: i64,
    time_frame: &'static str,
    period_start: String,
    period_end: String,
    /// As published; it stays so.
    published: Outcome,
    /// Under the change.
    changed: Outcome,
    /// Reasons that count differently, those that changed most first.
    drivers: Vec<Reason>,
    /// What to know about the answer.
    notes: Vec<String>,
}

/// A product's forecast.
#[derive(Serialize, ToSchema)]
struct Outcome {
    amount: f64,
    quantity: f64,
    rank: u32,
}

/// A reason that counts differently under the change.
#[derive(Serialize, ToSchema)]
struct Reason {
    reason: String,
    /// What it adds as published; null if it is new.
    published: Option<f64>,
    /// What it adds under the change; null if it is gone.
    changed: Option<f64>,
}

/// Forecasts a product once more at another price or under another promotion.
#[utoipa::path(
    post, path = "/api/v1/what-if", tag = "predictions", request_body = WhatIfBody,
    responses(
        (status = 200, description = "The forecast as published and under the change", body = WhatIfReply),
        (status = 400, description = "The question is not valid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such product", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "No forecast yet, or too busy", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ask_for(State(state): State<AppState>, uri: Uri, body: Result<Bytes, BytesRejection>) -> Result<Response, ApiError> {
    Parameters::read(&uri, &[]).finish()?;
    let malformed =
        |why: &str| invalid(vec![field_error("body", why, r#"JSON such as {"productId": 1, "timeFrame": "week", "price": 2.99}"#)]);
    let body = body.ok().filter(|body| body.len() <= MAX_BODY_BYTES).ok_or_else(|| malformed("is larger than 4 KiB"))?;
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(&body) else { return Err(malformed("is not a JSON object").into()) };
    let question = read(&fields).map_err(invalid)?;
    let answer = ask(&state, question).await?;
    let mut response = Json(WhatIfReply::from(answer)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The question, or every fault in it.
fn read(fields: &Map<String, Value>) -> Result<WhatIfQuestion, Vec<FieldError>> {
    let mut faults = Vec::new();
    unknown(fields, &["productId", "timeFrame", "price", "promotion"], "", &mut faults);
    let shown = |value: Option<&Value>| match value {
        Some(value) => format!("is `{}`", value.to_string().chars().take(40).collect::<String>()),
        None => "is missing".to_owned(),
    };
    let product = fields.get("productId").and_then(Value::as_i64);
    if product.is_none() {
        faults.push(field_error("productId", shown(fields.get("productId")), "a whole number"));
    }
    let frame = fields.get("timeFrame").and_then(Value::as_str).and_then(|frame| frame.parse::<TimeFrame>().ok());
    if frame.is_none() {
        faults.push(field_error("timeFrame", shown(fields.get("timeFrame")), "day, week, month, quarter, half_year, year"));
    }
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let another_price = given("price").and_then(|value| {
        let price = value.as_f64().and_then(price);
        if price.is_none() {
            faults.push(field_error("price", shown(Some(value)), PRICES));
        }
        price
    });
    let promotion = given("promotion").and_then(|value| promotion(value, &mut faults));
    if given("price").is_none() && given("promotion").is_none() {
        faults.push(field_error("price", "is missing, and so is `promotion`", "at least one of the two"));
    }
    match (product, frame) {
        (Some(product), Some(time_frame)) if faults.is_empty() => {
            Ok(WhatIfQuestion { product_id: product.into(), time_frame, price: another_price, promotion })
        }
        _ => Err(faults),
    }
}

fn promotion(value: &Value, faults: &mut Vec<FieldError>) -> Option<WhatIfPromotion> {
    let Value::Object(fields) = value else {
        faults.push(field_error("promotion", "is not an object", r#"{"kind": "display", "strength": 40}"#));
        return None;
    };
    unknown(fields, &["kind", "strength"], "promotion.", faults);
    let kind = fields.get("kind").and_then(Value::as_str).and_then(|kind| kind.parse().ok());
    if kind.is_none() {
        faults.push(field_error("promotion.kind", "is missing or unknown", "display, mailer"));
    }
    let strength = fields.get("strength").and_then(Value::as_f64).filter(|strength| (0.0..=MOST_STRENGTH).contains(strength));
    if strength.is_none() {
        faults.push(field_error("promotion.strength", "is missing or out of range", STRENGTHS));
    }
    Some(WhatIfPromotion { kind: kind?, strength: strength? })
}

fn unknown(fields: &Map<String, Value>, known: &[&str], path: &str, faults: &mut Vec<FieldError>) {
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
        let shortened: String = name.chars().take(40).collect();
        faults.push(field_error(&format!("{path}{shortened}"), "is not a field of the question", &known.join(", ")));
    }
}

impl From<WhatIfAnswer> for WhatIfReply {
    fn from(answer: WhatIfAnswer) -> Self {
        let outcome = |outcome: WhatIfOutcome| Outcome {
            amount: outcome.amount.to_f64(),
            quantity: round_quantity(outcome.quantity),
            rank: outcome.rank,
        };
        let reason = |driver: ChangedDriver| Reason {
            reason: driver.reason,
            published: driver.published.map(Money::to_f64),
            changed: driver.changed.map(Money::to_f64),
        };
        Self {
            generation_id: answer.generation_id.to_string(),
            product_id: answer.product_id.get(),
            product_name: answer.product_name,
            category_id: answer.category_id.get(),
            time_frame: answer.time_frame.name(),
            period_start: format!("{}T00:00:00Z", answer.period_start),
            period_end: format!("{}T23:59:59Z", answer.period_end),
            published: outcome(answer.published),
            changed: outcome(answer.changed),
            drivers: answer.drivers.into_iter().map(reason).collect(),
            notes: answer.notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(question: Value) -> Vec<String> {
        let Value::Object(fields) = question else { panic!("an object") };
        read(&fields).err().map(|faults| faults.into_iter().map(|fault| fault.field).collect()).unwrap_or_default()
    }

    #[test]
    fn every_fault_of_a_question_is_told_at_once() {
        assert!(faults(json!({"productId": 1, "timeFrame": "week", "price": 2.5})).is_empty());
        assert!(
            faults(json!({"productId": 1, "timeFrame": "week", "price": null, "promotion": {"kind": "mailer", "strength": 0}})).is_empty()
        );
        assert_eq!(faults(json!({})), ["productId", "timeFrame", "price"]);
        assert_eq!(
            faults(
                json!({"productId": "x", "timeFrame": "fortnight", "price": -1, "promotion": {"kind": "tv", "strength": -2, "x": 1}, "y": 2})
            ),
            ["y", "productId", "timeFrame", "price", "promotion.x", "promotion.kind", "promotion.strength"]
        );
        assert_eq!(faults(json!({"productId": 1.5, "timeFrame": "week", "promotion": 3})), ["productId", "promotion"]);
    }
}
