//! Standard error, written by one thread: whoever has something to say hands it over and goes on.
//!
//! A pipe that is not read and a terminal that is held (Ctrl-S) block the thread and nothing else. What is waiting to be written
//! is bounded; a message for which there is no room is dropped and counted, and the count is written as soon as writing is
//! possible again. The thread draws the progress bar as well, below all lines: it knows what stands on the screen, and of the
//! bar only the latest state is ever waiting.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Log lines that wait to be written: with half of it, a pause of a second in a log of 4,000 lines a second loses lines
/// (`only_what_finds_no_room_is_dropped_and_counted`).
const LOG_ROOM: Room = Room {
    bytes: 1 << 20,
    messages: 8192,
};
/// The same for everything that is not log: what a log has left over, and more. Why a program ends is not crowded out.
const NOTICE_ROOM: Room = Room {
    bytes: (1 << 20) + (64 << 10),
    messages: 8192 + 256,
};
/// Lines are written together up to this size, which a pipe takes as one piece even from several processes.
const PIECE: usize = 4096;
/// A descriptor that must not block (another process may have set it so) is tried again after this long.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// What a message is, which says how much may wait before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A line of the log.
    Log,
    /// Everything else.
    Notice,
}

impl Kind {
    fn room(self) -> Room {
        match self {
            Self::Log => LOG_ROOM,
            Self::Notice => NOTICE_ROOM,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: usize,
    messages: usize,
}

/// Writes a line, sooner or later.
pub fn line(kind: Kind, text: &str) {
    OUTPUT.line(kind, text);
}

/// Writes a question, and returns when it has been written: what is typed before that is no answer to it.
///
/// # Errors
/// It cannot be written.
pub fn ask(question: &str) -> io::Result<()> {
    OUTPUT.ask(question)
}

/// Notes that the last question's line was ended by its answer.
pub fn answered() {
    OUTPUT.shared.lock().question_open = false;
}

/// Shows this below all lines, in place of what stands there; nothing takes it away.
pub fn bar(text: Option<String>) {
    OUTPUT.bar(text);
}

/// Says how a number of dropped messages is told, as a line.
pub fn tell_dropped(tell: fn(u64) -> String) {
    OUTPUT.shared.lock().tell_dropped = tell;
}

/// Waits until everything has been written; no longer than `patience` without any progress, and than `most` altogether.
/// Returns whether it has.
pub fn flush(patience: Duration, most: Duration) -> bool {
    OUTPUT.flush(patience, most)
}

/// Where one writes: to be had from the start to the end of the program.
static OUTPUT: LazyLock<Output> = LazyLock::new(|| Output::start(io::stderr()));

/// A writer in a thread of its own.
struct Output {
    shared: Arc<Shared>,
    /// Writes in place of the thread, if none could be started.
    instead: Option<Mutex<(Box<dyn Write + Send>, Screen)>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// What is waiting, and what is known of what is not.
struct Queue {
    /// Whole messages, one behind the other.
    waiting: Vec<u8>,
    messages: usize,
    /// Messages for which there was no room.
    dropped: u64,
    tell_dropped: fn(u64) -> String,
    bar: Option<String>,
    bar_changed: bool,
    /// A question's line that no answer has ended yet.
    question_open: bool,
    /// Taken by the writer and not written yet.
    writing: bool,
    /// Pieces written so far: moves on as long as there is progress.
    pieces: u64,
    /// Why the last piece could not be written.
    failed: Option<ErrorKind>,
}

impl Output {
    fn start(writer: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: Vec::new(),
                messages: 0,
                dropped: 0,
                tell_dropped: |dropped| format!("{dropped} messages were dropped"),
                bar: None,
                bar_changed: false,
                question_open: false,
                writing: false,
                pieces: 0,
                failed: None,
            }),
            changed: Condvar::new(),
        });
        // Whoever starts the thread has the writer back if it does not start.
        let writer = Arc::new(Mutex::new(Some(Box::new(writer) as Box<dyn Write + Send>)));
        let (theirs, queue) = (Arc::clone(&writer), Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("stderr".to_owned())
            .spawn(move || {
                let writer = theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(mut writer) = writer {
                    let mut screen = Screen::default();
                    loop {
                        let text = queue.wait(&mut screen);
                        queue.write(&text, &mut writer);
                    }
                }
            });
        let instead = match thread {
            Ok(_) => None,
            Err(_) => writer.lock().unwrap_or_else(PoisonError::into_inner).take(),
        };
        Self {
            shared,
            instead: instead.map(|writer| Mutex::new((writer, Screen::default()))),
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
        let mut pieces = queue.pieces;
        let mut stalled_at = Instant::now() + patience;
        while queue.is_busy() {
            let now = Instant::now();
            if queue.pieces != pieces {
                (pieces, stalled_at) = (queue.pieces, now + patience);
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

    /// Lets the thread write, or writes if there is none.
    fn wake(&self) {
        self.shared.changed.notify_all();
        if let Some(instead) = &self.instead {
            let mut instead = instead.lock().unwrap_or_else(PoisonError::into_inner);
            let (writer, screen) = &mut *instead;
            let text = self.shared.lock().take(screen);
            self.shared.write(&text, writer);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to write, and takes it.
    fn wait(&self, screen: &mut Screen) -> Vec<u8> {
        let queue = self.lock();
        let queue = self.changed.wait_while(queue, |queue| !queue.is_busy());
        queue.unwrap_or_else(PoisonError::into_inner).take(screen)
    }

    /// Writes what was taken. What cannot be written is lost: there is no other place to tell it.
    fn write(&self, text: &[u8], writer: &mut dyn Write) {
        let mut rest = text;
        let mut failed = None;
        while !rest.is_empty() && failed.is_none() {
            let (piece, behind) = rest.split_at(piece_of(rest));
            failed = write_piece(piece, writer).err().map(|error| error.kind());
            rest = behind;
            self.lock().pieces += 1;
            self.changed.notify_all();
        }
        let mut queue = self.lock();
        queue.failed = failed.or(queue.failed);
        queue.writing = false;
        self.changed.notify_all();
    }
}

impl Queue {
    /// Whether there is anything that is not written yet.
    fn is_busy(&self) -> bool {
        self.writing || self.messages > 0 || self.dropped > 0 || self.bar_changed
    }

    fn push_line(&mut self, kind: Kind, text: &str) {
        let begin: &[u8] = if self.question_open { b"\n" } else { b"" };
        if self.push(kind, &[begin, text.as_bytes(), b"\n"]) {
            self.question_open = false;
        } else {
            self.dropped += 1;
        }
    }

    /// Takes a message if there is room for it. One that is larger than all room is taken where nothing waits.
    fn push(&mut self, kind: Kind, parts: &[&[u8]]) -> bool {
        let Room { bytes, messages } = kind.room();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let fits = self.messages < messages && self.waiting.len() + length <= bytes;
        if fits || self.messages == 0 {
            self.waiting.extend(parts.concat());
            self.messages += 1;
            return true;
        }
        false
    }

    /// Takes all that waits, as it is to be written to a screen that looks like this.
    fn take(&mut self, screen: &mut Screen) -> Vec<u8> {
        let mut lines = std::mem::take(&mut self.waiting);
        self.messages = 0;
        // They came when there was no room any more, and so behind all that was waiting.
        if let dropped @ 1.. = std::mem::take(&mut self.dropped) {
            lines.extend((self.tell_dropped)(dropped).into_bytes());
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

/// To the first column, and everything from there on away. The cursor waits where the bar begins: a terminal that has become
/// narrower may have broken the bar into several lines, and these are all below it.
const CLEAR_LINE: &[u8] = b"\r\x1b[J";

/// What stands on the screen after everything so far.
#[derive(Debug, Default)]
struct Screen {
    has_bar: bool,
}

/// Length of the first piece of a text that is not empty: whole lines, as many as go together, or one long line.
fn piece_of(text: &[u8]) -> usize {
    let together = &text[..text.len().min(PIECE)];
    if together.len() == text.len() {
        return text.len();
    }
    let line_end = |byte: &u8| *byte == b'\n';
    let last = together.iter().rposition(line_end);
    let end = last.or_else(|| text.iter().position(line_end));
    end.map_or(text.len(), |end| end + 1)
}

fn write_piece(mut piece: &[u8], writer: &mut dyn Write) -> io::Result<()> {
    while !piece.is_empty() {
        match writer.write(piece) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => piece = &piece[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::park_timeout(BETWEEN_TRIES);
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

    /// Hands on what is written, and blocks at each write until it may go on.
    struct Blocked {
        written: mpsc::SyncSender<Vec<u8>>,
        may_go_on: mpsc::Receiver<()>,
    }

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.written.send(bytes.to_vec());
            let _ = self.may_go_on.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output that blocks at each write, what it has begun to write, and what lets it go on: one write for each message,
    /// and all of them when it is dropped.
    fn blocked() -> (Output, mpsc::Receiver<Vec<u8>>, mpsc::SyncSender<()>) {
        let (tell, written) = mpsc::sync_channel(64);
        let (go_on, may_go_on) = mpsc::sync_channel(64);
        let output = Output::start(Blocked {
            written: tell,
            may_go_on,
        });
        (output, written, go_on)
    }

    const LONG: Duration = Duration::from_mins(1);

    /// Everything that is written from now on.
    fn all(
        output: &Output,
        written: &mpsc::Receiver<Vec<u8>>,
        go_on: mpsc::SyncSender<()>,
    ) -> String {
        drop(go_on);
        assert!(output.flush(LONG, LONG));
        let bytes: Vec<u8> = written.try_iter().flatten().collect();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn only_what_finds_no_room_is_dropped_and_counted() {
        let (output, written, go_on) = blocked();
        output.line(Kind::Notice, "first");
        assert_eq!(written.recv().as_deref(), Ok(&b"first\n"[..]));
        // Vain in the middle of that.
        for _ in 0..LOG_ROOM.messages + 7 {
            output.line(Kind::Log, "log");
        }
        output.line(Kind::Notice, "last words");
        let text = all(&output, &written, go_on);
        let lines: Vec<_> = text.lines().collect();
        let (logged, behind) = lines.split_at(LOG_ROOM.messages);
        assert!(logged.iter().all(|line| *line == "log"));
        assert_eq!(behind, ["last words", "7 messages were dropped"]);
    }

    #[test]
    fn large_messages_are_bounded_too() {
        let (output, written, go_on) = blocked();
        output.line(Kind::Notice, "first");
        written.recv().expect("begun");
        let large = "x".repeat(LOG_ROOM.bytes / 4);
        for _ in 0..5 {
            output.line(Kind::Log, &large);
        }
        let text = all(&output, &written, go_on);
        assert_eq!(text.matches(&large).count(), 3);
        assert!(text.ends_with("\n2 messages were dropped\n"));
    }

    #[test]
    fn what_is_larger_than_all_room_is_written_alone() {
        let (output, written, go_on) = blocked();
        let huge = "x".repeat(2 * NOTICE_ROOM.bytes);
        output.line(Kind::Notice, &huge);
        assert_eq!(all(&output, &written, go_on), huge + "\n");
    }

    #[test]
    fn nothing_waits_for_what_is_blocked() {
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
    fn the_bar_stays_below_all_lines_and_only_its_latest_state_waits() {
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
    fn a_question_is_asked_when_it_has_been_written() {
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
        // Nobody has ended the question's line.
        output.line(Kind::Notice, "stopped");
        output.line(Kind::Notice, "bye");
        assert_eq!(all(&output, &written, go_on), "\nstopped\nbye\n");
    }

    #[test]
    fn a_question_that_cannot_be_written_is_not_asked() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let output = Output::start(Broken);
        let error = output.ask("Sure? ").expect_err("broken");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert!(output.flush(LONG, LONG));
    }

    #[test]
    fn a_descriptor_that_must_not_block_is_tried_again() {
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
        let output = Output::start(Full(0, Arc::clone(&written)));
        output.line(Kind::Notice, "ab");
        assert!(output.flush(LONG, LONG));
        assert_eq!(*written.lock().expect("no panic"), b"ab\n");
    }

    #[test]
    fn lines_are_written_together_and_whole() {
        let line = [b'x'; 99];
        let lines = [&line[..], b"\n"].concat().repeat(100);
        assert_eq!(piece_of(&lines), 4000);
        assert_eq!(piece_of(b"short\nand open"), 14);
        let long = [&[b'x'; 5000][..], b"\nnext\n"].concat();
        assert_eq!(piece_of(&long), 5001);
        assert_eq!(piece_of(&[b'x'; 5000]), 5000);
    }
}
