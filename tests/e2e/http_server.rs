//! Small HTTP servers of the tests, for what the emulator does not do: STS that refuses, a proxy, a service over TLS.

use std::io::{self, BufRead, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A request or an answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Message {
    /// The first line, the headers and the empty line behind them.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Reads a message whose body is as long as its `content-length` says.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut head = String::new();
        loop {
            let line = head.len();
            if reader.read_line(&mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if head[line..].trim().is_empty() {
                break;
            }
        }
        let mut message = Self {
            head,
            body: Vec::new(),
        };
        let length = message.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(io::Error::other)?;
        message.body = vec![0; length];
        reader.read_exact(&mut message.body)?;
        Ok(message)
    }

    pub(crate) fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = headers.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }

    /// Returns the `Credential` of the signature: the access key id and the scope that it signs for.
    pub(crate) fn credential(&self) -> Option<&str> {
        let (_, credential) = self.header("authorization")?.split_once("Credential=")?;
        credential.split(',').next()
    }

    pub(crate) fn write_to(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.write_all(self.head.as_bytes())?;
        stream.write_all(&self.body)
    }
}

/// Writes an answer of STS, and leaves it to the caller to close the connection.
pub(crate) fn answer_in_xml(mut stream: &TcpStream, status: &str, body: &str) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Serves each connection to a port of this machine in a thread of its own, as long as the test process lives.
pub(crate) fn serve(handle: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = handle.clone();
            thread::spawn(move || handle(stream));
        }
    });
    address
}
