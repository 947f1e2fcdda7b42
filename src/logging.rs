//! JSON lines on standard error, written off the hot path.
//!
//! `simplelog` filters and serialises; this module gives each record its JSON shape and collects
//! the lines in memory, for a thread to write out every few milliseconds. Warnings and errors, a
//! panic and the end of the program write at once, so that only a kill can lose lines.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use log::kv::{Error as KvError, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};

use crate::clock::Clock;

/// The target of a record whose text is JSON members already: the line that every request writes,
/// for which a detour over key-values costs too much.
pub const RENDERED: &str = "rendered";

const FLUSH_EVERY: Duration = Duration::from_millis(20);
/// A line that would make the buffer larger writes it out first.
const BUFFER_BYTES: usize = 256 * 1024;

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
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(FLUSH_EVERY);
            buffer.write_out();
        }
    });
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
        self.buffer.write_out();
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

/// Lines that wait to be written.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn write_out(&self) {
        // The lock is held while writing, or two writers could swap their lines.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.is_empty() {
            let _ = std::io::stderr().write_all(&lines);
            lines.clear();
        }
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() + bytes.len() > BUFFER_BYTES {
            let _ = std::io::stderr().write_all(&lines);
            lines.clear();
        }
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
