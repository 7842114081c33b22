//! Strict query parameters: what is unknown, repeated or malformed is an error that names the parameter and
//! what it may be. All faults of a request are told at once.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri};
use sellcast_domain::{FieldError, Problem, ShopDay, TimeFrame};

use crate::problems::{ApiError, field_error, invalid};

const FRAMES: &str = "day, week, month, quarter, half_year, year";
const DATES: &str = "an ISO date such as 2017-12-04, from 1900-01-01 to 2200-12-31";
const LIMITS: &str = "1 to 100";
const PAGES: &str = "1 to 1000000";
/// Items of a page unless asked otherwise.
const DEFAULT_LIMIT: u32 = 5;
const MAX_LIMIT: u32 = 100;
const MAX_PAGE: u32 = 1_000_000;

/// The one variable segment of a path. What is not text is a problem like any other.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(Path(segment)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(invalid(vec![field_error("path", "is not valid text", "UTF-8, percent-encoded")]).into());
        };
        Ok(Self(segment))
    }
}

/// The parameters of one request and the faults found in them so far.
pub(crate) struct Parameters {
    given: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Parameters {
    /// Reads the query of `uri`, in which only `known` names may stand, each once.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Self {
        let Ok(Query(given)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            let error = field_error("query", "is not a valid query string", "name=value pairs joined by &");
            return Self { given: Vec::new(), errors: vec![error] };
        };
        let mut errors = Vec::new();
        for (place, (name, _)) in given.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                errors.push(field_error(name, "is not a parameter of this path", &known.join(", ")));
            } else if given.iter().take(place).any(|(earlier, _)| earlier == name) {
                errors.push(field_error(name, "is given more than once", "one value"));
            }
        }
        Self { given, errors }
    }

    /// The raw text of a parameter; an empty value is one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A parameter read as `T`.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str, allowed: &str) -> Option<T> {
        let text = self.text(name)?.to_owned();
        let value = text.parse().ok();
        if value.is_none() {
            self.fault(name, format!("is `{}`", shorten(&text)), allowed);
        }
        value
    }

    /// A whole number from 1 to `most`; only digits count, no sign and no blanks.
    pub(crate) fn count(&mut self, name: &str, otherwise: u32, most: u32, allowed: &str) -> u32 {
        let Some(text) = self.text(name).map(str::to_owned) else { return otherwise };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(number) if digits && (1..=most).contains(&number) => number,
            _ => {
                self.fault(name, format!("is `{}`", shorten(&text)), allowed);
                otherwise
            }
        }
    }

    /// The `date` parameter.
    pub(crate) fn date(&mut self) -> Option<ShopDay> {
        self.parsed("date", DATES)
    }

    /// The `timeFrame` parameter; missing is a fault.
    pub(crate) fn time_frame(&mut self) -> TimeFrame {
        if self.text("timeFrame").is_none() {
            self.fault("timeFrame", "is missing", FRAMES);
        }
        self.parsed("timeFrame", FRAMES).unwrap_or(TimeFrame::Week)
    }

    /// The `frame` parameter of pages; the week unless given.
    pub(crate) fn frame(&mut self) -> TimeFrame {
        self.parsed("frame", FRAMES).unwrap_or(TimeFrame::Week)
    }

    /// The `limit` parameter.
    pub(crate) fn limit(&mut self) -> u32 {
        self.count("limit", DEFAULT_LIMIT, MAX_LIMIT, LIMITS)
    }

    /// The `page` parameter.
    pub(crate) fn page(&mut self) -> u32 {
        self.count("page", 1, MAX_PAGE, PAGES)
    }

    /// The `live` parameter; true unless given.
    pub(crate) fn live(&mut self) -> bool {
        self.parsed("live", "true or false").unwrap_or(true)
    }

    /// The user's key, of the header or the parameter.
    fn user_key(&mut self, headers: &HeaderMap) -> Option<String> {
        let is_key = |key: &str| !key.is_empty() && key.len() <= MAX_USER_KEY && !key.chars().any(char::is_control);
        let header = headers.get(USER_KEY).map(|value| value.to_str().unwrap_or_default().to_owned());
        let parameter = self.text("userKey").map(str::to_owned);
        let fault = match (&header, &parameter) {
            (Some(header), Some(parameter)) if header != parameter => true,
            (header, parameter) => header.iter().chain(parameter).any(|key| !is_key(key)),
        };
        if fault {
            self.fault("userKey", "is not a user's key", USER_KEYS);
            return None;
        }
        header.or(parameter)
    }

    /// Notes a fault.
    pub(crate) fn fault(&mut self, name: &str, message: impl Into<String>, allowed: &str) {
        self.errors.push(field_error(name, message, allowed));
    }

    /// All faults as one problem, or nothing.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(invalid(self.errors)) }
    }
}

/// The header that names a user; the parameter `userKey` does the same.
pub(crate) const USER_KEY: HeaderName = HeaderName::from_static("x-user-key");
/// Keys longer than this are no keys.
const MAX_USER_KEY: usize = 200;
const USER_KEYS: &str = "1 to 200 visible characters, the same in header and parameter";

/// What a list of forecasts is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListQuery {
    pub(crate) frame: TimeFrame,
    pub(crate) date: Option<ShopDay>,
    pub(crate) limit: u32,
    pub(crate) page: u32,
    /// Whether a running period is to be told as it stands now.
    pub(crate) live: bool,
    /// Who asks, where an experiment shows users different forecasts.
    pub(crate) user_key: Option<String>,
}

impl ListQuery {
    /// Reads `timeFrame`, `date`, `limit`, `page`, `live` and the user's key.
    pub(crate) fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut parameters = Parameters::read(uri, &["timeFrame", "date", "limit", "page", "live", "userKey"]);
        let query = Self {
            frame: parameters.time_frame(),
            date: parameters.date(),
            limit: parameters.limit(),
            page: parameters.page(),
            live: parameters.live(),
            user_key: parameters.user_key(headers),
        };
        parameters.finish()?;
        Ok(query)
    }

    /// How many items stand before the asked page.
    pub(crate) fn offset(&self) -> usize {
        self.limit as usize * (self.page as usize - 1)
    }
}

/// Checks GraphQL's `limit` and `page` by the same rules.
pub(crate) fn page_of(limit: i32, page: i32) -> Result<(usize, usize), Problem> {
    let mut errors = Vec::new();
    if !(1..=MAX_LIMIT as i32).contains(&limit) {
        errors.push(field_error("limit", format!("is {limit}"), LIMITS));
    }
    if !(1..=MAX_PAGE as i32).contains(&page) {
        errors.push(field_error("page", format!("is {page}"), PAGES));
    }
    if errors.is_empty() { Ok((limit as usize, limit as usize * (page as usize - 1))) } else { Err(invalid(errors)) }
}

/// Reads GraphQL's `date` by the same rule.
pub(crate) fn date_of(text: Option<&str>) -> Result<Option<ShopDay>, Problem> {
    let read = |text: &str| text.parse().map_err(|_| invalid(vec![field_error("date", format!("is `{}`", shorten(text)), DATES)]));
    text.map(read).transpose()
}

/// Input is echoed, but never at length.
fn shorten(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(query: &str) -> Vec<String> {
        let uri: Uri = format!("/x?{query}").parse().expect("a path");
        ListQuery::read(&uri, &HeaderMap::new())
            .err()
            .map(|problem| problem.errors.into_iter().map(|error| error.field).collect())
            .unwrap_or_default()
    }

    #[test]
    fn every_fault_of_a_request_is_told_at_once() {
        assert_eq!(faults("timeFrame=week&limit=100&page=3&date=2017-12-04"), Vec::<String>::new());
        assert_eq!(faults("limit=0&page=0&date=x&colour=red"), ["colour", "timeFrame", "date", "limit", "page"]);
        assert_eq!(faults("timeFrame=week&timeFrame=day"), ["timeFrame"]);
        assert_eq!(faults("timeFrame="), ["timeFrame"]);
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        for bad in ["+5", "%205", "5.0", "1e2", "", "-1", "101", "99999999999999999999"] {
            assert_eq!(faults(&format!("timeFrame=week&limit={bad}")), ["limit"], "{bad}");
        }
    }
}
