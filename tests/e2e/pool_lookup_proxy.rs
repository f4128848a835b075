//! What stands between the program and the emulator, and answers questions about pools itself as long as it is told to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::sandbox::PATIENCE;

/// What happens to the next questions about pools that hold this text; every other request passes.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) about: String,
    pub(crate) answers: VecDeque<Instead>,
}

/// What is done instead of asking the emulator.
#[derive(Debug, Clone)]
pub(crate) enum Instead {
    /// An error of this code.
    Error(&'static str),
    /// The connection ends.
    HangUp,
    /// Nothing, until the gate is opened.
    Wait,
}

pub(crate) struct Gate {
    url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    told: Mutex<(Vec<Told>, u64)>,
    changed: Condvar,
}

/// A request as it came.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Gate {
    pub(crate) fn before(emulator: &str, told: Vec<Told>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        state.told.lock().expect("nobody has it yet").0 = told;
        let behind = emulator.trim_start_matches("http://").to_owned();
        let keeper = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (keeper, behind) = (Arc::clone(&keeper), behind.clone());
                // A connection that ends is the caller's or the gate's doing.
                thread::spawn(move || keeper.serve(&stream, &behind));
            }
        });
        Self { url, state }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Lets every question pass from now on.
    pub(crate) fn open(&self) {
        self.state.told().0.clear();
        self.state.changed.notify_all();
    }

    /// Waits until a question about a pool has come.
    pub(crate) fn is_asked(&self) -> bool {
        let told = self.state.told();
        let waited = self
            .state
            .changed
            .wait_timeout_while(told, PATIENCE, |(_, answered)| *answered == 0);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Questions about pools that were answered here.
    pub(crate) fn answered(&self) -> u64 {
        self.state.told().1
    }
}

impl State {
    fn told(&self) -> std::sync::MutexGuard<'_, (Vec<Told>, u64)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream, behind: &str) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let emulator = TcpStream::connect(behind).ok()?;
        let mut answers = BufReader::new(&emulator);
        loop {
            let request = Request::read(&mut reader)?;
            match self.instead(&request) {
                None => {
                    (&emulator).write_all(request.head.as_bytes()).ok()?;
                    (&emulator).write_all(&request.body).ok()?;
                    let answer = Request::read(&mut answers)?;
                    (&*stream).write_all(answer.head.as_bytes()).ok()?;
                    (&*stream).write_all(&answer.body).ok()?;
                }
                Some(Instead::Error(code)) => {
                    let body = format!("{{\"__type\":\"{code}\",\"message\":\"so it is told\"}}");
                    let answer = format!(
                        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    (&*stream).write_all(answer.as_bytes()).ok()?;
                }
                Some(Instead::HangUp | Instead::Wait) => return None,
            }
        }
    }

    fn instead(&self, request: &Request) -> Option<Instead> {
        if !request
            .head
            .contains("AWSCognitoIdentityService.DescribeIdentityPool")
        {
            return None;
        }
        let body = String::from_utf8_lossy(&request.body);
        let mut state = self.told();
        let about = |told: &Told| body.contains(&told.about) && !told.answers.is_empty();
        let told = state.0.iter_mut().find(|told| about(told))?;
        let instead = told.answers.pop_front()?;
        state.1 += 1;
        self.changed.notify_all();
        if matches!(instead, Instead::Wait) {
            let closed = |state: &mut (Vec<Told>, u64)| !state.0.is_empty();
            drop(self.changed.wait_while(state, closed));
            return None;
        }
        Some(instead)
    }
}

impl Request {
    /// A request or an answer, with a body whose length is told.
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut head = String::new();
        let mut length = 0;
        loop {
            let from = head.len();
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
            let line = head[from..].trim().to_ascii_lowercase();
            if let Some(told) = line.strip_prefix("content-length: ") {
                length = told.parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { head, body })
    }
}
