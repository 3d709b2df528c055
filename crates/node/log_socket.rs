//! A socket to a log collector, for messages that JavaScript sends: syslog and statsd.

use std::sync::Mutex;
use std::time::Duration;

use monoceros_engine::log::socket::LogSocket as Inner;
use napi_derive::napi;

use crate::system_error::system_error;

/// A connection to a collector over UDP, TCP or a Unix socket.
#[napi]
pub struct LogSocket {
    /// The open socket, or `None` after `close`.
    inner: Mutex<Option<Inner>>,
}

#[napi]
impl LogSocket {
    /// Opens a socket to `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram`
    /// or `unix://PATH#stream`.
    #[napi(constructor, catch_unwind)]
    pub fn new(address: String) -> napi::Result<Self, String> {
        let inner = Inner::open(&address, SEND_TIMEOUT)
            .map_err(|error| system_error("connect", &address, &error))?;
        Ok(Self { inner: Mutex::new(Some(inner)) })
    }

    /// Sends a message synchronously. A message that cannot be sent is dropped.
    #[napi(catch_unwind)]
    pub fn send(&self, message: String) {
        if let Ok(Some(inner)) = self.inner.lock().as_deref_mut() {
            inner.send(message.as_bytes());
        }
    }

    /// Closes the socket at once, without waiting for the garbage collector, which may take hours.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        if let Ok(mut inner) = self.inner.lock() {
            *inner = None;
        }
    }

    /// Returns whether the socket is a stream, in which each message is one line.
    #[napi(getter)]
    pub fn is_stream(&self) -> bool {
        self.inner.lock().is_ok_and(|inner| inner.as_ref().is_some_and(Inner::is_stream))
    }
}

/// Maximum time that a line of the error log waits for an unresponsive collector, at most once a
/// second.
const SEND_TIMEOUT: Duration = Duration::from_millis(200);
