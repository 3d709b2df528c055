//! The bounds of the engine: the operator's settings, what is derived from them, and the constants
//! that no setting changes. Each bound names the attack or accident that it is for.

use std::time::Duration;

use crate::buffers::sizes::{MAX_BUFFER, MIN_RESPONSE_BUFFER};
use crate::guard::addresses::AddressList;
use crate::guard::parse_policy::ParsePolicy;
use crate::pressure::health_paths::HealthPaths;
use crate::pressure::setting_value::SettingError;
use crate::pressure::settings::Settings;

/// The bounds for the connections of one server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The operator's settings.
    pub settings: Settings,
    /// Node's `maxHeaderSize`: a head is refused from this size on, in bytes of its target and its
    /// field names and values. 0 derives the maximum size of a head from the settings, see
    /// [`Limits::head_size`].
    pub head_bytes: usize,
    /// How much longer than `keepalive` an idle connection stays open. A request that a client
    /// sends in the last moment of that time must still be served (Node's
    /// `keepAliveTimeoutBuffer`).
    pub keepalive_grace: Duration,
    /// How long a body or a response may be slower than `body_min_rate` or `write_min_rate`. TCP
    /// slow start and mobile hand-overs need it.
    pub rate_grace: Duration,
    /// Maximum number of body bytes to read and discard after the response, so that the connection
    /// can be kept. A longer body closes the connection, and so does a body of unknown length
    /// unless this is `u64::MAX`.
    pub max_discarded: u64,
    /// Maximum time to read and discard such a body.
    pub discard_time: Duration,
    /// Treats clients as `node:http` does: an error response has a status and no body, also where a
    /// head is cut short, and any number of empty lines may precede a request.
    pub node_compatible: bool,
    /// Sends the whole response to a client that has closed its side, as Node does with
    /// `httpAllowHalfOpen`.
    pub half_open: bool,
    /// Whether HTTP/2 is served without TLS.
    pub cleartext: Cleartext,
    /// The paths at which the engine answers health checks.
    pub health_paths: HealthPaths,
    /// How requests are parsed within these bounds.
    pub parse_policy: ParsePolicy,
}

/// HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cleartext {
    /// No HTTP/2: the preface of such a client is a bad request.
    #[default]
    Off,
    /// HTTP/2 for a connection that begins with the preface, HTTP/1 for every other.
    Beside,
    /// HTTP/2 only.
    Alone,
}

impl Limits {
    /// Derives the bounds from settings. Fails for a list of addresses that cannot be parsed.
    pub fn new(settings: Settings) -> Result<Self, SettingError> {
        let parse_policy = parse_policy(&settings)?;
        Ok(Self { parse_policy, ..Self::from(settings) })
    }

    /// Replaces an unlimited value by the largest that is supported, and one that is out of range
    /// by the nearest that is in range.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let or_max = |value: usize, max: usize| if value == 0 { max } else { value.min(max) };
        let settings = &mut self.settings;
        settings.limit_request_line = or_max(settings.limit_request_line, MAX_LINE);
        settings.limit_request_field_size = or_max(settings.limit_request_field_size, MAX_LINE);
        settings.limit_request_fields =
            or_max(settings.limit_request_fields as usize, MAX_FIELDS) as u32;
        // A smaller buffer would pass every few bytes on their own. JavaScript counts in 31 bits.
        settings.response_buffer_size =
            settings.response_buffer_size.clamp(MIN_RESPONSE_BUFFER, MAX_BUFFER);
        settings.request_buffer_size = settings.request_buffer_size.min(MAX_BUFFER);
        if settings.buffer_memory == 0 {
            settings.buffer_memory = usize::MAX;
        }
        if settings.http2_max_header_list_size == 0 {
            settings.http2_max_header_list_size = u32::MAX as usize;
        }
        for time in
            [&mut settings.header_timeout, &mut settings.handshake_timeout, &mut self.discard_time]
        {
            if time.is_zero() {
                *time = FOREVER;
            }
        }
        for count in [
            &mut settings.worker_connections,
            &mut settings.http2_max_resets,
            &mut settings.http2_max_idle_frames,
        ] {
            if *count == 0 {
                *count = u32::MAX;
            }
        }
        self
    }

    /// Returns the maximum size of a request head in bytes: `head_bytes`, or room for one field of
    /// the largest size and the other fields at [`USUAL_FIELD`]. With every field at its largest
    /// any client could make us hold a megabyte.
    #[must_use]
    pub fn head_size(&self) -> usize {
        if self.head_bytes > 0 {
            return self.head_bytes;
        }
        let Settings { limit_request_line, limit_request_field_size: field, .. } = self.settings;
        let fields = self.settings.limit_request_fields as usize;
        limit_request_line + 2 + fields * field.min(USUAL_FIELD) + field + 4
    }

    /// Returns the maximum number of bytes of a request head that are buffered. `head_bytes` does
    /// not count the bytes between names and values, so they have room beside it.
    #[must_use]
    pub fn head_buffer(&self) -> usize {
        let fields = self.settings.limit_request_fields as usize;
        match self.head_bytes {
            0 => self.head_size(),
            counted => counted + UNCOUNTED_LINE + fields * UNCOUNTED_FIELD,
        }
    }
}

impl From<Settings> for Limits {
    /// Trusts no proxy: only [`Limits::new`] reads the settings of the parse policy.
    fn from(settings: Settings) -> Self {
        Self {
            health_paths: HealthPaths::parse(&settings.health_paths),
            settings,
            head_bytes: 0,
            keepalive_grace: Duration::ZERO,
            rate_grace: Duration::from_secs(20),
            max_discarded: 1_048_576,
            discard_time: Duration::from_secs(5),
            node_compatible: false,
            half_open: false,
            cleartext: Cleartext::Off,
            parse_policy: ParsePolicy::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(Settings::default())
    }
}

/// Parses the lists and paths among the settings, once.
fn parse_policy(settings: &Settings) -> Result<ParsePolicy, SettingError> {
    let addresses = |name, list: &str| {
        AddressList::parse(list)
            .map_err(|error| SettingError::Invalid { name, problem: error.to_string() })
    };
    let names = settings.forwarder_headers.split(',').map(str::trim);
    let bytes = |text: &str| text.as_bytes().to_vec();
    Ok(ParsePolicy {
        permit_unconventional_http_method: settings.permit_unconventional_http_method,
        casefold_http_method: settings.casefold_http_method,
        header_map: settings.header_map,
        forwarded_allow_ips: addresses("forwarded_allow_ips", &settings.forwarded_allow_ips)?,
        forwarder_headers: names.filter(|name| !name.is_empty()).map(bytes).collect(),
        secure_scheme_headers: settings
            .secure_scheme_headers
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect(),
        forwarded_headers: settings.forwarded_headers,
        root_path: ParsePolicy::normalize_root_path(&settings.root_path),
        proxy_protocol: settings.proxy_protocol,
        proxy_allow_ips: addresses("proxy_allow_ips", &settings.proxy_allow_ips)?,
        ..ParsePolicy::default()
    })
}

/// Returns an equal share of a total, between two bounds.
pub fn fair_share(total: usize, count: usize, min: usize, max: usize) -> usize {
    (total / count.max(1)).clamp(min, max)
}

/// Period over which floods of HTTP/2 frames are counted.
pub const FLOOD_TIME: Duration = Duration::from_secs(10);
/// A deadline that is turned off: 68 years.
const FOREVER: Duration = Duration::from_secs(1 << 31);
/// Maximum length of a line. The bridge counts its bytes in 16 bits.
pub const MAX_LINE: usize = 65_535;
/// Maximum of `limit_request_fields`: the map of fields has room for no more, and a head with more
/// fields would be megabytes.
pub const MAX_FIELDS: usize = 24_576;
/// Maximum length of a chunk-size line with its extensions, which is Node's. An attacker could send
/// extensions forever.
pub const MAX_CHUNK_LINE: usize = 16_384;
/// Maximum size of a request's trailer section, all lines together.
pub const MAX_TRAILERS: usize = 16_000;
/// Maximum number of bytes to read and discard after an error response.
pub const MAX_LINGER: usize = 65_536;
/// The same for a client that is sending a body: most read the response only after that.
pub const MAX_DRAIN: usize = 16_777_216;
/// Average size in bytes that the fields of a head with many fields may have.
pub const USUAL_FIELD: usize = 1_024;

/// Bytes of a request line that `head_bytes` does not count: the method, the version, the spaces
/// and the line end.
const UNCOUNTED_LINE: usize = 64;

/// Bytes of a field that `head_bytes` does not count: the colon, a space and the line end.
const UNCOUNTED_FIELD: usize = 4;
/// How long a connection is idle before it releases what only a request needs. A busy connection
/// would otherwise allocate it again for each request.
pub const IDLE_RELEASE_DELAY: Duration = Duration::from_millis(200);
/// Number of bytes in which to look for the head of the response by which an application takes a
/// connection over.
pub const MAX_TUNNEL_HEAD: usize = 16_384;
/// Age before which a drain does not close a WebSocket. An Engine.IO client moves its session to a
/// new WebSocket within this time; if that one closes meanwhile, the session has no transport
/// until its ping timeout.
pub const MIN_WEBSOCKET_TIME: Duration = Duration::from_secs(1);
/// Maximum time for a client to answer the close frame of its WebSocket, before the connection is
/// closed.
pub const TUNNEL_CLOSE_TIME: Duration = Duration::from_secs(5);
/// How long a draining worker keeps idle connections by default, so that a request that is already
/// on its way gets a response.
pub const IDLE_DRAIN_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pressure::setting_value::SettingValue;
    use crate::pressure::settings::{ForwardedHeaders, HeaderMap, ProxyProtocol};

    /// Every number of the settings as this value.
    fn uniform(number: f64) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in Settings::default().values() {
            if let SettingValue::Number(_) = value {
                settings.set(name, &SettingValue::Number(number)).unwrap();
            }
        }
        settings
    }

    #[test]
    fn a_setting_of_zero_without_a_limit_becomes_the_largest_value() {
        let zero = uniform(0.0);
        let expected = Settings {
            limit_request_line: MAX_LINE,
            limit_request_fields: MAX_FIELDS as u32,
            limit_request_field_size: MAX_LINE,
            response_buffer_size: MIN_RESPONSE_BUFFER,
            worker_connections: u32::MAX,
            buffer_memory: usize::MAX,
            header_timeout: FOREVER,
            handshake_timeout: FOREVER,
            http2_max_header_list_size: u32::MAX as usize,
            http2_max_resets: u32::MAX,
            http2_max_idle_frames: u32::MAX,
            ..zero.clone()
        };
        assert_eq!(Limits::from(zero).bounded().settings, expected);
    }

    #[test]
    fn a_setting_above_its_maximum_becomes_the_maximum() {
        let large = uniform(f64::from(u32::MAX));
        let expected = Settings {
            limit_request_line: MAX_LINE,
            limit_request_fields: MAX_FIELDS as u32,
            limit_request_field_size: MAX_LINE,
            response_buffer_size: MAX_BUFFER,
            request_buffer_size: MAX_BUFFER,
            ..large.clone()
        };
        assert_eq!(Limits::from(large).bounded().settings, expected);
    }

    #[test]
    fn each_setting_of_the_parse_policy_has_its_own_field() {
        let policy = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            Limits::new(settings).unwrap().parse_policy
        };
        let permits = policy(|settings| settings.permit_unconventional_http_method = true);
        assert!(permits.permit_unconventional_http_method && !permits.casefold_http_method);
        let casefolds = policy(|settings| settings.casefold_http_method = true);
        assert!(casefolds.casefold_http_method && !casefolds.permit_unconventional_http_method);
        let changed = policy(|settings| {
            settings.header_map = HeaderMap::Refuse;
            settings.forwarded_allow_ips = "10.0.0.1".to_owned();
            settings.proxy_allow_ips = "10.0.0.2".to_owned();
            settings.secure_scheme_headers = vec![("A".to_owned(), "b".to_owned())];
            settings.forwarded_headers = ForwardedHeaders::XForwarded;
            settings.proxy_protocol = ProxyProtocol::V2;
        });
        assert_eq!(changed.header_map, HeaderMap::Refuse);
        assert_eq!(changed.forwarded_allow_ips, AddressList::parse("10.0.0.1").unwrap());
        assert_eq!(changed.proxy_allow_ips, AddressList::parse("10.0.0.2").unwrap());
        assert_eq!(changed.secure_scheme_headers, [(b"A".to_vec(), b"b".to_vec())]);
        assert_eq!(changed.forwarded_headers, ForwardedHeaders::XForwarded);
        assert_eq!(changed.proxy_protocol, ProxyProtocol::V2);
    }

    #[test]
    fn the_parse_policy_comes_from_the_settings() {
        let settings = Settings {
            forwarder_headers: " SCRIPT_NAME , ,PATH_INFO".to_owned(),
            root_path: "app/".to_owned(),
            ..Settings::default()
        };
        let policy = Limits::new(settings).unwrap().parse_policy;
        assert_eq!(policy.forwarder_headers, [b"SCRIPT_NAME".to_vec(), b"PATH_INFO".to_vec()]);
        assert_eq!(policy.root_path, b"/app");
        assert!(policy.forwarded_allow_ips.contains("127.0.0.1".parse().unwrap()));
        let error =
            Limits::new(Settings { proxy_allow_ips: "nowhere".to_owned(), ..Settings::default() });
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("the engine setting \"proxy_allow_ips\" is invalid: ")
        );
    }
}
