//! How a connection ends: one state, which only becomes more urgent.

use std::cell::Cell;

/// How a connection ends, the least urgent first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Ending {
    /// The connection stays open for further requests.
    #[default]
    Open,
    /// The connection closes after the response in flight.
    AfterResponse,
    /// The connection closes after the bytes written so far, because the application ended the
    /// socket.
    AfterWrite,
    /// The task drops the connection in its next turn. It sends only what the socket accepts at
    /// once.
    Aborted,
    /// Like `Aborted`, but with a TCP reset (RST).
    Reset,
}

/// The ending of a connection, which its task and the ring's reader both change.
#[derive(Default)]
pub(crate) struct EndingCell(Cell<Ending>);

impl EndingCell {
    /// Returns how the connection ends.
    pub fn get(&self) -> Ending {
        self.0.get()
    }

    /// Ends the connection like this, unless it already ends in a more urgent way.
    pub fn set(&self, ending: Ending) {
        self.0.set(self.0.get().max(ending));
    }

    /// Whether no further request is served.
    pub fn closes(&self) -> bool {
        self.get() >= Ending::AfterResponse
    }

    /// Whether the task drops the connection in its next turn.
    pub fn is_aborted(&self) -> bool {
        self.get() >= Ending::Aborted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_only_becomes_more_urgent() {
        let ending = EndingCell::default();
        assert!(!ending.closes() && !ending.is_aborted());
        ending.set(Ending::AfterWrite);
        ending.set(Ending::AfterResponse);
        assert_eq!(ending.get(), Ending::AfterWrite);
        assert!(ending.closes() && !ending.is_aborted());
        ending.set(Ending::Reset);
        ending.set(Ending::Aborted);
        assert_eq!(ending.get(), Ending::Reset, "an abort does not take back a reset");
        assert!(ending.closes() && ending.is_aborted());
    }
}
