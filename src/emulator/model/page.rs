//! Pages of a list, and tokens that lead from one to the next.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ApiError;
use super::user_hash::Printer;

/// Length of the check that a token begins with.
const CHECK: usize = 16;

/// A token names the last item of its page, so that what comes and goes meanwhile shifts nothing. It is good for the list
/// that it was given for, and no other can be made up.
#[derive(Debug)]
pub(super) struct Pages(Printer);

/// A part of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Leads to the next page, where there is one.
    pub(super) next: Option<String>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self(Printer::new())
    }

    /// Where the page that `token` leads to begins: behind this item.
    ///
    /// # Errors
    /// It was not given for this list.
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
            .split_at_checked(CHECK)
            .and_then(|(check, end)| Some((check, str::from_utf8(end).ok()?)))
            .filter(|(check, end)| *check == self.check(list, end))
            .map(|(_, end)| Some(end.to_owned()))
            .ok_or_else(|| ApiError::invalid("Invalid NextToken"))
    }

    /// At most `most` of `items`, which begin where the page does.
    pub(super) fn page<T>(
        &self,
        list: &[&str],
        most: usize,
        mut items: impl Iterator<Item = T>,
        key: impl Fn(&T) -> &str,
    ) -> Page<T> {
        let page: Vec<T> = items.by_ref().take(most).collect();
        let end = page.last().filter(|_| items.next().is_some());
        let next = end.map(|end| {
            let end = key(end);
            let bytes = [&self.check(list, end)[..], end.as_bytes()].concat();
            URL_SAFE_NO_PAD.encode(bytes)
        });
        Page { items: page, next }
    }

    fn check(&self, list: &[&str], end: &str) -> [u8; CHECK] {
        self.0.print(&[list, &[end]].concat()).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(list: &[&str], items: &[&str], most: usize) -> (Vec<usize>, Option<String>) {
        let pages = Pages::new();
        let (mut lengths, mut token) = (Vec::new(), None);
        loop {
            let after = pages.after(list, token.as_deref()).expect("its own token");
            let rest = items
                .iter()
                .copied()
                .filter(|item| after.as_deref().is_none_or(|after| *item > after));
            let page = pages.page(list, most, rest, |item| item);
            lengths.push(page.items.len());
            let refused = pages.after(&["other"], page.next.as_deref());
            assert_eq!(refused.is_err(), page.next.is_some());
            if page.next.is_none() {
                return (lengths, token);
            }
            token = page.next;
        }
    }

    #[test]
    fn every_item_is_on_one_page_and_no_page_is_empty() {
        let items = ["a", "b", "c", "d"];
        assert_eq!(pages(&["l"], &items, 2).0, [2, 2]);
        assert_eq!(pages(&["l"], &items, 3).0, [3, 1]);
        assert_eq!(pages(&["l"], &items, 60).0, [4]);
        assert_eq!(pages(&["l"], &[], 60).0, [0]);
    }

    #[test]
    fn tokens_cannot_be_made_up() {
        let pages = Pages::new();
        let token = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        for made_up in [
            "page-1".to_owned(),
            String::new(),
            token(&[0; 16]),
            token(b"0000000000000000a"),
        ] {
            let error = pages.after(&["l"], Some(&made_up)).expect_err("refused");
            assert_eq!(error.code, "InvalidParameterException");
        }
        let other = Pages::new().page(&["l"], 1, ["a", "b"].into_iter(), |item| item);
        assert!(pages.after(&["l"], other.next.as_deref()).is_err());
    }
}
