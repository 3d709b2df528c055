/**
 * The wire format between JavaScript and the I/O thread, declared once. `npm run gen` writes
 * `crates/engine/src/bridge/wire.rs` from this file: every exported number, object of numbers and
 * list of texts, with its comment. Numbers on the wire are little-endian.
 *
 * JavaScript writes ring records, and the I/O thread writes event records. Offsets are in bytes.
 */

/** Kinds of ring records. */
export const RING_RECORD = {
  /** Fills the end of the ring, which no record may cross. */
  PAD: 0,
  /** A whole response: head, body and end. */
  RESPOND: 1,
  /** The final head of a response. */
  HEAD: 2,
  /** An interim (1xx) response. */
  INTERIM: 3,
  /** Body bytes of a response, or bytes of a tunnel. */
  DATA: 4,
  /** The next buffer that was pushed beside the ring is body of this response. */
  LARGE: 5,
  /** Trailer fields for the end of a chunked response. */
  TRAILERS: 6,
  /** The response is complete. */
  END: 7,
  /** The response cannot be completed: abort its stream or connection. */
  RESET: 8,
  /** Permits more bytes of the request body. */
  CREDIT: 9,
  /** Asks for a DRAINED event once everything written so far has been sent. */
  NOTIFY: 10,
  /** Aborts a connection. */
  ABORT: 11,
  /** Decides about a request that asks for an upgrade. */
  TUNNEL: 12,
  /** Sets an option of a connection's socket. */
  SOCKET_OPTION: 13,
  /** The number of response bytes that JavaScript buffers for a stream. */
  UNSENT: 14,
  /** Bytes of the application's own response to a request that the engine refused. */
  RAW_RESPONSE: 15,
  /** Closes a connection after everything that has been written to it. */
  CLOSE: 16,
} as const

/** Flags of ring records. */
export const RING_FLAG = {
  /** LARGE: the buffer belongs to JavaScript and is borrowed until it has been sent. */
  BORROWED: 1,
  /** END: discard the rest of the request body. */
  DISCARD_BODY: 1,
  /** ABORT: send a TCP reset to the client. */
  SEND_RESET: 1,
  /** TUNNEL: the application takes the connection over. */
  TAKEN_OVER: 1,
  /** RAW_RESPONSE: no more bytes follow. */
  LAST: 1,
  /** SOCKET_OPTION: turn the option on. */
  ON: 1,
  /** SOCKET_OPTION: the option is SO_KEEPALIVE; without this flag it is TCP_NODELAY. */
  KEEP_ALIVE: 2,
} as const

/** Flags of a response head. */
export const HEAD_FLAG = {
  /** Add the Date field. */
  DATE: 1,
  /** Add the Connection and Keep-Alive fields. */
  CONNECTION: 2,
  /** Add the Content-Length field. */
  LENGTH: 4,
  /** Add `Transfer-Encoding: chunked` and send the body in chunks. */
  CHUNKED: 8,
  /** Send the body in chunks; the application has added the field. */
  CHUNKED_SILENT: 16,
  /** Close the connection after this response. */
  CLOSE: 32,
  /** The response has no body, whatever is written (HEAD, 204, 304). */
  NO_BODY: 64,
  /** The rest of the request body is not read. */
  DISCARDS: 128,
} as const

/** Position of the flags in the first word of a ring record; its kind is in the lowest 8 bits. */
export const RING_FLAGS_SHIFT = 8

/** Position of the status code in the first word of a ring record. */
export const RING_STATUS_SHIFT = 16

/** Word of a ring record that holds the id of its exchange or connection. */
export const RING_ID_WORD = 1

/** Word of a ring record with the length of its fields, or of its only payload. */
export const RING_FIELDS_WORD = 2

/** Word of a ring record with the length of its reason phrase, which follows the fields. */
export const RING_REASON_WORD = 3

/**
 * Word of a ring record with a count: the length of a body, an amount of credit, a number of
 * seconds.
 */
export const RING_COUNT_WORD = 4

/** Size of a ring record without its payload. A record is padded to a multiple of 4 bytes. */
export const RING_RECORD_BYTES = 20

/** Length of a reason phrase that is left to the engine, as a signed number. */
export const NO_REASON = -1

/**
 * Words of the ring's header, each 32 bits. Those that two threads write are in different cache
 * lines.
 */
export const RING_WORD = {
  /** Written by JavaScript: number of bytes written since the start, wrapping. */
  TAIL: 0,
  /** Written by both: 1 while JavaScript works on a batch of events. */
  BATCH: 1,
  /** Written by the engine: number of bytes read since the start, wrapping. */
  HEAD: 16,
  /** Written by the thread that holds the loop: a LOOP_STATE. */
  LOOP_STATE: 32,
  /** Written by the engine: response bytes that it buffers ahead of one client. */
  RESPONSE_BUFFER: 33,
} as const

/** What JavaScript must do for the records that it has written. */
export const LOOP_STATE = {
  /** Nothing: a thread runs the loop, and reads the ring before it waits. */
  RUNNING: 0,
  /** Wake the I/O thread, which waits for the operating system. */
  ASLEEP: 1,
  /** Run a turn of the loop: the I/O thread does not hold it. */
  JAVASCRIPT: 2,
} as const

/** Offset of the first record in the ring, after the header. */
export const RING_DATA_AT = 256

/** Kinds of event records. */
export const EVENT = {
  /** A request, with the start of its body. */
  REQUEST: 1,
  /** A connection, reported before its first request. */
  CONNECTION: 2,
  /** A reported connection is closed. */
  CONNECTION_CLOSED: 3,
  /** A chunk of a request body. */
  DATA: 4,
  /** The end of a request body, with its trailer fields. */
  END: 5,
  /** Everything written before the NOTIFY record has been sent. */
  DRAINED: 6,
  /** The client has disconnected, or its body was malformed. */
  ABORTED: 7,
  /** A draining engine has no connection left. */
  IDLE: 8,
  /** A message for the error log. */
  FAULT: 9,
  /** The HTTP/2 stream of an exchange is closed. */
  STREAM_CLOSED: 10,
  /** A request that was withdrawn before JavaScript took it: skip it. */
  WITHDRAWN: 15,
  /** The engine has refused a request and sent the response. */
  REFUSED: 16,
} as const

/** Offset of the id in an event record; the kind is at 0. */
export const EVENT_ID_AT = 1

/** Levels of the message of a FAULT event. They are in place of its id. */
export const FAULT_LEVEL = {
  /** Something has failed. */
  ERROR: 0,
  /** The operator may have to act. */
  WARNING: 1,
  /** An expected event. */
  INFO: 2,
} as const

/** Size of the kind and the id, with which every event record begins. */
export const EVENT_BYTES = 5

/** Offset of a text's length (16 bits) in END and FAULT events. */
export const TEXT_LENGTH_AT = 5

/** Offset of the text in END and FAULT events. */
export const TEXT_AT = 7

/** Offset of the received bytes (64 bits) in a CONNECTION_CLOSED event. */
export const CLOSED_RECEIVED_AT = 5

/** Offset of the written bytes (64 bits) in a CONNECTION_CLOSED event. */
export const CLOSED_WRITTEN_AT = 13

/** Size of a CONNECTION_CLOSED event. */
export const CLOSED_BYTES = 21

/** Offset of the refusal's kind in a REFUSED event. */
export const REFUSED_KIND_AT = 5

/** Size of a REFUSED event. */
export const REFUSED_BYTES = 6

/** Offset of the record's length (32 bits) in a REQUEST event; counted from the field after it. */
export const REQUEST_LENGTH_AT = 5

/** Offset of the connection's id in a REQUEST event, from where the length counts. */
export const REQUEST_CONNECTION_AT = 9

/** Offset of the flags in a REQUEST event. */
export const REQUEST_FLAGS_AT = 13

/** Offset of the method's number in a REQUEST event: an index of METHODS. */
export const REQUEST_METHOD_AT = 14

/** Offset of the target's length (16 bits) in a REQUEST event. */
export const REQUEST_TARGET_LENGTH_AT = 15

/** Offset of the number of fields (16 bits) in a REQUEST event. */
export const REQUEST_FIELD_COUNT_AT = 17

/**
 * Offset after the fixed part of a REQUEST event. The length of the method's name follows if the
 * method has no number, then a length of name and value for each field (16 bits each), then the
 * texts in the same order, with the target before the fields.
 */
export const REQUEST_LENGTHS_AT = 19

/** Flags of a REQUEST event. */
export const REQUEST_FLAG = {
  /** The minor version: HTTP/1.1 if set, else HTTP/1.0. */
  MINOR_VERSION: 1,
  /** The client can keep the connection. */
  KEEP_ALIVE: 2,
  /** Asks for an upgrade, or is CONNECT. */
  UPGRADE: 4,
  /** A chunk with the bytes after the head follows. The request asks for an upgrade. */
  AHEAD: 32,
  /** Has an Expect field. */
  EXPECTS: 64,
  /** The record ends with client info. */
  CLIENT_INFO: 128,
} as const

/** Position of the body's kind among the flags of a REQUEST event. */
export const BODY_KIND_SHIFT = 3

/** Mask of the body's kind, after the shift. */
export const BODY_KIND_MASK = 3

/** Kinds of request bodies. */
export const BODY_KIND = {
  /** The request has no body. */
  NONE: 0,
  /** The whole body is a chunk of this batch. */
  WHOLE: 1,
  /** The body follows in DATA events. */
  STREAMED: 2,
} as const

/** Methods that are passed as a number; 0 precedes a method that is spelled out. */
export const METHODS = ['', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'] as const

/** Offset of the address family in client info: 4, 6 or 0 for none. */
export const CLIENT_FAMILY_AT = 0

/** Offset of the client's port (16 bits) in client info; 0 where the proxy did not send one. */
export const CLIENT_PORT_AT = 1

/** Offset of the byte in client info that is 1 for a client that uses https. */
export const CLIENT_SECURE_AT = 3

/** Offset of the address's length in client info. The address is before the root path. */
export const CLIENT_ADDRESS_LENGTH_AT = 4

/**
 * Offset of the root path's length (16 bits) in client info. The root path is right before client
 * info.
 */
export const CLIENT_ROOT_PATH_LENGTH_AT = 5

/**
 * Size of client info: what a trusted proxy sent about the client, at the end of a REQUEST event.
 */
export const CLIENT_INFO_BYTES = 7

/** Offset of the server's id in a CONNECTION event. */
export const CONNECTION_SERVER_AT = 5

/** Offset of the connection's kind in a CONNECTION event. */
export const CONNECTION_KIND_AT = 9

/** Offset of the client's port (16 bits) in a CONNECTION event. */
export const CONNECTION_REMOTE_PORT_AT = 10

/** Offset of the local port (16 bits) in a CONNECTION event. */
export const CONNECTION_LOCAL_PORT_AT = 12

/** Offset of the length of the client's address in a CONNECTION event. */
export const CONNECTION_REMOTE_LENGTH_AT = 14

/** Offset of the length of the local address in a CONNECTION event. */
export const CONNECTION_LOCAL_LENGTH_AT = 15

/** Offset of the client's address in a CONNECTION event; the local address and TLS info follow. */
export const CONNECTION_TEXTS_AT = 16

/** Bits of a connection's kind. */
export const CONNECTION_KIND = {
  /** Mask of the address family: 4, 6 or 0 for a Unix socket. */
  FAMILY_MASK: 15,
  /** The connection uses TLS: TLS info ends the record. */
  TLS: 16,
  /** The connection uses HTTP/2: each exchange has a stream of its own. */
  HTTP2: 32,
  /** A stream of such a connection. Only TypeScript sets it. */
  STREAM: 64,
} as const

/** Offset of the protocol version (16 bits) in TLS info: 0x0304 for TLS 1.3. */
export const TLS_VERSION_AT = 0

/** Offset of the cipher suite's number (16 bits) in TLS info. */
export const TLS_CIPHER_AT = 2

/** Offset of the flags in TLS info. */
export const TLS_FLAGS_AT = 4

/**
 * Offset of the lengths of three texts in TLS info: server name (SNI), protocol (ALPN) and
 * authorization error.
 */
export const TLS_TEXT_LENGTHS_AT = 5

/** Offset of the size (32 bits) of the client's certificates in TLS info. */
export const TLS_CHAIN_LENGTH_AT = 8

/** Offset of the texts in TLS info; the certificates follow, each in DER. */
export const TLS_TEXTS_AT = 12

/** Flags of TLS info. */
export const TLS_FLAG = {
  /** The client was asked for a certificate. */
  ASKED: 1,
  /** The client's certificate was verified. */
  AUTHORIZED: 2,
  /** The session was resumed. */
  RESUMED: 4,
} as const

/** Reasons for which a request is refused, as far as Node has an error for them. 0 is any other. */
export const REFUSAL_KIND = {
  /** A malformed chunk size. */
  CHUNK_SIZE: 1,
  /** A malformed Content-Length. */
  CONTENT_LENGTH: 2,
  /** A malformed header or trailer field. */
  HEADER_TOKEN: 3,
  /** A line without CRLF. */
  LINE_END: 4,
  /** A malformed method or request line. */
  METHOD: 5,
  /** A malformed target. */
  TARGET: 6,
  /** A malformed or unknown Transfer-Encoding. */
  TRANSFER_ENCODING: 7,
  /** An HTTP version that is not supported. */
  VERSION: 8,
  /** A head that is too large. */
  HEADER_OVERFLOW: 9,
  /** A head or a body that did not arrive in time. */
  TIMEOUT: 10,
  /** A repeated Content-Length. */
  REPEATED_CONTENT_LENGTH: 11,
  /** A head that the client has cut short. */
  TRUNCATED_HEAD: 12,
  /** A chunk-size line that is too long. */
  CHUNK_EXTENSIONS: 13,
  /** A CR without LF in a field value. */
  BARE_CR: 14,
} as const

/** Number of low bits of an id that are its slot. A generation above makes 31 bits of both. */
export const SLOT_BITS = 20

/** The bits of an id that are its slot. */
export const SLOT_MASK = (1 << SLOT_BITS) - 1

/**
 * Number of characters after which the text of a batch is cut at the next request: V8 keeps a whole
 * text alive.
 */
export const PART_BYTES = 4_096

/** Size of the length before each short chunk that is copied into JavaScript's memory. */
export const CHUNK_LENGTH_BYTES = 2
