//! A warehouse in a bucket of an object store that speaks the S3 protocol:
//! `s3://[key:secret@]bucket/prefix[?region=NAME][&endpoint=URL]`. What the address leaves out comes from the environment
//! (`AWS_ACCESS_KEY_ID` and the like) or from the machine's role.
//!
//! A Delta commit is a conditional put there: of two writers of one version, one is refused by the store itself.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Once};
use std::time::Duration;

use deltalake::logstore::{LogStore, LogStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories};
use deltalake::{DeltaResult, DeltaTable, DeltaTableBuilder};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use url::{Url, form_urlencoded};

use crate::error::WarehouseError;

/// A server that does not take the connection within this time is taken for unreachable.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A request that fails is tried again for so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// And so often.
const RETRIES: usize = 5;

/// The text is no address of a warehouse in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the address of the warehouse has {fault}; write `s3://bucket/prefix?region=eu-central-1`, beside Amazon with `endpoint=https://host:port`"
)]
pub struct InvalidBucketAddress {
    fault: String,
}

/// Where a warehouse lies in an object store. Printing it leaves key and secret out.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketAddress {
    bucket: String,
    prefix: String,
    region: Option<String>,
    endpoint: Option<Url>,
    account: Option<(String, String)>,
}

impl FromStr for BucketAddress {
    type Err = InvalidBucketAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = |fault: String| InvalidBucketAddress { fault };
        let url = Url::parse(text).map_err(|error| fault(format!("a form that is not understood ({error})")))?;
        if url.scheme() != "s3" {
            return Err(fault(format!("the scheme `{}`", url.scheme())));
        }
        let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or_else(|| fault("no bucket".to_owned()))?.to_owned();
        let prefix = url.path().trim_matches('/').to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if prefix.is_empty() || !prefix.chars().all(plain) || prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(fault(format!("the prefix `{prefix}`, where letters, digits, `-`, `_`, `.` and `/` are allowed")));
        }
        let (mut region, mut endpoint) = (None, None);
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "region" => region = Some(value.into_owned()),
                "endpoint" => {
                    let valid = Url::parse(&value).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
                    endpoint = Some(valid.ok_or_else(|| fault(format!("`endpoint={value}`, which is no `https://host:port`")))?);
                }
                other => return Err(fault(format!("the unknown parameter `{other}`"))),
            }
        }
        let account = (!url.username().is_empty()).then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        Ok(Self { bucket, prefix, region, endpoint, account })
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

impl fmt::Debug for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Undoes the percent signs of key and secret, in which a plus is a plus.
fn decoded(text: &str) -> String {
    let text = text.replace('+', "%2B");
    form_urlencoded::parse(text.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

/// What lies beside the tables and is none: model files, and copies of the stream's state.
const MODELS: &str = "models";
const STREAM: &str = "stream";

/// Where the bucket of a warehouse keeps copies of the stream's state, beside the tables.
///
/// # Errors
/// When the bucket cannot be reached or looked into.
pub async fn stream_copies(address: &BucketAddress) -> Result<Arc<dyn ObjectStore>, WarehouseError> {
    Ok(Bucket::open(address).await?.beside(STREAM).1)
}

/// An open bucket.
pub(crate) struct Bucket {
    address: BucketAddress,
    store: ObjectStoreRef,
}

impl Bucket {
    /// Connects and looks into the prefix, so that wrong addresses and rights show at once.
    pub(crate) async fn open(address: &BucketAddress) -> Result<Self, WarehouseError> {
        static KNOWN: Once = Once::new();
        KNOWN.call_once(|| {
            let scheme = Url::parse("s3://").expect("a scheme is a URL");
            logstore_factories().insert(scheme, Arc::new(Logs));
        });
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&address.bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(RetryConfig { max_retries: RETRIES, retry_timeout: PATIENCE, ..RetryConfig::default() });
        let mut options = ClientOptions::new().with_connect_timeout(CONNECT_LIMIT);
        if let Some(region) = &address.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &address.endpoint {
            options = options.with_allow_http(endpoint.scheme() == "http");
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        if let Some((key, secret)) = &address.account {
            builder = builder.with_access_key_id(key).with_secret_access_key(secret);
        }
        let failed = |source| WarehouseError::Bucket { place: address.to_string(), source };
        let store: ObjectStoreRef = Arc::new(builder.with_client_options(options).build().map_err(failed)?);
        let bucket = Self { address: address.clone(), store };
        bucket.names().await?;
        Ok(bucket)
    }

    /// Names of what may be tables.
    pub(crate) async fn names(&self) -> Result<Vec<String>, WarehouseError> {
        let prefix = Path::from(self.address.prefix.as_str());
        let listed = self.store.list_with_delimiter(Some(&prefix)).await;
        let listed = listed.map_err(|source| WarehouseError::Bucket { place: self.address.to_string(), source })?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename);
        Ok(names.filter(|name| ![MODELS, STREAM].contains(name)).map(str::to_owned).collect())
    }

    /// Where model files lie, and what that place is called.
    pub(crate) fn models(&self) -> (String, ObjectStoreRef) {
        self.beside(MODELS)
    }

    fn beside(&self, name: &str) -> (String, ObjectStoreRef) {
        let store = PrefixStore::new(self.store.clone(), format!("{}/{name}", self.address.prefix));
        (format!("{}/{name}", self.address), Arc::new(store))
    }

    /// The table, not read yet.
    pub(crate) fn table(&self, name: &str) -> DeltaResult<DeltaTable> {
        let url = format!("{}/{name}", self.address);
        let url = Url::parse(&url).map_err(|_| deltalake::DeltaTableError::InvalidTableLocation(url))?;
        DeltaTableBuilder::from_url(url.clone())?.with_storage_backend(self.store.clone(), url).build()
    }

    /// Writes, reads and deletes an object.
    pub(crate) async fn check_rights(&self) -> Result<(), WarehouseError> {
        let failed = |source| WarehouseError::Bucket { place: self.address.to_string(), source };
        let mark = Path::from(format!("{}/rights-{}", self.address.prefix, uuid::Uuid::now_v7()));
        self.store.put(&mark, "may write".into()).await.map_err(failed)?;
        self.store.get(&mark).await.map_err(failed)?;
        self.store.delete(&mark).await.map_err(failed)
    }
}

/// Delta's own log over conditional puts.
struct Logs;

impl LogStoreFactory for Logs {
    fn with_options(
        &self,
        prefixed: ObjectStoreRef,
        root: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed, root, location, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read_and_key_and_secret_are_never_printed() {
        let full: BucketAddress =
            "s3://AKIA:se%2Fcr+et@shop-data/a/b?region=eu-central-1&endpoint=http://127.0.0.1:9000".parse().expect("valid");
        assert_eq!((full.bucket.as_str(), full.prefix.as_str(), full.region.as_deref()), ("shop-data", "a/b", Some("eu-central-1")));
        assert_eq!(full.account, Some(("AKIA".to_owned(), "se/cr+et".to_owned())));
        assert_eq!(full.endpoint.as_ref().map(Url::as_str), Some("http://127.0.0.1:9000/"));
        assert_eq!(format!("{full} {full:?}"), "s3://shop-data/a/b s3://shop-data/a/b");
        let short: BucketAddress = "s3://shop-data/warehouse/".parse().expect("valid");
        assert_eq!((short.prefix.as_str(), short.region, short.endpoint, short.account), ("warehouse", None, None, None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("warehouse", "form"),
            ("gs://a/b", "`gs`"),
            ("s3:///b", "no bucket"),
            ("s3://a", "prefix"),
            ("s3://a/b%20c", "prefix"),
            ("s3://a/b?endpoint=host:9000", "endpoint=host:9000"),
            ("s3://a/b?zone=1", "`zone`"),
        ] {
            let error = text.parse::<BucketAddress>().expect_err("it is not valid").to_string();
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }
}
