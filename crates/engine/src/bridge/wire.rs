//! The wire format between JavaScript and the I/O thread.
//!
//! Written by scripts/gen-wire.ts from ts/engine/native/wire.ts; `npm run gen` writes it again.

/// Kinds of ring records.
pub mod ring_record {
    /// Fills the end of the ring, which no record may cross.
    pub const PAD: u8 = 0;
    /// A whole response: head, body and end.
    pub const RESPOND: u8 = 1;
    /// The final head of a response.
    pub const HEAD: u8 = 2;
    /// An interim (1xx) response.
    pub const INTERIM: u8 = 3;
    /// Body bytes of a response, or bytes of a tunnel.
    pub const DATA: u8 = 4;
    /// The next buffer that was pushed beside the ring is body of this response.
    pub const LARGE: u8 = 5;
    /// Trailer fields for the end of a chunked response.
    pub const TRAILERS: u8 = 6;
    /// The response is complete.
    pub const END: u8 = 7;
    /// The response cannot be completed: abort its stream or connection.
    pub const RESET: u8 = 8;
    /// Permits more bytes of the request body.
    pub const CREDIT: u8 = 9;
    /// Asks for a DRAINED event once everything written so far has been sent.
    pub const NOTIFY: u8 = 10;
    /// Aborts a connection.
    pub const ABORT: u8 = 11;
    /// Decides about a request that asks for an upgrade.
    pub const TUNNEL: u8 = 12;
    /// Sets an option of a connection's socket.
    pub const SOCKET_OPTION: u8 = 13;
    /// The number of response bytes that JavaScript buffers for a stream.
    pub const UNSENT: u8 = 14;
    /// Bytes of the application's own response to a request that the engine refused.
    pub const RAW_RESPONSE: u8 = 15;
    /// Closes a connection after everything that has been written to it.
    pub const CLOSE: u8 = 16;
}

/// Flags of ring records.
pub mod ring_flag {
    /// LARGE: the buffer belongs to JavaScript and is borrowed until it has been sent.
    pub const BORROWED: u8 = 1;
    /// END: discard the rest of the request body.
    pub const DISCARD_BODY: u8 = 1;
    /// ABORT: send a TCP reset to the client.
    pub const SEND_RESET: u8 = 1;
    /// TUNNEL: the application takes the connection over.
    pub const TAKEN_OVER: u8 = 1;
    /// `RAW_RESPONSE`: no more bytes follow.
    pub const LAST: u8 = 1;
    /// `SOCKET_OPTION`: turn the option on.
    pub const ON: u8 = 1;
    /// `SOCKET_OPTION`: the option is `SO_KEEPALIVE`; without this flag it is `TCP_NODELAY`.
    pub const KEEP_ALIVE: u8 = 2;
}

/// Flags of a response head.
pub mod head_flag {
    /// Add the Date field.
    pub const DATE: u8 = 1;
    /// Add the Connection and Keep-Alive fields.
    pub const CONNECTION: u8 = 2;
    /// Add the Content-Length field.
    pub const LENGTH: u8 = 4;
    /// Add `Transfer-Encoding: chunked` and send the body in chunks.
    pub const CHUNKED: u8 = 8;
    /// Send the body in chunks; the application has added the field.
    pub const CHUNKED_SILENT: u8 = 16;
    /// Close the connection after this response.
    pub const CLOSE: u8 = 32;
    /// The response has no body, whatever is written (HEAD, 204, 304).
    pub const NO_BODY: u8 = 64;
    /// The rest of the request body is not read.
    pub const DISCARDS: u8 = 128;
}

/// Position of the flags in the first word of a ring record; its kind is in the lowest 8 bits.
pub const RING_FLAGS_SHIFT: usize = 8;

/// Position of the status code in the first word of a ring record.
pub const RING_STATUS_SHIFT: usize = 16;

/// Word of a ring record that holds the id of its exchange or connection.
pub const RING_ID_WORD: usize = 1;

/// Word of a ring record with the length of its fields, or of its only payload.
pub const RING_FIELDS_WORD: usize = 2;

/// Word of a ring record with the length of its reason phrase, which follows the fields.
pub const RING_REASON_WORD: usize = 3;

/// Word of a ring record with a count: the length of a body, an amount of credit, a number of
/// seconds.
pub const RING_COUNT_WORD: usize = 4;

/// Size of a ring record without its payload. A record is padded to a multiple of 4 bytes.
pub const RING_RECORD_BYTES: usize = 20;

/// Length of a reason phrase that is left to the engine, as a signed number.
pub const NO_REASON: u32 = u32::MAX;

/// Words of the ring's header, each 32 bits. Those that two threads write are in different cache
/// lines.
pub mod ring_word {
    /// Written by JavaScript: number of bytes written since the start, wrapping.
    pub const TAIL: usize = 0;
    /// Written by both: 1 while JavaScript works on a batch of events.
    pub const BATCH: usize = 1;
    /// Written by the engine: number of bytes read since the start, wrapping.
    pub const HEAD: usize = 16;
    /// Written by the thread that holds the loop: a `LOOP_STATE`.
    pub const LOOP_STATE: usize = 32;
    /// Written by the engine: response bytes that it buffers ahead of one client.
    pub const RESPONSE_BUFFER: usize = 33;
}

/// Written by the thread that holds the loop: a `LOOP_STATE`.
pub mod loop_state {
    /// Nothing: a thread runs the loop, and reads the ring before it waits.
    pub const RUNNING: u8 = 0;
    /// Wake the I/O thread, which waits for the operating system.
    pub const ASLEEP: u8 = 1;
    /// Run a turn of the loop: the I/O thread does not hold it.
    pub const JAVASCRIPT: u8 = 2;
}

/// Offset of the first record in the ring, after the header.
pub const RING_DATA_AT: usize = 256;

/// Kinds of event records.
pub mod event {
    /// A request, with the start of its body.
    pub const REQUEST: u8 = 1;
    /// A connection, reported before its first request.
    pub const CONNECTION: u8 = 2;
    /// A reported connection is closed.
    pub const CONNECTION_CLOSED: u8 = 3;
    /// A chunk of a request body.
    pub const DATA: u8 = 4;
    /// The end of a request body, with its trailer fields.
    pub const END: u8 = 5;
    /// Everything written before the NOTIFY record has been sent.
    pub const DRAINED: u8 = 6;
    /// The client has disconnected, or its body was malformed.
    pub const ABORTED: u8 = 7;
    /// A draining engine has no connection left.
    pub const IDLE: u8 = 8;
    /// A message for the error log.
    pub const FAULT: u8 = 9;
    /// The HTTP/2 stream of an exchange is closed.
    pub const STREAM_CLOSED: u8 = 10;
    /// A request that was withdrawn before JavaScript took it: skip it.
    pub const WITHDRAWN: u8 = 15;
    /// The engine has refused a request and sent the response.
    pub const REFUSED: u8 = 16;
}

/// Offset of the id in an event record; the kind is at 0.
pub const EVENT_ID_AT: usize = 1;

/// Levels of the message of a FAULT event. They are in place of its id.
pub mod fault_level {
    /// Something has failed.
    pub const ERROR: u8 = 0;
    /// The operator may have to act.
    pub const WARNING: u8 = 1;
    /// An expected event.
    pub const INFO: u8 = 2;
}

/// Size of the kind and the id, with which every event record begins.
pub const EVENT_BYTES: usize = 5;

/// Offset of a text's length (16 bits) in END and FAULT events.
pub const TEXT_LENGTH_AT: usize = 5;

/// Offset of the text in END and FAULT events.
pub const TEXT_AT: usize = 7;

/// Offset of the received bytes (64 bits) in a `CONNECTION_CLOSED` event.
pub const CLOSED_RECEIVED_AT: usize = 5;

/// Offset of the written bytes (64 bits) in a `CONNECTION_CLOSED` event.
pub const CLOSED_WRITTEN_AT: usize = 13;

/// Size of a `CONNECTION_CLOSED` event.
pub const CLOSED_BYTES: usize = 21;

/// Offset of the refusal's kind in a REFUSED event.
pub const REFUSED_KIND_AT: usize = 5;

/// Size of a REFUSED event.
pub const REFUSED_BYTES: usize = 6;

/// Offset of the record's length (32 bits) in a REQUEST event; counted from the field after it.
pub const REQUEST_LENGTH_AT: usize = 5;

/// Offset of the connection's id in a REQUEST event, from where the length counts.
pub const REQUEST_CONNECTION_AT: usize = 9;

/// Offset of the flags in a REQUEST event.
pub const REQUEST_FLAGS_AT: usize = 13;

/// Offset of the method's number in a REQUEST event: an index of METHODS.
pub const REQUEST_METHOD_AT: usize = 14;

/// Offset of the target's length (16 bits) in a REQUEST event.
pub const REQUEST_TARGET_LENGTH_AT: usize = 15;

/// Offset of the number of fields (16 bits) in a REQUEST event.
pub const REQUEST_FIELD_COUNT_AT: usize = 17;

/// Offset after the fixed part of a REQUEST event. The length of the method's name follows if the
/// method has no number, then a length of name and value for each field (16 bits each), then the
/// texts in the same order, with the target before the fields.
pub const REQUEST_LENGTHS_AT: usize = 19;

/// Flags of a REQUEST event.
pub mod request_flag {
    /// The minor version: HTTP/1.1 if set, else HTTP/1.0.
    pub const MINOR_VERSION: u8 = 1;
    /// The client can keep the connection.
    pub const KEEP_ALIVE: u8 = 2;
    /// Asks for an upgrade, or is CONNECT.
    pub const UPGRADE: u8 = 4;
    /// A chunk with the bytes after the head follows. The request asks for an upgrade.
    pub const AHEAD: u8 = 32;
    /// Has an Expect field.
    pub const EXPECTS: u8 = 64;
    /// The record ends with client info.
    pub const CLIENT_INFO: u8 = 128;
}

/// Position of the body's kind among the flags of a REQUEST event.
pub const BODY_KIND_SHIFT: usize = 3;

/// Mask of the body's kind, after the shift.
pub const BODY_KIND_MASK: u8 = 3;

/// Kinds of request bodies.
pub mod body_kind {
    /// The request has no body.
    pub const NONE: u8 = 0;
    /// The whole body is a chunk of this batch.
    pub const WHOLE: u8 = 1;
    /// The body follows in DATA events.
    pub const STREAMED: u8 = 2;
}

/// Methods that are passed as a number; 0 precedes a method that is spelled out.
pub const METHODS: [&str; 8] = ["", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];

/// Offset of the address family in client info: 4, 6 or 0 for none.
pub const CLIENT_FAMILY_AT: usize = 0;

/// Offset of the client's port (16 bits) in client info; 0 where the proxy did not send one.
pub const CLIENT_PORT_AT: usize = 1;

/// Offset of the byte in client info that is 1 for a client that uses https.
pub const CLIENT_SECURE_AT: usize = 3;

/// Offset of the address's length in client info. The address is before the root path.
pub const CLIENT_ADDRESS_LENGTH_AT: usize = 4;

/// Offset of the root path's length (16 bits) in client info. The root path is right before client
/// info.
pub const CLIENT_ROOT_PATH_LENGTH_AT: usize = 5;

/// Size of client info: what a trusted proxy sent about the client, at the end of a REQUEST event.
pub const CLIENT_INFO_BYTES: usize = 7;

/// Offset of the server's id in a CONNECTION event.
pub const CONNECTION_SERVER_AT: usize = 5;

/// Offset of the connection's kind in a CONNECTION event.
pub const CONNECTION_KIND_AT: usize = 9;

/// Offset of the client's port (16 bits) in a CONNECTION event.
pub const CONNECTION_REMOTE_PORT_AT: usize = 10;

/// Offset of the local port (16 bits) in a CONNECTION event.
pub const CONNECTION_LOCAL_PORT_AT: usize = 12;

/// Offset of the length of the client's address in a CONNECTION event.
pub const CONNECTION_REMOTE_LENGTH_AT: usize = 14;

/// Offset of the length of the local address in a CONNECTION event.
pub const CONNECTION_LOCAL_LENGTH_AT: usize = 15;

/// Offset of the client's address in a CONNECTION event; the local address and TLS info follow.
pub const CONNECTION_TEXTS_AT: usize = 16;

/// Bits of a connection's kind.
pub mod connection_kind {
    /// Mask of the address family: 4, 6 or 0 for a Unix socket.
    pub const FAMILY_MASK: u8 = 15;
    /// The connection uses TLS: TLS info ends the record.
    pub const TLS: u8 = 16;
    /// The connection uses HTTP/2: each exchange has a stream of its own.
    pub const HTTP2: u8 = 32;
    /// A stream of such a connection. Only TypeScript sets it.
    pub const STREAM: u8 = 64;
}

/// Offset of the protocol version (16 bits) in TLS info: 0x0304 for TLS 1.3.
pub const TLS_VERSION_AT: usize = 0;

/// Offset of the cipher suite's number (16 bits) in TLS info.
pub const TLS_CIPHER_AT: usize = 2;

/// Offset of the flags in TLS info.
pub const TLS_FLAGS_AT: usize = 4;

/// Offset of the lengths of three texts in TLS info: server name (SNI), protocol (ALPN) and
/// authorization error.
pub const TLS_TEXT_LENGTHS_AT: usize = 5;

/// Offset of the size (32 bits) of the client's certificates in TLS info.
pub const TLS_CHAIN_LENGTH_AT: usize = 8;

/// Offset of the texts in TLS info; the certificates follow, each in DER.
pub const TLS_TEXTS_AT: usize = 12;

/// Flags of TLS info.
pub mod tls_flag {
    /// The client was asked for a certificate.
    pub const ASKED: u8 = 1;
    /// The client's certificate was verified.
    pub const AUTHORIZED: u8 = 2;
    /// The session was resumed.
    pub const RESUMED: u8 = 4;
}

/// Reasons for which a request is refused, as far as Node has an error for them. 0 is any other.
pub mod refusal_kind {
    /// A malformed chunk size.
    pub const CHUNK_SIZE: u8 = 1;
    /// A malformed Content-Length.
    pub const CONTENT_LENGTH: u8 = 2;
    /// A malformed header or trailer field.
    pub const HEADER_TOKEN: u8 = 3;
    /// A line without CRLF.
    pub const LINE_END: u8 = 4;
    /// A malformed method or request line.
    pub const METHOD: u8 = 5;
    /// A malformed target.
    pub const TARGET: u8 = 6;
    /// A malformed or unknown Transfer-Encoding.
    pub const TRANSFER_ENCODING: u8 = 7;
    /// An HTTP version that is not supported.
    pub const VERSION: u8 = 8;
    /// A head that is too large.
    pub const HEADER_OVERFLOW: u8 = 9;
    /// A head or a body that did not arrive in time.
    pub const TIMEOUT: u8 = 10;
    /// A repeated Content-Length.
    pub const REPEATED_CONTENT_LENGTH: u8 = 11;
    /// A head that the client has cut short.
    pub const TRUNCATED_HEAD: u8 = 12;
    /// A chunk-size line that is too long.
    pub const CHUNK_EXTENSIONS: u8 = 13;
    /// A CR without LF in a field value.
    pub const BARE_CR: u8 = 14;
}

/// Number of low bits of an id that are its slot. A generation above makes 31 bits of both.
pub const SLOT_BITS: u32 = 20;

/// The bits of an id that are its slot.
pub const SLOT_MASK: u32 = 1_048_575;

/// Number of characters after which the text of a batch is cut at the next request: V8 keeps a
/// whole text alive.
pub const PART_BYTES: usize = 4_096;

/// Size of the length before each short chunk that is copied into JavaScript's memory.
pub const CHUNK_LENGTH_BYTES: usize = 2;
