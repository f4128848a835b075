//! Checks of the URLs of endpoints.

use std::net::IpAddr;

use hyper::Uri;

/// The message that refuses an endpoint with credentials; it does not quote the URL.
pub const CREDENTIALS_IN_URL: &str = "has a user name or password in its URL. Calls are signed with AWS credentials, and what stands in a \
     URL ends up in logs: take it out";

/// Returns whether a URL begins with `http://` or `https://` and names a host.
#[must_use]
pub fn is_http(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// Returns the host of a URL, with its port if that is given, and without a user name and password.
#[must_use]
pub fn host_and_port(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    let host = uri.authority()?.as_str().rsplit('@').next()?;
    Some(host.to_owned())
}

/// Returns whether the host of a URL is this machine.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().filter(|_| uri.scheme().is_some());
    host.is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || address
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// Returns whether a URL may contain a user name or password: an `@` in its authority, or an `@` anywhere in a text that has no
/// authority or is not a URL.
#[must_use]
pub fn has_credentials(url: &str) -> bool {
    let uri = url.parse::<Uri>();
    match uri.as_ref().ok().and_then(Uri::authority) {
        Some(authority) => authority.as_str().contains('@'),
        None => url.contains('@'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_url_has_a_scheme_and_a_host() {
        for url in [
            "http://h",
            "https://[::1]:1/",
            "http://127.0.0.1:8000/a?b=c",
        ] {
            assert!(is_http(url), "{url}");
        }
        for url in [
            "",
            "h",
            "localhost:8000",
            "ftp://h",
            "http://",
            "http:///x",
            "http://:80",
            "http://a b",
            "http://h/\n",
        ] {
            assert!(!is_http(url), "{url}");
        }
    }

    #[test]
    fn a_host_is_named_without_its_credentials() {
        for (url, host) in [
            ("http://u:p@h:1/x@y", Some("h:1")),
            ("https://[::1]/?a=b", Some("[::1]")),
            ("https://h", Some("h")),
            ("/x", None),
            ("http://u:p@h@i", Some("i")),
        ] {
            assert_eq!(host_and_port(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://127.0.0.1:8000",
            "http://localhost",
            "https://LOCALHOST:1/x",
            "http://[::1]:80/",
            "http://user@127.1.2.3/",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "https://cognito-identity.us-east-1.amazonaws.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "http://10.0.0.1",
            "localhost",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_seen() {
        for url in [
            "http://u:p@h",
            "https://u@h:1/x",
            "https://:p@h",
            "http://u:p@h@i",
            "u:p@h",
            "ftp://u:p@h?x",
            "http:u:p@h",
        ] {
            assert!(has_credentials(url), "{url}");
        }
        for url in [
            "http://h",
            "https://h:1/a@b",
            "http://h?a=@",
            "http://[::1]:1/#@",
            "h",
            "",
        ] {
            assert!(!has_credentials(url), "{url}");
        }
    }
}
