//! The error type of the engine's public functions.

use std::{error, fmt, io};

/// An error of the engine.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    source: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// The I/O thread has exited and takes no more requests.
    Closed,
    /// The ring stayed full although the I/O thread had time to read it.
    RingFull,
    /// A system call failed; `source` has the cause.
    System,
}

impl Error {
    /// Creates the error for an I/O thread that has exited.
    #[must_use]
    pub fn closed() -> Self {
        Self { kind: Kind::Closed, source: None }
    }

    pub(crate) fn ring_full() -> Self {
        Self { kind: Kind::RingFull, source: None }
    }

    /// Returns whether the I/O thread has exited.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind == Kind::Closed
    }

    /// Returns whether the I/O thread has not read what JavaScript wrote.
    #[must_use]
    pub fn is_ring_full(&self) -> bool {
        self.kind == Kind::RingFull
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self { kind: Kind::System, source: Some(source) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.source) {
            (Kind::Closed, _) => f.write_str("the engine's I/O thread has exited"),
            (Kind::RingFull, _) => f.write_str("the engine's I/O thread does not read responses"),
            (Kind::System, Some(source)) => write!(f, "{source}"),
            (Kind::System, None) => f.write_str("a system call failed"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
