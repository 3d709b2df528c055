//! Rejects the requests that have waited too long for JavaScript while the worker is overloaded.
//! [`crate::pressure::queue_delay`] decides when that is.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::bridge::ring::{HeadFlags, ResponseHead};
use crate::bridge::wire::fault_level;
use crate::bridge::wire::head_flag::{CONNECTION, DATE, DISCARDS, LENGTH};
use crate::guard::{ErrorFormat, Refusal};
use crate::http1::encoder;
use crate::pressure::queue_delay::Report;
use crate::runtime::alarms::Alarm;
use crate::scoreboard::layout::MetricCell;
use crate::server::context::Context;
use crate::server::io_thread::commands::read_ring;

/// Answers the requests that have waited too long with 503, and logs when that begins and ends. The
/// connections stay open: a client that connects again would cost more than its next request.
pub(crate) fn reject_late_requests(ctx: &Rc<Context>) {
    let late = ctx.handoff.take_late();
    match &late.report {
        Some(Report::Begin(text)) => {
            ctx.outbox.emit(|batch| batch.push_log_line(fault_level::WARNING, text));
        }
        Some(Report::End(text)) => {
            ctx.outbox.emit(|batch| batch.push_log_line(fault_level::INFO, text));
        }
        None => {}
    }
    if let Some(after) = late.next_check_us {
        ctx.alarms.set(Alarm::LateRequests, Instant::now() + Duration::from_micros(after));
    }
    if late.ids.is_empty() {
        return;
    }
    let (fields, body) = encoder::refusal_content(Refusal::Overloaded, ErrorFormat::Text);
    for id in late.ids {
        let exchanges = ctx.tables.exchanges.borrow();
        let Some(sink) = exchanges.find(id) else { continue };
        let flags = HeadFlags::new(DATE | CONNECTION | LENGTH | DISCARDS | sink.error_flags());
        let fields = fields.as_bytes();
        let status = Refusal::Overloaded.status();
        sink.send_head(
            &ResponseHead { status, reason: None, fields, flags },
            Some(body.len() as u64),
        );
        sink.send_data(body.as_bytes());
        sink.end(true);
        ctx.count(MetricCell::RejectedRequestsQueueDelay);
    }
    // Wakes the connections.
    read_ring(ctx);
}
