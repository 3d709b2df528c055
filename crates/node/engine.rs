//! The class that `ts/engine/native.ts` drives: one for each JavaScript environment that serves.

use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use monoceros_engine::access::{AccessFormat, AccessLog, Syslog};
use monoceros_engine::error::Error;
use monoceros_engine::in_hand;
use monoceros_engine::limits::Limits;
use monoceros_engine::listener::Seat;
use monoceros_engine::outlet::Outlet;
use monoceros_engine::rules::{Rules, Underscores};
use monoceros_engine::scoreboard::Board;
use monoceros_engine::statsd::Statsd;
use napi::bindgen_prelude::{BufferSlice, Uint8Array};
use napi::{Env, JsString};
use napi_derive::napi;

use crate::bridge::Bridge;
use crate::protocols::{Http2Settings, http2};
use crate::rules::{EngineRules, rules};
use crate::system_error::system_error;
use crate::tls::{TlsMaterial, server};

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
    pub limit_request_body: f64,
    pub request_buffer_size: f64,
    pub request_buffer_time: f64,
    pub buffer_memory: f64,
    pub response_buffer_size: f64,
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
}

/// Where this worker stands among the others of its arbiter.
#[napi(object)]
pub struct EngineSeat {
    /// The scoreboard's descriptor.
    pub fd: i32,
    pub slots: u32,
    pub slot: u32,
    /// The event descriptors of all slots, in order.
    pub kick_fds: Vec<i32>,
}

/// The native engine of one JavaScript environment.
#[napi]
pub struct Engine {
    bridge: Bridge,
}

#[napi]
impl Engine {
    /// Starts the I/O thread. Answers are written into `ring`, whose length is 256 bytes more than a power of two.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: Env,
        settings: EngineSettings,
        seat: Option<EngineSeat>,
        lifeline_fd: Option<i32>,
        ring: Uint8Array,
    ) -> napi::Result<Self, String> {
        let logs = (access_log(&settings)?, settings.statsd.as_ref().map(statsd).transpose()?);
        let seat = seat.map(place).transpose()?;
        let rules = settings.rules.as_ref().map_or_else(|| Ok(Rules::default()), rules)?;
        let announced = (limits(&settings, rules), settings.announce.unwrap_or(false));
        Bridge::start(env, announced, logs, seat, lifeline_fd, ring)
            .map(|bridge| Self { bridge })
            .map_err(failed)
    }

    /// The descriptor that becomes readable when there is something to `take`; the caller reads and closes it.
    #[napi(getter)]
    pub fn wake_fd(&self) -> i32 {
        self.bridge.wake_fd
    }

    /// The next batch of events as one latin1 text; undefined when nothing waits.
    #[napi(catch_unwind, ts_return_type = "string | undefined")]
    pub fn take<'env>(&self, env: &'env Env) -> napi::Result<Option<JsString<'env>>, String> {
        let text = self.bridge.take(|text| env.create_string_latin1(text)).transpose();
        text.map_err(|error| napi::Error::new("ERR_ENGINE_SYSTEM".into(), error.reason.clone()))
    }

    /// The next piece of a body that the text of the last batch refers to.
    #[napi(catch_unwind)]
    pub fn piece<'env>(&self, env: &'env Env) -> napi::Result<BufferSlice<'env>, String> {
        let piece = self.bridge.piece();
        BufferSlice::copy_from(env, &piece)
            .map_err(|error| napi::Error::new("ERR_ENGINE_SYSTEM".into(), error.reason.clone()))
    }

    /// Takes over a listening descriptor and accepts from it for the server `tag`: with TLS, if it is `secure`.
    #[napi(catch_unwind)]
    pub fn listen(&self, fd: i32, tag: u32, secure: Option<bool>) -> napi::Result<(), String> {
        if fd < 0 {
            return Err(napi::Error::new("EBADF".into(), format!("listen EBADF: descriptor {fd}")));
        }
        // SAFETY: the caller gives the descriptor away; `ts/engine/native.ts` passes each one once.
        let listener = unsafe { OwnedFd::from_raw_fd(fd) };
        self.bridge.with(|io| {
            if secure == Some(true) {
                io.listen_secure(listener, tag);
            } else {
                io.listen(listener, tag);
            }
        })
    }

    /// Says how the server `tag` does TLS with connections that begin from now on.
    #[napi(catch_unwind)]
    pub fn secure(&self, tag: u32, material: TlsMaterial) -> napi::Result<(), String> {
        let server = server(material)?;
        self.bridge.with(|io| io.secure(tag, server))
    }

    /// Closes the listeners of a server; its connections live on. Returns how many it has accepted.
    #[napi(catch_unwind)]
    pub fn unlisten(&self, tag: u32) -> napi::Result<f64, String> {
        self.bridge.with(|io| io.unlisten(tag) as f64)
    }

    /// Gives a server limits of its own, from now on and for the connections that it has.
    #[napi(catch_unwind)]
    pub fn configure(&self, tag: u32, limits: ServerLimits) -> napi::Result<(), String> {
        self.bridge.with(|io| io.configure(tag, server_limits(&limits)))
    }

    /// Gives a server the bounds of `settings`, from now on and for the connections that it has.
    #[napi(catch_unwind)]
    pub fn limit(&self, tag: u32, settings: EngineSettings) -> napi::Result<(), String> {
        let rules = settings.rules.as_ref().map_or_else(|| Ok(Rules::default()), rules)?;
        self.bridge.with(|io| io.configure(tag, limits(&settings, rules)))
    }

    /// Says whether refusals to clients of the server `tag` are told.
    #[napi(catch_unwind)]
    pub fn tell_refusals(&self, tag: u32, on: bool) -> napi::Result<(), String> {
        self.bridge.with(|io| io.tell_refusals(tag, on))
    }

    /// Closes the connections of a server: all of them or the idle ones.
    #[napi(catch_unwind)]
    pub fn disconnect(&self, tag: u32, idle_only: bool) -> napi::Result<(), String> {
        self.bridge.with(|io| io.disconnect(tag, idle_only))
    }

    /// Accepts nothing until `resume`; what comes stays in the queue for other workers.
    #[napi(catch_unwind)]
    pub fn pause(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.pause())
    }

    /// Ends a pause.
    #[napi(catch_unwind)]
    pub fn resume(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.resume())
    }

    /// Closes every listener and ends every connection soon, idle ones after so many milliseconds; the batch that says so
    /// tells when none is left. Called again it shortens the wait of those that are idle.
    #[napi(catch_unwind)]
    pub fn drain(&self, idle_ms: u32) -> napi::Result<(), String> {
        self.bridge.with(|io| io.drain(Duration::from_millis(u64::from(idle_ms))))
    }

    /// Opens the access log's file again.
    #[napi(catch_unwind)]
    pub fn reopen(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.reopen())
    }

    /// Makes the I/O thread look at the ring.
    #[napi]
    pub fn wake(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.wake())
    }

    /// Copies a piece of an answer that is too long for the ring; the next `LARGE` record refers to it.
    #[napi(catch_unwind)]
    pub fn large(&self, piece: &[u8]) -> napi::Result<(), String> {
        self.bridge.with(|io| io.large(bytes::Bytes::copy_from_slice(piece)))
    }

    /// Waits until the ring has space again.
    #[napi(catch_unwind)]
    pub fn wait_for_space(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.wait_for_space())?.map_err(failed)
    }

    /// Connections open, requests in hand, requests finished.
    #[napi]
    pub fn counters(&self) -> napi::Result<Vec<f64>, String> {
        self.bridge.with(|io| io.counters().map(|count| count as f64).to_vec())
    }

    /// Ends the I/O thread and waits for it.
    #[napi(catch_unwind)]
    pub fn stop(&self, env: Env) {
        self.bridge.stop(env);
    }
}

/// A request that is not answered yet.
#[napi(object)]
pub struct RequestInHand {
    /// Method and path, as far as they are kept.
    pub request: String,
    pub age_ms: f64,
}

/// The requests that the engines of this process have in hand, the oldest first. For a thread that looks on while
/// JavaScript is blocked: it waits for the I/O threads, which never are.
#[napi(catch_unwind)]
pub fn requests_in_hand() -> Vec<RequestInHand> {
    in_hand::requests_in_hand(Duration::from_millis(200))
        .into_iter()
        .map(|one| RequestInHand { request: one.request, age_ms: one.age.as_secs_f64() * 1_000.0 })
        .collect()
}

fn limits(settings: &EngineSettings, rules: Rules) -> Limits {
    let unset = Limits::default();
    Limits {
        rules,
        request_line: settings.limit_request_line as usize,
        request_fields: settings.limit_request_fields as usize,
        request_field_size: settings.limit_request_field_size as usize,
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
        http2: settings.http2.as_ref().map(http2).unwrap_or_default(),
        ..unset
    }
    .bounded()
}

fn server_limits(own: &ServerLimits) -> Limits {
    Limits {
        // Node keeps every name, and looks at no value of `Host`.
        rules: Rules { underscores: Underscores::Keep, any_host: true, ..Rules::default() },
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
        ..Limits::default()
    }
    .bounded()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e9))
}

fn access_log(settings: &EngineSettings) -> napi::Result<Option<AccessLog>, String> {
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

fn statsd(settings: &StatsdSettings) -> napi::Result<Statsd, String> {
    Ok(Statsd::new(outlet(&settings.address)?, &settings.prefix, &settings.tags))
}

/// Of the I/O thread, which never waits.
fn outlet(address: &str) -> napi::Result<Outlet, String> {
    Outlet::open(address, Duration::ZERO).map_err(|error| system_error("connect", address, &error))
}

fn place(seat: EngineSeat) -> napi::Result<Seat, String> {
    let board =
        Board::open(seat.fd, seat.slots).map_err(|error| system_error("scoreboard", "", &error))?;
    let slot = board.slot(seat.slot).map_err(|error| system_error("scoreboard", "", &error))?;
    Ok(Seat { slot, kicks: seat.kick_fds })
}

/// An error of the engine with its code.
pub(crate) fn failed(error: Error) -> napi::Error<String> {
    let code = if error.is_closed() {
        "ERR_ENGINE_CLOSED"
    } else if error.is_ring_full() {
        "ERR_ENGINE_RING_FULL"
    } else {
        "ERR_ENGINE_SYSTEM"
    };
    napi::Error::new(code.into(), error.to_string())
}

/// The version of the package that the binary was built for.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
