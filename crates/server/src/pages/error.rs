//! Errors for people: what happened, and the next step. While the first forecast is made the page waits and
//! shows it as soon as it is there.

use askama::Template;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sellcast_domain::{Problem, ProblemKind, TimeFrame};

use super::links::Link;
use super::shell::{Section, Shell};
use crate::problems::ApiError;
use crate::query::Parameters;
use crate::state::AppState;
use crate::wording::day_long;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    shell: Shell,
    problem: &'a Problem,
    title: String,
    waits: bool,
    next: Vec<(String, String)>,
}

/// Draws a problem. The address tells which frame to go on with.
pub(crate) fn error_page(state: &AppState, problem: &Problem, address: &Uri) -> Response {
    let frame = Parameters::read(address, &["frame", "date", "page", "q"]).text("frame").and_then(|frame| frame.parse().ok());
    let frame: TimeFrame = frame.unwrap_or(TimeFrame::Week);
    let waits = problem.kind == ProblemKind::NotReady;
    let title = if waits { "The first forecast is being made".to_owned() } else { problem.kind.title().to_owned() };
    let page = ErrorPage { shell: Shell::bare(state, &title, frame), problem, title, waits, next: next(problem, frame) };
    let Ok(html) = page.render() else { return ApiError(problem.clone()).into_response() };
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// Where to go from here.
fn next(problem: &Problem, frame: TimeFrame) -> Vec<(String, String)> {
    let home = Link::to("/").with("frame", frame);
    match (problem.kind, problem.nearest_date) {
        (ProblemKind::NotReady, _) => Vec::new(),
        (ProblemKind::NothingPublished, Some(nearest)) => vec![
            (home.clone().with("date", nearest).to_string(), format!("The forecast of {}", day_long(nearest))),
            (home.to_string(), "The newest forecast".to_owned()),
        ],
        (ProblemKind::Overloaded, _) => vec![(home.to_string(), "Try again".to_owned())],
        _ => vec![(home.to_string(), "The newest forecast".to_owned()), ("/search".to_owned(), "Search a product or category".to_owned())],
    }
}
