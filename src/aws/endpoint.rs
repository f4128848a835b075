//! The endpoints that options, environment and AWS files name in place of AWS's.
//!
//! The result is set on every client, even when there is no endpoint: the SDK would resolve its own, and the run would call
//! another host than the one it asked to confirm.

use aws_config::profile::ProfileSet;
use aws_runtime::env_config::property::PropertiesKey;

use super::settings::{ClientSettings, SettingsError};
use crate::url::{CREDENTIALS_IN_URL, has_credentials, is_http, is_loopback};

/// The names of a service in the configuration of endpoints.
pub(super) struct Service {
    variable: &'static str,
    section: &'static str,
}

/// AWS documents the section with an underscore, as the AWS CLI reads it. The SDK reads one with a dash, and would call AWS
/// instead of the configured endpoint.
pub(super) const COGNITO: Service = Service {
    variable: "AWS_ENDPOINT_URL_COGNITO_IDENTITY",
    section: "cognito_identity",
};

const STS: Service = Service {
    variable: "AWS_ENDPOINT_URL_STS",
    section: "sts",
};

#[cfg(feature = "s3")]
pub(super) const S3: Service = Service {
    variable: "AWS_ENDPOINT_URL_S3",
    section: "s3",
};

/// The endpoints of a run. `None` is AWS's own.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    pub(super) cognito: Option<String>,
    pub(super) sts: Option<String>,
}

impl Endpoints {
    /// Returns `url` for both services.
    pub(super) fn both(url: &str) -> Self {
        Self {
            cognito: Some(url.to_owned()),
            sts: Some(url.to_owned()),
        }
    }

    /// Resolves option, environment and AWS files. The option's endpoint is Cognito's: a FIPS, VPC or proxy endpoint does not
    /// serve STS. One on loopback serves both, unless STS has its own.
    ///
    /// # Errors
    /// A configured endpoint is no URL.
    pub(super) fn of(
        settings: &ClientSettings,
        profiles: &ProfileSet,
    ) -> Result<Self, SettingsError> {
        Self::found(settings, profiles, variable)
    }

    fn found(
        settings: &ClientSettings,
        profiles: &ProfileSet,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let given = settings.endpoint_url.as_deref();
        let configured = |service| configured(profiles, &variable, service).map(checked);
        let local = given.filter(|url| is_loopback(url)).map(str::to_owned);
        let cognito = match given {
            Some(url) => Some(url.to_owned()),
            None => configured(&COGNITO).transpose()?,
        };
        let sts = configured(&STS).transpose()?.or(local);
        Ok(Self { cognito, sts })
    }
}

/// Returns the configured endpoint of a service that no option names one for.
///
/// # Errors
/// It is no URL.
#[cfg(feature = "s3")]
pub(super) fn configured_endpoint(
    profiles: &ProfileSet,
    service: &Service,
) -> Result<Option<String>, SettingsError> {
    configured(profiles, variable, service)
        .map(checked)
        .transpose()
}

fn checked(url: String) -> Result<String, SettingsError> {
    if has_credentials(&url) {
        return Err(SettingsError::Invalid(format!(
            "the endpoint that the environment or the AWS files name {CREDENTIALS_IN_URL}"
        )));
    }
    if is_http(&url) {
        return Ok(url);
    }
    Err(SettingsError::Invalid(format!(
        "the endpoint {url:?} that the environment or the AWS files name is no URL that begins with http:// or https://"
    )))
}

/// Returns the configured endpoint of `service`: the first that is not empty among variables and AWS files.
pub(super) fn configured(
    profiles: &ProfileSet,
    variable: impl Fn(&str) -> Option<String>,
    service: &Service,
) -> Option<String> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let of_profile = |key| profiles.get(key).map(str::to_owned);
    let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .or_else(|| of_profile("ignore_configured_endpoint_urls"))
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if ignored {
        return None;
    }
    variable(service.variable)
        .or_else(|| variable("AWS_ENDPOINT_URL"))
        .or_else(|| of_service(profiles, service))
        .or_else(|| of_profile("endpoint_url").filter(|url| !url.is_empty()))
}

/// Returns the endpoint of this service alone, from the profile's `services` section.
fn of_service(profiles: &ProfileSet, service: &Service) -> Option<String> {
    let key = PropertiesKey::builder()
        .section_key("services")
        .section_name(profiles.get("services")?)
        .property_name(service.section)
        .sub_property_name("endpoint_url")
        .build()
        .ok()?;
    let url = profiles.other_sections().get(&key);
    url.filter(|url| !url.is_empty()).cloned()
}

/// Returns a variable of the environment that is UTF-8.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::super::config_files;
    use super::*;

    async fn parsed(config: &str) -> ProfileSet {
        config_files::parsed(config, Some("p")).await
    }

    #[tokio::test]
    async fn the_first_configured_endpoint_wins() {
        const ALL: &str = "[profile p]\nservices = s\nendpoint_url = http://profile\n\
             [services s]\ncognito_identity =\n  endpoint_url = http://section\nsts =\n  endpoint_url = http://sts-section\n";
        const PROFILE: &str = "[profile p]\nendpoint_url = http://profile\n";
        const IGNORED: &str =
            "[profile p]\nendpoint_url = http://profile\nignore_configured_endpoint_urls = TRUE\n";
        const OTHER: &str = "[profile q]\nendpoint_url = http://profile\n";
        const SPECIFIC: (&str, &str) = ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", "http://specific");
        const GENERAL: (&str, &str) = ("AWS_ENDPOINT_URL", "http://general");
        const STS_ONLY: (&str, &str) = ("AWS_ENDPOINT_URL_STS", "http://sts");
        const NO_SPECIFIC: (&str, &str) = ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", "");
        const IGNORE: (&str, &str) = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        const HEED: (&str, &str) = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false");
        for (config, variables, cognito, sts) in [
            (
                ALL,
                &[SPECIFIC, GENERAL][..],
                Some("http://specific"),
                Some("http://general"),
            ),
            (
                ALL,
                &[NO_SPECIFIC, GENERAL],
                Some("http://general"),
                Some("http://general"),
            ),
            (
                ALL,
                &[NO_SPECIFIC, ("AWS_ENDPOINT_URL", "")],
                Some("http://section"),
                Some("http://sts-section"),
            ),
            (ALL, &[STS_ONLY], Some("http://section"), Some("http://sts")),
            (PROFILE, &[], Some("http://profile"), Some("http://profile")),
            ("[profile p]\nendpoint_url =\n", &[], None, None),
            (OTHER, &[], None, None),
            (ALL, &[SPECIFIC, GENERAL, STS_ONLY, IGNORE], None, None),
            (IGNORED, &[SPECIFIC], None, None),
            (
                IGNORED,
                &[SPECIFIC, HEED],
                Some("http://specific"),
                Some("http://profile"),
            ),
        ] {
            let profiles = parsed(config).await;
            let variable = |name: &str| {
                let mut variables = variables.iter();
                let found = variables.find(|(set, _)| *set == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let found = [&COGNITO, &STS].map(|service| configured(&profiles, variable, service));
            let expected = [cognito, sts].map(|url| url.map(str::to_owned));
            assert_eq!(found, expected, "{variables:?} {config}");
        }
    }

    #[tokio::test]
    async fn the_option_names_cognitos_endpoint_alone_unless_on_loopback() {
        const FIPS: &str = "https://cognito-identity-fips.us-east-1.amazonaws.com";
        const LOCAL: &str = "http://127.0.0.1:8000";
        let none = parsed("").await;
        let some = parsed(
            "[profile p]\nservices = s\n[services s]\nsts =\n  endpoint_url = http://sts-section\n",
        )
        .await;
        for (given, profiles, sts) in [
            (FIPS, &none, None),
            (FIPS, &some, Some("http://sts-section")),
            (LOCAL, &none, Some(LOCAL)),
            (LOCAL, &some, Some("http://sts-section")),
        ] {
            let settings = ClientSettings {
                endpoint_url: Some(given.to_owned()),
                ..ClientSettings::default()
            };
            let endpoints = Endpoints::found(&settings, profiles, |_| None).expect("URLs");
            assert_eq!(endpoints.cognito.as_deref(), Some(given));
            assert_eq!(endpoints.sts.as_deref(), sts, "{given}");
        }
    }

    #[test]
    fn credentials_in_an_endpoint_are_refused_and_not_quoted() {
        for url in [
            "http://operator:hunter2@h",
            "ftp://operator:hunter2@h",
            "operator:hunter2@h",
        ] {
            let error = checked(url.to_owned()).expect_err(url).to_string();
            assert!(error.contains("user name or password"), "{error}");
            assert!(
                !error.contains("hunter2") && !error.contains("operator"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_endpoint_that_is_no_url_is_refused() {
        for url in ["127.0.0.1:8000", "ftp://127.0.0.1", "http://a b", "x"] {
            assert!(checked(url.to_owned()).is_err(), "{url}");
        }
        assert!(checked("https://[::1]:1/".to_owned()).is_ok());
    }
}
