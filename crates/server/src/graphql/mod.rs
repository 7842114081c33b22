//! GraphQL over the same forecasts, with the same rules and the same errors as REST. Depth, complexity and
//! page sizes are bounded, so that one query cannot ask for the whole shop.

mod category;
mod product;
mod query;
mod result;
mod time_frame;
mod windows;

use async_graphql::{EmptyMutation, EmptySubscription, Request, Response as Answer, Schema, Value};
use async_graphql_axum::GraphQLResponse;
use axum::extract::rejection::BytesRejection;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sellcast_domain::{Problem, ProblemKind};

use crate::problems::{ApiError, ProblemBody, field_error, invalid};
use crate::query::Parameters;
use crate::state::AppState;

pub(crate) type ForecastSchema = Schema<query::Query, EmptyMutation, EmptySubscription>;

/// Deep enough for tools to read the schema (they nest types thirteen deep); forecasts need four.
const MAX_DEPTH: usize = 15;
/// Fields that one answer may hold: a hundred categories with a hundred products and two fields each.
const MAX_COMPLEXITY: usize = 20_500;
/// A query larger than this was not written by a person.
const MAX_BODY_BYTES: usize = 64 << 10;

pub(crate) fn schema() -> ForecastSchema {
    Schema::build(query::Query, EmptyMutation, EmptySubscription).limit_depth(MAX_DEPTH).limit_complexity(MAX_COMPLEXITY).finish()
}

/// `POST /graphql` with a JSON body.
pub(crate) async fn post(State(state): State<AppState>, body: Result<Bytes, BytesRejection>) -> Result<Response, ApiError> {
    // The framework stops reading at its own, larger limit.
    let Some(body) = body.ok().filter(|body| body.len() <= MAX_BODY_BYTES) else {
        return Err(Problem::new(ProblemKind::QueryTooComplex, "the body is larger than 64 KiB; ask for less at once").into());
    };
    let malformed = |why: &str| {
        let example = r#"JSON such as {"query": "{ predictions(timeFrame: WEEK) { modelVersion } }"}"#;
        invalid(vec![field_error("body", format!("is not a GraphQL request: {why}"), example)])
    };
    // The parser would take a list for an object with its fields in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed("not a JSON object").into());
    }
    let request: Request = serde_json::from_slice(&body).map_err(|error| malformed(&error.to_string()))?;
    Ok(execute(state, request).await)
}

/// `GET /graphql?query=`, for queries only; there are no mutations.
pub(crate) async fn get(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::read(&uri, &["query", "operationName", "variables"]);
    let query = parameters.text("query").map(str::to_owned);
    if query.is_none() {
        parameters.fault("query", "is missing", "a GraphQL query");
    }
    let variables = parameters.text("variables").map(serde_json::from_str);
    if matches!(variables, Some(Err(_))) {
        parameters.fault("variables", "is not JSON", "a JSON object");
    }
    let operation = parameters.text("operationName").map(str::to_owned);
    parameters.finish()?;
    let mut request = Request::new(query.unwrap_or_default());
    if let Some(Ok(variables)) = variables {
        request = request.variables(async_graphql::Variables::from_json(variables));
    }
    if let Some(operation) = operation {
        request = request.operation_name(operation);
    }
    Ok(execute(state, request).await)
}

async fn execute(state: AppState, request: Request) -> Response {
    let schema = state.schema().clone();
    let mut answer: Answer = schema.execute(request.data(state)).await;
    for error in &mut answer.errors {
        let known = error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some());
        if !known {
            let too_much = ["Query is nested too deep", "Query is too complex", "The recursion depth"];
            let kind = if too_much.iter().any(|start| error.message.starts_with(start)) {
                ProblemKind::QueryTooComplex
            } else {
                ProblemKind::InvalidParameter
            };
            error.extensions.get_or_insert_default().set("code", kind.code());
        }
    }
    GraphQLResponse::from(answer).into_response()
}

/// A problem as a GraphQL error: its detail as the message, everything else in the extensions.
fn error(problem: Problem) -> async_graphql::Error {
    let mut error = async_graphql::Error::new(problem.detail.clone());
    let body = serde_json::to_value(ProblemBody::of(&problem)).ok().and_then(|json| Value::from_json(json).ok());
    if let Some(Value::Object(fields)) = body {
        let mut extensions = async_graphql::ErrorExtensionValues::default();
        for (name, value) in fields {
            extensions.set(name.as_str(), value);
        }
        error.extensions = Some(extensions);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SELLCAST_UPDATE_REFERENCE=1 cargo test -p sellcast-server` writes the page anew.
    #[test]
    fn the_reference_page_is_the_schema() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.graphql");
        let schema = schema().sdl();
        if std::env::var_os("SELLCAST_UPDATE_REFERENCE").is_some() {
            std::fs::write(page, &schema).expect("written");
        }
        let written = std::fs::read_to_string(page).expect("the page is there");
        assert_eq!(written, schema, "docs/schema.graphql is not what the server offers; run with SELLCAST_UPDATE_REFERENCE=1");
    }
}
