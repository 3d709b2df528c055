//! The access log: one line for each response, in Gunicorn's format, written in batches.
//!
//! The I/O thread writes it, so no write may block. What a pipe does not take stays in a bounded
//! buffer; lines beyond the bound are lost and counted. The log does not rotate itself: `reopen`
//! serves the tool that does.

mod clock;
mod format;
mod json;
mod sink;
mod syslog;

use std::io;
use std::time::Duration;

pub use format::AccessFormat;
pub(crate) use format::{decode_percent, split_fields};
pub use syslog::Syslog;

use crate::exchange::request_head::Span;
use clock::LogClock;
use sink::Sink;

/// The data of one log line. Bytes are as received; the log escapes them.
#[derive(Clone, Copy, Debug)]
pub struct AccessEntry<'a> {
    /// The client's address; `None` on a unix socket.
    pub remote: Option<&'a str>,
    /// The request method as the client sent it.
    pub method: &'a [u8],
    /// The request target as the client sent it: path and query, or another form of RFC 9112
    /// section 3.2.
    pub target: &'a [u8],
    /// The HTTP version, such as `HTTP/1.1`.
    pub version: &'a [u8],
    /// The status code of the response.
    pub status: u16,
    /// The number of body bytes sent.
    pub body_bytes: u64,
    /// The time from the request head to the end of the response.
    pub duration: Duration,
    /// The fields of the request.
    pub request_fields: RequestFields<'a>,
    /// The fields of the response as they were sent, `Name: value\r\n` each.
    pub response_fields: &'a [u8],
    /// The process id of the worker.
    pub pid: u32,
}

/// The fields of a request, in the order received.
#[derive(Clone, Copy, Debug)]
pub enum RequestFields<'a> {
    /// The name and value of each field.
    Pairs(&'a [(&'a [u8], &'a [u8])]),
    /// The position of each name and value in a request head.
    Spans {
        /// The request head: the bytes that the spans refer to.
        head: &'a [u8],
        /// The spans of the name and value of each field.
        fields: &'a [(Span, Span)],
    },
}

impl<'a> RequestFields<'a> {
    /// The name and value of each field.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let (pairs, spans, head) = match self {
            Self::Pairs(pairs) => (pairs, &[][..], &[][..]),
            Self::Spans { head, fields } => (&[][..], fields, head),
        };
        let spans = spans.iter().map(|(name, value)| (name.of(head), value.of(head)));
        pairs.iter().copied().chain(spans)
    }
}

/// An open access log.
pub struct AccessLog {
    format: AccessFormat,
    /// A file, or standard output; `None` when lines go to syslog alone.
    sink: Option<Sink>,
    syslog: Option<Syslog>,
    clock: LogClock,
    /// Whole lines that are not written yet.
    buffer: Vec<u8>,
    /// Lines lost because the file took none.
    lost: u64,
    /// Whether the last write failed.
    is_failing: bool,
    /// The message that `take_notice` returns next.
    notice: Option<String>,
}

impl AccessLog {
    /// Opens a file to append to, or standard output for `-`.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened to append to.
    pub fn open(target: &str, format: AccessFormat) -> io::Result<Self> {
        Self::with(Some(target), format, None)
    }

    /// Opens a file, standard output, or an inherited descriptor for `fd://N`. Lines go to syslog
    /// too, or to syslog alone.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened to append to.
    pub fn with(
        target: Option<&str>,
        format: AccessFormat,
        syslog: Option<Syslog>,
    ) -> io::Result<Self> {
        let sink = target.map(Sink::open).transpose()?;
        Ok(Self {
            format,
            sink,
            syslog,
            clock: LogClock::new(),
            buffer: Vec::new(),
            lost: 0,
            is_failing: false,
            notice: None,
        })
    }

    /// Adds a line. It is written once enough lines have gathered, or by `flush`.
    pub fn log(&mut self, entry: &AccessEntry<'_>) {
        if self.buffer.len() >= MAX_BUFFERED_BYTES {
            self.flush();
        }
        let full = self.buffer.len() >= MAX_BUFFERED_BYTES;
        if full && self.sink.is_some() {
            self.lost += 1;
            self.note_failure("no process reads it");
        }
        if full && self.syslog.is_none() {
            return;
        }
        let start = self.buffer.len();
        self.format.render(entry, self.clock.now(), &mut self.buffer);
        if let Some(syslog) = &mut self.syslog {
            syslog.send(&self.buffer[start..]);
        }
        if full || self.sink.is_none() {
            self.buffer.truncate(start);
            return;
        }
        self.buffer.push(b'\n');
        // From this size on, every line tries a write: a pipe may have room again.
        if self.buffer.len() >= FLUSH_AT_BYTES {
            self.flush();
        }
    }

    /// Writes as much of the buffered lines as the file takes without blocking.
    pub fn flush(&mut self) {
        if let Some(syslog) = &mut self.syslog {
            syslog.flush();
        }
        let Some(sink) = &mut self.sink else { return };
        match sink.write(&mut self.buffer) {
            Ok(()) if self.is_failing && self.buffer.is_empty() => {
                self.is_failing = false;
                let lost = std::mem::take(&mut self.lost);
                self.notice =
                    Some(format!("the access log is written again; {lost} lines were lost"));
            }
            Err(error) => self.note_failure(&error.to_string()),
            Ok(()) => {}
        }
    }

    fn note_failure(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            self.notice = Some(format!(
                "the access log cannot be written: {why}; up to {MAX_BUFFERED_BYTES} bytes \
                 are buffered, further lines are lost"
            ));
        }
    }

    /// Whether lines are buffered.
    #[must_use]
    pub fn has_unwritten(&self) -> bool {
        !self.buffer.is_empty() || self.syslog.as_ref().is_some_and(Syslog::has_unsent)
    }

    /// Takes the message about the log's own state, once for each change.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// Opens the file by its name again, after it was renamed. If that fails, the old file stays
    /// open. Lines that the old file did not take go to the new one.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened to append to.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.flush();
        self.sink.as_mut().map_or(Ok(()), Sink::reopen)
    }

    /// The number of lines lost because the file did not take them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The buffer size from which on lines are written, in bytes: about two hundred lines in one write.
const FLUSH_AT_BYTES: usize = 32_768;

/// Maximum number of bytes buffered while the file takes none. The last line may exceed it.
const MAX_BUFFERED_BYTES: usize = 1_048_576;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn entry() -> AccessEntry<'static> {
        AccessEntry {
            remote: Some("192.0.2.1"),
            method: b"GET",
            target: b"/a",
            version: b"HTTP/1.1",
            status: 200,
            body_bytes: 5,
            duration: Duration::from_millis(2),
            request_fields: RequestFields::Pairs(&[]),
            response_fields: b"",
            pid: 41,
        }
    }

    fn open(name: &str, format: &str) -> (AccessLog, PathBuf) {
        let path = std::env::temp_dir().join(format!("access-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        let format = AccessFormat::compile(format).unwrap();
        (AccessLog::open(path.to_str().unwrap(), format).unwrap(), path)
    }

    #[test]
    fn lines_are_appended_at_flush_and_at_drop() {
        let (mut log, path) = open("append", "%(s)s");
        fs::write(&path, "before\n").unwrap();
        log.log(&entry());
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\n");
        log.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\n200\n");
        log.log(&entry());
        drop(log);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\n200\n200\n");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn many_lines_are_written_without_a_flush() {
        let (mut log, path) = open("many", "%(r)s");
        (0..10_000).for_each(|_| log.log(&entry()));
        assert!(fs::metadata(&path).unwrap().len() > 100_000);
        drop(log);
        assert_eq!(fs::read_to_string(&path).unwrap(), "GET /a HTTP/1.1\n".repeat(10_000));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn reopen_follows_the_name_and_keeps_the_old_file_if_it_cannot() {
        let (mut log, path) = open("reopen", "%(s)s");
        let moved = path.with_extension("1");
        log.log(&entry());
        fs::rename(&path, &moved).unwrap();
        log.reopen().unwrap();
        log.log(&entry());
        log.flush();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "200\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "200\n");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(log.reopen().is_err());
        log.log(&entry());
        log.flush();
        assert_eq!(log.lost(), 0);
        fs::remove_dir(path).unwrap();
        fs::remove_file(moved).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported_once_and_its_lines_wait() {
        let format = AccessFormat::compile("%(s)s").unwrap();
        let mut log = AccessLog::open("/dev/full", format).unwrap();
        for _ in 0..3 {
            log.log(&entry());
            log.flush();
        }
        assert!(log.take_notice().unwrap().contains("No space left on device"));
        assert_eq!(log.take_notice(), None);
        let (mut file, path) = open("full", "%(s)s");
        std::mem::swap(&mut log.sink, &mut file.sink);
        log.flush();
        assert!(log.take_notice().unwrap().contains("0 lines were lost"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "200\n200\n200\n");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn lines_lost_for_lack_of_a_reader_are_reported() {
        let (mut reader, writer) = io::pipe().unwrap();
        let format = AccessFormat::compile("%(r)s").unwrap();
        let target = format!("fd://{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        let mut log = AccessLog::open(&target, format).unwrap();
        drop(writer);
        while log.lost() < 3 {
            log.log(&entry());
        }
        assert!(log.take_notice().unwrap().contains("no process reads it"));
        let read = std::thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
        while log.has_unwritten() {
            log.flush();
        }
        assert!(log.take_notice().unwrap().ends_with("; 3 lines were lost"));
        drop(log);
        assert!(read.join().unwrap().unwrap() > MAX_BUFFERED_BYTES as u64);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let format = AccessFormat::compile("").unwrap();
        assert!(AccessLog::open("/nonexistent/access.log", format).is_err());
    }
}
