//! A collector of lines, for logs that JavaScript writes: syslog and statsd.

use std::sync::Mutex;
use std::time::Duration;

use monoceros_engine::log::socket::LogSocket as Inner;
use napi_derive::napi;

use crate::system_error::system_error;

/// Where lines go over a socket.
#[napi]
pub struct LogSocket {
    /// None after `close`.
    inner: Mutex<Option<Inner>>,
}

#[napi]
impl LogSocket {
    /// `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram` or `unix://PATH#stream`.
    #[napi(constructor, catch_unwind)]
    pub fn new(address: String) -> napi::Result<Self, String> {
        let inner = Inner::open(&address, PATIENCE)
            .map_err(|error| system_error("connect", &address, &error))?;
        Ok(Self { inner: Mutex::new(Some(inner)) })
    }

    /// Sends a message before it returns, or loses it.
    #[napi(catch_unwind)]
    pub fn send(&self, message: String) {
        if let Ok(Some(inner)) = self.inner.lock().as_deref_mut() {
            inner.send(message.as_bytes());
        }
    }

    /// Closes the socket: a process that collects its garbage seldom would keep it for hours.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        if let Ok(mut inner) = self.inner.lock() {
            *inner = None;
        }
    }

    /// Whether messages are lines of a stream.
    #[napi(getter)]
    pub fn is_stream(&self) -> bool {
        self.inner.lock().is_ok_and(|inner| inner.as_ref().is_some_and(Inner::is_stream))
    }
}

/// A line of the error log may wait so long for a collector that does not answer, once a second at most.
const PATIENCE: Duration = Duration::from_millis(200);
