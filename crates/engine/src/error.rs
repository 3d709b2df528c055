//! The engine's one error.

use std::{error, fmt, io};

/// Why something in the engine could not be done.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    source: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// The I/O thread has ended; nothing can be asked of it.
    Closed,
    /// The ring did not become free although the I/O thread had time.
    RingFull,
    /// The operating system refused; the source says what.
    System,
}

impl Error {
    /// The I/O thread has ended.
    #[must_use]
    pub fn closed() -> Self {
        Self { kind: Kind::Closed, source: None }
    }

    pub(crate) fn ring_full() -> Self {
        Self { kind: Kind::RingFull, source: None }
    }

    /// The I/O thread has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind == Kind::Closed
    }

    /// The I/O thread did not take what JavaScript wrote.
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
            (Kind::Closed, _) => f.write_str("the engine's I/O thread has ended"),
            (Kind::RingFull, _) => f.write_str("the engine's I/O thread does not take answers"),
            (Kind::System, Some(source)) => write!(f, "{source}"),
            (Kind::System, None) => f.write_str("the operating system refused"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
