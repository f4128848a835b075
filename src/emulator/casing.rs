//! Header names in the case in which AWS writes them; hyper writes all in lower case.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As they are written, and as they go out. A line end stands before each, and JSON has none within its texts, so that
/// nothing in a body is mistaken for one.
const NAMES: [(&[u8], &[u8]); 2] = [
    (b"\r\nx-amzn-requestid:", b"\r\nx-amzn-RequestId:"),
    (b"\r\nx-amzn-errortype:", b"\r\nx-amzn-ErrorType:"),
];

/// A stream whose written header names are cased.
#[derive(Debug)]
pub(super) struct Cased<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Cased<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cased<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A name is as long in either case, so what counts as written stays the same.
        match cased(bytes) {
            Some(cased) => Pin::new(&mut self.0).poll_write(context, &cased),
            None => Pin::new(&mut self.0).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

fn cased(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut cased: Option<Vec<u8>> = None;
    for (written, wanted) in NAMES {
        for at in memmem::find_iter(bytes, written) {
            cased.get_or_insert_with(|| bytes.to_vec())[at..at + wanted.len()]
                .copy_from_slice(wanted);
        }
    }
    cased
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cased_and_nothing_else() {
        let answer =
            b"HTTP/1.1 400 Bad Request\r\nx-amzn-errortype: A:\r\nx-amzn-requestid: 1\r\n\r\n\
                       {\"message\":\"\\r\\nx-amzn-requestid: 2\"}";
        let cased = cased(answer).expect("changed");
        let cased = String::from_utf8(cased).expect("text");
        assert!(cased.contains("\r\nx-amzn-ErrorType: A:\r\nx-amzn-RequestId: 1\r\n"));
        assert!(cased.ends_with("x-amzn-requestid: 2\"}"));
        assert_eq!(super::cased(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
