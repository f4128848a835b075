//! Pagination: pages of a list, and the `NextToken` of each.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::api_error::ApiError;
use super::keyed_hash::KeyedHasher;

/// Length of the hash that a token begins with, in bytes.
const HASH_BYTES: usize = 16;

/// Makes and checks page tokens. A token names the last item of its page, so that items that come and go in between shift
/// nothing. It is valid only for the list that it was issued for, and callers cannot make one up.
#[derive(Debug)]
pub(super) struct Paginator(KeyedHasher);

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Token of the next page, if there is one.
    pub(super) next_token: Option<String>,
}

impl Paginator {
    pub(super) fn new() -> Self {
        Self(KeyedHasher::new())
    }

    /// Returns the last item of the page before the one of `token`, or `None` for the first page.
    ///
    /// # Errors
    /// The token was not issued for this list.
    pub(super) fn after(
        &self,
        list: &[&str],
        token: Option<&str>,
    ) -> Result<Option<String>, ApiError> {
        let Some(token) = token else {
            return Ok(None);
        };
        let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        bytes
            .split_at_checked(HASH_BYTES)
            .and_then(|(hash, last_key)| Some((hash, str::from_utf8(last_key).ok()?)))
            .filter(|(hash, last_key)| *hash == self.hash(list, last_key))
            .map(|(_, last_key)| Some(last_key.to_owned()))
            .ok_or_else(|| ApiError::invalid("Invalid NextToken"))
    }

    /// Returns a page of at most `max` items from the start of `items`.
    pub(super) fn page<T>(
        &self,
        list: &[&str],
        max: usize,
        mut items: impl Iterator<Item = T>,
        key: impl Fn(&T) -> &str,
    ) -> Page<T> {
        let page: Vec<T> = items.by_ref().take(max).collect();
        let end = page.last().filter(|_| items.next().is_some());
        let next_token = end.map(|end| {
            let last_key = key(end);
            let bytes = [&self.hash(list, last_key)[..], last_key.as_bytes()].concat();
            URL_SAFE_NO_PAD.encode(bytes)
        });
        Page {
            items: page,
            next_token,
        }
    }

    fn hash(&self, list: &[&str], last_key: &str) -> [u8; HASH_BYTES] {
        self.0.hash_128(&[list, &[last_key]].concat()).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_lengths(list: &[&str], items: &[&str], max: usize) -> (Vec<usize>, Option<String>) {
        let paginator = Paginator::new();
        let (mut lengths, mut token) = (Vec::new(), None);
        loop {
            let after = paginator
                .after(list, token.as_deref())
                .expect("its own token");
            let rest = items
                .iter()
                .copied()
                .filter(|item| after.as_deref().is_none_or(|after| *item > after));
            let page = paginator.page(list, max, rest, |item| item);
            lengths.push(page.items.len());
            let refused = paginator.after(&["other"], page.next_token.as_deref());
            assert_eq!(refused.is_err(), page.next_token.is_some());
            if page.next_token.is_none() {
                return (lengths, token);
            }
            token = page.next_token;
        }
    }

    #[test]
    fn every_item_is_on_one_page_and_no_page_is_empty() {
        let items = ["a", "b", "c", "d"];
        assert_eq!(page_lengths(&["l"], &items, 2).0, [2, 2]);
        assert_eq!(page_lengths(&["l"], &items, 3).0, [3, 1]);
        assert_eq!(page_lengths(&["l"], &items, 60).0, [4]);
        assert_eq!(page_lengths(&["l"], &[], 60).0, [0]);
    }

    #[test]
    fn tokens_cannot_be_made_up() {
        let paginator = Paginator::new();
        let token = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        for made_up in [
            "page-1".to_owned(),
            String::new(),
            token(&[0; 16]),
            token(b"0000000000000000a"),
        ] {
            let error = paginator
                .after(&["l"], Some(&made_up))
                .expect_err("refused");
            assert_eq!(error.code, "InvalidParameterException");
        }
        let other = Paginator::new().page(&["l"], 1, ["a", "b"].into_iter(), |item| item);
        assert!(
            paginator
                .after(&["l"], other.next_token.as_deref())
                .is_err()
        );
    }
}
