//! Health checks, which the engine answers without JavaScript (setting `health_paths`). They are no
//! exchanges: no limit refuses them, and neither the access log nor the metrics have them.

use std::fmt::Write as _;

use super::state::ConnectionState;
use super::{Connection, Turn};
use crate::bridge::ring::HeadFlags;
use crate::bridge::wire::head_flag::{CLOSE, CONNECTION, DATE, LENGTH};
use crate::exchange::request_head::Framing;
use crate::http1::encoder;
use crate::pressure::health_paths::HealthPage;

/// The response to a health check.
pub(crate) struct HealthResponse {
    /// 200 if every check is passed, else 503.
    pub status: u16,
    /// Header field lines.
    pub fields: &'static [u8],
    pub body: String,
    /// Whether the body must not be sent, because the method is HEAD.
    pub is_head_request: bool,
}

/// Returns the response to the request that the guard has released, if its path is one of
/// `health_paths`.
pub(crate) fn health_response(shared: &ConnectionState) -> Option<HealthResponse> {
    let limits = shared.limits();
    if limits.health_paths.is_empty() {
        return None;
    }
    let head = shared.ctx.scratch.parsed_head.borrow();
    let message = shared.parsed_message.borrow();
    let method = head.method.of(&message.head);
    let is_head_request = method == b"HEAD";
    if !is_head_request && method != b"GET" || head.framing != Framing::None {
        return None;
    }
    let target = head.target.of(&message.head);
    let mark = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let page = limits.health_paths.find(&target[..mark])?;
    let is_verbose = target[mark..].strip_prefix(b"?").is_some_and(|query| {
        query.split(|&byte| byte == b'&').any(|part| part.starts_with(b"verbose"))
    });
    Some(check_health(shared, page, is_verbose, is_head_request))
}

fn check_health(
    shared: &ConnectionState,
    page: HealthPage,
    is_verbose: bool,
    is_head_request: bool,
) -> HealthResponse {
    let slot = &shared.ctx.handoff.slot;
    let (name, checks) = match page {
        HealthPage::Live => ("livez", slot.check_liveness()),
        HealthPage::Ready => ("readyz", slot.board().check_readiness()),
    };
    let is_ok = checks.iter().all(|check| check.is_ok);
    let mut body = String::new();
    // A failure is always explained.
    if is_verbose || !is_ok {
        for check in checks {
            let sign = if check.is_ok { '+' } else { '-' };
            let verdict = if check.is_ok { "ok" } else { "failed" };
            // Writing into a string does not fail.
            let _ = writeln!(body, "[{sign}]{}: {verdict}", check.name);
        }
        let _ = writeln!(body, "{name} check {}", if is_ok { "passed" } else { "failed" });
    } else {
        body.push_str("ok\n");
    }
    HealthResponse {
        status: if is_ok { 200 } else { 503 },
        fields: b"Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n",
        body,
        is_head_request,
    }
}

/// Answers the request that the guard has released if it is a health check, and closes the
/// connection.
pub(crate) fn answer_health_check(connection: &mut Connection) -> Option<Turn> {
    let shared = &connection.shared;
    let response = health_response(shared)?;
    shared.requests.set(shared.requests.get().saturating_add(1));
    let date = shared.ctx.date();
    let options = encoder::HeadOptions {
        closes: true,
        keepalive_secs: 0,
        date: date.text(),
        length: Some(response.body.len() as u64),
    };
    let flags = HeadFlags::new(DATE | CONNECTION | LENGTH | CLOSE);
    shared.write_queue.borrow_mut().append(|out| {
        encoder::write_head(out, response.status, None, response.fields, flags, &options);
        if !response.is_head_request {
            out.extend_from_slice(response.body.as_bytes());
        }
    });
    Some(Turn::Flush)
}
