//! The acceptor's thread: wait, take what the balancer allows, hand it over; nothing else.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::accept::{AcceptOutcome, accept};
use super::balancer::{Balancer, Decision, KICK_TIMEOUT_US, KickOutcome, is_stopped};
use super::poller::{self, Poller, Ready};
use super::{AcceptedConnection, AcceptorCommand, AcceptorOptions, CommandQueue};
use crate::runtime::thread_policy::use_batch_scheduling;
use crate::scoreboard::{SlotRef, monotonic_us};

/// All that the thread has.
pub(super) struct AcceptLoop {
    commands: Arc<CommandQueue>,
    poller: Poller,
    slot: SlotRef,
    balancer: Balancer,
    /// Of all slots, in order; empty when there is no balancer.
    kick_fds: Vec<RawFd>,
    listeners: Vec<Listener>,
    phase: AcceptPhase,
    paused: bool,
    /// Since when there has been a connection in a queue that we leave to others.
    left_since_us: Option<u64>,
    /// Until then nothing is said of such a failure.
    silent_until_us: u64,
    /// The pause after the next failure for want of descriptors or memory.
    backoff_ms: u64,
    /// Where to begin looking, so that a busy listener does not starve the others.
    first: usize,
    accepted: Box<dyn Fn(Vec<AcceptedConnection>) + Send>,
    on_orphaned: Box<dyn Fn() + Send>,
    on_error: Box<dyn Fn(io::Error) + Send>,
    on_shortage: Box<dyn Fn() + Send>,
}

struct Listener {
    fd: OwnedFd,
    server_id: u32,
    is_tls: bool,
    /// Connections taken from it.
    accepted: u64,
}

/// How the thread stands to its listeners.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AcceptPhase {
    /// They are watched.
    Armed,
    /// They are not, since a connection is left to others; until then.
    Leaving { until_us: u64 },
    /// They are not, for want of descriptors or memory; until then.
    Exhausted { until_us: u64 },
    /// They are not: paused, or none there.
    Idle,
}

/// Why a turn of taking ended.
enum TurnEnd {
    /// All queues are empty.
    Empty,
    /// Enough for once; there may be more.
    Full,
    Leave {
        until_us: u64,
    },
    Exhausted(io::Error),
    /// One of the listeners is dead.
    Dead(usize, io::Error),
}

impl AcceptLoop {
    pub(super) fn new(
        options: AcceptorOptions,
        slot: SlotRef,
        woken: UnixStream,
        commands: Arc<CommandQueue>,
        accepted: Box<dyn Fn(Vec<AcceptedConnection>) + Send>,
    ) -> io::Result<Self> {
        let kick_fds =
            options.worker_slot.map(|worker_slot| worker_slot.kick_fds).unwrap_or_default();
        if !kick_fds.is_empty() && kick_fds.len() != slot.board().slots() as usize {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "each slot needs one kick"));
        }
        let own_kick = kick_fds.get(slot.index()).map(|fd| poller::copy(*fd)).transpose()?;
        let lifeline = options.lifeline.map(poller::copy).transpose()?;
        let balancer = Balancer::new(slot.clone(), options.max_in_flight, is_stopped);
        balancer.set_accept_paused(true);
        Ok(Self {
            commands,
            poller: Poller::new(woken, own_kick, lifeline)?,
            slot,
            balancer,
            kick_fds,
            listeners: Vec::new(),
            phase: AcceptPhase::Idle,
            paused: false,
            left_since_us: None,
            silent_until_us: 0,
            backoff_ms: MIN_BACKOFF_MS,
            first: 0,
            accepted,
            on_orphaned: options.on_orphaned,
            on_error: options.on_error,
            on_shortage: options.on_shortage,
        })
    }

    pub(super) fn run(mut self) {
        use_batch_scheduling();
        let mut again = false;
        loop {
            let ready = match self.wait(again) {
                Ok(ready) => ready,
                // SIGCONT after SIGSTOP interrupts the wait, whatever the signal's disposition.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ready::default(),
                Err(error) => return (self.on_error)(error),
            };
            self.balancer.acknowledge_kicks();
            if ready.commands && !self.run_commands() {
                return;
            }
            if ready.orphaned {
                self.close(|_| true);
                (self.on_orphaned)();
            }
            // Also without any event: a wake may have gone to a process that was stopped before it
            // took the connection, and a wait for others or for descriptors is over by time.
            again = self.due() && self.turn();
        }
    }

    fn wait(&mut self, again: bool) -> io::Result<Ready> {
        let timeout_us = match self.phase {
            _ if again => Some(0),
            AcceptPhase::Armed => Some(MAX_WAIT_US),
            AcceptPhase::Idle => None,
            AcceptPhase::Leaving { until_us } | AcceptPhase::Exhausted { until_us } => {
                Some(until_us.saturating_sub(monotonic_us()))
            }
        };
        // Rounded up, else the last part of a millisecond would be spent spinning.
        let timeout_ms = timeout_us.map(|us| i32::try_from(us.div_ceil(1_000)).unwrap_or(i32::MAX));
        let armed = self.phase == AcceptPhase::Armed;
        self.poller.wait(timeout_ms, self.listeners.iter().filter(|_| armed).map(|each| &each.fd))
    }

    /// Whether it is time to look into the queues. A kick also ends a wait for others.
    fn due(&self) -> bool {
        match self.phase {
            AcceptPhase::Armed | AcceptPhase::Leaving { .. } => true,
            AcceptPhase::Exhausted { until_us } => {
                monotonic_us() >= until_us || !self.commands.is_exhausted.load(Relaxed)
            }
            AcceptPhase::Idle => false,
        }
    }

    /// Carries out commands. Returns whether to go on.
    fn run_commands(&mut self) -> bool {
        while let Some(pending_command) = self.commands.take() {
            let mut answer = 0;
            match pending_command.command {
                AcceptorCommand::Add(fd, server_id, is_tls) => {
                    self.disarm();
                    self.listeners.push(Listener { fd, server_id, is_tls, accepted: 0 });
                }
                AcceptorCommand::CloseListeners => self.close(|_| true),
                AcceptorCommand::Pause => {
                    self.paused = true;
                    self.pass_on();
                }
                AcceptorCommand::Remove(server_id) => {
                    let of_server =
                        self.listeners.iter().filter(|listener| listener.server_id == server_id);
                    answer = of_server.map(|listener| listener.accepted).sum();
                    self.close(|listener| listener.server_id == server_id);
                }
                AcceptorCommand::Resume => self.paused = false,
                AcceptorCommand::Stop => return false,
            }
            self.settle();
            // Whoever does not wait for it has dropped the other end.
            let _ = pending_command.done.send(answer);
        }
        true
    }

    /// One turn of taking. Returns whether there may be more at once.
    fn turn(&mut self) -> bool {
        let mut batch = Vec::new();
        let end = self.take(&mut batch);
        if !batch.is_empty() {
            self.backoff_ms = MIN_BACKOFF_MS;
            (self.accepted)(batch);
        }
        match end {
            TurnEnd::Empty => self.arm(),
            TurnEnd::Full => {
                self.arm();
                return true;
            }
            TurnEnd::Leave { until_us } => {
                self.disarm();
                self.balancer.set_accept_paused(false);
                self.phase = AcceptPhase::Leaving { until_us };
            }
            TurnEnd::Exhausted(error) => self.back_off(error),
            TurnEnd::Dead(index, error) => {
                self.disarm();
                self.listeners.remove(index);
                self.settle();
                (self.on_error)(error);
                return true;
            }
        }
        false
    }

    fn take(&mut self, batch: &mut Vec<AcceptedConnection>) -> TurnEnd {
        let count = self.listeners.len();
        self.first = self.first.wrapping_add(1);
        let (mut empty, mut lost) = (0, 0);
        while empty < count {
            if batch.len() >= MAX_BATCH_CONNECTIONS {
                return TurnEnd::Full;
            }
            let index = (self.first + empty) % count;
            // An accept that finds nothing makes a socket and a file first, and takes both back: four times what it
            // costs to ask.
            if !poller::any_pending(std::iter::once(&self.listeners[index].fd)) {
                empty += 1;
                continue;
            }
            if let Some(end) = self.check_balancer() {
                return end;
            }
            let Listener { fd, server_id, is_tls, accepted } = &mut self.listeners[index];
            match accept(fd) {
                AcceptOutcome::Connection(fd, peer) => {
                    *accepted += 1;
                    // Before the next decision, here and in all other processes.
                    self.slot.connection_opened();
                    batch.push(AcceptedConnection {
                        fd,
                        server_id: *server_id,
                        is_tls: *is_tls,
                        peer,
                    });
                }
                // Another worker was quicker.
                AcceptOutcome::Empty => empty += 1,
                AcceptOutcome::Lost(error) if lost >= MAX_BATCH_CONNECTIONS => {
                    return TurnEnd::Exhausted(error);
                }
                AcceptOutcome::Lost(_) => lost += 1,
                AcceptOutcome::Exhausted(error) => return TurnEnd::Exhausted(error),
                AcceptOutcome::Dead(error) => return TurnEnd::Dead(index, error),
            }
        }
        TurnEnd::Empty
    }

    /// Whether to leave the next connection, if there is one, and until when. `None`: take it.
    fn check_balancer(&mut self) -> Option<TurnEnd> {
        if self.kick_fds.is_empty() {
            return None;
        }
        loop {
            let now_us = monotonic_us();
            let (rival, patience_us) = match self.balancer.decide(now_us) {
                Decision::Take => {
                    self.left_since_us = None;
                    return None;
                }
                Decision::LeaveToLeastLoaded(rival) => (rival, MAX_LEAVE_AHEAD_US),
                Decision::LeaveToResponsive(rival) => (rival, MAX_LEAVE_SLOW_US),
            };
            if !poller::any_pending(self.listeners.iter().map(|listener| &listener.fd)) {
                self.left_since_us = None;
                return Some(TurnEnd::Empty);
            }
            let since_us = *self.left_since_us.get_or_insert(now_us);
            let patience_until_us = since_us + patience_us;
            if now_us >= patience_until_us {
                // Nobody came although somebody could: whatever the reason, no connection waits for
                // ever. One at a time, for the queue may only be long.
                self.left_since_us = (patience_us == MAX_LEAVE_SLOW_US).then_some(since_us);
                return None;
            }
            let recheck_at_us = match self.balancer.kick(rival, now_us) {
                KickOutcome::Send => {
                    poller::signal(self.kick_fds[rival]);
                    now_us + KICK_TIMEOUT_US
                }
                KickOutcome::Pending { recheck_at_us } => recheck_at_us,
                KickOutcome::Unresponsive => continue,
            };
            return Some(TurnEnd::Leave { until_us: recheck_at_us.min(patience_until_us) });
        }
    }

    fn back_off(&mut self, error: io::Error) {
        self.disarm();
        self.balancer.set_accept_paused(true);
        let now_us = monotonic_us();
        if self.silent_until_us <= now_us {
            self.silent_until_us = now_us + ERROR_INTERVAL_US;
            (self.on_error)(error);
        }
        self.pass_on();
        self.commands.is_exhausted.store(true, Relaxed);
        (self.on_shortage)();
        self.phase = AcceptPhase::Exhausted { until_us: now_us + self.backoff_ms * 1_000 };
        self.backoff_ms = (self.backoff_ms * 2).min(MAX_BACKOFF_MS);
    }

    fn close(&mut self, which: impl Fn(&Listener) -> bool) {
        self.disarm();
        self.pass_on();
        self.listeners.retain(|listener| !which(listener));
        self.settle();
    }

    /// Wakes another worker for what is in the queues: this one may have been the only one that was woken
    /// for it.
    fn pass_on(&self) {
        let listeners = self.listeners.iter().map(|listener| &listener.fd);
        if self.kick_fds.is_empty() || !poller::any_pending(listeners) {
            return;
        }
        if let Some(other) = self.balancer.least_loaded_other()
            && self.balancer.kick(other, monotonic_us()) == KickOutcome::Send
        {
            poller::signal(self.kick_fds[other]);
        }
    }

    /// Brings the phase in line with pause and listeners after either has changed.
    fn settle(&mut self) {
        if self.paused || self.listeners.is_empty() {
            self.disarm();
            self.balancer.set_accept_paused(true);
            self.left_since_us = None;
        } else if self.phase == AcceptPhase::Idle {
            self.arm();
        }
    }

    fn arm(&mut self) {
        if self.phase == AcceptPhase::Armed {
            return;
        }
        self.commands.is_exhausted.store(false, Relaxed);
        self.balancer.set_accept_paused(false);
        self.phase = AcceptPhase::Armed;
        for listener in &self.listeners {
            if let Err(error) = self.poller.arm(&listener.fd) {
                return self.back_off(error);
            }
        }
    }

    fn disarm(&mut self) {
        if self.phase == AcceptPhase::Armed {
            self.listeners.iter().for_each(|listener| self.poller.disarm(&listener.fd));
        }
        self.phase = AcceptPhase::Idle;
    }
}

impl Drop for AcceptLoop {
    /// Nobody shall wait for this thread any more.
    fn drop(&mut self) {
        self.close(|_| true);
        self.commands.close();
    }
}

/// Connections accepted before the I/O thread hears of them.
const MAX_BATCH_CONNECTIONS: usize = 32;

/// How long a worker that is ahead leaves a connection to those that are not.
const MAX_LEAVE_AHEAD_US: u64 = 20_000;

/// The same for a worker whose JavaScript does not keep up.
const MAX_LEAVE_SLOW_US: u64 = 100_000;

/// The longest wait without a look into the queues.
const MAX_WAIT_US: u64 = 1_000_000;

/// A series of failures is told at most so often.
const ERROR_INTERVAL_US: u64 = 10_000_000;

/// Pauses for want of descriptors or memory double from the one to the other.
const MIN_BACKOFF_MS: u64 = 50;
const MAX_BACKOFF_MS: u64 = 1_000;
