//! Addresses of pages: the state of a page is its query.

use std::fmt;

/// An address that is put together part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    address: String,
    separator: char,
}

impl Link {
    /// The address of `path` without a query.
    pub(super) fn to(path: impl Into<String>) -> Self {
        Self { address: path.into(), separator: '?' }
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.address.push(self.separator);
        self.separator = '&';
        self.address.push_str(name);
        self.address.push('=');
        for byte in value.to_string().bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                self.address.push(char::from(byte));
            } else {
                self.address.push_str(&format!("%{byte:02X}"));
            }
        }
        self
    }

    /// Adds a parameter when there is a value.
    pub(super) fn with_some(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// One entry of the page numbers under a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PageLink {
    /// A page to go to.
    To {
        /// Its number or word.
        label: String,
        /// Its address.
        href: String,
    },
    /// The page that is shown.
    Here(u32),
    /// Pages left out.
    Gap,
}

/// Page numbers around `page` of `pages`, with the first, the last and the next.
pub(super) fn page_links(page: u32, pages: u32, to: impl Fn(u32) -> Link) -> Vec<PageLink> {
    if pages <= 1 && page == 1 {
        return Vec::new();
    }
    let mut links = Vec::new();
    let mut last = 0;
    for number in 1..=pages {
        let near = number.abs_diff(page) <= 1 || number == 1 || number == pages || (page == 1 && number == 3);
        if !near {
            continue;
        }
        if number > last + 1 {
            links.push(PageLink::Gap);
        }
        last = number;
        links.push(if number == page {
            PageLink::Here(page)
        } else {
            PageLink::To { label: number.to_string(), href: to(number).to_string() }
        });
    }
    if page < pages {
        links.push(PageLink::To { label: "Next".to_owned(), href: to(page + 1).to_string() });
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(page: u32, pages: u32) -> String {
        let links = page_links(page, pages, |number| Link::to("/").with("page", number));
        let word = |link: &PageLink| match link {
            PageLink::To { label, .. } => label.clone(),
            PageLink::Here(page) => format!("[{page}]"),
            PageLink::Gap => "…".to_owned(),
        };
        links.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn page_numbers_stay_few() {
        assert_eq!(shown(1, 31), "[1] 2 3 … 31 Next");
        assert_eq!(shown(15, 31), "1 … 14 [15] 16 … 31 Next");
        assert_eq!(shown(31, 31), "1 … 30 [31]");
        assert_eq!(shown(1, 1), "");
    }

    #[test]
    fn values_cannot_break_out_of_an_address() {
        let link = Link::to("/search").with("q", "a&b=\"<ü>").with_some("page", None::<u32>);
        assert_eq!(link.to_string(), "/search?q=a%26b%3D%22%3C%C3%BC%3E");
    }
}
