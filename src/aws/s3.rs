//! S3, as a store of objects: over the same credentials, CA bundle, proxy and account guard as the calls.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Builder, IdentityCache};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_bucket::HeadBucketError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Bytes, BytesMut};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::causes::find_cause;
use super::client::{client_of, guarded_credentials};
use super::credentials_cache::CachedCredentials;
use super::describe::describe;
use super::endpoint::{Endpoints, S3, configured_endpoint};
use super::http_client::Proxies;
use super::profile::ActiveProfile;
use super::sdk_config;
use super::settings::{ClientSettings, SettingsError};
use crate::objects::{
    Created, Listing, ObjectBody, ObjectStore, ObjectUri, ObjectVersion, OpenObject, Pending,
    StoreError, StoreErrorKind,
};

/// Limit on the wait for the next chunk of an object: 20 s. Halved, a slow store is read over more
/// connections; doubled, a dead connection goes unnoticed longer.
const STALLED: Duration = Duration::from_secs(20);
/// Region that is asked for the Region of a bucket, if none is configured. A bucket of another partition needs one.
const DEFAULT_REGION: &str = "us-east-1";
/// The header in which S3 names the Region of a bucket, also when it refuses the request.
const REGION_HEADER: &str = "x-amz-bucket-region";

/// The buckets that the credentials of a run can reach.
#[derive(Debug, Clone)]
pub struct Buckets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: ClientSettings,
    /// The first account that showed in credentials: new ones must be of the same.
    first_account: Arc<OnceLock<String>>,
    /// Made when it is first used, and anew after credentials have expired.
    connection: Mutex<Arc<OnceCell<Connection>>>,
}

/// Clients over one source of credentials.
#[derive(Debug)]
struct Connection {
    config: Builder,
    /// Loaded before each request: the time-out of an attempt is too short for some sources.
    credentials: Option<CachedCredentials>,
    /// Each bucket with the client of its Region.
    clients: tokio::sync::Mutex<Vec<(String, Client)>>,
}

impl Buckets {
    /// Creates a store with these settings. It connects to nothing yet.
    #[must_use]
    pub fn new(settings: ClientSettings) -> Self {
        Self(Arc::new(Shared {
            settings,
            first_account: Arc::default(),
            connection: Mutex::default(),
        }))
    }

    /// Returns the client of a bucket.
    async fn client(&self, bucket: &str) -> Result<Client, StoreError> {
        let connection = Arc::clone(&self.0.connection());
        let connection = connection.get_or_try_init(|| self.0.connect()).await;
        let connection = connection.map_err(|error| StoreError {
            kind: StoreErrorKind::Refused,
            message: error.to_string(),
        })?;
        if let Some(credentials) = &connection.credentials {
            credentials.load().await;
        }
        let client = connection.client(bucket).await;
        client.map_err(|error| self.failed(&error))
    }

    /// Describes a request that has failed. Credentials that have expired are loaded anew for the next request.
    fn failed<E>(&self, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let code = error.as_service_error().and_then(|error| error.code());
        // Credentials that were replaced are loaded again, and the Region of a bucket is asked for again.
        if code.is_some_and(|code| {
            code.contains("Expired")
                || [
                    "TokenRefreshRequired",
                    "InvalidToken",
                    "InvalidAccessKeyId",
                    "InvalidClientTokenId",
                    "AuthorizationHeaderMalformed",
                    "PermanentRedirect",
                ]
                .contains(&code)
        }) {
            *self.0.connection() = Arc::default();
        }
        failure(error)
    }
}

impl Shared {
    fn connection(&self) -> MutexGuard<'_, Arc<OnceCell<Connection>>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Connection, SettingsError> {
        let settings = &self.settings;
        let http = client_of(settings, Proxies::FromEnvironment)?;
        let active = ActiveProfile::load(settings.profile.as_deref()).await?;
        active.check_keys()?;
        let endpoint = configured_endpoint(&active.profiles, &S3)?;
        let sts = Endpoints::of(settings, &active.profiles)?.sts;
        let shared = sdk_config::load(settings, http, &active).await?;
        let region = shared.region().cloned();
        let mut config = Builder::from(&shared)
            .region(region.unwrap_or_else(|| Region::from_static(DEFAULT_REGION)))
            // A request that is repeated here would be one more that its caller does not know of.
            .retry_config(RetryConfig::disabled())
            .timeout_config(settings.lookup_timeouts())
            // Other stores than S3 seldom have a name for each bucket.
            .force_path_style(endpoint.is_some());
        config.set_endpoint_url(endpoint);
        let first_account = Arc::clone(&self.first_account);
        let credentials = guarded_credentials(&shared, settings, sts, first_account);
        if let Some(credentials) = &credentials {
            config = config
                .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
                .identity_cache(IdentityCache::no_cache());
        }
        Ok(Connection {
            config,
            credentials,
            clients: tokio::sync::Mutex::default(),
        })
    }
}

impl Connection {
    /// Returns the client of a bucket. S3 is asked for the bucket's Region, whatever Region is configured.
    ///
    /// # Errors
    /// S3 gives no answer that tells it.
    async fn client(&self, bucket: &str) -> Result<Client, SdkError<HeadBucketError>> {
        let mut clients = self.clients.lock().await;
        if let Some((_, client)) = clients.iter().find(|(known, _)| known == bucket) {
            return Ok(client.clone());
        }
        let mut client = Client::from_conf(self.config.clone().build());
        if let Some(region) = region_of(&client, bucket).await? {
            let config = self.config.clone().region(Region::new(region));
            client = Client::from_conf(config.build());
        }
        clients.push((bucket.to_owned(), client.clone()));
        Ok(client)
    }
}

/// Returns the Region of a bucket; `None` if the store names none, as others than S3 do.
async fn region_of(
    client: &Client,
    bucket: &str,
) -> Result<Option<String>, SdkError<HeadBucketError>> {
    match client.head_bucket().bucket(bucket).send().await {
        Ok(head) => Ok(head.bucket_region),
        Err(error) => {
            let response = error.raw_response();
            let region = response.and_then(|response| response.headers().get(REGION_HEADER));
            match (region.map(str::to_owned), status(&error)) {
                (Some(region), _) => Ok(Some(region)),
                // The request itself will be refused, with a reason.
                (None, Some(403 | 404 | 405 | 501)) => Ok(None),
                (None, _) => Err(error),
            }
        }
    }
}

impl ObjectStore for Buckets {
    fn open(
        &self,
        uri: &ObjectUri,
        from: u64,
        version: Option<&ObjectVersion>,
    ) -> Pending<OpenObject> {
        let (buckets, uri, version) = (self.clone(), uri.clone(), version.cloned());
        Box::pin(async move {
            let get = buckets.client(&uri.bucket).await?.get_object();
            let mut get = get.bucket(&uri.bucket).key(&uri.key);
            if from > 0 {
                get = get.range(format!("bytes={from}-"));
            }
            let tag = version.as_ref().map(|version| version.tag.clone());
            let mut got = get.clone().set_if_match(tag).send().await;
            if let (Err(error), Some(version)) = (&got, version)
                && matches!(status(error), Some(404 | 412))
            {
                // Replaced or deleted; the bucket may still have that version.
                let old = match version.id {
                    Some(id) => get.version_id(id).send().await.ok(),
                    None => None,
                };
                got = Ok(old.ok_or_else(|| StoreError {
                    kind: StoreErrorKind::Changed,
                    message: "the object was replaced or deleted".to_owned(),
                })?);
            }
            let got = got.map_err(|error| buckets.failed(&error))?;
            let size = whole_size(&got, from).ok_or_else(|| StoreError {
                kind: StoreErrorKind::Refused,
                message: "the store did not send the range that it was asked for".to_owned(),
            })?;
            Ok(OpenObject {
                version: ObjectVersion {
                    tag: got.e_tag.unwrap_or_default(),
                    id: got.version_id.filter(|id| id != "null"),
                    size,
                },
                body: Box::new(Body(got.body)),
            })
        })
    }

    fn read(&self, uri: &ObjectUri) -> Pending<Option<Bytes>> {
        let (buckets, uri) = (self.clone(), uri.clone());
        Box::pin(async move {
            let get = buckets.client(&uri.bucket).await?.get_object();
            let got = get.bucket(&uri.bucket).key(&uri.key).send().await;
            let got = match got.map_err(|error| buckets.failed(&error)) {
                Err(error) if error.kind == StoreErrorKind::Missing => return Ok(None),
                got => got?,
            };
            let mut body: Box<dyn ObjectBody> = Box::new(Body(got.body));
            let mut content = BytesMut::new();
            while let Some((chunk, rest)) = body.next().await? {
                content.extend_from_slice(&chunk);
                body = rest;
            }
            Ok(Some(content.freeze()))
        })
    }

    fn create(&self, uri: &ObjectUri, content: Bytes) -> Pending<Created> {
        let (buckets, uri) = (self.clone(), uri.clone());
        Box::pin(async move {
            let put = buckets.client(&uri.bucket).await?.put_object();
            let put = put
                .bucket(&uri.bucket)
                .key(&uri.key)
                .if_none_match("*")
                .body(ByteStream::from(content));
            match put.send().await {
                Ok(_) => Ok(Created::New),
                Err(error) if status(&error) == Some(412) => Ok(Created::Exists),
                Err(error) => Err(buckets.failed(&error)),
            }
        })
    }

    fn list(
        &self,
        prefix: &ObjectUri,
        after: Option<&str>,
        delimiter: Option<char>,
    ) -> Pending<Listing> {
        let (buckets, prefix) = (self.clone(), prefix.clone());
        let after = after.map(str::to_owned);
        Box::pin(async move {
            let request = buckets.client(&prefix.bucket).await?.list_objects_v2();
            let listed = request
                .bucket(&prefix.bucket)
                .prefix(&prefix.key)
                .set_start_after(after)
                .set_delimiter(delimiter.map(String::from))
                .send()
                .await
                .map_err(|error| buckets.failed(&error))?;
            let is_cut = listed.is_truncated == Some(true);
            let keys = listed.contents.unwrap_or_default().into_iter();
            let keys: Vec<String> = keys.filter_map(|object| object.key).collect();
            let common = listed.common_prefixes.unwrap_or_default().into_iter();
            let common: Vec<String> = common.filter_map(|common| common.prefix).collect();
            let end = keys.last().into_iter().chain(common.last()).max();
            Ok(Listing {
                after: end.filter(|_| is_cut).cloned(),
                keys,
                common,
            })
        })
    }
}

/// Returns the size of an object that was opened at `from`; `None` if it was not.
fn whole_size(got: &GetObjectOutput, from: u64) -> Option<u64> {
    if from == 0 {
        return got.content_length?.try_into().ok();
    }
    // `bytes 100-199/200` (RFC 9110, section 14.4)
    let range = got.content_range.as_deref()?.strip_prefix("bytes ")?;
    let (range, size) = range.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    (first.parse() == Ok(from)).then_some(())?;
    size.parse().ok()
}

struct Body(ByteStream);

impl ObjectBody for Body {
    fn next(mut self: Box<Self>) -> Pending<Option<(Bytes, Box<dyn ObjectBody>)>> {
        Box::pin(async move {
            match timeout(STALLED, self.0.next()).await {
                Ok(Some(Ok(chunk))) => Ok(Some((chunk, self as Box<dyn ObjectBody>))),
                Ok(Some(Err(error))) => Err(broken(&describe(&error))),
                Ok(None) => Ok(None),
                Err(_) => Err(broken("the object stalled")),
            }
        })
    }
}

fn broken(why: &str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Temporary,
        message: format!("the connection to S3 broke: {why}"),
    }
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response: &HttpResponse| response.status().as_u16())
}

/// Describes a request that has failed.
fn failure<E>(error: &SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let Some(answered) = status(error) else {
        let lacks_credentials = find_cause::<CredentialsError>(error).is_some();
        let kind = match error {
            _ if lacks_credentials => StoreErrorKind::Refused,
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => StoreErrorKind::Temporary,
            _ => StoreErrorKind::Refused,
        };
        let message = format!("S3 cannot be asked: {}", describe(error));
        return StoreError { kind, message };
    };
    let service_error = error.as_service_error();
    let code = service_error
        .and_then(|error| error.code())
        .unwrap_or_default();
    let kind = match (answered, code) {
        (404, _) if code != "NoSuchBucket" => StoreErrorKind::Missing,
        (412, _) => StoreErrorKind::Changed,
        // Conditional writes, for instance.
        (501, _) => StoreErrorKind::Refused,
        (_, "TokenRefreshRequired") => StoreErrorKind::Expired,
        _ if code.contains("Expired") => StoreErrorKind::Expired,
        // After a redirect the Region of the bucket is asked for again. A success whose body broke off, or is no XML, is no answer.
        (200..=299 | 301 | 307 | 409 | 429 | 500.., _)
        | (
            _,
            "AuthorizationHeaderMalformed"
            | "RequestTimeout"
            | "SlowDown"
            | "ThrottlingException"
            | "OperationAborted",
        ) => StoreErrorKind::Temporary,
        _ => StoreErrorKind::Refused,
    };
    let mut message = if code.is_empty() {
        format!("S3 answered HTTP {answered}")
    } else {
        format!("S3 answered {code}")
    };
    if let Some(text) = service_error.and_then(|error| error.message()) {
        message = format!("{message}: {}", text.trim_end_matches('.'));
    }
    StoreError { kind, message }
}
