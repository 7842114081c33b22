//! One API error as `application/problem+json` (RFC 9457). The problem travels with the response, so that
//! the page layer can draw the same error for people.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sellcast_domain::{FieldError, Problem, ProblemKind, ShopDay};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of errors.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem on its way out as a response.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(pub(crate) Problem);

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

/// The error's JSON.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Names the kind of problem; the same for every occurrence.
    #[serde(rename = "type")]
    r#type: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened this time and how to mend it.
    detail: &'a str,
    /// The kind as a code to branch on; GraphQL gives the same one.
    code: &'static str,
    /// The parameters at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Vec<FieldErrorBody<'a>>,
    /// The nearest date with a publication.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    nearest_date: Option<ShopDay>,
}

/// A parameter at fault.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldError)]
pub(crate) struct FieldErrorBody<'a> {
    /// Its name.
    field: &'a str,
    /// What is wrong with it.
    message: &'a str,
    /// What it may be.
    allowed: &'a str,
}

impl<'a> ProblemBody<'a> {
    pub(crate) fn of(problem: &'a Problem) -> Self {
        let kind = problem.kind;
        let field = |error: &'a FieldError| FieldErrorBody { field: &error.field, message: &error.message, allowed: &error.allowed };
        Self {
            r#type: format!("urn:sellcast:problem:{}", kind.code().to_lowercase().replace('_', "-")),
            title: kind.title(),
            status: kind.status(),
            detail: &problem.detail,
            code: kind.code(),
            errors: problem.errors.iter().map(field).collect(),
            nearest_date: problem.nearest_date,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let body = serde_json::to_vec(&ProblemBody::of(&problem)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(problem.kind, ProblemKind::Overloaded | ProblemKind::NotReady) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response.extensions_mut().insert(problem);
        response
    }
}

/// A parameter at fault.
pub(crate) fn field_error(field: &str, message: impl Into<String>, allowed: &str) -> FieldError {
    FieldError { field: field.to_owned(), message: message.into(), allowed: allowed.to_owned() }
}

/// Parameters at fault as one problem.
pub(crate) fn invalid(errors: Vec<FieldError>) -> Problem {
    let detail = errors.iter().map(|error| format!("`{}` {}; allowed: {}", error.field, error.message, error.allowed)).collect::<Vec<_>>();
    Problem { errors, ..Problem::new(ProblemKind::InvalidParameter, detail.join(". ")) }
}

/// The named category is not in the forecast.
pub(crate) fn unknown_category(id: sellcast_domain::CategoryId) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("no category `{id}` is forecast; `/api/v1/predictions/categories` lists those that are"))
}

/// The named product is not in the forecast.
pub(crate) fn unknown_product(id: sellcast_domain::ProductId) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("no product `{id}` is forecast for this date; search for its name instead"))
}
