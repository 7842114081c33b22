//! Address of an online store: `redis://[[user]:password@]host[:port][/database]`, or `rediss://` with the same by TLS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use redis::{Client, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use url::Url;

/// The text is no address of an online store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of the online features has {fault}; write `redis://user:password@host:6379/0`, or with TLS `rediss://...`")]
pub struct InvalidOnlineAddress {
    fault: String,
}

/// A database of a Redis server. Printing it leaves user and password out.
///
/// With `rediss://` the server's certificate must be signed by one that the system trusts, or by one in the file that the address
/// names: `rediss://host:6380/0?ca=/path/ca.crt`.
#[derive(Clone)]
pub struct OnlineAddress {
    pub(super) client: Client,
    place: String,
}

impl FromStr for OnlineAddress {
    type Err = InvalidOnlineAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = |fault: String| InvalidOnlineAddress { fault };
        // The libraries' messages may quote the address, password and all.
        let not_understood = || fault("a form that is not understood".to_owned());
        let scheme = text.split_once("://").ok_or_else(|| fault("no scheme".to_owned()))?.0;
        if !matches!(scheme, "redis" | "rediss") {
            return Err(fault(format!("the scheme `{scheme}`")));
        }
        let mut url = Url::parse(text).map_err(|_| not_understood())?;
        let is_encrypted = scheme == "rediss";
        let authority = if is_encrypted { named_authority(&mut url).map_err(fault)? } else { None };
        let info = url.into_connection_info().map_err(|_| not_understood())?;
        let place = format!("{scheme}://{}/{}", info.addr(), info.redis_settings().db());
        let client =
            if is_encrypted { encrypted(info, authority).map_err(fault)? } else { Client::open(info).map_err(|_| not_understood())? };
        Ok(Self { client, place })
    }
}

/// Takes the file of `?ca=` from the address.
fn named_authority(url: &mut Url) -> Result<Option<PathBuf>, String> {
    let mut authority = None;
    for (name, value) in url.query_pairs() {
        if name != "ca" {
            return Err(format!("the option `{name}`, which is none beside `ca`"));
        }
        authority = Some(PathBuf::from(&*value));
    }
    if url.fragment().is_some() {
        return Err("a `#`, and no server is taken without its certificate".to_owned());
    }
    url.set_query(None);
    Ok(authority)
}

fn encrypted(info: ConnectionInfo, authority: Option<PathBuf>) -> Result<Client, String> {
    // Two implementations are built in, so rustls must be told which one; whoever was first has told it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let root_cert = authority.as_deref().map(certificates).transpose()?;
    let client = Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert });
    client.map_err(|_| "parameters that Redis does not have, or a `ca` with a certificate that is damaged".to_owned())
}

/// The text of a file with certificates.
fn certificates(file: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read(file).map_err(|error| format!("the `ca` `{}`, which cannot be read ({error})", file.display()))?;
    if String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(format!("the `ca` `{}`, which holds no certificate in PEM", file.display()))
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
        let address: OnlineAddress = "rediss://me:secret@cache.example:6380/2".parse().expect("valid");
        assert_eq!(format!("{address} {address:?}"), "rediss://cache.example:6380/2 rediss://cache.example:6380/2");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("cache", "no scheme"),
            ("http://me:secret@cache/0", "`http`"),
            ("rediss://me:secret@cache/0?ca=/no/such/file", "`/no/such/file`, which cannot be read"),
            ("rediss://me:secret@cache/0?ca=/dev/null", "`/dev/null`, which holds no certificate"),
            ("rediss://me:secret@cache/0?tls=no", "the option `tls`"),
            ("rediss://me:secret@cache/0#insecure", "without its certificate"),
            ("redis://me:secret@cache/first", "form"),
        ] {
            let error = text.parse::<OnlineAddress>().expect_err("it is not valid").to_string();
            assert!(error.contains(word) && !error.contains("secret"), "`{word}` is not in: {error}");
        }
    }
}
