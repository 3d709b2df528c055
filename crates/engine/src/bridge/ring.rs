//! The ring: memory in which JavaScript writes responses and which the I/O thread reads, without a
//! call for each record.
//!
//! JavaScript owns the memory and keeps it alive until the I/O thread has been joined. It writes a
//! record, publishes the tail atomically, and wakes the I/O thread only while that sleeps. The
//! header is described in [`ring_word`]. Records follow from [`RING_DATA_AT`] on, each five words
//! and its payload, padded to a word and never split at the end of the memory.
#![allow(unsafe_code, reason = "memory shared with JavaScript has no safe type")]

use std::sync::atomic::{AtomicU32, Ordering};

use crate::bridge::wire::{
    NO_REASON, RING_COUNT_WORD, RING_DATA_AT, RING_FIELDS_WORD, RING_FLAGS_SHIFT, RING_ID_WORD,
    RING_REASON_WORD, RING_RECORD_BYTES, RING_STATUS_SHIFT, head_flag, ring_flag, ring_record,
    ring_word,
};

/// The flags of a response head, as JavaScript sets them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeadFlags(u8);

impl HeadFlags {
    /// Makes flags from the bits of [`head_flag`].
    #[must_use]
    pub fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether to add `Date`.
    #[must_use]
    pub fn adds_date(self) -> bool {
        self.has(head_flag::DATE)
    }

    /// Whether to add `Connection` and `Keep-Alive`.
    #[must_use]
    pub fn adds_connection(self) -> bool {
        self.has(head_flag::CONNECTION)
    }

    /// Whether to add `Content-Length`.
    #[must_use]
    pub fn adds_length(self) -> bool {
        self.has(head_flag::LENGTH)
    }

    /// Whether to add `Transfer-Encoding: chunked`.
    #[must_use]
    pub fn adds_chunked(self) -> bool {
        self.has(head_flag::CHUNKED)
    }

    /// Whether to send the body in chunks, with or without adding the field.
    #[must_use]
    pub fn sends_chunks(self) -> bool {
        self.has(head_flag::CHUNKED | head_flag::CHUNKED_SILENT)
    }

    /// Whether to close the connection after this exchange.
    #[must_use]
    pub fn closes(self) -> bool {
        self.has(head_flag::CLOSE)
    }

    /// Whether the response has no body, whatever is written (HEAD, 204, 304).
    #[must_use]
    pub fn has_no_body(self) -> bool {
        self.has(head_flag::NO_BODY)
    }

    /// Whether the rest of the request body is not read.
    #[must_use]
    pub fn discards_request_body(self) -> bool {
        self.has(head_flag::DISCARDS)
    }

    fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// The reason phrase; `None` for the default phrase of the status code.
    pub reason: Option<&'a [u8]>,
    /// `Name: value` lines, each with its CRLF.
    pub fields: &'a [u8],
    /// What the engine adds, and how the body is framed.
    pub flags: HeadFlags,
}

/// An option of a connection's socket, as `setNoDelay` and `setKeepAlive` of Node's sockets set it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SocketOption {
    /// `TCP_NODELAY`.
    NoDelay(bool),
    /// `SO_KEEPALIVE`, and the seconds before the first probe; 0 keeps the system's default.
    KeepAlive(bool, u32),
}

impl SocketOption {
    fn read(flags: u8, seconds: u32) -> Self {
        let on = flags & ring_flag::ON != 0;
        if flags & ring_flag::KEEP_ALIVE == 0 {
            Self::NoDelay(on)
        } else {
            Self::KeepAlive(on, seconds)
        }
    }
}

/// A record of the ring: what JavaScript wants for an exchange or a connection.
#[derive(Debug)]
pub enum RingCommand<'a> {
    /// Permits this many more bytes of the request body.
    Credit(u32),
    /// Sends the application's own response to a request that the engine refused. The id is that of
    /// the connection.
    RawResponse {
        /// The bytes to send.
        bytes: &'a [u8],
        /// No more bytes follow.
        end: bool,
    },
    /// Body bytes.
    Data(&'a [u8]),
    /// Aborts the connection with this id.
    Abort {
        /// Sends a TCP reset to the client.
        reset: bool,
    },
    /// Closes the connection with this id after everything that has been written to it.
    Close,
    /// Completes the response.
    End {
        /// Discards the rest of the request body.
        discard: bool,
    },
    /// A final head, and the length of the body for `Content-Length`.
    Head(ResponseHead<'a>, u32),
    /// An interim (1xx) response.
    Interim(ResponseHead<'a>),
    /// The next buffer beside the ring is body of this response.
    Large {
        /// The buffer is borrowed from JavaScript.
        borrowed: bool,
    },
    /// Asks for a `DRAINED` event once everything written so far has been sent.
    Notify,
    /// JavaScript buffers this many response bytes, beyond those it has passed to the engine.
    Unsent(u32),
    /// Sets an option of the socket of the connection with this id.
    SocketOption(SocketOption),
    /// The response cannot be completed.
    Reset,
    /// A whole response: head, body and end.
    Respond(ResponseHead<'a>, &'a [u8]),
    /// Decides about a request that asks for an upgrade.
    Tunnel {
        /// The exchange carries bytes from now on; otherwise it is an ordinary request.
        taken: bool,
    },
    /// Trailer fields for the end of a chunked response.
    Trailers(&'a [u8]),
}

/// The reading end of the ring.
pub struct Ring {
    memory: *mut u8,
    size: u32,
}

// SAFETY: the words are only touched atomically. The bytes of a record are written before the tail
// that covers them is published (release), and not written again before the head has passed them.
unsafe impl Send for Ring {}
// SAFETY: as above; only the I/O thread calls `read_records`.
unsafe impl Sync for Ring {}

impl Ring {
    /// Uses the `len` bytes at `memory`. Returns `None` unless the length without the header is a
    /// power of two.
    ///
    /// # Safety
    ///
    /// The memory must be zeroed, aligned to 8 bytes, and stay valid as long as the ring is used.
    #[must_use]
    pub unsafe fn new(memory: *mut u8, len: usize) -> Option<Self> {
        let size = len.checked_sub(RING_DATA_AT)?;
        let fits =
            size.is_power_of_two() && size <= MAX_BYTES && (memory as usize).is_multiple_of(8);
        fits.then_some(Self { memory, size: size as u32 })
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        debug_assert!(index < RING_DATA_AT / 4);
        // SAFETY: inside the header, aligned by `new`, and only ever touched atomically.
        unsafe { AtomicU32::from_ptr(self.memory.cast::<u32>().add(index)) }
    }

    /// Returns whether JavaScript has written records that have not been read.
    #[must_use]
    pub fn has_unread_records(&self) -> bool {
        let tail = self.word(ring_word::TAIL).load(Ordering::SeqCst);
        tail != self.word(ring_word::HEAD).load(Ordering::Relaxed)
    }

    /// Publishes to JavaScript what it must do for the records that it writes: one of
    /// [`loop_state`](crate::bridge::wire::loop_state).
    pub fn set_loop_state(&self, state: u8) {
        self.word(ring_word::LOOP_STATE).store(u32::from(state), Ordering::SeqCst);
    }

    /// Publishes to JavaScript how many response bytes the engine buffers ahead of one client.
    pub fn set_response_buffer(&self, bytes: u32) {
        self.word(ring_word::RESPONSE_BUFFER).store(bytes, Ordering::Relaxed);
    }

    /// Returns whether JavaScript works on a batch of events.
    #[must_use]
    pub fn is_in_batch(&self) -> bool {
        self.word(ring_word::BATCH).load(Ordering::Relaxed) == 1
    }

    /// Marks the beginning of a batch; JavaScript marks its end.
    pub fn begin_batch(&self) {
        self.word(ring_word::BATCH).store(1, Ordering::Relaxed);
    }

    /// Returns how many bytes the I/O thread has read, wrapping.
    #[must_use]
    pub fn read_position(&self) -> u32 {
        self.word(ring_word::HEAD).load(Ordering::Acquire)
    }

    /// Reads every published record and passes it to `each` with its id.
    pub fn read_records(&self, mut each: impl FnMut(u32, RingCommand<'_>)) {
        let tail = self.word(ring_word::TAIL).load(Ordering::Acquire);
        let mut head = self.word(ring_word::HEAD).load(Ordering::Relaxed);
        let mut released = head;
        while head != tail {
            let at = (head & (self.size - 1)) as usize;
            let published = tail.wrapping_sub(head);
            let length = (self.size as usize - at).min(published as usize);
            // SAFETY: `at` is inside the data, and so is the end; the bytes up to `tail` were
            // published by JavaScript and are not written before HEAD passes them.
            let rest =
                unsafe { std::slice::from_raw_parts(self.memory.add(RING_DATA_AT + at), length) };
            let taken = if published > self.size { None } else { read_record(rest, &mut each) };
            let Some(taken) = taken.filter(|&taken| taken <= length) else {
                // Only a fault of our own JavaScript causes this. Skipping keeps the thread alive.
                self.word(ring_word::HEAD).store(tail, Ordering::Release);
                return;
            };
            head = head.wrapping_add(taken as u32);
            if head.wrapping_sub(released) > RELEASE_EVERY {
                released = head;
                self.word(ring_word::HEAD).store(head, Ordering::Release);
            }
        }
        self.word(ring_word::HEAD).store(head, Ordering::Release);
    }
}

/// Reads the record at the start of `rest` and returns its size; `None` for a malformed one.
fn read_record(rest: &[u8], each: &mut impl FnMut(u32, RingCommand<'_>)) -> Option<usize> {
    let word = |index: usize| {
        let bytes = rest.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let first = word(0)?;
    let kind = first as u8;
    if kind == ring_record::PAD {
        return Some(rest.len());
    }
    let (id, fields_len, reason_word, count) = (
        word(RING_ID_WORD)?,
        word(RING_FIELDS_WORD)?,
        word(RING_REASON_WORD)?,
        word(RING_COUNT_WORD)?,
    );
    let (status, flags) = ((first >> RING_STATUS_SHIFT) as u16, (first >> RING_FLAGS_SHIFT) as u8);
    let take = |from: usize, len: u32| rest.get(from..from.checked_add(len as usize)?);
    let has_reason = reason_word != NO_REASON;
    let reason_len = if has_reason { reason_word } else { 0 };
    let fields = take(RING_RECORD_BYTES, fields_len)?;
    let reason = take(RING_RECORD_BYTES + fields_len as usize, reason_len)?;
    let head = ResponseHead {
        status,
        reason: has_reason.then_some(reason),
        fields,
        flags: HeadFlags::new(flags),
    };
    let has = |flag: u8| flags & flag != 0;
    let mut payload = fields_len as usize + reason_len as usize;
    match kind {
        ring_record::RESPOND => {
            let body = take(RING_RECORD_BYTES + payload, count)?;
            payload += body.len();
            each(id, RingCommand::Respond(head, body));
        }
        ring_record::HEAD => each(id, RingCommand::Head(head, count)),
        ring_record::INTERIM => each(id, RingCommand::Interim(head)),
        ring_record::DATA => each(id, RingCommand::Data(fields)),
        ring_record::LARGE => {
            each(id, RingCommand::Large { borrowed: has(ring_flag::BORROWED) });
        }
        ring_record::TRAILERS => each(id, RingCommand::Trailers(fields)),
        ring_record::END => {
            each(id, RingCommand::End { discard: has(ring_flag::DISCARD_BODY) });
        }
        ring_record::RESET => each(id, RingCommand::Reset),
        ring_record::CREDIT => each(id, RingCommand::Credit(count)),
        ring_record::NOTIFY => each(id, RingCommand::Notify),
        ring_record::ABORT => {
            each(id, RingCommand::Abort { reset: has(ring_flag::SEND_RESET) });
        }
        ring_record::SOCKET_OPTION => {
            each(id, RingCommand::SocketOption(SocketOption::read(flags, count)));
        }
        ring_record::UNSENT => each(id, RingCommand::Unsent(count)),
        ring_record::RAW_RESPONSE => {
            each(id, RingCommand::RawResponse { bytes: fields, end: has(ring_flag::LAST) });
        }
        ring_record::TUNNEL => {
            each(id, RingCommand::Tunnel { taken: has(ring_flag::TAKEN_OVER) });
        }
        ring_record::CLOSE => each(id, RingCommand::Close),
        _ => return None,
    }
    Some((RING_RECORD_BYTES + payload).next_multiple_of(4))
}

/// Maximum size of the records in bytes.
const MAX_BYTES: usize = 1 << 30;
/// Maximum number of bytes to read before their space is returned to JavaScript.
const RELEASE_EVERY: u32 = 65_536;
