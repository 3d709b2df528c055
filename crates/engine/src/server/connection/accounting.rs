//! Accounting of a finished exchange: removes it from the table of requests in flight, counts it,
//! and writes its access log line.

use super::{ConnectionState, Exchange};
use crate::log::access::{AccessEntry, RequestFields};
use crate::scoreboard::layout::MetricCell;
use crate::scoreboard::{FinishedRequest, SeriesKey};

impl ConnectionState {
    /// Counts the exchanges of this connection. With the first one, it becomes active.
    pub(crate) fn count_exchange(&self, change: i32) {
        let before = self.exchange_count.get();
        let count = before.saturating_add_signed(change);
        self.exchange_count.set(count);
        if (before == 0) != (count == 0) {
            self.ctx.handoff.slot.change_gauge(MetricCell::ConnectionsActive, change);
        }
    }

    /// Removes a finished or aborted exchange from the table, counts it, and writes its access log
    /// line unless no response head was written.
    pub(crate) fn finish_accounting(&self, exchange: &Exchange) {
        self.ctx.tables.exchanges.borrow_mut().remove(exchange.id);
        self.count_exchange(-1);
        let elapsed = self.ctx.clock.now().duration_since(exchange.started);
        let mut response_time = elapsed;
        if let Some(tunnel) = &exchange.tunnel {
            self.ctx.change_tunnel_count(|count| count - 1);
            // A tunnel may last for hours, so only the time to its response counts as the duration
            // of the request.
            response_time = tunnel.response_time().unwrap_or(elapsed);
        }
        self.ctx.count_finished_request(&FinishedRequest {
            key: SeriesKey::new(exchange.method, exchange.status, exchange.protocol),
            bytes_in: exchange.body_bytes,
            bytes_out: exchange.sent_bytes,
            us: response_time.as_micros() as u64,
        });
        if !exchange.is_head_sent {
            return;
        }
        if let (Some(info), Some(log)) =
            (&exchange.log_info, self.ctx.logs.access.borrow_mut().as_mut())
        {
            let client = info.client.map(|client| client.ip().to_canonical().to_string());
            let remote = client.as_deref().unwrap_or_else(|| self.remote());
            log.log(&AccessEntry {
                remote: Some(remote).filter(|remote| !remote.is_empty()),
                method: info.method.of(&info.head),
                target: info.target.of(&info.head),
                version: info.version,
                status: exchange.status,
                body_bytes: exchange.sent_bytes,
                duration: elapsed,
                request_fields: RequestFields::Spans { head: &info.head, fields: &info.fields },
                response_fields: &info.response_fields,
                pid: self.ctx.logs.pid,
            });
        }
    }
}
