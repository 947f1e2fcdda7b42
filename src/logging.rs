//! JSON lines on standard error, written off the hot path.
//!
//! `simplelog` filters and serialises; this module gives each record its JSON shape and collects
//! the lines in memory, for a thread to write out every few milliseconds. Warnings and errors, a
//! panic and the end of the program wait until that has been done, so that only a kill can lose
//! lines; or a reader of standard error who takes none: nobody waits for him for long, and when he
//! is back he is told how many he has missed.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::kv::{Error as KvError, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};

use crate::clock::Clock;

/// The target of a record whose text is JSON members already: the line that every request writes,
/// for which a detour over key-values costs too much.
pub const RENDERED: &str = "rendered";

const FLUSH_EVERY: Duration = Duration::from_millis(20);
/// A line that would make the buffer larger waits until it has been written out.
const BUFFER_BYTES: usize = 256 * 1024;
/// A reader who takes nothing for so long is not waited for until he does.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

thread_local! {
    /// The line that this thread is rendering.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
    /// The request that this thread is working on, for the panic hook.
    static CURRENT_REQUEST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Starts logging and the thread that writes. Call it once.
pub fn start(level: LevelFilter) {
    // simplelog's own decoration is switched off: its line is the message, and that is our JSON.
    let bare = ConfigBuilder::new()
        .set_time_level(LevelFilter::Off)
        .set_max_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // It only reports that a stop was noticed, and what this program reports itself.
        .add_filter_ignore_str("tiny_http")
        .build();
    let buffer = Buffer::default();
    let lines = JsonLines {
        inner: WriteLogger::new(level, bare, buffer.clone()),
        clock: Clock::system(),
        buffer: buffer.clone(),
    };
    if log::set_boxed_logger(Box::new(lines)).is_err() {
        return;
    }
    log::set_max_level(level);
    std::panic::set_hook(Box::new(log_panic));
    let writer = buffer.clone();
    let thread = std::thread::Builder::new().name("log".into());
    if thread.spawn(move || writer.keep_writing()).is_err() {
        // No thread to be had: whoever logs writes.
        buffer.lock().has_no_writer = true;
    }
}

/// Names the request that this thread works on until told otherwise.
pub fn set_current_request(id: &str) {
    CURRENT_REQUEST.with_borrow_mut(|current| {
        current.clear();
        current.push_str(id);
    });
}

fn log_panic(info: &std::panic::PanicHookInfo) {
    let request_id = CURRENT_REQUEST.with_borrow(String::clone);
    let at = info
        .location()
        .map(|l| format!("{}:{}", l.file(), l.line()))
        .unwrap_or_default();
    let what = info.payload_as_str().unwrap_or("no message");
    log::error!(request_id = request_id.as_str(), at = at.as_str(); "panic: {what}");
    log::logger().flush();
}

struct JsonLines {
    inner: Box<WriteLogger<Buffer>>,
    clock: Clock,
    buffer: Buffer,
}

impl Log for JsonLines {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            let (time, level) = (self.clock.now(), record.level());
            let _ = write!(line, "{{\"time\":\"{time}\",\"level\":\"{level}\",");
            if record.target() == RENDERED {
                let _ = line.write_fmt(*record.args());
            } else {
                line.push_str("\"message\":");
                push_json(line, &record.args().to_string());
                let _ = record.key_values().visit(&mut Members(line));
            }
            line.push('}');
            if !self.buffer.has_room(line.len()) {
                return;
            }
            let rendered = format_args!("{line}");
            let metadata = record.metadata().clone();
            self.inner
                .log(&Record::builder().metadata(metadata).args(rendered).build());
        });
        if record.level() <= Level::Warn {
            self.flush();
        }
    }

    fn flush(&self) {
        self.buffer.wait_until_written();
    }
}

/// Appends the members that a record carries beside its message.
struct Members<'l>(&'l mut String);

impl<'kvs> VisitSource<'kvs> for Members<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), KvError> {
        self.0.push(',');
        push_json(self.0, key.as_str());
        self.0.push(':');
        if let Some(number) = value.to_i64() {
            let _ = write!(self.0, "{number}");
        } else if let Some(text) = value.to_borrowed_str() {
            push_json(self.0, text);
        } else {
            push_json(self.0, &value.to_string());
        }
        Ok(())
    }
}

fn push_json(line: &mut String, text: &str) {
    let plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        line.push('"');
        line.push_str(text);
        line.push('"');
    } else {
        line.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Lines on their way to standard error, which only one thread writes to: should their reader stall,
/// that thread waits for him, and no other.
#[derive(Clone, Default)]
struct Buffer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    wanted: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
    /// Bytes since the start: put in here, and written.
    bytes_put: u64,
    bytes_written: u64,
    /// Somebody waits until all is written.
    is_wanted: bool,
    is_stalled: bool,
    has_no_writer: bool,
    /// For which there was no room.
    lines_lost: u64,
}

impl Lines {
    fn tell_what_was_lost(&mut self) {
        let lost = std::mem::take(&mut self.lines_lost);
        if lost > 0 {
            let time = Clock::system().now();
            let _ = writeln!(
                self.waiting,
                "{{\"time\":\"{time}\",\"level\":\"WARN\",\
                 \"message\":\"lines of the log are missing here, because nobody took them\",\"lines\":{lost}}}"
            );
        }
    }
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        let lines = self.0.lines.lock();
        lines.unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room if need be. False: nobody takes what is there, so the line is lost.
    fn has_room(&self, bytes: usize) -> bool {
        let fits = |lines: &Lines| lines.waiting.len() + bytes < BUFFER_BYTES;
        if fits(&self.lock()) {
            return true;
        }
        self.wait_until_written();
        let mut lines = self.lock();
        let fits = fits(&lines);
        lines.lines_lost += u64::from(!fits);
        fits
    }

    /// What has been put in so far, that is; or nobody takes it.
    fn wait_until_written(&self) {
        let mut lines = self.lock();
        let all = lines.bytes_put;
        if lines.is_stalled {
            return;
        }
        if lines.has_no_writer {
            let _ = std::io::stderr().write_all(&lines.waiting);
            lines.waiting.clear();
            return;
        }
        lines.is_wanted = true;
        self.0.wanted.notify_one();
        let written = &self.0.written;
        let (mut lines, took) = written
            .wait_timeout_while(lines, TAKEN_WITHIN, |lines| lines.bytes_written < all)
            .unwrap_or_else(PoisonError::into_inner);
        lines.is_stalled |= took.timed_out();
    }

    fn keep_writing(&self) {
        let mut taken = Vec::new();
        loop {
            let wanted = &self.0.wanted;
            let (mut lines, _) = wanted
                .wait_timeout_while(self.lock(), FLUSH_EVERY, |lines| !lines.is_wanted)
                .unwrap_or_else(PoisonError::into_inner);
            lines.is_wanted = false;
            lines.tell_what_was_lost();
            std::mem::swap(&mut lines.waiting, &mut taken);
            let all = lines.bytes_put;
            drop(lines);
            let _ = std::io::stderr().write_all(&taken);
            taken.clear();
            let mut lines = self.lock();
            lines.bytes_written = all;
            lines.is_stalled = false;
            self.0.written.notify_all();
        }
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.lock();
        lines.waiting.extend_from_slice(bytes);
        lines.bytes_put += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
