//! The endpoint that the environment and the AWS files name in place of AWS's.

use aws_config::profile::ProfileSet;
use aws_runtime::env_config::property::PropertiesKey;

/// What this service is called in the `services` section of the AWS files. AWS documents it with an underscore, and the AWS CLI
/// looks for that; the SDK looks for a dash, and would call AWS instead of the endpoint that is named there.
const SERVICE: &str = "cognito_identity";

/// The endpoint for this service alone that the profile's `services` section names, if nothing in the environment goes before it.
pub(super) fn of_service(profiles: &ProfileSet) -> Option<String> {
    if is_ignored(profiles) || in_environment().is_some() {
        return None;
    }
    let key = PropertiesKey::builder()
        .section_key("services")
        .section_name(profiles.get("services")?)
        .property_name(SERVICE)
        .sub_property_name("endpoint_url")
        .build()
        .ok()?;
    profiles.other_sections().get(&key).cloned()
}

/// The endpoint that is called unless another is given on the command line.
pub(super) fn configured(profiles: &ProfileSet) -> Option<String> {
    if is_ignored(profiles) {
        return None;
    }
    in_environment()
        .or_else(|| of_service(profiles))
        .or_else(|| profiles.get("endpoint_url").map(str::to_owned))
}

fn in_environment() -> Option<String> {
    variable("AWS_ENDPOINT_URL_COGNITO_IDENTITY").or_else(|| variable("AWS_ENDPOINT_URL"))
}

fn is_ignored(profiles: &ProfileSet) -> bool {
    variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .or_else(|| {
            let key = "ignore_configured_endpoint_urls";
            profiles.get(key).map(str::to_owned)
        })
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
