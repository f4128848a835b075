//! The account behind credentials, without asking anybody.

use aws_credential_types::Credentials;

/// As the credentials say, or else as their key does.
pub(super) fn account_told(credentials: &Credentials) -> Option<String> {
    let told = credentials.account_id();
    told.map(|id| id.as_str().to_owned())
        .or_else(|| account_of(credentials.access_key_id()))
}

/// The account that an access key names: its bits stand behind the prefix, in base 32 (RFC 4648), in keys since 2019.
fn account_of(access_key: &str) -> Option<String> {
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
    // Of these 80 bits the first says that there is an account, and the next 40 say which.
    let account = (bits >> 39) & ((1 << 40) - 1);
    (bits >> 79 == 1 && account < 1_000_000_000_000).then(|| format!("{account:012}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_names_its_account() {
        assert_eq!(
            account_of("ASIAQNZGKIQY56JQ7WML"),
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
            let account = account_of(other);
            assert!(account.is_none(), "{other}: {account:?}");
        }
    }
}
