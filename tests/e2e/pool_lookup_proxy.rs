//! A proxy in front of the emulator that answers look-ups of pools itself for as long as a test wants it to.

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::http_server::{Message, serve};
use crate::sandbox::TIMEOUT;

/// A reply to a look-up that does not come from the emulator.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers with an error of this code.
    Error(&'static str),
    /// Closes the connection.
    HangUp,
    /// Answers nothing until [`PoolLookupProxy::let_all_pass`].
    Wait,
}

pub(crate) struct PoolLookupProxy {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    pool_id: String,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    replies: VecDeque<Reply>,
    /// Look-ups that were answered by a reply.
    answered: u64,
    let_all_pass: bool,
}

impl PoolLookupProxy {
    /// Starts a proxy that gives these replies to the first look-ups of one pool; every other request passes.
    pub(crate) fn start(
        emulator: &str,
        pool_id: &str,
        replies: impl Into<VecDeque<Reply>>,
    ) -> Self {
        let shared = Arc::new(Shared {
            pool_id: pool_id.to_owned(),
            state: Mutex::new(State {
                replies: replies.into(),
                answered: 0,
                let_all_pass: false,
            }),
            changed: Condvar::new(),
        });
        let emulator = emulator.trim_start_matches("http://").to_owned();
        let serving = Arc::clone(&shared);
        // A connection ends when the program closes it, or by a reply that says so.
        let address = serve(move |stream| {
            let _ = serving.forward(&stream, &emulator);
        });
        Self {
            url: format!("http://{address}"),
            shared,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Lets every look-up pass from now on, and ends those that wait.
    pub(crate) fn let_all_pass(&self) {
        let mut state = self.shared.lock();
        state.replies.clear();
        state.let_all_pass = true;
        self.shared.changed.notify_all();
    }

    /// Waits for the first look-up that gets a reply, and returns false if there is none in time.
    pub(crate) fn wait_for_lookup(&self) -> bool {
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), TIMEOUT, |state| state.answered == 0);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Counts the look-ups that got a reply.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.lock().answered
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forward(&self, mut program: &TcpStream, emulator: &str) -> Option<()> {
        let emulator = TcpStream::connect(emulator).ok()?;
        let mut requests = BufReader::new(program);
        let mut answers = BufReader::new(&emulator);
        loop {
            let request = Message::read(&mut requests).ok()?;
            match self.next_reply(&request) {
                None => {
                    request.write_to(&emulator).ok()?;
                    Message::read(&mut answers).ok()?.write_to(program).ok()?;
                }
                Some(Reply::Error(code)) => {
                    let body = format!("{{\"__type\":\"{code}\",\"message\":\"by the proxy\"}}");
                    write!(
                        program,
                        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    )
                    .ok()?;
                }
                Some(Reply::HangUp | Reply::Wait) => return None,
            }
        }
    }

    fn next_reply(&self, request: &Message) -> Option<Reply> {
        let lookup = "AWSCognitoIdentityService.DescribeIdentityPool";
        if request.header("x-amz-target") != Some(lookup)
            || !String::from_utf8_lossy(&request.body).contains(&self.pool_id)
        {
            return None;
        }
        let mut state = self.lock();
        let reply = state.replies.pop_front()?;
        state.answered += 1;
        self.changed.notify_all();
        if matches!(reply, Reply::Wait) {
            drop(self.changed.wait_while(state, |state| !state.let_all_pass));
        }
        Some(reply)
    }
}
