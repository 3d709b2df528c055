//! The two places that finished requests are reported to: the access log and statsd.

use std::cell::RefCell;
use std::thread;
use std::time::{Duration, Instant};

use super::access::AccessLog;
use super::statsd::Statsd;

/// The access log and the statsd client of a loop.
pub(crate) struct RequestLogs {
    /// The access log; `None` if no access log is configured.
    pub access: RefCell<Option<AccessLog>>,
    /// The client that sends request metrics to statsd; `None` if `statsd_host` is not set.
    statsd: RefCell<Option<Statsd>>,
    /// Process id of the worker for the access log, read once because each line has it.
    pub pid: u32,
}

impl RequestLogs {
    /// Wraps what is configured of the two.
    pub fn new(access: Option<AccessLog>, statsd: Option<Statsd>) -> Self {
        let (access, statsd) = (RefCell::new(access), RefCell::new(statsd));
        Self { access, statsd, pid: std::process::id() }
    }

    /// Counts a finished request for statsd. `us` is the time in microseconds from the complete
    /// head to the end of the response.
    pub fn count_request(&self, status: u16, us: u64) {
        if let Some(statsd) = self.statsd.borrow_mut().as_mut() {
            statsd.record_request(status, Duration::from_micros(us));
        }
    }

    /// Whether the access log has lines that have not been written yet.
    pub fn has_unwritten(&self) -> bool {
        self.access.borrow().as_ref().is_some_and(AccessLog::has_unwritten)
    }

    /// Writes the buffered lines of the access log and the samples of statsd.
    pub fn flush(&self) {
        if let Some(access) = self.access.borrow_mut().as_mut() {
            access.flush();
        }
        if let Some(statsd) = self.statsd.borrow_mut().as_mut() {
            statsd.flush();
        }
    }

    /// Writes the remaining log lines before the thread exits. A slow reader of the access log gets
    /// up to [`FLUSH_TIME`].
    pub fn flush_before_exit(&self) {
        let until = Instant::now() + FLUSH_TIME;
        self.flush();
        while self.has_unwritten() && Instant::now() < until {
            thread::sleep(POLL_INTERVAL);
            self.flush();
        }
    }
}

/// Maximum time to write the remaining log lines before the thread exits.
const FLUSH_TIME: Duration = Duration::from_millis(250);
/// Interval of the attempts to write them.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
