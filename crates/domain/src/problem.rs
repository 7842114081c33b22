//! One API error, rendered as problem+json (RFC 9457), as a GraphQL error and as a page.

use serde::Serialize;

/// What went wrong, as a stable code that clients branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProblemKind {
    /// A parameter is missing, malformed or out of range.
    InvalidParameter,
    /// The named category, product or page does not exist.
    NotFound,
    /// Nothing was published for the date.
    NothingPublished,
    /// A GraphQL query is too deep or too complex.
    QueryTooComplex,
    /// No generation exists yet.
    NotReady,
    /// The method is not allowed on this path.
    MethodNotAllowed,
    /// Took too long or too many requests at once.
    Overloaded,
    /// Our fault; the details are in the log.
    Internal,
}

impl ProblemKind {
    /// HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidParameter | Self::QueryTooComplex => 400,
            Self::NotFound | Self::NothingPublished => 404,
            Self::MethodNotAllowed => 405,
            Self::Internal => 500,
            Self::NotReady | Self::Overloaded => 503,
        }
    }

    /// The code (`INVALID_PARAMETER`), in GraphQL's `extensions.code`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidParameter => "INVALID_PARAMETER",
            Self::NotFound => "NOT_FOUND",
            Self::NothingPublished => "NOTHING_PUBLISHED",
            Self::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Self::NotReady => "NOT_READY",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::Overloaded => "OVERLOADED",
            Self::Internal => "INTERNAL",
        }
    }

    /// The short title, the same for every occurrence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidParameter => "A parameter is not valid",
            Self::NotFound => "Not found",
            Self::NothingPublished => "Nothing was published for this date",
            Self::QueryTooComplex => "The query is too complex",
            Self::NotReady => "The first forecast is still being made",
            Self::MethodNotAllowed => "This method is not allowed here",
            Self::Overloaded => "Too busy right now",
            Self::Internal => "Something went wrong on our side",
        }
    }
}

/// A parameter at fault and what it may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Name of the parameter.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What is allowed (`1 to 100`).
    pub allowed: String,
}

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub kind: ProblemKind,
    /// What happened this time and how to mend it.
    pub detail: String,
    /// The parameters at fault; empty for other kinds.
    pub errors: Vec<FieldError>,
    /// The nearest date with a publication, when the asked one has none.
    pub nearest_date: Option<crate::ShopDay>,
}

impl Problem {
    /// A problem of `kind` with its detail.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), nearest_date: None }
    }
}
