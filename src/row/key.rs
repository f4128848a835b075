//! Row keys: hashes of a row's four fields.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::field::Field;
use super::link::Link;

/// The identity of a row from one run to the next: a hash of its four fields, never of its number.
///
/// The hash is keyed and has 128 bits: two of ten million rows collide by chance with a probability below 1 in 10^24, and a collision
/// cannot be constructed without the key, which never leaves the results' side file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(pub u128);

/// A hasher that makes [`RowKey`]s.
#[derive(Debug, Clone, Copy)]
pub struct Keyer(SipHasher13);

impl Keyer {
    /// Creates a keyer under `key`. Row keys made under different keys cannot be compared.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    /// Returns the key of `link`.
    #[must_use]
    pub fn key(&self, link: &Link) -> RowKey {
        self.key_of(Field::ALL.map(|field| link.get(field).as_bytes()))
    }

    /// Returns the key under which the results of a look-up are kept, from the fields of a row in the order of [`Field::ALL`]. An
    /// identity and a user are looked up without the provider, so it makes no difference.
    #[must_use]
    pub fn lookup_key(&self, [identity_id, pool, _, user]: [&[u8]; 4]) -> RowKey {
        self.key_of([identity_id, pool, b"", user])
    }

    /// Returns the key of a row with these fields, in the order of [`Field::ALL`].
    #[must_use]
    pub fn key_of(&self, fields: [&[u8]; 4]) -> RowKey {
        let mut hasher = self.0;
        for field in fields {
            // The length first: ("ab", "c") and ("a", "bc") are different rows.
            hasher.write_u64(field.len() as u64);
            hasher.write(field);
        }
        RowKey(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            identity_id: "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".into(),
            identity_pool_id: "us-east-1:11111111-2222-3333-4444-555555555555".into(),
            developer_provider_name: "login.example.com".into(),
            developer_user_identifier: "u-1".into(),
        }
    }

    #[test]
    fn a_key_depends_on_where_each_field_ends() {
        let keyer = Keyer::new([7; 16]);
        let a = keyer.key_of([b"ab", b"c", b"", b""]);
        let b = keyer.key_of([b"a", b"bc", b"", b""]);
        assert_ne!(a, b);
        assert_eq!(
            keyer.key(&link()),
            keyer.key_of(
                Field::ALL
                    .map(|f| link().get(f).to_owned())
                    .each_ref()
                    .map(String::as_bytes)
            )
        );
        assert_ne!(keyer.key(&link()), Keyer::new([8; 16]).key(&link()));
    }

    #[test]
    fn rows_that_differ_in_one_field_have_different_keys() {
        let keyer = Keyer::new([7; 16]);
        for field in Field::ALL {
            let mut other = link();
            other.get_mut(field).push('0');
            assert_ne!(keyer.key(&other), keyer.key(&link()), "{}", field.name());
        }
    }
}
