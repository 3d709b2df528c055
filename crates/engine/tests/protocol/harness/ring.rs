//! JavaScript's end of the ring, as `ts/engine/native/ring.ts` writes it, and the commands in it.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use monoceros_engine::bridge::ring::Ring;
pub use monoceros_engine::bridge::wire::head_flag::{
    CHUNKED, CHUNKED_SILENT, CLOSE, CONNECTION, DATE, DISCARDS, LENGTH, NO_BODY,
};
use monoceros_engine::bridge::wire::{
    NO_REASON, RING_DATA_AT, RING_FLAGS_SHIFT, RING_RECORD_BYTES, RING_STATUS_SHIFT, loop_state,
    ring_flag, ring_record, ring_word,
};
use monoceros_engine::server::io_thread::IoThread;

/// What JavaScript can do: write into the ring, put large pieces beside it, wake the I/O thread.
pub struct Js {
    // This field is first, so that the I/O thread is joined before the memory is freed.
    pub io: IoThread,
    memory: Memory,
    tail: u32,
    woken: u32,
}

/// Zeroed memory for a ring of `size` bytes, aligned to words of eight.
pub struct Memory {
    start: *mut u8,
    size: usize,
}

impl Memory {
    pub fn new(size: usize) -> Self {
        let words = vec![0u64; (RING_DATA_AT + size) / 8].into_boxed_slice();
        Self { start: Box::into_raw(words).cast(), size }
    }

    /// The reading end for the engine.
    pub fn ring(&self) -> Ring {
        // SAFETY: the memory is zeroed and aligned. Drop frees it after the I/O thread has been
        // joined (the order in `Js`).
        unsafe { Ring::new(self.start, RING_DATA_AT + self.size) }
            .expect("the size is a power of two")
    }

    pub fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < RING_DATA_AT / 4);
        // SAFETY: inside the header and aligned; only ever touched atomically.
        unsafe { AtomicU32::from_ptr(self.start.cast::<u32>().add(index)) }
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.size);
        // SAFETY: the target is inside the data. The engine reads it only after the tail has been
        // published. `reserve` has waited until the engine's head had passed the previous bytes
        // here.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.start.add(RING_DATA_AT + at),
                bytes.len(),
            );
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let words = (RING_DATA_AT + self.size) / 8;
        // SAFETY: what `new` made with this length.
        drop(unsafe {
            Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.start.cast::<u64>(), words))
        });
    }
}

impl Js {
    pub fn new(io: IoThread, memory: Memory) -> Self {
        Self { io, memory, tail: 0, woken: 0 }
    }

    /// Head, whole body and end in one record.
    pub fn respond(&mut self, id: u32, status: u16, fields: &str, flags: u8, body: &[u8]) {
        self.record(
            ring_record::RESPOND,
            flags,
            status,
            id,
            &[fields.as_bytes(), body],
            [NO_REASON, body.len() as u32],
        );
    }

    /// Sends a whole response to a request whose body may still arrive, in three records.
    pub fn respond_early(&mut self, id: u32, status: u16, fields: &str, flags: u8, body: &[u8]) {
        self.head_with_length(id, status, fields, flags, body.len() as u32);
        self.data(id, body);
        self.end(id, true);
    }

    /// Sends the usual response: `body` with its length, on a connection that stays open if the
    /// client allows it.
    pub fn reply(&mut self, id: u32, body: impl AsRef<[u8]>) {
        self.respond(id, 200, "", CONNECTION | LENGTH, body.as_ref());
    }

    pub fn head(&mut self, id: u32, status: u16, fields: &str, flags: u8) {
        self.head_with_length(id, status, fields, flags, 0);
    }

    pub fn head_with_length(&mut self, id: u32, status: u16, fields: &str, flags: u8, length: u32) {
        self.record(
            ring_record::HEAD,
            flags,
            status,
            id,
            &[fields.as_bytes()],
            [NO_REASON, length],
        );
    }

    pub fn head_with_reason(&mut self, id: u32, status: u16, reason: &str, flags: u8) {
        self.record(
            ring_record::HEAD,
            flags,
            status,
            id,
            &[b"", reason.as_bytes()],
            [reason.len() as u32, 0],
        );
    }

    pub fn inform(&mut self, id: u32, status: u16, fields: &str) {
        self.record(ring_record::INTERIM, 0, status, id, &[fields.as_bytes()], [NO_REASON, 0]);
    }

    pub fn data(&mut self, id: u32, bytes: &[u8]) {
        self.record(ring_record::DATA, 0, 0, id, &[bytes], [0, 0]);
    }

    pub fn large(&mut self, id: u32, bytes: impl AsRef<[u8]>) {
        self.io.push_large(bytes.as_ref());
        self.command(ring_record::LARGE, 0, id, 0);
    }

    /// Lends the engine bytes whose owner reports when they are dropped.
    pub fn lend(&mut self, id: u32, bytes: impl AsRef<[u8]> + Send + 'static) {
        self.io.push_borrowed(Bytes::from_owner(bytes));
        self.command(ring_record::LARGE, ring_flag::BORROWED, id, 0);
    }

    pub fn trailers(&mut self, id: u32, fields: &str) {
        self.record(ring_record::TRAILERS, 0, 0, id, &[fields.as_bytes()], [0, 0]);
    }

    /// Ends the response; `discard` discards the rest of the request's body.
    pub fn end(&mut self, id: u32, discard: bool) {
        self.command(ring_record::END, flag(discard, ring_flag::DISCARD_BODY), id, 0);
    }

    pub fn reset(&mut self, id: u32) {
        self.command(ring_record::RESET, 0, id, 0);
    }

    pub fn credit(&mut self, id: u32, bytes: usize) {
        self.command(ring_record::CREDIT, 0, id, bytes as u32);
    }

    /// Takes over the connection of a request that asks for an upgrade, or makes it an ordinary
    /// request.
    pub fn tunnel(&mut self, id: u32, taken: bool) {
        self.command(ring_record::TUNNEL, flag(taken, ring_flag::TAKEN_OVER), id, 0);
    }

    pub fn notify(&mut self, id: u32) {
        self.command(ring_record::NOTIFY, 0, id, 0);
    }

    /// JavaScript buffers this many bytes of the response.
    pub fn held(&mut self, id: u32, bytes: u32) {
        self.command(ring_record::UNSENT, 0, id, bytes);
    }

    /// Closes the connection with this id.
    pub fn destroy(&mut self, connection: u32) {
        self.command(ring_record::ABORT, 0, connection, 0);
    }

    /// Wakes the I/O thread if it sleeps and no wake has covered the newest records.
    pub fn wake(&mut self) {
        if self.woken == self.tail {
            return;
        }
        self.woken = self.tail;
        if self.memory.word(ring_word::LOOP_STATE).load(Ordering::SeqCst)
            != u32::from(loop_state::RUNNING)
        {
            self.io.wake();
        }
    }

    /// The batch that was taken is done.
    pub fn end_batch(&mut self) {
        self.wake();
        self.memory.word(ring_word::BATCH).store(0, Ordering::SeqCst);
    }

    fn command(&mut self, kind: u8, flags: u8, id: u32, count: u32) {
        self.record(kind, flags, 0, id, &[], [0, count]);
    }

    /// Writes one record; `a` is the length of the first part of the payload.
    fn record(
        &mut self,
        kind: u8,
        flags: u8,
        status: u16,
        id: u32,
        payload: &[&[u8]],
        [b, c]: [u32; 2],
    ) {
        let first = u32::from(kind)
            | u32::from(flags) << RING_FLAGS_SHIFT
            | u32::from(status) << RING_STATUS_SHIFT;
        let a = payload.first().map_or(0, |part| part.len() as u32);
        let mut bytes = Vec::new();
        for word in [first, id, a, b, c] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for part in payload {
            bytes.extend_from_slice(part);
        }
        assert!(bytes.len() >= RING_RECORD_BYTES);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let at = self.reserve(bytes.len());
        self.memory.write(at, &bytes);
        self.tail = self.tail.wrapping_add(bytes.len() as u32);
        self.memory.word(ring_word::TAIL).store(self.tail, Ordering::SeqCst);
        if self.tail.wrapping_sub(self.woken) >= WAKE_BYTES {
            self.wake();
        }
    }

    /// Finds room for a record in one piece, beyond padding if the end of the memory is too near.
    fn reserve(&mut self, count: usize) -> usize {
        let size = self.memory.size;
        let at = self.tail as usize & (size - 1);
        let pad = if at + count > size { size - at } else { 0 };
        let free = |js: &Self| {
            let head = js.memory.word(ring_word::HEAD).load(Ordering::SeqCst);
            size - js.tail.wrapping_sub(head) as usize
        };
        while free(self) < count + pad {
            self.io.wait_for_space().expect("the I/O thread reads on");
        }
        if pad == 0 {
            return at;
        }
        self.memory.write(at, &[ring_record::PAD, 0, 0, 0]);
        self.tail = self.tail.wrapping_add(pad as u32);
        0
    }
}

fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

/// Number of bytes that no wake has covered at which the I/O thread is woken.
const WAKE_BYTES: u32 = 65_536;
