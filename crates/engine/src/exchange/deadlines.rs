//! The deadlines of an exchange: of the request body, of the response, and of the rest of the body
//! after the response.

use super::Exchange;
use super::min_rate::RateBounds;
use super::tunnel::Upgrade;
use crate::pressure::limits::Limits;

/// A deadline of an exchange that has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// The rest of a request body has not arrived in time after the response.
    Discard,
    /// The client sends its request body too slowly.
    Body,
    /// The response has not begun within `request_timeout`.
    Response,
}

impl Exchange {
    /// Starts the timer for the rest of the request body once the response is complete. A reader
    /// that has stopped then keeps no connection open. An accepted tunnel has no such timer: it may
    /// stay half-open.
    pub(super) fn start_discard_timer(&mut self, now: u64, limits: &Limits) {
        if !self.response.is_complete || self.body.is_done {
            return;
        }
        if let Upgrade::Tunnel(tunnel) = &self.upgrade
            && !tunnel.is_refusal(self.response.status)
        {
            return;
        }
        let idle = limits.settings.keepalive + limits.keepalive_grace;
        let is_discarded = self.body.is_discarded;
        let time = if is_discarded { limits.discard_time } else { limits.discard_time.min(idle) };
        self.body.discard_until = now + time.as_millis() as u64;
    }

    /// Returns which deadline has passed at `now`. `is_body_pending` means that bytes of the body
    /// are still to arrive.
    pub fn due(&self, now: u64, is_body_pending: bool, limits: &Limits) -> Option<Due> {
        if self.body.discard_deadline() <= now {
            Some(Due::Discard)
        } else if self.body_deadline(limits) <= now {
            Some(Due::Body)
        } else if self.response_deadline(is_body_pending, limits) <= now {
            Some(Due::Response)
        } else {
            None
        }
    }

    /// Returns the earliest deadline; `u64::MAX` for none.
    pub fn deadline(&self, is_body_pending: bool, limits: &Limits) -> u64 {
        self.body
            .discard_deadline()
            .min(self.body_deadline(limits))
            .min(self.response_deadline(is_body_pending, limits))
    }

    /// Returns since when the client has been late with the request body; `u64::MAX` if it owes no
    /// bytes or the response has begun.
    pub fn body_late_since(&self, limits: &Limits) -> u64 {
        if self.response.is_head_sent {
            return u64::MAX;
        }
        self.body.rate().late_since(RateBounds::of_body(limits))
    }

    /// Returns when the client becomes too slow with the body. The bytes of a tunnel may be slow.
    fn body_deadline(&self, limits: &Limits) -> u64 {
        if self.is_tunnel() {
            return u64::MAX;
        }
        self.body.rate().deadline(RateBounds::of_body(limits))
    }

    /// Returns when the response head is due: `request_timeout` after the head, or after the last
    /// body byte if that is later. `u64::MAX` without a timeout and while the client must send.
    fn response_deadline(&self, is_body_pending: bool, limits: &Limits) -> u64 {
        let limit = limits.settings.request_timeout.as_millis() as u64;
        let client_owes = is_body_pending && self.body.rate().is_running() && !self.is_tunnel();
        if limit == 0 || self.response.is_head_sent || client_owes {
            return u64::MAX;
        }
        self.started_ms.max(self.body.rate().last_moved_at()) + limit
    }
}
