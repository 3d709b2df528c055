//! The acceptor's thread: wait, take what the gate allows, hand it over; nothing else.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::accept::{Outcome, accept};
use super::balancer::{ANSWER_US, Gate, Kick, Verdict, stands_still};
use super::poller::{self, Poller, Ready};
use super::{Accepted, AcceptorOptions, Command, Mailbox};
use crate::runtime::thread_policy::use_batch_scheduling;
use crate::scoreboard::{SlotRef, monotonic_us};

/// All that the thread has.
pub(super) struct AcceptLoop {
    mailbox: Arc<Mailbox>,
    poller: Poller,
    slot: SlotRef,
    gate: Gate,
    /// Of all slots, in order; empty when there is no gate.
    kicks: Vec<RawFd>,
    listeners: Vec<Listener>,
    phase: Phase,
    paused: bool,
    /// Since when there has been a connection in a queue that we leave to others.
    left_since_us: Option<u64>,
    /// Until then nothing is said of such a failure.
    told_until_us: u64,
    /// The pause after the next failure for want of descriptors or memory.
    backoff_ms: u64,
    /// Where to begin looking, so that a busy listener does not starve the others.
    first: usize,
    accepted: Box<dyn Fn(Vec<Accepted>) + Send>,
    on_orphaned: Box<dyn Fn() + Send>,
    on_trouble: Box<dyn Fn(io::Error) + Send>,
    on_shortage: Box<dyn Fn() + Send>,
}

struct Listener {
    fd: OwnedFd,
    tag: u32,
    secure: bool,
    /// Connections taken from it.
    accepted: u64,
}

/// How the thread stands to its listeners.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
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
enum End {
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
        mailbox: Arc<Mailbox>,
        accepted: Box<dyn Fn(Vec<Accepted>) + Send>,
    ) -> io::Result<Self> {
        let kicks = options.seat.map(|seat| seat.kicks).unwrap_or_default();
        if !kicks.is_empty() && kicks.len() != slot.board().slots() as usize {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "each slot needs one kick"));
        }
        let own_kick = kicks.get(slot.index()).map(|fd| poller::copy(*fd)).transpose()?;
        let lifeline = options.lifeline.map(poller::copy).transpose()?;
        let gate = Gate::new(slot.clone(), options.max_busy, stands_still);
        gate.hold(true);
        Ok(Self {
            mailbox,
            poller: Poller::new(woken, own_kick, lifeline)?,
            slot,
            gate,
            kicks,
            listeners: Vec::new(),
            phase: Phase::Idle,
            paused: false,
            left_since_us: None,
            told_until_us: 0,
            backoff_ms: BACKOFF_MIN_MS,
            first: 0,
            accepted,
            on_orphaned: options.on_orphaned,
            on_trouble: options.on_trouble,
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
                Err(error) => return (self.on_trouble)(error),
            };
            self.gate.answer();
            if ready.commands && !self.obey() {
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
            Phase::Armed => Some(BACKSTOP_US),
            Phase::Idle => None,
            Phase::Leaving { until_us } | Phase::Exhausted { until_us } => {
                Some(until_us.saturating_sub(monotonic_us()))
            }
        };
        // Rounded up, else the last part of a millisecond would be spent spinning.
        let timeout_ms = timeout_us.map(|us| i32::try_from(us.div_ceil(1_000)).unwrap_or(i32::MAX));
        let armed = self.phase == Phase::Armed;
        self.poller.wait(timeout_ms, self.listeners.iter().filter(|_| armed).map(|each| &each.fd))
    }

    /// Whether it is time to look into the queues. A kick also ends a wait for others.
    fn due(&self) -> bool {
        match self.phase {
            Phase::Armed | Phase::Leaving { .. } => true,
            Phase::Exhausted { until_us } => {
                monotonic_us() >= until_us || !self.mailbox.exhausted.load(Relaxed)
            }
            Phase::Idle => false,
        }
    }

    /// Carries out commands. Returns whether to go on.
    fn obey(&mut self) -> bool {
        while let Some(letter) = self.mailbox.take() {
            let mut answer = 0;
            match letter.command {
                Command::Add(fd, tag, secure) => {
                    self.disarm();
                    self.listeners.push(Listener { fd, tag, secure, accepted: 0 });
                }
                Command::CloseListeners => self.close(|_| true),
                Command::Pause => {
                    self.paused = true;
                    self.pass_on();
                }
                Command::Remove(tag) => {
                    let of_tag = self.listeners.iter().filter(|listener| listener.tag == tag);
                    answer = of_tag.map(|listener| listener.accepted).sum();
                    self.close(|listener| listener.tag == tag);
                }
                Command::Resume => self.paused = false,
                Command::Stop => return false,
            }
            self.settle();
            // Whoever does not wait for it has dropped the other end.
            let _ = letter.done.send(answer);
        }
        true
    }

    /// One turn of taking. Returns whether there may be more at once.
    fn turn(&mut self) -> bool {
        let mut batch = Vec::new();
        let end = self.take(&mut batch);
        if !batch.is_empty() {
            self.backoff_ms = BACKOFF_MIN_MS;
            (self.accepted)(batch);
        }
        match end {
            End::Empty => self.arm(),
            End::Full => {
                self.arm();
                return true;
            }
            End::Leave { until_us } => {
                self.disarm();
                self.gate.hold(false);
                self.phase = Phase::Leaving { until_us };
            }
            End::Exhausted(error) => self.back_off(error),
            End::Dead(index, error) => {
                self.disarm();
                self.listeners.remove(index);
                self.settle();
                (self.on_trouble)(error);
                return true;
            }
        }
        false
    }

    fn take(&mut self, batch: &mut Vec<Accepted>) -> End {
        let count = self.listeners.len();
        self.first = self.first.wrapping_add(1);
        let (mut empty, mut lost) = (0, 0);
        while empty < count {
            if batch.len() >= BATCH {
                return End::Full;
            }
            let index = (self.first + empty) % count;
            // An accept that finds nothing makes a socket and a file first, and takes both back: four times what it
            // costs to ask.
            if !poller::any_pending(std::iter::once(&self.listeners[index].fd)) {
                empty += 1;
                continue;
            }
            if let Some(end) = self.ask_gate() {
                return end;
            }
            let Listener { fd, tag, secure, accepted } = &mut self.listeners[index];
            match accept(fd) {
                Outcome::Connection(fd, peer) => {
                    *accepted += 1;
                    // Before the next decision, here and in all other processes.
                    self.slot.connection_opened();
                    batch.push(Accepted { fd, tag: *tag, secure: *secure, peer });
                }
                // Another worker was quicker.
                Outcome::Empty => empty += 1,
                Outcome::Lost(error) if lost >= BATCH => return End::Exhausted(error),
                Outcome::Lost(_) => lost += 1,
                Outcome::Exhausted(error) => return End::Exhausted(error),
                Outcome::Dead(error) => return End::Dead(index, error),
            }
        }
        End::Empty
    }

    /// Whether to leave the next connection, if there is one, and until when. `None`: take it.
    fn ask_gate(&mut self) -> Option<End> {
        if self.kicks.is_empty() {
            return None;
        }
        loop {
            let now_us = monotonic_us();
            let (rival, patience_us) = match self.gate.decide(now_us) {
                Verdict::Take => {
                    self.left_since_us = None;
                    return None;
                }
                Verdict::Ahead(rival) => (rival, AHEAD_US),
                Verdict::Slow(rival) => (rival, SLOW_US),
            };
            if !poller::any_pending(self.listeners.iter().map(|listener| &listener.fd)) {
                self.left_since_us = None;
                return Some(End::Empty);
            }
            let since_us = *self.left_since_us.get_or_insert(now_us);
            let patience_until_us = since_us + patience_us;
            if now_us >= patience_until_us {
                // Nobody came although somebody could: whatever the reason, no connection waits for
                // ever. One at a time, for the queue may only be long.
                self.left_since_us = (patience_us == SLOW_US).then_some(since_us);
                return None;
            }
            let look_us = match self.gate.kick(rival, now_us) {
                Kick::Send => {
                    poller::signal(self.kicks[rival]);
                    now_us + ANSWER_US
                }
                Kick::Sent { look_us } => look_us,
                Kick::Suspect => continue,
            };
            return Some(End::Leave { until_us: look_us.min(patience_until_us) });
        }
    }

    fn back_off(&mut self, error: io::Error) {
        self.disarm();
        self.gate.hold(true);
        let now_us = monotonic_us();
        if self.told_until_us <= now_us {
            self.told_until_us = now_us + TELL_US;
            (self.on_trouble)(error);
        }
        self.pass_on();
        self.mailbox.exhausted.store(true, Relaxed);
        (self.on_shortage)();
        self.phase = Phase::Exhausted { until_us: now_us + self.backoff_ms * 1_000 };
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MAX_MS);
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
        if self.kicks.is_empty() || !poller::any_pending(listeners) {
            return;
        }
        if let Some(other) = self.gate.other()
            && self.gate.kick(other, monotonic_us()) == Kick::Send
        {
            poller::signal(self.kicks[other]);
        }
    }

    /// Brings the phase in line with pause and listeners after either has changed.
    fn settle(&mut self) {
        if self.paused || self.listeners.is_empty() {
            self.disarm();
            self.gate.hold(true);
            self.left_since_us = None;
        } else if self.phase == Phase::Idle {
            self.arm();
        }
    }

    fn arm(&mut self) {
        if self.phase == Phase::Armed {
            return;
        }
        self.mailbox.exhausted.store(false, Relaxed);
        self.gate.hold(false);
        self.phase = Phase::Armed;
        for listener in &self.listeners {
            if let Err(error) = self.poller.arm(&listener.fd) {
                return self.back_off(error);
            }
        }
    }

    fn disarm(&mut self) {
        if self.phase == Phase::Armed {
            self.listeners.iter().for_each(|listener| self.poller.disarm(&listener.fd));
        }
        self.phase = Phase::Idle;
    }
}

impl Drop for AcceptLoop {
    /// Nobody shall wait for this thread any more.
    fn drop(&mut self) {
        self.close(|_| true);
        self.mailbox.close();
    }
}

/// Connections accepted before the I/O thread hears of them.
const BATCH: usize = 32;

/// How long a worker that is ahead leaves a connection to those that are not.
const AHEAD_US: u64 = 20_000;

/// The same for a worker whose JavaScript does not keep up.
const SLOW_US: u64 = 100_000;

/// The longest wait without a look into the queues.
const BACKSTOP_US: u64 = 1_000_000;

/// A series of failures is told at most so often.
const TELL_US: u64 = 10_000_000;

/// Pauses for want of descriptors or memory double from the one to the other.
const BACKOFF_MIN_MS: u64 = 50;
const BACKOFF_MAX_MS: u64 = 1_000;
