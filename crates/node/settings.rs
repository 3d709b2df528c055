//! Converts settings from JavaScript, by their names, and the options that are derived from several
//! settings.

use std::time::Duration;

use monoceros_engine::guard::parse_policy::ParsePolicy;
use monoceros_engine::log::access::{AccessFormat, AccessLog, Syslog};
use monoceros_engine::log::socket::LogSocket;
use monoceros_engine::log::statsd::Statsd;
use monoceros_engine::pressure::limits::{Cleartext, Limits};
use monoceros_engine::pressure::setting_value::{SettingError, SettingValue, bounded_seconds};
use monoceros_engine::pressure::settings::{HeaderMap, Settings};
use napi::bindgen_prelude::{JsObjectValue, Object, Unknown};
use napi::{Env, ValueType};
use napi_derive::napi;

use crate::engine::WorkerSlotOptions;
use crate::system_error::system_error;

/// What an engine needs besides the settings.
#[napi(object)]
pub struct EngineOptions {
    /// Reports a connection when it is accepted; by default with its first request.
    pub announces_at_accept: Option<bool>,
    /// HTTP/2 without TLS: `off` (the default), `beside` HTTP/1 or `alone`.
    pub cleartext: Option<String>,
    /// Sends the access log to syslog too.
    pub syslog: Option<SyslogOptions>,
    /// Sends figures of requests to statsd.
    pub statsd: Option<StatsdOptions>,
    /// This worker's slot on the scoreboard.
    pub worker_slot: Option<WorkerSlotOptions>,
    /// Lets the JavaScript thread run the I/O loop while it is calm; by default only the I/O thread
    /// does.
    pub movable_loop: Option<bool>,
    /// A descriptor that the arbiter holds open: at its end the engine drains and ends the process.
    pub lifeline_fd: Option<i32>,
}

/// Where access lines are sent as syslog messages.
#[napi(object)]
pub struct SyslogOptions {
    /// `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram` or
    /// `unix://PATH#stream`.
    pub address: String,
    /// The text before each line.
    pub head: String,
}

/// Where figures of requests are sent as statsd samples.
#[napi(object)]
pub struct StatsdOptions {
    /// `udp://HOST:PORT` or `unix://PATH`.
    pub address: String,
    /// The text before each name.
    pub prefix: String,
    /// The text after each sample.
    pub tags: String,
}

/// What a program sets on a server that the engine serves, in addition to the settings.
#[napi(object)]
pub struct ServerOverrides {
    /// How many seconds longer than `keepalive` an idle connection stays open.
    pub keepalive_grace: Option<f64>,
    /// Maximum size of a request head in bytes; derived from the settings by default.
    pub head_bytes: Option<u32>,
    /// Sends the whole response to a client that has closed its side.
    pub half_open: Option<bool>,
    /// HTTP/2 without TLS, as in `EngineOptions`.
    pub cleartext: Option<String>,
}

/// The limits of a server on an address of its own, as Node has them; in seconds and bytes. Every
/// other limit on clients is off, as it is in Node.
#[napi(object)]
pub struct NodeLimits {
    /// `server.keepAliveTimeout`.
    pub keepalive: f64,
    /// `server.keepAliveTimeoutBuffer`.
    pub keepalive_grace: f64,
    /// The smaller of `server.headersTimeout` and `server.requestTimeout`.
    pub header_timeout: f64,
    /// `server.requestTimeout`, from one byte of a body to the next.
    pub body_timeout: f64,
    /// `maxHeaderSize`: of a whole head.
    pub head_bytes: u32,
    /// `server.maxHeadersCount`.
    pub fields: u32,
    /// `httpAllowHalfOpen`.
    pub half_open: bool,
    /// `http.METHODS`: every other method is refused.
    pub methods: Vec<String>,
}

/// Reads the settings that an object has as properties. A setting that it lacks has its default; an
/// unknown name and a value of the wrong type are errors.
pub(crate) fn settings(object: &Object<'_>) -> napi::Result<Settings, String> {
    let mut settings = Settings::default();
    for name in Object::keys(object).map_err(failed)? {
        let value = value_of(object, &name).map_err(failed)?;
        settings.set(&name, &value).map_err(invalid)?;
    }
    Ok(settings)
}

/// Writes settings as an object, by their names.
pub(crate) fn settings_object<'env>(
    env: &'env Env,
    settings: &Settings,
) -> napi::Result<Object<'env>, String> {
    let mut object = Object::new(env).map_err(failed)?;
    for (name, value) in settings.values() {
        match value {
            SettingValue::Unset => object.set(name, napi::bindgen_prelude::Null),
            SettingValue::Number(number) => object.set(name, number),
            SettingValue::Flag(on) => object.set(name, on),
            SettingValue::Text(text) => object.set(name, text),
            SettingValue::Pairs(pairs) => {
                let mut fields = Object::new(env).map_err(failed)?;
                for (field, text) in pairs {
                    fields.set(field, text).map_err(failed)?;
                }
                object.set(name, fields)
            }
        }
        .map_err(failed)?;
    }
    Ok(object)
}

fn value_of(object: &Object<'_>, name: &str) -> napi::Result<SettingValue> {
    let value = object.get_named_property_unchecked::<Unknown<'_>>(name)?;
    Ok(match value.get_type()? {
        ValueType::Number => SettingValue::Number(object.get_named_property(name)?),
        ValueType::Boolean => SettingValue::Flag(object.get_named_property(name)?),
        ValueType::String => SettingValue::Text(object.get_named_property(name)?),
        ValueType::Object => {
            let fields = object.get_named_property::<Object<'_>>(name)?;
            let pair = |key: String| Ok((key.clone(), fields.get_named_property::<String>(&key)?));
            let pairs: napi::Result<_> = Object::keys(&fields)?.into_iter().map(pair).collect();
            SettingValue::Pairs(pairs?)
        }
        _ => SettingValue::Unset,
    })
}

/// Derives the limits of a server from settings and overrides.
pub(crate) fn limits(
    settings: Settings,
    overrides: &ServerOverrides,
) -> napi::Result<Limits, String> {
    let limits = Limits {
        keepalive_grace: bounded_seconds(overrides.keepalive_grace.unwrap_or(0.0)),
        head_bytes: overrides.head_bytes.unwrap_or(0) as usize,
        half_open: overrides.half_open.unwrap_or(false),
        cleartext: cleartext(overrides.cleartext.as_deref())?,
        ..Limits::new(settings).map_err(invalid)?
    };
    Ok(limits.bounded())
}

fn cleartext(word: Option<&str>) -> napi::Result<Cleartext, String> {
    match word {
        None | Some("off") => Ok(Cleartext::Off),
        Some("beside") => Ok(Cleartext::Beside),
        Some("alone") => Ok(Cleartext::Alone),
        Some(word) => Err(napi::Error::new(
            "ERR_INVALID_ARG_VALUE".into(),
            format!("cleartext must be \"off\", \"beside\" or \"alone\", got \"{word}\""),
        )),
    }
}

/// Makes limits of what Node has, for a server on an address of its own.
pub(crate) fn node_limits(own: &NodeLimits) -> Limits {
    let mut methods: Vec<_> = own.methods.iter().map(|name| name.as_bytes().to_vec()).collect();
    methods.sort();
    // Node keeps a field of any name, and does not check the value of `Host`.
    let parse_policy = ParsePolicy {
        allowed_methods: methods,
        header_map: HeaderMap::Dangerous,
        accepts_any_host: true,
        ..ParsePolicy::default()
    };
    let settings = Settings {
        limit_request_line: 0,
        limit_request_fields: own.fields,
        limit_request_field_size: 0,
        keepalive: bounded_seconds(own.keepalive),
        header_timeout: bounded_seconds(own.header_timeout),
        body_timeout: bounded_seconds(own.body_timeout),
        body_min_rate: 0,
        write_timeout: bounded_seconds(f64::MAX),
        write_min_rate: 0,
        worker_connections: 0,
        ..Settings::default()
    };
    Limits {
        parse_policy,
        head_bytes: own.head_bytes as usize,
        keepalive_grace: bounded_seconds(own.keepalive_grace),
        // Node reads on until the client has sent everything, however long that takes.
        max_discarded: u64::MAX,
        discard_time: bounded_seconds(own.body_timeout),
        node_compatible: true,
        half_open: own.half_open,
        ..Limits::from(settings)
    }
    .bounded()
}

/// Opens the access log, if the settings or the options ask for one.
pub(crate) fn access_log(
    settings: &Settings,
    syslog: Option<&SyslogOptions>,
) -> napi::Result<Option<AccessLog>, String> {
    let target = settings.accesslog.as_deref();
    let syslog = syslog.map(open_syslog).transpose()?;
    if target.is_none() && syslog.is_none() {
        return Ok(None);
    }
    let format = AccessFormat::compile(&settings.access_log_format)
        .map_err(|error| napi::Error::new("ERR_INVALID_ARG_VALUE".into(), error))?;
    AccessLog::with(target, format, syslog)
        .map(Some)
        .map_err(|error| system_error("open", target.unwrap_or_default(), &error))
}

fn open_syslog(options: &SyslogOptions) -> napi::Result<Syslog, String> {
    Ok(Syslog::new(open_socket(&options.address)?, &options.head))
}

/// Opens the socket to statsd.
pub(crate) fn open_statsd(options: &StatsdOptions) -> napi::Result<Statsd, String> {
    Ok(Statsd::new(open_socket(&options.address)?, &options.prefix, &options.tags))
}

/// Opens a socket for the I/O thread, which never waits for one.
fn open_socket(address: &str) -> napi::Result<LogSocket, String> {
    LogSocket::open(address, Duration::ZERO)
        .map_err(|error| system_error("connect", address, &error))
}

fn invalid(error: SettingError) -> napi::Error<String> {
    napi::Error::new("ERR_INVALID_ARG_VALUE".into(), error.to_string())
}

fn failed(error: napi::Error) -> napi::Error<String> {
    napi::Error::new("ERR_INVALID_ARG_TYPE".into(), error.reason.clone())
}
