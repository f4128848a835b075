//! Access keys: the account that one names, and the characters that may be sent.

use aws_credential_types::Credentials;

/// Returns the account of credentials without a call: the one that their source names, or else the one in the access key.
pub(super) fn account_of(credentials: &Credentials) -> Option<String> {
    let named = credentials.account_id();
    named
        .map(|id| id.as_str().to_owned())
        .or_else(|| account_in_key(credentials.access_key_id()))
}

/// Decodes the account in an access key: base 32 (RFC 4648) after the prefix, in keys made since 2019.
fn account_in_key(access_key: &str) -> Option<String> {
    let digits = access_key
        .strip_prefix("AKIA")
        .or_else(|| access_key.strip_prefix("ASIA"))?;
    if digits.len() != 16 {
        return None;
    }
    let bits = digits.bytes().try_fold(0_u128, |bits, digit| {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        Some(bits << 5 | u128::from(value))
    })?;
    // The first of these 80 bits says that there is an account; the next 40 are its number.
    let account = (bits >> 39) & ((1 << 40) - 1);
    (bits >> 79 == 1 && account < 1_000_000_000_000).then(|| format!("{account:012}"))
}

/// Describes a key that cannot be sent, after the name of the key. Keys are never shown.
pub(super) const NOT_SENDABLE: &str = "has a character in it that no AWS key has (a line feed, a space, a control character or one that is \
     not ASCII)";

/// Returns true if a key or token has visible ASCII characters only, as AWS's do. The SDK panics at others, since they cannot
/// stand in a header.
pub(super) fn is_sendable(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns the name of the first part of `credentials` that cannot be sent.
pub(super) fn unsendable_part(credentials: &Credentials) -> Option<&'static str> {
    [
        ("access key id", Some(credentials.access_key_id())),
        ("secret access key", Some(credentials.secret_access_key())),
        ("session token", credentials.session_token()),
    ]
    .into_iter()
    .find_map(|(part, value)| value.filter(|value| !is_sendable(value)).map(|_| part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_names_its_account() {
        assert_eq!(
            account_in_key("ASIAQNZGKIQY56JQ7WML"),
            Some("029608264753".into())
        );
        for other in [
            "",
            "AKIA",
            "REHEARSAL",
            "AKIAIOSFODNN7EXAMPLE",
            "ASIAQNZGKIQY56JQ7WM1",
            "AKIAé",
        ] {
            let account = account_in_key(other);
            assert!(account.is_none(), "{other}: {account:?}");
        }
    }

    #[test]
    fn keys_that_no_header_can_carry_are_found() {
        for (key, secret, token, part) in [
            ("AKID\n", "s", None, Some("access key id")),
            ("AKIDé", "s", None, Some("access key id")),
            ("AKID", " s", None, Some("secret access key")),
            ("AKID", "s", Some("t\u{7f}"), Some("session token")),
            ("AKID", "s/+=", Some("t//=="), None),
        ] {
            let credentials = Credentials::from_keys(key, secret, token.map(str::to_owned));
            assert_eq!(unsendable_part(&credentials), part, "{key:?}");
        }
    }
}
