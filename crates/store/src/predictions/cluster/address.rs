//! Address of a keyspace: `cassandra://[user:password@]host[,host...][:port]/keyspace?replication=3&dc=name`.

use std::fmt;
use std::str::FromStr;

use url::Url;

const DEFAULT_PORT: u16 = 9042;
/// Copies of each document unless the address says otherwise: one node may fail and a quorum is left.
const DEFAULT_REPLICATION: u8 = 3;

/// The text is no address of a keyspace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of the prediction store has {fault}; write `cassandra://host1,host2[:port]/keyspace?replication=3&dc=name`")]
pub struct InvalidClusterAddress {
    fault: String,
}

/// A keyspace in a cluster that speaks Cassandra's protocol. Printing it leaves user and password out.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterAddress {
    pub(super) hosts: Vec<String>,
    pub(super) port: u16,
    pub(super) keyspace: String,
    /// Copies of each document, if the keyspace is still to be made.
    pub(super) replication: u8,
    /// The data centre that is asked first, and that holds the copies if the keyspace is still to be made.
    pub(super) data_centre: Option<String>,
    pub(super) account: Option<(String, String)>,
}

impl FromStr for ClusterAddress {
    type Err = InvalidClusterAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = |fault: String| InvalidClusterAddress { fault };
        let url = Url::parse(text).map_err(|error| fault(format!("a form that is not understood ({error})")))?;
        if url.scheme() != "cassandra" {
            return Err(fault(format!("the scheme `{}`", url.scheme())));
        }
        let hosts: Vec<String> = url.host_str().unwrap_or_default().split(',').map(str::to_owned).collect();
        if hosts.iter().any(String::is_empty) {
            return Err(fault("an empty host".to_owned()));
        }
        let keyspace = url.path().trim_start_matches('/').to_owned();
        let letters = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if keyspace.is_empty() || keyspace.len() > 48 || !keyspace.starts_with(|c: char| c.is_ascii_lowercase()) || !letters(&keyspace) {
            return Err(fault(format!("the keyspace `{keyspace}`, where lower-case letters, digits and `_` are allowed")));
        }
        let (mut replication, mut data_centre) = (DEFAULT_REPLICATION, None);
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "replication" => {
                    replication = value
                        .parse()
                        .ok()
                        .filter(|copies| (1..=9).contains(copies))
                        .ok_or_else(|| fault(format!("`replication={value}`, where 1 to 9 are allowed")))?;
                }
                "dc" => {
                    let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                    if value.is_empty() || !value.chars().all(known) {
                        return Err(fault(format!("`dc={value}`, where letters, digits, `-`, `_` and `.` are allowed")));
                    }
                    data_centre = Some(value.into_owned());
                }
                other => return Err(fault(format!("the unknown parameter `{other}`"))),
            }
        }
        let account = (!url.username().is_empty()).then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        Ok(Self { hosts, port: url.port().unwrap_or(DEFAULT_PORT), keyspace, replication, data_centre, account })
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cassandra://{}:{}/{}", self.hosts.join(","), self.port, self.keyspace)
    }
}

impl fmt::Debug for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Undoes the percent signs of user and password, in which a plus is a plus.
fn decoded(text: &str) -> String {
    let text = text.replace('+', "%2B");
    url::form_urlencoded::parse(text.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read_and_the_rest_has_defaults() {
        let full: ClusterAddress = "cassandra://me:p%40ss+1@a.example,10.0.0.2:9043/shop?replication=2&dc=eu-1".parse().expect("valid");
        assert_eq!((full.hosts.len(), full.hosts[1].as_str(), full.port), (2, "10.0.0.2", 9043));
        assert_eq!((full.keyspace.as_str(), full.replication, full.data_centre.as_deref()), ("shop", 2, Some("eu-1")));
        assert_eq!(full.account, Some(("me".to_owned(), "p@ss+1".to_owned())));
        let short: ClusterAddress = "cassandra://127.0.0.1/shop".parse().expect("valid");
        assert_eq!((short.port, short.replication, short.data_centre, short.account), (9042, 3, None, None));
    }

    #[test]
    fn the_password_is_never_printed() {
        let address: ClusterAddress = "cassandra://me:secret@a/shop".parse().expect("valid");
        assert_eq!(format!("{address} {address:?}"), "cassandra://a:9042/shop cassandra://a:9042/shop");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("redb", "form"),
            ("postgres://a/b", "`postgres`"),
            ("cassandra://a,/b", "empty host"),
            ("cassandra://a", "keyspace"),
            ("cassandra://a/Drop;", "keyspace"),
            ("cassandra://a/b?replication=0", "replication=0"),
            ("cassandra://a/b?dc='x", "dc="),
            ("cassandra://a/b?ttl=3", "`ttl`"),
        ] {
            let error = text.parse::<ClusterAddress>().expect_err("it is not valid").to_string();
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }
}
