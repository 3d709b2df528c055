//! Settings that the engine reads, with the names and defaults of `docs/settings.md`.
//!
//! Written by scripts/gen-engine-settings.ts from ts/settings/table.ts.
//! `npm run gen` writes it again.

use std::time::Duration;

use crate::pressure::setting_value::{SettingError, SettingType, SettingValue, choice, settings};

settings! {
    /// Maximum number of in-flight requests per worker.
    worker_connections: u32 = 1_000;
    /// Maximum time that requests should wait until JavaScript takes them.
    queue_delay_target: Duration = Duration::from_millis(250);
    /// Time that an idle connection stays open for its next request.
    keepalive: Duration = Duration::from_secs(75);
    /// Key of a session whose requests all go to the same worker.
    affinity: String = "off".to_owned();
    /// Maximum size of a request line, in bytes.
    limit_request_line: usize = 16_384;
    /// Maximum number of header fields in a request.
    limit_request_fields: u32 = 100;
    /// Maximum size of a header field, in bytes, with its name and line end.
    limit_request_field_size: usize = 16_384;
    /// Maximum size of a request body, in bytes; 64k, 10m and 1g are understood.
    limit_request_body: u64 = 0;
    /// Number of body bytes to buffer before a request is passed to the application.
    request_buffer_size: usize = 65_536;
    /// Maximum time to wait for `request_buffer_size` bytes of a body.
    request_buffer_time: Duration = Duration::from_millis(100);
    /// Maximum memory per worker for the data of clients, in bytes; 64m and 1g are understood.
    buffer_memory: usize = 268_435_456;
    /// Maximum number of requests per connection.
    limit_requests_per_connection: u32 = 0;
    /// Maximum number of connections per client address and worker.
    limit_connections_per_address: u32 = 0;
    /// Maximum time to receive a request head, from the accept or its first byte to its end.
    header_timeout: Duration = Duration::from_secs(30);
    /// Maximum time without a byte of a request body while the server waits for one.
    body_timeout: Duration = Duration::from_secs(30);
    /// Minimum rate of a request body in bytes per second, after the first 20 seconds.
    body_min_rate: u64 = 500;
    /// Maximum time from the complete request to the head of the response.
    request_timeout: Duration = Duration::ZERO;
    /// Maximum time for which a client may read nothing of a pending response.
    write_timeout: Duration = Duration::from_secs(60);
    /// Minimum rate at which a client reads a pending response, in bytes per second, after 20
    /// seconds.
    write_min_rate: u64 = 500;
    /// Time for which a connection is still read after its last response.
    linger_timeout: Duration = Duration::from_secs(2);
    /// Maximum number of response bytes that the engine buffers for a client.
    response_buffer_size: usize = 131_072;
    /// Header fields, with a value each, by which a trusted proxy reports that the client uses
    /// https.
    secure_scheme_headers: Vec<(String, String)> = vec![
        ("X-FORWARDED-PROTOCOL".to_owned(), "ssl".to_owned()),
        ("X-FORWARDED-PROTO".to_owned(), "https".to_owned()),
        ("X-FORWARDED-SSL".to_owned(), "on".to_owned()),
    ];
    /// Peers whose forwarding fields are trusted: addresses, networks such as 10.0.0.0/8, or * for
    /// all.
    forwarded_allow_ips: String = "127.0.0.1,::1".to_owned();
    /// Header fields from which to take the address and host of the client.
    forwarded_headers: ForwardedHeaders = ForwardedHeaders::Off;
    /// Takes the address of the client from a PROXY protocol header at the start of a connection.
    proxy_protocol: ProxyProtocol = ProxyProtocol::Off;
    /// Peers that may send the PROXY protocol: addresses, networks, or * for all.
    proxy_allow_ips: String = "127.0.0.1,::1".to_owned();
    /// Accepts methods with lower-case letters or #.
    permit_unconventional_http_method: bool = false;
    /// Converts methods to upper case.
    casefold_http_method: bool = false;
    /// Header fields with underscores in their names that a trusted proxy may set; * means all.
    forwarder_headers: String = "SCRIPT_NAME,PATH_INFO".to_owned();
    /// What happens to header fields with an underscore in the name.
    header_map: HeaderMap = HeaderMap::Drop;
    /// Path under which the application is mounted.
    root_path: String = String::new();
    /// Path of the access log.
    accesslog: Option<String> = None;
    /// Format of a line in the access log.
    access_log_format: String =
        "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"".to_owned();
    /// Paths at which the workers answer health checks, with commas between them.
    health_paths: String = String::new();
    /// Maximum time for the TLS handshake, from the accept.
    handshake_timeout: Duration = Duration::from_secs(10);
    /// Maximum number of TLS handshakes in progress per worker.
    limit_handshakes: u32 = 1_000;
    /// Maximum number of in-flight requests per connection.
    http2_max_concurrent_streams: u32 = 100;
    /// Number of body bytes that a client may send before the application reads them.
    http2_initial_window_size: usize = 262_144;
    /// Maximum size of a frame from a client.
    http2_max_frame_size: usize = 16_384;
    /// Maximum uncompressed size of the header fields of a request, plus 32 bytes per field.
    http2_max_header_list_size: usize = 65_536;
    /// Maximum number of requests that a client cancels before the response, per connection and 10
    /// seconds.
    http2_max_resets: u32 = 1_000;
    /// Maximum number of frames without content, per connection and 10 seconds.
    http2_max_idle_frames: u32 = 10_000;
}

choice! {
    /// The values of `forwarded_headers`.
    ForwardedHeaders: "\"off\", \"x-forwarded\" or \"forwarded\"" {
        /// `off`.
        Off = "off",
        /// `x-forwarded`.
        XForwarded = "x-forwarded",
        /// `forwarded`.
        Forwarded = "forwarded",
    }
}

choice! {
    /// The values of `proxy_protocol`.
    ProxyProtocol: "\"off\", \"v1\", \"v2\" or \"auto\"" {
        /// `off`.
        Off = "off",
        /// `v1`.
        V1 = "v1",
        /// `v2`.
        V2 = "v2",
        /// `auto`.
        Auto = "auto",
    }
}

choice! {
    /// The values of `header_map`.
    HeaderMap: "\"drop\", \"refuse\" or \"dangerous\"" {
        /// `drop`.
        Drop = "drop",
        /// `refuse`.
        Refuse = "refuse",
        /// `dangerous`.
        Dangerous = "dangerous",
    }
}
