//! The causes of an error: a walk down its sources.

use std::error::Error as StdError;

/// Returns `error` and its sources, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Returns the outermost error of type `E` among `error` and its sources.
pub(super) fn find_cause<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref::<E>())
}

/// Returns true if no connection was established, so that the service cannot have received the request.
pub(super) fn never_sent(error: &(dyn StdError + 'static)) -> bool {
    find_cause::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}
