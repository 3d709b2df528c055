//! The settings as JavaScript hands them over, and what the engine makes of them.

use std::time::Duration;

use monoceros_engine::guard::parse_policy::{ParsePolicy, UnderscorePolicy};
use monoceros_engine::log::access::{AccessFormat, AccessLog, Syslog};
use monoceros_engine::log::socket::Outlet;
use monoceros_engine::log::statsd::Statsd;
use monoceros_engine::pressure::limits::Limits;
use napi_derive::napi;

use crate::parse_policy::EngineRules;
use crate::protocols::{Http2Settings, http2};
use crate::system_error::system_error;

/// The settings that the engine reads. Numbers are bytes, counts or seconds as in `docs/settings.md`.
#[napi(object)]
pub struct EngineSettings {
    pub keepalive: f64,
    /// How much longer an idle connection lives than its client is told.
    pub keepalive_grace: Option<f64>,
    pub worker_connections: u32,
    pub limit_request_line: u32,
    pub limit_request_fields: u32,
    pub limit_request_field_size: u32,
    /// Of a whole head; without it what its parts come to.
    pub head_bytes: Option<u32>,
    pub limit_request_body: f64,
    pub request_buffer_size: f64,
    pub request_buffer_time: f64,
    pub buffer_memory: f64,
    pub response_buffer_size: f64,
    /// A client that has ended its side is answered all the same.
    pub half_open: Option<bool>,
    /// Whether a connection is told when it is accepted, and not with its first request.
    pub announce: Option<bool>,
    pub limit_requests_per_connection: u32,
    pub limit_connections_per_address: u32,
    /// Of TLS; whoever never does it need not say.
    pub handshake_timeout: Option<f64>,
    pub limit_handshakes: Option<u32>,
    pub header_timeout: f64,
    pub body_timeout: f64,
    pub body_min_rate: f64,
    pub request_timeout: f64,
    pub write_timeout: f64,
    pub write_min_rate: f64,
    pub linger_timeout: f64,
    /// `-` for standard output, or a path; no access log without it.
    pub accesslog: Option<String>,
    pub access_log_format: String,
    /// Where the access log goes beside the file.
    pub syslog: Option<SyslogSettings>,
    pub statsd: Option<StatsdSettings>,
    pub http2: Option<Http2Settings>,
    /// Without them nobody is trusted and everything is as strict as it can be.
    pub rules: Option<EngineRules>,
}

/// Access lines for syslog.
#[napi(object)]
pub struct SyslogSettings {
    /// `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram` or `unix://PATH#stream`.
    pub address: String,
    /// What stands before each line.
    pub head: String,
}

/// Figures of requests for statsd.
#[napi(object)]
pub struct StatsdSettings {
    pub address: String,
    pub prefix: String,
    pub tags: String,
}

/// What a program has set on a server of its own; seconds and bytes. All else that bounds a worker's clients is off, as
/// it is on node.
#[napi(object)]
pub struct ServerLimits {
    pub keepalive: f64,
    /// How much longer an idle connection lives than its client is told.
    pub keepalive_grace: f64,
    /// What a head may take.
    pub header_timeout: f64,
    /// What a body may take, from one byte to the next.
    pub body_timeout: f64,
    /// The head as a whole.
    pub head_bytes: u32,
    pub fields: u32,
    /// A client that has ended its side is answered all the same.
    pub half_open: bool,
    /// The methods that are taken.
    pub methods: Vec<String>,
}

pub(crate) fn limits(settings: &EngineSettings, parse_policy: ParsePolicy) -> Limits {
    let unset = Limits::default();
    Limits {
        parse_policy,
        request_line: settings.limit_request_line as usize,
        request_fields: settings.limit_request_fields as usize,
        request_field_size: settings.limit_request_field_size as usize,
        head_bytes: settings.head_bytes.unwrap_or(0) as usize,
        request_body: settings.limit_request_body.max(0.0) as u64,
        keepalive: seconds(settings.keepalive),
        handshake: settings.handshake_timeout.map_or(unset.handshake, seconds),
        handshakes: settings.limit_handshakes.map_or(unset.handshakes, |most| most as usize),
        keepalive_grace: seconds(settings.keepalive_grace.unwrap_or(0.0)),
        header: seconds(settings.header_timeout),
        body: seconds(settings.body_timeout),
        body_rate: settings.body_min_rate.max(0.0) as u64,
        answer: seconds(settings.request_timeout),
        write: seconds(settings.write_timeout),
        write_rate: settings.write_min_rate.max(0.0) as u64,
        linger: seconds(settings.linger_timeout),
        connection_requests: settings.limit_requests_per_connection,
        worker_connections: settings.worker_connections as usize,
        connections_per_address: settings.limit_connections_per_address,
        request_buffer: settings.request_buffer_size.max(0.0) as usize,
        request_buffer_time: Duration::from_secs_f64(settings.request_buffer_time.clamp(0.0, 1e9)),
        buffer_memory: settings.buffer_memory.max(0.0) as usize,
        response_buffer: settings.response_buffer_size.max(0.0) as usize,
        half_open: settings.half_open.unwrap_or(false),
        http2: settings.http2.as_ref().map(http2).unwrap_or_default(),
        ..unset
    }
    .bounded()
}

pub(crate) fn server_limits(own: &ServerLimits) -> Limits {
    let mut allowed_methods: Vec<_> =
        own.methods.iter().map(|name| name.as_bytes().to_vec()).collect();
    allowed_methods.sort();
    // Node keeps every name, and looks at no value of `Host`.
    let parse_policy = ParsePolicy {
        allowed_methods,
        header_map: UnderscorePolicy::Keep,
        accepts_any_host: true,
        ..ParsePolicy::default()
    };
    Limits {
        parse_policy,
        request_line: 0,
        request_fields: own.fields as usize,
        request_field_size: 0,
        head_bytes: own.head_bytes as usize,
        keepalive: seconds(own.keepalive),
        keepalive_grace: seconds(own.keepalive_grace),
        header: seconds(own.header_timeout),
        body: seconds(own.body_timeout),
        body_rate: 0,
        write: seconds(f64::MAX),
        write_rate: 0,
        worker_connections: 0,
        // Node reads on until the client has sent all, however long that is.
        discard: u64::MAX,
        discard_time: seconds(own.body_timeout),
        as_node: true,
        half_open: own.half_open,
        ..Limits::default()
    }
    .bounded()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e9))
}

pub(crate) fn access_log(settings: &EngineSettings) -> napi::Result<Option<AccessLog>, String> {
    let target = settings.accesslog.as_deref();
    let syslog = settings.syslog.as_ref().map(syslog).transpose()?;
    if target.is_none() && syslog.is_none() {
        return Ok(None);
    }
    let format = AccessFormat::compile(&settings.access_log_format)
        .map_err(|error| napi::Error::new("ERR_INVALID_ARG_VALUE".into(), error))?;
    AccessLog::with(target, format, syslog)
        .map(Some)
        .map_err(|error| system_error("open", target.unwrap_or_default(), &error))
}

fn syslog(settings: &SyslogSettings) -> napi::Result<Syslog, String> {
    Ok(Syslog::new(outlet(&settings.address)?, &settings.head))
}

pub(crate) fn statsd(settings: &StatsdSettings) -> napi::Result<Statsd, String> {
    Ok(Statsd::new(outlet(&settings.address)?, &settings.prefix, &settings.tags))
}

/// Of the I/O thread, which never waits.
fn outlet(address: &str) -> napi::Result<Outlet, String> {
    Outlet::open(address, Duration::ZERO).map_err(|error| system_error("connect", address, &error))
}
