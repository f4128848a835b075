//! One call as `aws cognito-identity unlink-developer-identity` of version 1 makes it: a script that swaps the two notices the
//! speed. What the AWS CLI does was seen by running it; `tests/single_call.toml` is the list, deliberate differences included.

mod answer;
mod output;
mod parameters;
mod retries;
mod values;

use std::path::PathBuf;

use crate::aws;
use crate::aws::single::{Asked, Files, OneCall, Reply, Silence};
use crate::cli::{SingleArgs, Skeleton};
use crate::error::{Error, Exit};
use crate::report::notice;
use crate::row::{Field, Link};
use crate::url::{CREDENTIALS_IN_URL, has_credentials};
use output::Query;
use parameters::Parameters;
use retries::Retries;

/// The operation, as messages name it.
const OPERATION: &str = "UnlinkDeveloperIdentity";

fn failed(message: impl Into<String>) -> Error {
    Error::new(Exit::CallFailed, message)
}

/// Makes the call, or whatever else the arguments ask for, and returns what is to be printed.
///
/// # Errors
/// Whatever keeps the link from being unlinked, in the AWS CLI's words where scripts look for them.
pub async fn run(args: SingleArgs) -> Result<String, Error> {
    let log = Log(args.debug);
    let query = Query(args.query.clone());
    let files = Files::read(args.profile.as_deref())
        .await
        .map_err(|error| failed(error.to_string()))?;
    let parameters = parameters(&args, &files)?;
    if args.generate_cli_skeleton == Some(Skeleton::Input) {
        return Ok(parameters::skeleton());
    }
    let region = region(&args, &files)?;
    log.say(|| format!("cognito-unlink {}", env!("CARGO_PKG_VERSION")));
    log.say(|| format!("Region {region}, signed: {}", !args.no_sign_request));
    let retries = Retries::new(
        setting("AWS_RETRY_MODE", "retry_mode", &files).as_deref(),
        setting("AWS_MAX_ATTEMPTS", "max_attempts", &files).as_deref(),
    )?;
    log.say(|| retries.to_string());
    let endpoint_url = args.endpoint_url.clone().or_else(|| files.endpoint_url());
    if endpoint_url.as_deref().is_some_and(has_credentials) {
        let endpoint = if args.endpoint_url.is_some() {
            "--endpoint-url"
        } else {
            "The endpoint that the environment or the AWS files name"
        };
        return Err(failed(format!("{endpoint} {CREDENTIALS_IN_URL}")));
    }
    let asked = Asked {
        region,
        ca_bundle: ca_bundle(&args, &files, endpoint_url.as_deref()),
        endpoint_url,
        sign: !args.no_sign_request,
        verify: !args.no_verify_ssl,
        read_timeout: args.cli_read_timeout.unwrap_or_default().0,
        connect_timeout: args.cli_connect_timeout.unwrap_or_default().0,
    };
    let call = OneCall::new(&files, &asked)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let link = parameters.link()?;
    if args.generate_cli_skeleton.is_none() {
        unlink(&call, &link, retries, &log).await?;
    }
    let format = args.output.or_else(|| {
        setting("AWS_DEFAULT_OUTPUT", "output", &files).and_then(|name| output::named(&name))
    });
    query.answer(format.unwrap_or_default())
}

/// Attempts until one succeeds or none is due any more.
async fn unlink(call: &OneCall, link: &Link, retries: Retries, log: &Log) -> Result<(), Error> {
    let mut lost = false;
    for attempt in 1.. {
        let reply = call.attempt(link).await;
        log.say(|| format!("attempt {attempt}: {}", told(&reply)));
        if reply == Reply::Success {
            return Ok(());
        }
        if let Some(pause) = retries.pause(attempt, &reply, fastrand::f64()) {
            lost |= may_have_taken_effect(&reply);
            log.say(|| format!("trying again in {:.1} s", pause.as_secs_f64()));
            tokio::time::sleep(pause).await;
            continue;
        }
        let mut error = failure(&reply, retries.used_up(attempt, &reply));
        if lost && !may_have_taken_effect(&reply) {
            error.message +=
                "\nAn earlier attempt got no answer and may have unlinked the identity.";
        }
        return Err(error);
    }
    unreachable!("attempts are counted without end")
}

/// Whether the request may have arrived although no answer says so.
fn may_have_taken_effect(reply: &Reply) -> bool {
    matches!(
        reply,
        Reply::None {
            silence: Silence::ReadTimeout | Silence::Closed | Silence::Inconclusive,
            ..
        }
    )
}

/// A reply in words without a user in them: the service's message may quote one.
fn told(reply: &Reply) -> String {
    match reply {
        Reply::Success => "unlinked".to_owned(),
        Reply::Refused {
            status,
            body,
            request_id,
        } => {
            let code = answer::read(*status, body).code;
            let id = request_id.as_deref().unwrap_or("none");
            format!("HTTP {status}, code {code}, request id {id}")
        }
        Reply::Foreign { status } => format!("HTTP {status}, not from Amazon Cognito"),
        Reply::None { url, why, .. } => format!("{url}: {why}"),
        Reply::NoCredentials => "no credentials".to_owned(),
        Reply::CredentialsFailed(why) | Reply::NotMade(why) => why.clone(),
    }
}

/// What is said of a last reply. `used_up` is the number of retries, if no more of them are allowed.
fn failure(reply: &Reply, used_up: Option<u32>) -> Error {
    failed(match reply {
        Reply::Success => unreachable!("a success is no failure"),
        Reply::Refused { status, body, .. } => {
            let answer::Refusal { code, message } = answer::read(*status, body);
            let retries = used_up.map_or_else(String::new, |retries| {
                format!(" (reached max retries: {retries})")
            });
            format!(
                "An error occurred ({code}) when calling the {OPERATION} operation{retries}: {message}"
            )
        }
        Reply::Foreign { status } => format!(
            "An error occurred (NotCognito) when calling the {OPERATION} operation: whatever answers at the endpoint with HTTP \
             {status} is not Amazon Cognito. Check the endpoint and the proxy settings."
        ),
        Reply::None { silence, url, why } => match silence {
            Silence::NotReached => format!("Could not connect to the endpoint URL: \"{url}\"\n({why})"),
            Silence::ConnectTimeout => format!("Connect timeout on endpoint URL: \"{url}\""),
            Silence::ReadTimeout => format!("Read timeout on endpoint URL: \"{url}\""),
            Silence::Tls => format!("SSL validation failed for {url} {why}"),
            Silence::Closed => format!(
                "Connection was closed before we received a valid response from endpoint URL: \"{url}\"."
            ),
            Silence::Inconclusive => format!(
                "No valid response from endpoint URL: \"{url}\": {why}. The identity may be unlinked."
            ),
        },
        Reply::NoCredentials => "Unable to locate credentials. You can configure credentials by running \"aws configure\", or name \
             a profile with --profile."
            .to_owned(),
        Reply::CredentialsFailed(why) => format!("Credentials cannot be loaded: {why}"),
        Reply::NotMade(why) => format!("The request cannot be made: {why}"),
    })
}

/// What goes into the call: options with their files, then the JSON where no option is given.
fn parameters(args: &SingleArgs, files: &Files) -> Result<Parameters, Error> {
    // As the AWS CLI has it, a value that is a URL stands for what is there, unless the profile says otherwise.
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
            parameters.give(field, values::resolve(&option, value, follow_urls)?);
        }
    }
    if let Some(json) = &args.cli_input_json {
        parameters.fill(&values::json(json)?)?;
    }
    Ok(parameters)
}

/// The Region as AWS CLI 1 finds it, and where it finds none, as every other AWS tool does.
fn region(args: &SingleArgs, files: &Files) -> Result<String, Error> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    // An empty one is a script's unset variable: another Region is not what is meant.
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

/// A setting that is a variable of the environment or else in the profile.
fn setting(variable: &str, key: &str, files: &Files) -> Option<String> {
    std::env::var(variable)
        .ok()
        .or_else(|| files.get(key).map(str::to_owned))
}

/// The authorities to trust, where there is anybody to trust.
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

/// What `--debug` shows. The AWS CLI shows all that goes over the wire, users included; this does not.
struct Log(bool);

impl Log {
    fn say(&self, text: impl FnOnce() -> String) {
        if self.0 {
            notice(&format!("DEBUG - {}", text()));
        }
    }
}
