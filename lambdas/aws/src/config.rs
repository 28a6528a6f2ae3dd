//! Where AWS is: credentials, region, endpoint; one HTTP client for all services, and one SQS client for all queues.
//!
//! Invariant: making clients asks nobody and reads no certificates. A function is started often and polls before it needs any.

use crate::{DynamoClaims, S3Artifacts, SqsQueue};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};
use std::time::Duration;
use weir_queue::{QueueError, QueueErrorClass};

/// Longer than the longest poll of a queue (20 s), so that only a lost connection ends it.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Clients of one account and region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
    /// Of all queues: a function opens one an invocation.
    sqs: aws_sdk_sqs::Client,
    /// An endpoint of somebody's own: buckets are named in the path.
    emulated: bool,
}

fn http_client() -> SharedHttpClient {
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    SharedHttpClient::new(AtFirstCall(https))
}

/// The SDK's HTTP client without its check when a service's client is made: that would read and parse the system's certificates for
/// each of them, and then once more for the first call.
#[derive(Debug)]
struct AtFirstCall(SharedHttpClient);

impl HttpClient for AtFirstCall {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

fn loader() -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client()).timeout_config(timeouts())
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_MAX).operation_attempt_timeout(ATTEMPT_MAX).build()
}

impl Aws {
    /// Credentials and region from wherever the SDK finds them: environment, profile, container, instance. SSO profiles are
    /// not supported: export their credentials first.
    ///
    /// # Errors
    /// When there is no region. Credentials are looked for at the first call.
    pub async fn load() -> Result<Aws, QueueError> {
        Aws::checked(loader().load().await)
    }

    /// As `load`, in a region that is known whatever the environment says.
    ///
    /// # Errors
    /// None so far: credentials are looked for at the first call.
    pub async fn load_in(region: &str) -> Result<Aws, QueueError> {
        Aws::checked(loader().region(Region::new(region.to_owned())).load().await)
    }

    /// Only the environment, as a Lambda function has it: nothing is asked for at start.
    ///
    /// # Errors
    /// Which variable is missing.
    pub fn from_env() -> Result<Aws, QueueError> {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let need = |name: &str| {
            let message = format!("the environment variable {name} is not set: a function has it from its runtime");
            get(name).ok_or_else(|| QueueError::new(QueueErrorClass::Permanent, message))
        };
        let (key, secret) = (need("AWS_ACCESS_KEY_ID")?, need("AWS_SECRET_ACCESS_KEY")?);
        let region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
        let credentials = Credentials::new(key, secret, get("AWS_SESSION_TOKEN"), None, "environment");
        let mut builder = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http_client())
            .timeout_config(timeouts())
            .region(region.map(Region::new))
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        builder.set_endpoint_url(get("AWS_ENDPOINT_URL"));
        Aws::checked(builder.build())
    }

    /// Another address with fixed credentials: an emulator.
    #[must_use]
    pub fn at(endpoint: &str, region: &str) -> Aws {
        let credentials = Credentials::new("test", "test", None, None, "emulator");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http_client())
            .timeout_config(timeouts())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(endpoint)
            .build();
        Aws::of(config)
    }

    fn of(config: SdkConfig) -> Aws {
        let emulated = config.endpoint_url().is_some();
        Aws { sqs: aws_sdk_sqs::Client::new(&config), config, emulated }
    }

    fn checked(config: SdkConfig) -> Result<Aws, QueueError> {
        if config.region().is_none_or(|region| region.as_ref().is_empty()) {
            let message = "no AWS region: set AWS_REGION, or region in the profile (AWS_PROFILE)";
            return Err(QueueError::new(QueueErrorClass::Permanent, message));
        }
        Ok(Aws::of(config))
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        self.config.region().map_or("", AsRef::as_ref)
    }

    /// The endpoint, when it is not Amazon's own.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// The SDK's configuration, for calls that this crate does not wrap.
    #[must_use]
    pub fn sdk(&self) -> &SdkConfig {
        &self.config
    }

    /// The queue at an address.
    #[must_use]
    pub fn queue(&self, url: &str) -> SqsQueue {
        SqsQueue::new(self.sqs.clone(), url)
    }

    /// The queue of a name.
    ///
    /// # Errors
    /// When there is none, or it cannot be asked for.
    pub async fn queue_by_name(&self, name: &str) -> Result<SqsQueue, QueueError> {
        let client = self.sqs.clone();
        let found = client.get_queue_url().queue_name(name).send().await;
        let found = found.map_err(|error| crate::error::judge(&format!("sqs GetQueueUrl of {name}"), error))?;
        Ok(SqsQueue::new(client, found.queue_url().unwrap_or_default()))
    }

    /// Artifacts in a bucket.
    #[must_use]
    pub fn bucket(&self, bucket: &str) -> S3Artifacts {
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            .force_path_style(self.emulated)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        S3Artifacts::new(aws_sdk_s3::Client::from_conf(config), bucket)
    }

    /// Claims in a table with the key `id` (text) and the time to live `expires`.
    #[must_use]
    pub fn claims(&self, table: &str) -> DynamoClaims {
        DynamoClaims::new(aws_sdk_dynamodb::Client::new(&self.config), table)
    }
}
