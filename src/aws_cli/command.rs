//! The command: options and files to one call, its reply to output and exit code.

use std::path::PathBuf;

use super::failure::failed;
use super::parameters::{self, Parameters};
use super::retries::RetryPolicy;
use super::{answer, values};
use crate::aws;
use crate::aws::single::{CallSettings, Files, NoAnswer, Reply, SingleCall};
use crate::cli::{SingleArgs, Skeleton};
use crate::error::Error;
use crate::report::notice;
use crate::row::{Field, Link};
use crate::url::{CREDENTIALS_IN_URL, has_credentials};

/// Name of the operation in messages.
const OPERATION: &str = "UnlinkDeveloperIdentity";

/// Makes the call, or prints a skeleton. Returns the standard output.
///
/// # Errors
/// The call was not made or failed. Messages have the AWS CLI's wording, since scripts look for it.
pub async fn run(args: SingleArgs) -> Result<String, Error> {
    let log = Log(args.debug);
    if args.no_verify_ssl {
        return Err(Error::usage(
            "--no-verify-ssl is refused: another server could read and answer the call. Name the authority to trust with --ca-bundle FILE.",
        ));
    }
    let files = Files::read(args.profile.as_deref())
        .await
        .map_err(|error| failed(error.to_string()))?;
    let parameters = parameters(&args, &files)?;
    if args.generate_cli_skeleton == Some(Skeleton::Input) {
        return Ok(parameters::skeleton());
    }
    let region = region(&args, &files)?;
    log.debug(|| format!("cognito-unlink {}", env!("CARGO_PKG_VERSION")));
    log.debug(|| format!("Region {region}, signed: {}", !args.no_sign_request));
    let retries = RetryPolicy::new(
        setting("AWS_RETRY_MODE", "retry_mode", &files).as_deref(),
        setting("AWS_MAX_ATTEMPTS", "max_attempts", &files).as_deref(),
    )?;
    log.debug(|| retries.to_string());
    let endpoint_url = args.endpoint_url.clone().or_else(|| files.endpoint_url());
    if endpoint_url.as_deref().is_some_and(has_credentials) {
        let endpoint = if args.endpoint_url.is_some() {
            "--endpoint-url"
        } else {
            "The endpoint that the environment or the AWS files name"
        };
        return Err(failed(format!("{endpoint} {CREDENTIALS_IN_URL}")));
    }
    let settings = CallSettings {
        region,
        ca_bundle: ca_bundle(&args, &files, endpoint_url.as_deref()),
        endpoint_url,
        sign: !args.no_sign_request,
        read_timeout: args.cli_read_timeout.0,
        connect_timeout: args.cli_connect_timeout.0,
    };
    let call = SingleCall::new(&files, &settings)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let link = parameters.link()?;
    if args.generate_cli_skeleton.is_none() {
        unlink(&call, &link, retries, &log).await?;
    }
    Ok(String::new())
}

/// Makes attempts until one succeeds or the policy allows no more.
async fn unlink(
    call: &SingleCall,
    link: &Link,
    retries: RetryPolicy,
    log: &Log,
) -> Result<(), Error> {
    let mut in_doubt = false;
    for attempt in 1.. {
        let reply = call.attempt(link).await;
        log.debug(|| format!("attempt {attempt}: {}", describe(&reply)));
        if reply == Reply::Success {
            return Ok(());
        }
        if let Some(delay) = retries.delay(attempt, &reply, fastrand::f64()) {
            in_doubt |= is_in_doubt(&reply);
            log.debug(|| format!("trying again in {:.1} s", delay.as_secs_f64()));
            tokio::time::sleep(delay).await;
            continue;
        }
        let mut error = failure(&reply, retries.exhausted(attempt, &reply));
        if in_doubt && !is_in_doubt(&reply) {
            error.message +=
                "\nAn earlier attempt got no answer and may have unlinked the identity.";
        }
        return Err(error);
    }
    unreachable!("attempts are numbered without end")
}

fn is_in_doubt(reply: &Reply) -> bool {
    matches!(reply, Reply::NoAnswer { kind, .. } if kind.is_in_doubt())
}

/// Describes a reply for the log, without the service's message: it may quote a user.
fn describe(reply: &Reply) -> String {
    match reply {
        Reply::Success => "unlinked".to_owned(),
        Reply::ServiceError {
            status,
            body,
            request_id,
        } => {
            let code = answer::parse(*status, body).code;
            let id = request_id.as_deref().unwrap_or("none");
            format!("HTTP {status}, code {code}, request id {id}")
        }
        Reply::NotCognito { status } => format!("HTTP {status}, not from Amazon Cognito"),
        Reply::NoAnswer { url, cause, .. } => format!("{url}: {cause}"),
        Reply::NoCredentials => "no credentials".to_owned(),
        Reply::CredentialsFailed(why) | Reply::NotBuilt(why) => why.clone(),
    }
}

/// Returns the error for the last reply. `exhausted` is the number of retries, if that was the most allowed.
fn failure(reply: &Reply, exhausted: Option<u32>) -> Error {
    failed(match reply {
        Reply::Success => unreachable!("a success is no failure"),
        Reply::ServiceError { status, body, .. } => {
            let answer::ServiceError { code, message } = answer::parse(*status, body);
            let retries = exhausted.map_or_else(String::new, |retries| {
                format!(" (reached max retries: {retries})")
            });
            format!(
                "An error occurred ({code}) when calling the {OPERATION} operation{retries}: {message}"
            )
        }
        Reply::NotCognito { status } => format!(
            "An error occurred (NotCognito) when calling the {OPERATION} operation: the endpoint answers with HTTP {status}, and is \
             not Amazon Cognito. Check the endpoint and the proxy settings."
        ),
        Reply::NoAnswer { kind, url, cause } => match kind {
            NoAnswer::ConnectFailed => format!("Could not connect to the endpoint URL: \"{url}\"\n({cause})"),
            NoAnswer::ConnectTimeout => format!("Connect timeout on endpoint URL: \"{url}\""),
            NoAnswer::ReadTimeout => format!("Read timeout on endpoint URL: \"{url}\""),
            NoAnswer::Tls => format!("SSL validation failed for {url} {cause}"),
            NoAnswer::ConnectionClosed => format!(
                "Connection was closed before we received a valid response from endpoint URL: \"{url}\"."
            ),
            NoAnswer::Inconclusive => format!(
                "No valid response from endpoint URL: \"{url}\": {cause}. The identity may be unlinked."
            ),
        },
        Reply::NoCredentials => "Unable to locate credentials. You can configure credentials by running \"aws configure\", or name \
             a profile with --profile."
            .to_owned(),
        Reply::CredentialsFailed(why) => format!("Credentials cannot be loaded: {why}"),
        Reply::NotBuilt(why) => format!("The request cannot be made: {why}"),
    })
}

/// Returns the parameters of the call: from options, and from the JSON where an option is not given.
fn parameters(args: &SingleArgs, files: &Files) -> Result<Parameters, Error> {
    // The AWS CLI fetches a value that is a URL, unless the profile says otherwise.
    let follow_urls = files.get("cli_follow_urlparam").unwrap_or("true") == "true";
    let mut parameters = Parameters::default();
    for (field, value) in [
        (Field::IdentityId, &args.identity_id),
        (Field::IdentityPoolId, &args.identity_pool_id),
        (Field::DeveloperProviderName, &args.developer_provider_name),
        (
            Field::DeveloperUserIdentifier,
            &args.developer_user_identifier,
        ),
    ] {
        if let Some(value) = value {
            let option = format!("--{}", field.name().replace('_', "-"));
            parameters.add(field, values::resolve(&option, value, follow_urls)?);
        }
    }
    if let Some(json) = &args.cli_input_json {
        parameters.merge_json(&values::json(json)?)?;
    }
    Ok(parameters)
}

/// Returns the Region as AWS CLI version 1 finds it, or else as every other AWS tool does.
fn region(args: &SingleArgs, files: &Files) -> Result<String, Error> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    // An empty --region is a script's unset variable, and does not mean the next source.
    let region = args
        .region
        .clone()
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| files.get("region").map(str::to_owned))
        .filter(|region| !region.is_empty())
        .ok_or_else(|| {
            failed("You must specify a region. You can also configure your region by running \"aws configure\".")
        })?;
    if aws::is_region(&region) {
        Ok(region)
    } else {
        Err(failed(format!(
            "Provided region_name '{region}' doesn't match a supported format."
        )))
    }
}

/// Returns a setting of the environment, or else of the profile.
fn setting(variable: &str, key: &str, files: &Files) -> Option<String> {
    std::env::var(variable)
        .ok()
        .or_else(|| files.get(key).map(str::to_owned))
}

/// Returns the file of authorities to trust; without TLS it is not read.
fn ca_bundle(args: &SingleArgs, files: &Files, endpoint: Option<&str>) -> Option<PathBuf> {
    if endpoint.is_some_and(|url| url.starts_with("http://")) {
        return None;
    }
    args.ca_bundle
        .clone()
        .or_else(|| setting("AWS_CA_BUNDLE", "ca_bundle", files))
        .or_else(|| std::env::var("REQUESTS_CA_BUNDLE").ok())
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// The log of `--debug`. The AWS CLI logs whole requests, users included; this does not.
struct Log(bool);

impl Log {
    fn debug(&self, text: impl FnOnce() -> String) {
        if self.0 {
            notice(&format!("DEBUG - {}", text()));
        }
    }
}
