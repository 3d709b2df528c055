//! Settings that decide how requests are parsed: allowed methods and field names, and the proxies
//! that are trusted. The sizes are in `limits.rs`. Settings are converted once, at the start.

use crate::guard::addresses::AddressList;
use crate::pressure::settings::{ForwardedHeaders, HeaderMap, ProxyProtocol};

/// Rules for parsing requests. Most fields have the name of their setting.
#[derive(Clone, Debug)]
pub struct ParsePolicy {
    /// Accepts methods of any length and case (Gunicorn `permit_unconventional_http_method`).
    pub permit_unconventional_http_method: bool,
    /// Methods to accept, sorted; empty for all. Node's parser has such a list.
    pub allowed_methods: Vec<Vec<u8>>,
    /// Converts methods to upper case (Gunicorn `casefold_http_method`).
    pub casefold_http_method: bool,
    /// Accepts any `Host` value, upgrades without `Host` and CONNECT with a path, and does not
    /// replace `Host` by the authority of the target. These are node's rules, for programs that
    /// listen by themselves.
    pub accepts_any_host: bool,
    /// Handling of field names with an underscore (Gunicorn `header_map`).
    pub header_map: HeaderMap,
    /// Peers whose forwarding fields are trusted (Gunicorn `forwarded_allow_ips`).
    pub forwarded_allow_ips: AddressList,
    /// Field names with underscores that a trusted peer may set, case-insensitive; `*` means all
    /// (Gunicorn `forwarder_headers`).
    pub forwarder_headers: Vec<Vec<u8>>,
    /// Fields by which a trusted peer reports https, with the value that means https (Gunicorn
    /// `secure_scheme_headers`).
    pub secure_scheme_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Fields from which to take the client's address and host.
    pub forwarded_headers: ForwardedHeaders,
    /// Path under which the application is mounted: empty, or with one leading and no trailing
    /// slash.
    pub root_path: Vec<u8>,
    /// Versions of the PROXY protocol that are accepted before the first request.
    pub proxy_protocol: ProxyProtocol,
    /// Peers that may send a PROXY protocol header (Gunicorn `proxy_allow_ips`).
    pub proxy_allow_ips: AddressList,
}

impl ParsePolicy {
    /// Returns a mount path with one leading and no trailing slash; the root becomes empty.
    #[must_use]
    pub fn normalize_root_path(path: &str) -> Vec<u8> {
        match path.trim_matches('/') {
            "" => Vec::new(),
            path => format!("/{path}").into_bytes(),
        }
    }
}

impl Default for ParsePolicy {
    /// The policy without any setting: no peer is trusted.
    fn default() -> Self {
        Self {
            permit_unconventional_http_method: false,
            allowed_methods: Vec::new(),
            casefold_http_method: false,
            accepts_any_host: false,
            header_map: HeaderMap::Drop,
            forwarded_allow_ips: AddressList::default(),
            forwarder_headers: Vec::new(),
            secure_scheme_headers: Vec::new(),
            forwarded_headers: ForwardedHeaders::Off,
            root_path: Vec::new(),
            proxy_protocol: ProxyProtocol::Off,
            proxy_allow_ips: AddressList::default(),
        }
    }
}
