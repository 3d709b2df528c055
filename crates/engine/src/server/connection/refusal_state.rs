//! Who responds to a refused request, and what is reported of its connection afterwards.

use crate::bridge::wire::refusal_kind;
use crate::guard::Refusal;

/// Who writes the response to a refused request, and how far that is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefusalState {
    /// No request was refused.
    NotRefused,
    /// The engine has written the response and closes the connection.
    RespondedByEngine,
    /// The engine closes the connection without a response.
    ClosedSilently,
    /// The application will write the response, as in Node's `'clientError'` event.
    AwaitsApplication,
    /// The application has written the response.
    RespondedByApplication,
}

/// The error that Node's parser reports again for whatever follows refused input.
#[derive(Clone, Copy)]
pub(crate) struct RepeatedError {
    kind: u8,
    reports_left: u8,
}

impl RepeatedError {
    /// A timeout and the end of the input are no errors of the parser, so they are not repeated.
    pub fn new(refusal: Refusal) -> Self {
        let kind = refusal.kind();
        let is_repeated = kind != refusal_kind::TIMEOUT && kind != refusal_kind::TRUNCATED_HEAD;
        Self { kind, reports_left: if is_repeated { MAX_REPORTS } else { 0 } }
    }

    /// Returns the kind of the error to report for further input, if it is reported again.
    pub fn take_report(&mut self) -> Option<u8> {
        self.reports_left = self.reports_left.checked_sub(1)?;
        Some(self.kind)
    }
}

/// Number of times that an error is reported again. Each report costs the application an event.
const MAX_REPORTS: u8 = 32;
