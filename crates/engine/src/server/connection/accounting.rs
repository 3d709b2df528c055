//! Accounting at the end of an exchange: the table of requests in flight, the counters, the access
//! log.

use super::{ConnectionState, Exchange};
use crate::log::access::{AccessEntry, RequestFields};

impl ConnectionState {
    /// Removes the exchange from the table, counts it and writes its access log line.
    pub(crate) fn finish_accounting(&self, exchange: &Exchange) {
        self.ctx.exchanges.borrow_mut().remove(exchange.id);
        let elapsed = self.ctx.now().duration_since(exchange.started);
        let mut answered = elapsed;
        if let Some(tunnel) = &exchange.tunnel {
            self.ctx.tunnels.set(self.ctx.tunnels.get() - 1);
            // A tunnel may last for hours; only the time to its response counts as request
            // duration.
            answered = tunnel.answered().unwrap_or(elapsed);
        }
        self.ctx.count(
            exchange.status,
            exchange.body_bytes,
            exchange.sent_bytes,
            answered.as_micros() as u64,
        );
        if !exchange.head_sent {
            return;
        }
        if let (Some(facts), Some(log)) =
            (&exchange.log_info, self.ctx.access.borrow_mut().as_mut())
        {
            let client = facts.client.map(|client| client.ip().to_canonical().to_string());
            let remote = client.as_deref().unwrap_or_else(|| self.remote());
            log.log(&AccessEntry {
                remote: Some(remote).filter(|remote| !remote.is_empty()),
                method: facts.method.of(&facts.head),
                target: facts.target.of(&facts.head),
                version: facts.version,
                status: exchange.status,
                body_bytes: exchange.sent_bytes,
                duration: elapsed,
                request_fields: RequestFields::Spans { head: &facts.head, fields: &facts.fields },
                response_fields: &facts.response_fields,
                pid: self.ctx.pid,
            });
        }
    }
}
