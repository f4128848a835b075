//! The only writer of standard error: a thread with a bounded queue. Callers hand over a message and continue.
//!
//! A pipe that is not read and a terminal that is held (Ctrl-S) block this thread and no other. A message for which the queue has
//! no room is dropped and counted; the count is written as soon as writing is possible again. The thread also draws the progress
//! bar below all lines, since it knows the state of the screen. Only the latest state of the bar is queued.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Capacity of the queue for log lines, in bytes and messages. With half of it, a pause of a second in a log of 4,000 lines a
/// second loses lines; doubled, a blocked program keeps 1 MiB more
/// (`messages_beyond_the_capacity_are_dropped_and_counted`).
const LOG_CAPACITY: Capacity = Capacity {
    bytes: 1 << 20,
    messages: 8192,
};
/// Capacity for all other messages: a reserve above that of the log, so that a full log never drops the reason why a program ends.
const NOTICE_CAPACITY: Capacity = Capacity {
    bytes: (1 << 20) + (64 << 10),
    messages: 8192 + 256,
};
/// Size of a write, in bytes, up to which lines are joined: a pipe takes that much in one piece even from several processes.
const MAX_CHUNK: usize = 4096;
/// Pause before a write to a full non-blocking descriptor is repeated. Another process may have made it non-blocking.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The kind of a message, which decides how many may be queued before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A line of the log.
    Log,
    /// Any other message.
    Notice,
}

impl Kind {
    fn capacity(self) -> Capacity {
        match self {
            Self::Log => LOG_CAPACITY,
            Self::Notice => NOTICE_CAPACITY,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Capacity {
    bytes: usize,
    messages: usize,
}

/// Queues a line.
pub fn line(kind: Kind, text: &str) {
    WRITER.line(kind, text);
}

/// Writes a question, and returns once it has been written: text that was typed before that is no answer to it.
///
/// # Errors
/// The question cannot be written.
pub fn ask(question: &str) -> io::Result<()> {
    WRITER.ask(question)
}

/// Records that the answer has ended the line of the last question.
pub fn answered() {
    WRITER.shared.lock().question_open = false;
}

/// Shows this progress bar below all lines, in place of the one before. `None` removes it.
pub fn bar(text: Option<String>) {
    WRITER.bar(text);
}

/// Sets the form of the line that reports a number of dropped messages.
pub fn set_dropped_message(format: fn(u64) -> String) {
    WRITER.shared.lock().dropped_message = format;
}

/// Waits until every message has been written, for at most `patience` without progress and `most` in all. Returns whether every
/// message has been written.
pub fn flush(patience: Duration, most: Duration) -> bool {
    WRITER.flush(patience, most)
}

/// The writer of this process. It lives as long as the process.
static WRITER: LazyLock<QueuedWriter> = LazyLock::new(|| QueuedWriter::start(io::stderr()));

/// A writer on a thread of its own, with a queue.
struct QueuedWriter {
    shared: Arc<Shared>,
    /// The writer, if no thread could be started: then callers write themselves.
    fallback: Option<Mutex<(Box<dyn Write + Send>, Screen)>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// The queued messages, and the state of the writing.
struct Queue {
    /// Whole messages, one after another.
    waiting: Vec<u8>,
    messages: usize,
    /// Messages for which there was no room.
    dropped: u64,
    dropped_message: fn(u64) -> String,
    bar: Option<String>,
    bar_changed: bool,
    /// No answer has ended the line of a question yet.
    question_open: bool,
    /// Text has been taken from the queue and is not written yet.
    writing: bool,
    /// Chunks written so far, by which progress is seen.
    chunks: u64,
    /// Error of the last chunk that could not be written.
    failed: Option<ErrorKind>,
}

impl QueuedWriter {
    fn start(writer: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: Vec::new(),
                messages: 0,
                dropped: 0,
                dropped_message: |dropped| format!("{dropped} messages were dropped"),
                bar: None,
                bar_changed: false,
                question_open: false,
                writing: false,
                chunks: 0,
                failed: None,
            }),
            changed: Condvar::new(),
        });
        // If the thread does not start, the writer is taken back as the fallback.
        let writer = Arc::new(Mutex::new(Some(Box::new(writer) as Box<dyn Write + Send>)));
        let (threads_writer, queue) = (Arc::clone(&writer), Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("stderr".to_owned())
            .spawn(move || {
                let writer = threads_writer
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some(mut writer) = writer {
                    let mut screen = Screen::default();
                    loop {
                        let text = queue.wait(&mut screen);
                        queue.write(&text, &mut writer);
                    }
                }
            });
        let fallback = match thread {
            Ok(_) => None,
            Err(_) => writer.lock().unwrap_or_else(PoisonError::into_inner).take(),
        };
        Self {
            shared,
            fallback: fallback.map(|writer| Mutex::new((writer, Screen::default()))),
        }
    }

    fn line(&self, kind: Kind, text: &str) {
        self.shared.lock().push_line(kind, text);
        self.wake();
    }

    fn ask(&self, question: &str) -> io::Result<()> {
        {
            let mut queue = self.shared.lock();
            queue.failed = None;
            if !queue.push(Kind::Notice, &[question.as_bytes()]) {
                return Err(ErrorKind::WouldBlock.into());
            }
            queue.question_open = true;
        }
        self.wake();
        let queue = self.shared.lock();
        let written = self
            .shared
            .changed
            .wait_while(queue, |queue| queue.is_busy());
        let failed = written.unwrap_or_else(PoisonError::into_inner).failed;
        failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn bar(&self, text: Option<String>) {
        {
            let mut queue = self.shared.lock();
            if queue.bar == text {
                return;
            }
            queue.bar = text;
            queue.bar_changed = true;
        }
        self.wake();
    }

    fn flush(&self, patience: Duration, most: Duration) -> bool {
        let until = Instant::now() + most;
        let mut queue = self.shared.lock();
        let mut chunks = queue.chunks;
        let mut stalled_at = Instant::now() + patience;
        while queue.is_busy() {
            let now = Instant::now();
            if queue.chunks != chunks {
                (chunks, stalled_at) = (queue.chunks, now + patience);
            }
            let wait = until.min(stalled_at).saturating_duration_since(now);
            if wait.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(queue, wait);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Wakes the thread, or writes if there is none.
    fn wake(&self) {
        self.shared.changed.notify_all();
        if let Some(fallback) = &self.fallback {
            let mut fallback = fallback.lock().unwrap_or_else(PoisonError::into_inner);
            let (writer, screen) = &mut *fallback;
            let text = self.shared.lock().take(screen);
            self.shared.write(&text, writer);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is text to write, and takes it.
    fn wait(&self, screen: &mut Screen) -> Vec<u8> {
        let queue = self.lock();
        let queue = self.changed.wait_while(queue, |queue| !queue.is_busy());
        queue.unwrap_or_else(PoisonError::into_inner).take(screen)
    }

    /// Writes text that was taken from the queue. Text that cannot be written is lost: there is no other place to report it.
    fn write(&self, text: &[u8], writer: &mut dyn Write) {
        let mut rest = text;
        let mut failed = None;
        while !rest.is_empty() && failed.is_none() {
            let (chunk, behind) = rest.split_at(chunk_length(rest));
            failed = write_chunk(chunk, writer).err().map(|error| error.kind());
            rest = behind;
            self.lock().chunks += 1;
            self.changed.notify_all();
        }
        let mut queue = self.lock();
        queue.failed = failed.or(queue.failed);
        queue.writing = false;
        self.changed.notify_all();
    }
}

impl Queue {
    /// Returns whether a message or the bar is not written yet.
    fn is_busy(&self) -> bool {
        self.writing || self.messages > 0 || self.dropped > 0 || self.bar_changed
    }

    fn push_line(&mut self, kind: Kind, text: &str) {
        let line_break: &[u8] = if self.question_open { b"\n" } else { b"" };
        if self.push(kind, &[line_break, text.as_bytes(), b"\n"]) {
            self.question_open = false;
        } else {
            self.dropped += 1;
        }
    }

    /// Queues a message if there is room for it. One that is larger than the capacity is taken if the queue is empty.
    fn push(&mut self, kind: Kind, parts: &[&[u8]]) -> bool {
        let Capacity { bytes, messages } = kind.capacity();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let fits = self.messages < messages && self.waiting.len() + length <= bytes;
        if fits || self.messages == 0 {
            self.waiting.extend(parts.concat());
            self.messages += 1;
            return true;
        }
        false
    }

    /// Takes all queued messages, with the control characters that the present screen needs.
    fn take(&mut self, screen: &mut Screen) -> Vec<u8> {
        let mut lines = std::mem::take(&mut self.waiting);
        self.messages = 0;
        // The dropped messages came after all queued ones, since those had filled the queue.
        if let dropped @ 1.. = std::mem::take(&mut self.dropped) {
            lines.extend((self.dropped_message)(dropped).into_bytes());
            lines.push(b'\n');
        }
        let draws = std::mem::take(&mut self.bar_changed) || !lines.is_empty();
        self.writing = true;
        let mut text = Vec::with_capacity(lines.len());
        if draws && screen.has_bar {
            text.extend(CLEAR_LINE);
        }
        text.extend(lines);
        if draws {
            screen.has_bar = self.bar.is_some();
            if let Some(bar) = &self.bar {
                text.extend(bar.bytes());
                text.push(b'\r');
            }
        }
        text
    }
}

/// Moves to the first column and clears the screen from there. The cursor rests at the start of the bar: a terminal that has become
/// narrower may have wrapped the bar into several lines, and all of them are below the cursor.
const CLEAR_LINE: &[u8] = b"\r\x1b[J";

/// The state of the screen after everything written so far.
#[derive(Debug, Default)]
struct Screen {
    has_bar: bool,
}

/// Returns the length of the first chunk of a text that is not empty: as many whole lines as fit, or one long line.
fn chunk_length(text: &[u8]) -> usize {
    let together = &text[..text.len().min(MAX_CHUNK)];
    if together.len() == text.len() {
        return text.len();
    }
    let line_end = |byte: &u8| *byte == b'\n';
    let last = together.iter().rposition(line_end);
    let end = last.or_else(|| text.iter().position(line_end));
    end.map_or(text.len(), |end| end + 1)
}

fn write_chunk(mut chunk: &[u8], writer: &mut dyn Write) -> io::Result<()> {
    while !chunk.is_empty() {
        match writer.write(chunk) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => chunk = &chunk[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::park_timeout(RETRY_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Passes on the written bytes, and blocks each write until the test lets it continue.
    struct BlockingWriter {
        written: mpsc::SyncSender<Vec<u8>>,
        may_go_on: mpsc::Receiver<()>,
    }

    impl Write for BlockingWriter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.written.send(bytes.to_vec());
            let _ = self.may_go_on.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns an output that blocks at each write, the bytes of each write that has begun, and a channel that lets writes go on:
    /// one for each message, and all of them once it is dropped.
    fn blocked() -> (QueuedWriter, mpsc::Receiver<Vec<u8>>, mpsc::SyncSender<()>) {
        let (sender, written) = mpsc::sync_channel(64);
        let (go_on, may_go_on) = mpsc::sync_channel(64);
        let output = QueuedWriter::start(BlockingWriter {
            written: sender,
            may_go_on,
        });
        (output, written, go_on)
    }

    const LONG: Duration = Duration::from_mins(1);

    /// Lets all writes go on. Returns the text that they write.
    fn all(
        output: &QueuedWriter,
        written: &mpsc::Receiver<Vec<u8>>,
        go_on: mpsc::SyncSender<()>,
    ) -> String {
        drop(go_on);
        assert!(output.flush(LONG, LONG));
        let bytes: Vec<u8> = written.try_iter().flatten().collect();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn messages_beyond_the_capacity_are_dropped_and_counted() {
        let (output, written, go_on) = blocked();
        output.line(Kind::Notice, "first");
        assert_eq!(written.recv().as_deref(), Ok(&b"first\n"[..]));
        // Seven more lines than the queue takes.
        for _ in 0..LOG_CAPACITY.messages + 7 {
            output.line(Kind::Log, "log");
        }
        output.line(Kind::Notice, "last words");
        let text = all(&output, &written, go_on);
        let lines: Vec<_> = text.lines().collect();
        let (logged, behind) = lines.split_at(LOG_CAPACITY.messages);
        assert!(logged.iter().all(|line| *line == "log"));
        assert_eq!(behind, ["last words", "7 messages were dropped"]);
    }

    #[test]
    fn the_capacity_bounds_bytes_too() {
        let (output, written, go_on) = blocked();
        output.line(Kind::Notice, "first");
        written.recv().expect("begun");
        let large = "x".repeat(LOG_CAPACITY.bytes / 4);
        for _ in 0..5 {
            output.line(Kind::Log, &large);
        }
        let text = all(&output, &written, go_on);
        assert_eq!(text.matches(&large).count(), 3);
        assert!(text.ends_with("\n2 messages were dropped\n"));
    }

    #[test]
    fn a_message_larger_than_the_capacity_is_written_alone() {
        let (output, written, go_on) = blocked();
        let huge = "x".repeat(2 * NOTICE_CAPACITY.bytes);
        output.line(Kind::Notice, &huge);
        assert_eq!(all(&output, &written, go_on), huge + "\n");
    }

    #[test]
    fn flush_does_not_wait_for_a_blocked_writer() {
        let (output, written, go_on) = blocked();
        assert!(output.flush(Duration::ZERO, Duration::ZERO));
        output.line(Kind::Notice, "a");
        written.recv().expect("begun");
        assert!(!output.flush(Duration::from_millis(1), LONG));
        assert!(!output.flush(LONG, Duration::from_millis(1)));
        go_on.send(()).expect("it waits");
        assert!(output.flush(LONG, LONG));
    }

    #[test]
    fn the_bar_stays_below_all_lines_and_only_its_latest_state_is_queued() {
        let (output, written, go_on) = blocked();
        output.bar(Some("1 of 9".into()));
        assert_eq!(written.recv().as_deref(), Ok(&b"1 of 9\r"[..]));
        output.bar(Some("2 of 9".into()));
        output.line(Kind::Notice, "throttled");
        output.bar(Some("3 of 9".into()));
        output.line(Kind::Notice, "slower");
        go_on.send(()).expect("it waits");
        let mut next = String::new();
        while !next.ends_with("9\r") {
            let piece = written.recv().expect("more");
            next.push_str(std::str::from_utf8(&piece).expect("text"));
            go_on.send(()).expect("it waits");
        }
        assert_eq!(next, "\r\x1b[Jthrottled\nslower\n3 of 9\r");
        output.bar(None);
        assert_eq!(all(&output, &written, go_on), "\r\x1b[J");
    }

    #[test]
    fn asking_returns_once_the_question_is_written() {
        let (output, written, go_on) = blocked();
        output.line(Kind::Notice, "warning");
        written.recv().expect("begun");
        thread::scope(|scope| {
            let asked = scope.spawn(|| output.ask("Sure? "));
            go_on.send(()).expect("it waits");
            assert_eq!(written.recv().as_deref(), Ok(&b"Sure? "[..]));
            assert!(!asked.is_finished());
            go_on.send(()).expect("it waits");
            asked.join().expect("no panic").expect("written");
        });
        // No answer has ended the line of the question.
        output.line(Kind::Notice, "stopped");
        output.line(Kind::Notice, "bye");
        assert_eq!(all(&output, &written, go_on), "\nstopped\nbye\n");
    }

    #[test]
    fn a_question_that_cannot_be_written_is_an_error() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let output = QueuedWriter::start(Broken);
        let error = output.ask("Sure? ").expect_err("broken");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert!(output.flush(LONG, LONG));
    }

    #[test]
    fn a_write_to_a_full_non_blocking_descriptor_is_repeated() {
        struct Full(u32, Arc<Mutex<Vec<u8>>>);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 % 2 == 1 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                self.1.lock().expect("no panic").push(bytes[0]);
                Ok(1)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = Arc::default();
        let output = QueuedWriter::start(Full(0, Arc::clone(&written)));
        output.line(Kind::Notice, "ab");
        assert!(output.flush(LONG, LONG));
        assert_eq!(*written.lock().expect("no panic"), b"ab\n");
    }

    #[test]
    fn lines_are_joined_and_stay_whole() {
        let line = [b'x'; 99];
        let lines = [&line[..], b"\n"].concat().repeat(100);
        assert_eq!(chunk_length(&lines), 4000);
        assert_eq!(chunk_length(b"short\nand open"), 14);
        let long = [&[b'x'; 5000][..], b"\nnext\n"].concat();
        assert_eq!(chunk_length(&long), 5001);
        assert_eq!(chunk_length(&[b'x'; 5000]), 5000);
    }
}
