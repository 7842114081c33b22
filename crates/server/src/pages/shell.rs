//! What stands around every page: header with the frame switch and search, the live bar, the footer.

use chrono::{DateTime, SecondsFormat, Utc};
use sellcast_domain::{ShopDay, TimeFrame};

use super::links::Link;
use super::view::View;
use crate::assets::{ADDRESSES, Addresses};
use crate::live_frames::Basis;
use crate::live_view::LiveView;
use crate::state::AppState;
use crate::wording::{day_long, day_short, frame_label};

/// The frame of a page.
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) shop: String,
    pub(super) section: Section,
    pub(super) frames: Vec<FrameLink>,
    pub(super) frame: &'static str,
    pub(super) date: Option<ShopDay>,
    pub(super) home: String,
    pub(super) record: String,
    pub(super) search: String,
    pub(super) live: LiveView,
    pub(super) assets: &'static Addresses,
    /// Id of the generation shown, which the script compares with events; empty before the first.
    pub(super) generation: String,
    /// Whether the page is to be drawn anew when sales have moved on.
    pub(super) follows: bool,
    pub(super) footer: Option<Footer>,
    /// What to know before reading on.
    pub(super) notices: Vec<Notice>,
}

/// The parts of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Forecast,
    Record,
    Search,
    Elsewhere,
}

/// An entry of the frame switch.
pub(super) struct FrameLink {
    pub(super) label: &'static str,
    pub(super) href: String,
    pub(super) current: bool,
}

/// Where the numbers come from.
pub(super) struct Footer {
    pub(super) generation: String,
    pub(super) made: String,
    pub(super) made_at: String,
    pub(super) sales_until: String,
    pub(super) version: String,
}

/// A sentence above the page's content.
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) href: Option<(String, &'static str)>,
}

impl Shell {
    /// Around a page that has no forecast to show.
    pub(super) fn bare(state: &AppState, title: &str, frame: TimeFrame) -> Self {
        let snapshot = state.forecasts().current();
        let status = state.live().status();
        let shop = snapshot.as_ref().map_or(&state.settings().shop_name, |snapshot| &snapshot.generation.shop_name);
        Self {
            title: title.to_owned(),
            shop: shop.clone(),
            section: Section::Elsewhere,
            frames: frame_links("/", frame, None),
            frame: frame.name(),
            date: None,
            home: Link::to("/").with("frame", frame).to_string(),
            record: Link::to("/record").with("frame", frame).to_string(),
            search: String::new(),
            live: LiveView::of(state, status.as_ref()),
            assets: &ADDRESSES,
            generation: snapshot.map(|snapshot| snapshot.generation.generation_id.to_string()).unwrap_or_default(),
            follows: false,
            footer: None,
            notices: Vec::new(),
        }
    }

    /// Around a page that shows a forecast and lives at `path`.
    pub(super) fn around(state: &AppState, view: &View, title: &str, section: Section, path: &str) -> Self {
        let frame = view.time_frame();
        let mut shell = Self::bare(state, title, frame);
        shell.section = section;
        shell.frames = frame_links(path, frame, view.date);
        shell.date = view.date;
        shell.follows = view.basis.is_some() && state.live_frames().sales().is_some();
        shell.home = view.link("/").to_string();
        shell.record = view.link("/record").to_string();
        shell.footer = Some(Footer::of(state, view));
        shell.notices = notices(state, view, path);
        shell
    }
}

impl Footer {
    fn of(state: &AppState, view: &View) -> Self {
        let generation = &view.edition.generation;
        let made = generation.generated_at.with_timezone(&state.settings().zone);
        let id = generation.generation_id.uuid().simple().to_string();
        Self {
            // The tail of the id: its head is a time and equal for neighbours.
            generation: id.chars().skip(id.len().saturating_sub(8)).collect(),
            made: format!(
                "{} {}",
                day_short(ShopDay::of(generation.generated_at, state.settings().zone), generation.as_of),
                made.format("%H:%M")
            ),
            made_at: generation.generated_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            sales_until: day_short(generation.sales_until, generation.as_of),
            version: view.frame.document.model_version.clone(),
        }
    }
}

fn frame_links(path: &str, current: TimeFrame, date: Option<ShopDay>) -> Vec<FrameLink> {
    let link = |frame: TimeFrame| FrameLink {
        label: frame_label(frame),
        href: Link::to(path).with("frame", frame).with_some("date", date).to_string(),
        current: frame == current,
    };
    TimeFrame::ALL.into_iter().map(link).collect()
}

fn notices(state: &AppState, view: &View, path: &str) -> Vec<Notice> {
    let mut notices = Vec::new();
    let generation = &view.edition.generation;
    let now = Link::to(path).with("frame", view.time_frame()).to_string();
    let current = state.forecasts().current();
    if current.is_some_and(|current| current.generation.as_of != generation.as_of) {
        let text = format!("You look at the forecast of {}, as it was published then.", day_long(generation.as_of));
        notices.push(Notice { text, href: Some((now, "Show the newest")) });
    }
    if view.edition.days_late > 0 {
        let days = if view.edition.days_late == 1 { "1 day".to_owned() } else { format!("{} days", view.edition.days_late) };
        let text = format!(
            "This forecast is {days} old: it was made for {}, and no newer one is published. What it is sure of is lowered for that.",
            day_long(generation.as_of)
        );
        notices.push(Notice { text, href: None });
    }
    notices.extend(view.basis.as_ref().and_then(|basis| told(state, basis)).map(|text| Notice { text, href: None }));
    if let Some(fallback) = &view.frame.document.fallback {
        notices.push(Notice { text: sentence(fallback), href: None });
    } else if generation.stage == sellcast_domain::Stage::Baselines {
        let text = "A first forecast from simple averages. Trained models replace it here within minutes.".to_owned();
        notices.push(Notice { text, href: None });
    }
    notices
}

/// What a running period's numbers are, where sales are followed.
fn told(state: &AppState, basis: &Basis) -> Option<String> {
    let zone = state.settings().zone;
    let when = |instant: &DateTime<Utc>| {
        let local = instant.with_timezone(&zone);
        let day = ShopDay::of(*instant, zone);
        if day == state.today() { local.format("%H:%M").to_string() } else { format!("{} on {}", local.format("%H:%M"), day_long(day)) }
    };
    match basis {
        Basis::Live(as_of) => Some(format!("Live: what is sold up to {} and what is expected of the rest.", when(as_of))),
        Basis::Batch => None,
        Basis::Still(Some(since)) => Some(format!("No sales have come since {}: this is the forecast as it was published.", when(since))),
        Basis::Still(None) => Some("Sales are not followed yet: this is the forecast as it was published.".to_owned()),
    }
}

/// A fragment as a sentence of its own.
fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if fragment.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
