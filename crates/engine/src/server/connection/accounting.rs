//! The end of an exchange in the books: the table of those in hand, the counters, the access log.

use super::{Current, Shared};
use crate::log::access::{AccessEntry, RequestFields};

impl Shared {
    /// Takes the exchange out of the table, counts and logs it.
    pub(crate) fn close_books(&self, current: &Current) {
        self.ctx.exchanges.borrow_mut().remove(current.id);
        let elapsed = self.ctx.now().duration_since(current.started);
        let mut answered = elapsed;
        if let Some(tunnel) = &current.tunnel {
            self.ctx.tunnels.set(self.ctx.tunnels.get() - 1);
            // A connection of hours is no slow request.
            answered = tunnel.answered().unwrap_or(elapsed);
        }
        self.ctx.count(
            current.status,
            current.body_bytes,
            current.sent_bytes,
            answered.as_micros() as u64,
        );
        if !current.head_sent {
            return;
        }
        if let (Some(facts), Some(log)) = (&current.log, self.ctx.access.borrow_mut().as_mut()) {
            let client = facts.client.map(|client| client.ip().to_canonical().to_string());
            let remote = client.as_deref().unwrap_or_else(|| self.remote());
            log.log(&AccessEntry {
                remote: Some(remote).filter(|remote| !remote.is_empty()),
                method: facts.method.of(&facts.head),
                target: facts.target.of(&facts.head),
                version: facts.version,
                status: current.status,
                body_bytes: current.sent_bytes,
                duration: elapsed,
                request_fields: RequestFields::Spans { head: &facts.head, fields: &facts.fields },
                response_fields: &facts.response_fields,
                pid: self.ctx.pid,
            });
        }
    }
}
