//! The loop of an I/O thread: control messages, tasks, sockets and timers, until the thread stops.

use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use super::commands::apply_command;
use super::tasks::{deliver_events, end_batching_delays, run_clock, watch_ring};
use crate::bridge::handoff::ControlMessage;
use crate::bridge::in_flight;
use crate::log::access::AccessLog;
use crate::pressure::limits::IDLE_DRAIN_TIME;
use crate::pressure::memory::evict_over_limit;
use crate::runtime::executor::{self, AbortOnPanic, spawn_critical};
use crate::runtime::sockets::SocketSet;
use crate::server::connection::{
    abort_connections, begin_connection, close_accepted, end_body_buffering,
};
use crate::server::context::Context;
use crate::server::shutdown::{drain, exit_orphaned_process};
use crate::transport::listener::AcceptedConnection;
use crate::transport::tls::abort_expired_handshakes;

/// Runs the loop until the thread stops. Each turn runs the ready tasks, then handles sockets,
/// messages of other threads and timers. It waits for them only if no task is ready.
pub(super) fn run(ctx: &Rc<Context>) {
    let _abort = AbortOnPanic;
    spawn_critical(deliver_events(ctx.clone()));
    spawn_critical(watch_ring(ctx.clone()));
    spawn_critical(end_batching_delays(ctx.clone()));
    spawn_critical(run_clock(ctx.clone()));
    spawn_critical(end_body_buffering(ctx.clone()));
    spawn_critical(evict_over_limit(ctx.clone()));
    spawn_critical(abort_expired_handshakes(ctx.clone()));
    while !ctx.is_stopping.get() {
        executor::run_turn();
        // The turn has taken a while, and the wait may.
        ctx.is_clock_stale.set(true);
        if executor::has_ready_tasks() {
            poll_sockets(ctx);
        } else {
            wait(ctx);
        }
        ctx.timers.wake_due(ctx.now());
    }
    stop(ctx);
}

/// Waits for a socket, a timer or a message of another thread, and handles it.
fn wait(ctx: &Rc<Context>) {
    let handoff = &ctx.handoff;
    // Sleep before the thread is marked as sleeping: it then finds the messages that arrive
    // meanwhile without a wake.
    if ctx.handshakes.are_dense(|| ctx.to_clock_ms(Instant::now())) {
        thread::sleep(HANDSHAKE_BATCHING_TIME);
    }
    let time = if handoff.prepare_sleep() {
        ctx.timers.time_until_next(Instant::now())
    } else {
        Some(Duration::ZERO)
    };
    SocketSet::dispatch_events(ctx, time);
    handoff.end_sleep();
    handle_wake(ctx);
}

/// Polls the sockets without waiting, and handles messages of other threads.
pub(super) fn poll_sockets(ctx: &Rc<Context>) {
    SocketSet::dispatch_events(ctx, Some(Duration::ZERO));
    handle_wake(ctx);
}

/// Handles the messages of other threads if one of them has woken this thread.
fn handle_wake(ctx: &Rc<Context>) {
    if ctx.handoff.was_woken() {
        handle_control_messages(ctx);
    }
}

/// Handles the messages of other threads, starts accepted connections and reads the ring.
fn handle_control_messages(ctx: &Rc<Context>) {
    // Take the connections first, then the messages: a message sent before a connection was
    // accepted, such as its server's TLS configuration, is then handled before the connection.
    let mut accepted = ctx.handoff.take_accepted();
    for control in ctx.handoff.take_control() {
        match control {
            ControlMessage::Configure { server_id, limits } => {
                ctx.set_limits(server_id, Some(*limits));
            }
            ControlMessage::Forget { server_id } => {
                begin_accepted(ctx, &mut accepted);
                ctx.delivers_at_once.set(true);
                ctx.end_batching_delay();
                ctx.set_limits(server_id, None);
                ctx.set_tls(server_id, None);
            }
            ControlMessage::Secure { server_id, server } => ctx.set_tls(server_id, Some(*server)),
            ControlMessage::Drain(idle) => {
                begin_accepted(ctx, &mut accepted);
                drain(ctx, idle);
            }
            ControlMessage::Abort(accepted) => close_accepted(ctx, &accepted),
            ControlMessage::FreeDescriptor => ctx.admission.handle_descriptor_shortage(ctx),
            ControlMessage::CloseConnections { server_id, idle_only } => {
                begin_accepted(ctx, &mut accepted);
                abort_connections(ctx, |one| {
                    one.belongs_to(server_id) && !(idle_only && one.is_busy())
                });
            }
            ControlMessage::ReportRefusals { server_id, on } => {
                ctx.set_reports_refusals(server_id, on);
            }
            ControlMessage::Orphaned => {
                begin_accepted(ctx, &mut accepted);
                drain(ctx, IDLE_DRAIN_TIME);
                spawn_critical(exit_orphaned_process(ctx.clone()));
            }
            ControlMessage::ListInFlight(reply) => in_flight::reply_to(ctx, &reply),
            ControlMessage::ReportSettings(id, reply) => ctx.report_settings(id, &reply),
            ControlMessage::ReopenLog => {
                let reopened = ctx.access_log.borrow_mut().as_mut().map(AccessLog::reopen);
                if let Some(Err(error)) = reopened {
                    let text = format!("the access log stays the old file: {error}");
                    ctx.emit(|batch| batch.push_fault(&text));
                }
            }
            ControlMessage::Fault(text) => ctx.emit(|batch| batch.push_fault(&text)),
            ControlMessage::Stop => ctx.is_stopping.set(true),
        }
    }
    begin_each(ctx, &mut accepted);
    read_ring(ctx);
    wake_awaiting_javascript(ctx);
}

/// Sends pending responses, aborts all connections and writes the logs before the thread exits.
fn stop(ctx: &Rc<Context>) {
    // Send responses from the ring, as far as the sockets accept them.
    executor::run_ready();
    // Idle connections have no task that could be canceled.
    abort_connections(ctx, |one| one.serving().is_none());
    executor::cancel_all();
    ctx.flush_logs_before_exit();
}

/// Starts all connections that have been accepted so far, before a message that concerns them.
fn begin_accepted(ctx: &Rc<Context>, accepted: &mut Vec<AcceptedConnection>) {
    accepted.append(&mut ctx.handoff.take_accepted());
    begin_each(ctx, accepted);
}

/// Starts accepted connections.
fn begin_each(ctx: &Rc<Context>, accepted: &mut Vec<AcceptedConnection>) {
    for each in accepted.drain(..) {
        begin_connection(ctx, each);
    }
}

/// Reads the records of the ring and wakes the connections that they have changed. Returns whether
/// the ring had any records.
pub(crate) fn read_ring(ctx: &Rc<Context>) -> bool {
    let has_records = ctx.handoff.ring.has_unread_records();
    if has_records {
        ctx.refresh_clock();
        ctx.handoff.ring.read_records(|id, command| apply_command(ctx, id, command));
    }
    let mut changed = ctx.to_wake.borrow_mut();
    for shared in changed.drain(..) {
        shared.wake();
    }
    has_records
}

/// Wakes the half-closed connections that wait until JavaScript has taken their events.
pub(super) fn wake_awaiting_javascript(ctx: &Context) {
    for shared in ctx.awaiting_javascript.borrow_mut().drain(..) {
        shared.wake();
    }
}

/// Time for which TLS handshake messages are batched while handshakes are dense. Otherwise each
/// message would wake this thread, and then JavaScript. Linux adds the thread's timer slack of 50
/// us.
const HANDSHAKE_BATCHING_TIME: Duration = Duration::from_micros(200);
