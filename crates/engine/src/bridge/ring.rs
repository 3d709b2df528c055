//! The ring: memory in which JavaScript writes its answers and the I/O thread reads them, without a call a record.
//!
//! JavaScript owns the memory and keeps it alive until the I/O thread has been joined. It writes a record, publishes
//! the tail atomically, and wakes the I/O thread only when that sleeps. The layout, in 32-bit words:
//!
//! | word | who writes | what |
//! |---|---|---|
//! | [`TAIL`] | JavaScript | bytes written since the start, wrapping |
//! | [`BATCH`] | both | 1 while JavaScript works on a batch |
//! | [`HEAD`] | I/O thread | bytes read since the start, wrapping |
//! | [`SLEEPING`] | I/O thread | 1 while it waits for the operating system |
//! | [`WINDOW`] | I/O thread | bytes of one answer that it takes ahead of the client |
//!
//! Records follow from [`DATA`] on, each five words and its bytes, padded to a word, never broken at the end.
#![allow(unsafe_code, reason = "memory shared with JavaScript has no safe type")]

use std::sync::atomic::{AtomicU32, Ordering};

/// Word of the write position.
pub const TAIL: usize = 0;
/// Word that tells whether JavaScript works on a batch.
pub const BATCH: usize = 1;
/// Word of the read position, in a cache line of its own.
pub const HEAD: usize = 16;
/// Word that tells whether a wake is needed.
pub const SLEEPING: usize = 32;
/// Word of the bytes that JavaScript may hand over of one answer before they are sent.
pub const WINDOW: usize = 33;
/// Byte at which the records begin.
pub const DATA: usize = 256;
/// Bytes of a record before its payload.
pub const RECORD: usize = 20;

/// The flags of a head, as JavaScript gives them (`ts/engine/exchange.ts` says what each means).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeadFlags(u8);

impl HeadFlags {
    /// Flags from their bits.
    #[must_use]
    pub fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// Add `Date`.
    #[must_use]
    pub fn date(self) -> bool {
        self.0 & 1 != 0
    }

    /// Add `Connection` and `Keep-Alive`.
    #[must_use]
    pub fn connection(self) -> bool {
        self.0 & 2 != 0
    }

    /// Add `Content-Length`.
    #[must_use]
    pub fn length(self) -> bool {
        self.0 & 4 != 0
    }

    /// Add `Transfer-Encoding: chunked`.
    #[must_use]
    pub fn chunked(self) -> bool {
        self.0 & 8 != 0
    }

    /// Frame the body in chunks, with or without adding the field.
    #[must_use]
    pub fn frames_chunks(self) -> bool {
        self.0 & 0x18 != 0
    }

    /// End the connection after this exchange.
    #[must_use]
    pub fn close(self) -> bool {
        self.0 & 32 != 0
    }

    /// The answer has no body whatever is written (HEAD, 204, 304).
    #[must_use]
    pub fn no_body(self) -> bool {
        self.0 & 64 != 0
    }

    /// What is left of the request's body will not be read.
    #[must_use]
    pub fn discards(self) -> bool {
        self.0 & 128 != 0
    }
}

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// Status code.
    pub status: u16,
    /// Reason phrase; the default one of the status where there is none.
    pub reason: Option<&'a [u8]>,
    /// `Name: value` lines, each ended by CRLF.
    pub fields: &'a [u8],
    /// What the engine adds and how the body is framed.
    pub flags: HeadFlags,
}

/// An option of a connection's socket, as `setNoDelay` and `setKeepAlive` of node's sockets set it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SocketOption {
    /// `TCP_NODELAY`.
    NoDelay(bool),
    /// `SO_KEEPALIVE`, with the seconds before the first probe; 0 leaves the system's.
    KeepAlive(bool, u32),
}

impl SocketOption {
    fn read(flags: u8, count: u32) -> Self {
        let on = flags & 1 != 0;
        if flags & 2 == 0 { Self::NoDelay(on) } else { Self::KeepAlive(on, count) }
    }
}

/// What JavaScript says of an exchange or a connection.
#[derive(Debug)]
pub enum RingCommand<'a> {
    /// Credit for so many further bytes of request body.
    Credit(u32),
    /// The program's own answer to what was refused on the connection with this id.
    RawResponse {
        /// Bytes as they are.
        bytes: &'a [u8],
        /// Nothing follows.
        end: bool,
    },
    /// Body bytes.
    Data(&'a [u8]),
    /// Close the connection with this id.
    Abort {
        /// The client is to get a reset.
        reset: bool,
    },
    /// Close the connection with this id behind what has been written on it.
    Close,
    /// The answer is complete; the flag says whether the rest of the request body is unwanted.
    End {
        /// Throw the rest of the request body away.
        discard: bool,
    },
    /// A final head; `length` is the body's where the flags ask for the field.
    Head(ResponseHead<'a>, u32),
    /// An interim response.
    Interim(ResponseHead<'a>),
    /// The next piece of the large queue is body of this exchange.
    Large {
        /// It is JavaScript's own memory.
        borrowed: bool,
    },
    /// Tell when everything written so far has been sent.
    Notify,
    /// JavaScript holds so many bytes of the answer, beside what it has handed over.
    Unsent(u32),
    /// What the application wants of the kernel's socket of the connection with this id.
    SocketOption(SocketOption),
    /// Cut the connection: the answer cannot be completed.
    Reset,
    /// Head, whole body and end.
    Respond(ResponseHead<'a>, &'a [u8]),
    /// Whether JavaScript takes the connection over, whose request asks for an upgrade.
    Tunnel {
        /// From here on the exchange carries bytes; else it is an ordinary request.
        taken: bool,
    },
    /// Trailer fields for the end of a chunked answer.
    Trailers(&'a [u8]),
}

/// The reading end.
pub struct Ring {
    memory: *mut u8,
    size: u32,
}

// SAFETY: the words are only touched atomically; the bytes of a record are written before the tail that covers them
// is published (release) and not written again before the head has passed them.
unsafe impl Send for Ring {}
// SAFETY: as above; only the I/O thread calls `drain`.
unsafe impl Sync for Ring {}

impl Ring {
    /// Takes the memory of `len` bytes at `memory`; `len - DATA` must be a power of two.
    ///
    /// # Safety
    ///
    /// The memory must be zeroed, aligned to 8 bytes, and stay valid as long as the ring is used.
    #[must_use]
    pub unsafe fn new(memory: *mut u8, len: usize) -> Option<Self> {
        let size = len.checked_sub(DATA)?;
        let fits = size.is_power_of_two() && size <= 1 << 30 && (memory as usize).is_multiple_of(8);
        fits.then_some(Self { memory, size: size as u32 })
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        debug_assert!(index < DATA / 4);
        // SAFETY: inside the header, aligned by `new`, and only ever touched atomically.
        unsafe { AtomicU32::from_ptr(self.memory.cast::<u32>().add(index)) }
    }

    /// Whether JavaScript has written what has not been read.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.word(TAIL).load(Ordering::SeqCst) != self.word(HEAD).load(Ordering::Relaxed)
    }

    /// Says whether the I/O thread sleeps and so needs a wake.
    pub fn set_sleeping(&self, sleeping: bool) {
        self.word(SLEEPING).store(u32::from(sleeping), Ordering::SeqCst);
    }

    /// Says how many bytes of an answer JavaScript may hand over before the client has taken them.
    pub fn set_window(&self, bytes: u32) {
        self.word(WINDOW).store(bytes, Ordering::Relaxed);
    }

    /// Whether JavaScript works on a batch.
    #[must_use]
    pub fn in_batch(&self) -> bool {
        self.word(BATCH).load(Ordering::Relaxed) == 1
    }

    /// Marks the begin of a batch.
    pub fn begin_batch(&self) {
        self.word(BATCH).store(1, Ordering::Relaxed);
    }

    /// How far the I/O thread has read.
    #[must_use]
    pub fn position(&self) -> u32 {
        self.word(HEAD).load(Ordering::Acquire)
    }

    /// Reads every published record.
    pub fn drain(&self, mut each: impl FnMut(u32, RingCommand<'_>)) {
        let tail = self.word(TAIL).load(Ordering::Acquire);
        let mut head = self.word(HEAD).load(Ordering::Relaxed);
        let mut released = head;
        while head != tail {
            let at = (head & (self.size - 1)) as usize;
            let published = tail.wrapping_sub(head);
            let length = (self.size as usize - at).min(published as usize);
            // SAFETY: `at` is inside the data, and so is the end; the bytes up to `tail` were published by JavaScript
            // and are not written before HEAD passes them.
            let rest = unsafe { std::slice::from_raw_parts(self.memory.add(DATA + at), length) };
            let taken = if published > self.size { None } else { record(rest, &mut each) };
            let Some(taken) = taken.filter(|&taken| taken <= length) else {
                // Only a fault of our own JavaScript can bring this about; skipping keeps the thread alive.
                self.word(HEAD).store(tail, Ordering::Release);
                return;
            };
            head = head.wrapping_add(taken as u32);
            if head.wrapping_sub(released) > RELEASE_EVERY {
                released = head;
                self.word(HEAD).store(head, Ordering::Release);
            }
        }
        self.word(HEAD).store(head, Ordering::Release);
    }
}

/// Hands one record over and returns its length; `None` when it makes no sense.
fn record(rest: &[u8], each: &mut impl FnMut(u32, RingCommand<'_>)) -> Option<usize> {
    let word = |index: usize| {
        let bytes = rest.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let first = word(0)?;
    let kind = first as u8;
    if kind == PAD {
        return Some(rest.len());
    }
    let (id, a, b, c) = (word(1)?, word(2)?, word(3)?, word(4)?);
    let (status, flags) = ((first >> 16) as u16, (first >> 8) as u8);
    let take = |from: usize, len: u32| rest.get(from..from.checked_add(len as usize)?);
    let reason_len = if b == NO_REASON { 0 } else { b };
    let fields = take(RECORD, a)?;
    let reason = take(RECORD + a as usize, reason_len)?;
    let head = ResponseHead {
        status,
        reason: (b != NO_REASON).then_some(reason),
        fields,
        flags: HeadFlags::new(flags),
    };
    let mut payload = a as usize + reason_len as usize;
    match kind {
        RESPOND => {
            let body = take(RECORD + payload, c)?;
            payload += body.len();
            each(id, RingCommand::Respond(head, body));
        }
        HEAD_RECORD => each(id, RingCommand::Head(head, c)),
        INFORM => each(id, RingCommand::Interim(head)),
        DATA_RECORD => each(id, RingCommand::Data(fields)),
        LARGE => each(id, RingCommand::Large { borrowed: flags & 1 != 0 }),
        TRAILERS => each(id, RingCommand::Trailers(fields)),
        END => each(id, RingCommand::End { discard: flags & 1 != 0 }),
        RESET => each(id, RingCommand::Reset),
        CREDIT => each(id, RingCommand::Credit(c)),
        NOTIFY => each(id, RingCommand::Notify),
        DESTROY => each(id, RingCommand::Abort { reset: flags & 1 != 0 }),
        SOCKET => each(id, RingCommand::SocketOption(SocketOption::read(flags, c))),
        HELD => each(id, RingCommand::Unsent(c)),
        ANSWER => each(id, RingCommand::RawResponse { bytes: fields, end: flags & 1 != 0 }),
        TUNNEL => each(id, RingCommand::Tunnel { taken: flags & 1 != 0 }),
        LEAVE => each(id, RingCommand::Close),
        _ => return None,
    }
    Some((RECORD + payload).next_multiple_of(4))
}

/// Space is given back to JavaScript at least after so many bytes.
const RELEASE_EVERY: u32 = 65_536;
const NO_REASON: u32 = u32::MAX;
// The kinds of records; `ts/engine/native/wire.ts` has the same list.
const PAD: u8 = 0;
const RESPOND: u8 = 1;
const HEAD_RECORD: u8 = 2;
const INFORM: u8 = 3;
const DATA_RECORD: u8 = 4;
const LARGE: u8 = 5;
const TRAILERS: u8 = 6;
const END: u8 = 7;
const RESET: u8 = 8;
const CREDIT: u8 = 9;
const NOTIFY: u8 = 10;
const DESTROY: u8 = 11;
const TUNNEL: u8 = 12;
const SOCKET: u8 = 13;
const HELD: u8 = 14;
const ANSWER: u8 = 15;
const LEAVE: u8 = 16;
