//! The HTTP client: one connector, and so one pool of connections, for all Regions. The pool keeps hosts apart.

use std::path::Path;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};

use super::connection::DiagnosingConnector;
use super::settings::SettingsError;

/// The proxies that calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxies {
    FromEnvironment,
    None,
}

/// Builds the HTTP client.
///
/// # Errors
/// The CA bundle cannot be read or has no certificate, or TLS cannot be set up.
pub(super) fn http_client(
    ca_bundle: Option<&Path>,
    settings: HttpConnectorSettings,
    proxies: Proxies,
) -> Result<SharedHttpClient, SettingsError> {
    let proxy = match proxies {
        Proxies::FromEnvironment => ProxyConfig::from_env(),
        Proxies::None => ProxyConfig::disabled(),
    };
    let trust = match ca_bundle {
        Some(path) => TrustStore::empty().with_pem_certificate(read_ca_bundle(path)?),
        None => TrustStore::default(),
    };
    let tls = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| SettingsError::Tls(error.into()))?;
    let connector = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls)
        .proxy_config(proxy)
        .connector_settings(settings)
        .enable_tcp_nodelay(true)
        .build();
    let connector = SharedHttpConnector::new(DiagnosingConnector {
        connector: SharedHttpConnector::new(connector),
        uses_proxies: proxies == Proxies::FromEnvironment,
    });
    Ok(http_client_fn(move |_, _| connector.clone()))
}

fn read_ca_bundle(path: &Path) -> Result<Vec<u8>, SettingsError> {
    let pem = std::fs::read(path).map_err(|source| SettingsError::CaBundle {
        path: path.to_owned(),
        source,
    })?;
    let marker = b"-----BEGIN CERTIFICATE-----";
    if pem.windows(marker.len()).any(|window| window == marker) {
        Ok(pem)
    } else {
        Err(SettingsError::NoCertificate(path.to_owned()))
    }
}
