//! The `Host` and `Origin` headers that the emulator accepts.
//!
//! A page of any web site can make a browser call an address of this machine: by a name of the site's domain that
//! resolves to it (DNS rebinding), or across origins. So these headers are checked before anything else of a request.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{StatusCode, Version};

/// The hosts that requests to the emulator may name.
#[derive(Debug)]
pub(super) struct Hosts {
    listen: SocketAddr,
    names: Vec<String>,
}

/// Response to a request that is refused: the status, and a sentence for its reader.
pub(super) type Refusal = (StatusCode, &'static str);

const WRONG_HOST: Refusal = (
    StatusCode::MISDIRECTED_REQUEST,
    "The emulator accepts only requests whose Host is the address it listens on, a loopback address, localhost, or a name \
     given with --host.\n",
);

const WRONG_ORIGIN: Refusal = (
    StatusCode::FORBIDDEN,
    "The emulator does not accept requests from pages of other sites: Origin is not its own.\n",
);

impl Hosts {
    pub(super) fn new(listen: SocketAddr, names: Vec<String>) -> Self {
        Self { listen, names }
    }

    /// Returns the refusal of a request, or `None` if it is accepted.
    pub(super) fn refuse(&self, head: &Parts) -> Option<Refusal> {
        // A browser sends an absolute URL only to a proxy that its user has configured: the emulator is that proxy, and
        // another host is intended.
        let is_proxied = head.version <= Version::HTTP_11 && head.uri.authority().is_some();
        let of_uri = head.uri.authority().map(Authority::as_str);
        let of_header = head.headers.get_all(HOST).iter();
        let hosts: Option<Vec<&str>> = of_uri
            .map(Some)
            .into_iter()
            .chain(of_header.map(|host| host.to_str().ok()))
            .collect();
        let hosts = hosts.unwrap_or_default();
        let is_own = !hosts.is_empty() && hosts.iter().all(|host| self.is_own(host));
        if !is_proxied && !is_own {
            return Some(WRONG_HOST);
        }
        // An origin is the emulator's own only if it names the host that this request names.
        let is_own_origin = |origin: &str| {
            origin
                .strip_prefix("http://")
                .is_some_and(|origin| hosts.iter().any(|host| host.eq_ignore_ascii_case(origin)))
        };
        let mut origins = head.headers.get_all(ORIGIN).iter();
        let is_cross_origin = origins.any(|origin| !origin.to_str().is_ok_and(is_own_origin));
        is_cross_origin.then_some(WRONG_ORIGIN)
    }

    /// Returns true if the host is the emulator's. The port does not matter: a tunnel or a container may map it, and a
    /// browser always names the port that it calls.
    fn is_own(&self, host: &str) -> bool {
        let Ok(host) = host.parse::<Authority>() else {
            return false;
        };
        if host.as_str().contains('@') {
            return false;
        }
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let is_same = |own: &String| own.eq_ignore_ascii_case(name);
        match name.parse::<IpAddr>() {
            _ if self.names.iter().any(is_same) => true,
            // DNS cannot rebind an address. One that listens on all addresses may be called by any of them.
            Ok(ip) => {
                ip.is_loopback() || ip == self.listen.ip() || self.listen.ip().is_unspecified()
            }
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn refused(listen: &str, uri: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let listen = listen.parse().expect("an address");
        let hosts = Hosts::new(listen, vec!["cognito.test".to_owned()]);
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        hosts.refuse(&head).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn requests_for_other_hosts_are_refused() {
        let refused = |listen: &str, host: &str| refused(listen, "/", &[("host", host)]);
        for host in [
            "127.0.0.1:8000",
            "127.1.2.3:8000",
            "localhost:8000",
            "LOCALHOST:8000",
            "[::1]:8000",
            "cognito.test",
            "Cognito.Test:80",
            // Through a tunnel.
            "localhost:9000",
            "127.0.0.1",
        ] {
            assert_eq!(refused("127.0.0.1:8000", host), None, "{host}");
        }
        for host in [
            "attacker.example",
            "attacker.example:8000",
            "localhost.attacker.example:8000",
            "127.0.0.1.attacker.example:8000",
            "10.0.0.1:8000",
            "0.0.0.0:8000",
            "[::2]:8000",
            "user@localhost:8000",
            "localhost:8000@attacker.example",
            "",
        ] {
            assert_eq!(refused("127.0.0.1:8000", host), Some(421), "{host}");
        }
        assert_eq!(refused("127.0.0.1:80", "localhost"), None);
        for host in [
            "192.0.2.7:9000",
            "192.0.2.7",
            "localhost:1",
            "[2001:db8::1]:9",
        ] {
            assert_eq!(refused("0.0.0.0:8000", host), None, "{host}");
        }
        assert_eq!(refused("0.0.0.0:8000", "attacker.example:8000"), Some(421));
        assert_eq!(refused("192.0.2.1:8000", "192.0.2.1:8000"), None);
        assert_eq!(refused("192.0.2.1:8000", "192.0.2.2:8000"), Some(421));
    }

    #[test]
    fn every_host_that_a_request_names_must_be_accepted() {
        let listen = "127.0.0.1:8000";
        assert_eq!(refused(listen, "/", &[]), Some(421));
        let two = [("host", "localhost:8000"), ("host", "attacker.example")];
        assert_eq!(refused(listen, "/", &two), Some(421));
        let proxied = [("host", "cognito.example")];
        assert_eq!(refused(listen, "http://cognito.example/", &proxied), None);
    }

    #[test]
    fn requests_from_pages_of_other_sites_are_refused() {
        let with = |origin: &str| {
            let headers = [("host", "localhost:8000"), ("origin", origin)];
            refused("127.0.0.1:8000", "/", &headers)
        };
        assert_eq!(with("http://localhost:8000"), None);
        for origin in [
            "http://attacker.example",
            "https://localhost:8000",
            "http://localhost:3000",
            "http://127.0.0.1:8000",
            "null",
            "",
        ] {
            assert_eq!(with(origin), Some(403), "{origin}");
        }
    }
}
