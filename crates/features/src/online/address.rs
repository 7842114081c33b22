//! Address of an online store: `redis://[[user]:password@]host[:port]/database`.

use std::fmt;
use std::str::FromStr;

use redis::{Client, IntoConnectionInfo};

/// The text is no address of an online store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of the online features has {fault}; write `redis://user:password@host:6379/0`")]
pub struct InvalidOnlineAddress {
    fault: String,
}

/// A database of a Redis server. Printing it leaves user and password out.
#[derive(Clone)]
pub struct OnlineAddress {
    pub(super) client: Client,
    place: String,
}

impl FromStr for OnlineAddress {
    type Err = InvalidOnlineAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = |fault: String| InvalidOnlineAddress { fault };
        match text.split_once("://") {
            Some(("redis", _)) => {}
            Some(("rediss", _)) => return Err(fault("the scheme `rediss`: TLS to Redis is not built in".to_owned())),
            Some((scheme, _)) => return Err(fault(format!("the scheme `{scheme}`"))),
            None => return Err(fault("no scheme".to_owned())),
        }
        // The library's message may quote the address, password and all.
        let info = text.into_connection_info().map_err(|_| fault("a form that is not understood".to_owned()))?;
        let place = format!("redis://{}/{}", info.addr(), info.redis_settings().db());
        let client = Client::open(info).map_err(|_| fault("parameters that Redis does not have".to_owned()))?;
        Ok(Self { client, place })
    }
}

impl fmt::Display for OnlineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for OnlineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_printed_without_user_and_password() {
        let address: OnlineAddress = "redis://me:secret@cache.example:6380/2".parse().expect("valid");
        assert_eq!(format!("{address} {address:?}"), "redis://cache.example:6380/2 redis://cache.example:6380/2");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("cache", "no scheme"),
            ("http://me:secret@cache/0", "`http`"),
            ("rediss://me:secret@cache/0", "TLS"),
            ("redis://me:secret@cache/first", "form"),
        ] {
            let error = text.parse::<OnlineAddress>().expect_err("it is not valid").to_string();
            assert!(error.contains(word) && !error.contains("secret"), "`{word}` is not in: {error}");
        }
    }
}
