//! `GET /api/v1/features?productIds=1,2,3`: what the models know of some products, as of the newest forecast.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use sellcast_domain::{FieldError, ProductId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::features::{MOST_PRODUCTS, read};
use crate::problems::{ApiError, ProblemBody, field_error, invalid};
use crate::query::Parameters;
use crate::state::AppState;

const PRODUCT_IDS: &str = "1 to 100 ids of products with commas between, such as 12,34";

/// Features of products, all of the same day.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Features {
    /// Everything was known before this day began.
    as_of: String,
    /// Version of the features' definitions.
    definitions_version: String,
    /// In the order that was asked, without those that are unknown.
    products: Vec<ProductFeatures>,
    /// Ids without features: of no product, or of one that did not sell within a year.
    unknown: Vec<i64>,
}

/// What is known of a product.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProductFeatures {
    product_id: i64,
    category_id: i64,
    /// By name; null where there is no value.
    features: BTreeMap<String, Option<f32>>,
}

/// The features of up to a hundred products, as the newest forecast was made from.
#[utoipa::path(
    get, path = "/api/v1/features", tag = "features",
    params(("productIds" = String, Query, description = "Ids of products, at most 100, with commas between", example = "12,34")),
    responses(
        (status = 200, description = "Their features", body = Features),
        (status = 400, description = "An id is not valid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "This server reads no features", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "No features yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn of_products(State(state): State<AppState>, uri: Uri) -> Result<Response, ApiError> {
    let parameters = Parameters::read(&uri, &["productIds"]);
    let asked = product_ids(parameters.text("productIds"));
    parameters.finish()?;
    let asked = asked.map_err(|fault| invalid(vec![fault]))?;
    let found = read(&state, asked.clone()).await?;
    let (mut products, mut unknown) = (Vec::new(), Vec::new());
    for (product, row) in asked.iter().zip(found.rows) {
        match row {
            Some(row) => {
                let values = row.values.iter().map(|value| value.is_finite().then_some(*value));
                let features = found.names.iter().cloned().zip(values).collect();
                products.push(ProductFeatures { product_id: product.get(), category_id: row.category.get(), features });
            }
            None => unknown.push(product.get()),
        }
    }
    let body = Features { as_of: found.as_of.to_string(), definitions_version: found.definitions_version, products, unknown };
    let mut response = Json(body).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn product_ids(text: Option<&str>) -> Result<Vec<ProductId>, FieldError> {
    let Some(text) = text else { return Err(field_error("productIds", "is missing", PRODUCT_IDS)) };
    let mut ids: Vec<ProductId> = Vec::new();
    for part in text.split(',') {
        let Ok(id) = part.parse() else {
            return Err(field_error("productIds", format!("holds `{}`", part.chars().take(40).collect::<String>()), PRODUCT_IDS));
        };
        if ids.contains(&id) {
            return Err(field_error("productIds", format!("holds {part} twice"), PRODUCT_IDS));
        }
        if ids.len() == MOST_PRODUCTS {
            return Err(field_error("productIds", "holds more than 100 ids", PRODUCT_IDS));
        }
        ids.push(id);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_to_a_hundred_different_numbers() {
        assert_eq!(product_ids(Some("12,-3")).expect("valid").len(), 2);
        let many = (0..101).map(|id: i32| id.to_string()).collect::<Vec<_>>().join(",");
        for (text, word) in
            [(None, "missing"), (Some(""), "``"), (Some("1,x"), "`x`"), (Some("1,2,1"), "1 twice"), (Some(many.as_str()), "more than 100")]
        {
            let fault = product_ids(text).expect_err("not valid");
            assert!(fault.message.contains(word), "{text:?}: {}", fault.message);
        }
    }
}
