//! The sizes of reads, credits, windows, bursts and pools, in bytes. Each has the reason for its
//! value. What the operator sets is in `pressure/settings.rs`, what bounds attacks in
//! `pressure/limits.rs`.

// Reading.

/// Size of the buffer that all sockets of a loop are read into: maximum bytes of one read.
pub const READ_BYTES: usize = 65_536;
/// Maximum number of bytes to read ahead: of a body between the guard and JavaScript, and of
/// pipelined requests after the one in flight.
pub const READ_AHEAD: usize = 65_536;
/// An empty read buffer with more capacity than this is freed.
pub const MAX_RETAINED_READ_BUFFER_BYTES: usize = 4_096;

// Request bodies on their way to JavaScript.

/// Body bytes that may be on their way to JavaScript for one request, before JavaScript gives
/// credit for more. The least that each of many requests has.
pub const MIN_BODY_CREDIT: usize = 65_536;
/// The most that one request has while few requests stream a body: each batch of events costs two
/// thread switches, whatever its size.
pub const MAX_BODY_CREDIT: usize = 917_504;
/// Body bytes on their way to JavaScript for all requests together, as long as each has
/// [`MIN_BODY_CREDIT`].
pub const TOTAL_BODY_CREDIT: usize = 32 << 20;
/// Maximum size of a chunk of a streamed request body. A larger chunk would save little, a smaller
/// one would cost an event each.
pub const MAX_BODY_CHUNK: usize = 131_072;
/// Maximum size of a body chunk that is copied to JavaScript. A longer one is passed as a Buffer of
/// its own.
pub const SHORT_CHUNK: usize = 4_096;
/// Maximum memory that the free buffers of one pool hold.
pub const MAX_FREE_POOL_BYTES: usize = TOTAL_BODY_CREDIT;
/// Maximum capacity of a buffer that an empty batch of events keeps; a flood can make it larger.
pub const MAX_RETAINED_BATCH_BYTES: usize = 1 << 20;

// Responses.

/// Minimum of `response_buffer_size`, also while memory is short.
pub const MIN_RESPONSE_BUFFER: usize = 16_384;
/// Maximum of `response_buffer_size` and `request_buffer_size`.
pub const MAX_BUFFER: usize = 1 << 30;
/// Response bytes buffered ahead of all clients together, as long as each connection has
/// `response_buffer_size`.
pub const TOTAL_RESPONSE_BUFFER: usize = 4 << 20;
/// Multiple of `response_buffer_size` that one connection may have while few are slow.
pub const MAX_RESPONSE_BUFFER_FACTOR: usize = 4;
/// Size of the pooled buffers for pieces of responses: Node's streams read files in this size.
pub const RESPONSE_PIECE: usize = 65_536;
/// A shorter chunk of a response is copied: that costs less than a slice of its own.
pub const MIN_UNCOPIED_BYTES: usize = 4_096;
/// Maximum number of slices of one `writev(2)`.
pub const MAX_SLICES: usize = 16;
/// An empty tail of a write queue with more capacity than this is freed. A partly sent one is
/// compacted from this many sent bytes on.
pub const MAX_RETAINED_TAIL_BYTES: usize = 8_192;
/// Maximum bytes of a last write that is sent together with the close of the connection. A longer
/// write has already filled a TLS record.
pub const MAX_COALESCED_CLOSE_BYTES: usize = 16_384;
/// Response bytes that one round over all connections sends, as long as each sends [`MIN_BURST`].
/// Few numbers of connections divide it to a multiple of 64 KiB: see [`MAX_WRITE_BYTES`].
pub const TOTAL_BURST: usize = 64 * 122_880;
/// Minimum number of response bytes that one connection sends in a round.
pub const MIN_BURST: usize = 32_768;
/// Maximum number of response bytes that one connection sends in a round: one call can pass
/// megabytes to a socket.
pub const MAX_BURST: usize = 1 << 20;

// TLS.

/// Size of the first read. Most `ClientHello`s are shorter; the rest of a longer one is read later.
pub const FIRST_TLS_READ_BYTES: usize = 2_048;
/// Minimum space of a read: a smaller one would need many reads for a record.
pub const MIN_TLS_READ_BYTES: usize = 16_384;
/// Maximum number of unprocessed bytes of a handshake: rustls accepts messages of up to 64 KiB.
pub const MAX_HANDSHAKE_BYTES: usize = 81_920;
/// Number of unsent bytes of a TLS connection from which on no more input is read.
pub const MAX_PENDING_OUTPUT_BYTES: usize = 65_536;
/// An empty TLS buffer with more capacity than this is freed.
pub const MAX_RETAINED_TLS_BUFFER_BYTES: usize = 1_024;

// HTTP/2.

/// Size of the window of a connection, as a multiple of a stream's window.
pub const CONNECTION_WINDOW_STREAMS: u32 = 16;
/// Maximum size of a window (RFC 9113 section 6.9.1).
pub const MAX_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// Window updates below this size count as idle frames. Clients return window space in kilobytes.
pub const MIN_USEFUL_INCREMENT_BYTES: u32 = 256;
/// Maximum of unsent and expected response bytes of a connection; at this limit no further request
/// of it is admitted.
pub const MAX_EXPECTED_UNSENT_BYTES: usize = 2 << 20;
/// Maximum that one response counts, so that a large download does not block other requests.
pub const MAX_COUNTED_PER_STREAM_BYTES: usize = 1 << 20;
/// Minimum of the expected size of a response: with it, the usual 100 streams are admitted at once.
pub const MIN_EXPECTED_SIZE_BYTES: usize = 16_384;
/// Bytes that the client must read for each request beyond the limit. If JavaScript holds more for
/// the connection, that amount applies.
pub const BYTES_READ_PER_EXTRA_STREAM: u64 = 262_144;

// Sizes that suit clients on this machine, such as a proxy. They cost other clients nothing;
// docs/design/bridge.md has what each gains.

/// Maximum number of bytes of one write call. The loopback device has packets of 65,483 bytes. A
/// call that fills some packets and begins another with a few bytes, as calls of 64 or 128 KiB do,
/// costs up to twice as much: the client is woken for the short packet too. So a call ends before
/// the end of its second packet.
pub const MAX_WRITE_BYTES: usize = 122_880;
/// Maximum plaintext encrypted in one call: three records, which end in the middle of a packet of
/// the loopback device.
pub const MAX_PLAINTEXT_BYTES: usize = 49_152;
/// Maximum size of a body chunk of a client that sends faster than its chunks are read. Everything
/// it has sent is taken at once, so that its window opens in one step and it is woken once.
pub const WIDE_BODY_CHUNK: usize = 458_752;
/// Size of the send buffer towards a client on this machine: smaller than processors' caches, and
/// several packets of the loopback device.
pub const MAX_LOOPBACK_SEND_BUFFER_BYTES: usize = 524_288;
