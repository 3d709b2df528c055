//! How requests are read beyond the bounds of `limits.rs`: which methods and field names are taken, and whom the engine
//! believes about the client behind a proxy. Settings become rules once, at the start.

use crate::guard::addresses::AddressList;
use crate::pressure::settings::{ForwardedHeaders, HeaderMap, ProxyProtocol};

/// What a request may be, and who may say what about it.
#[derive(Clone, Debug)]
pub struct ParsePolicy {
    /// Methods of any length and letters (Gunicorn `permit_unconventional_http_method`).
    pub permit_unconventional_http_method: bool,
    /// The methods that are taken, in order; empty for all. Node's parser has a list of them.
    pub allowed_methods: Vec<Vec<u8>>,
    /// Methods become capitals before anybody sees them (Gunicorn `casefold_http_method`).
    pub casefold_http_method: bool,
    /// `Host` may be anything, an upgrade needs none, and a target in absolute form does not replace it: node's rules,
    /// for programs that listen by themselves.
    pub accepts_any_host: bool,
    /// What becomes of field names with an underscore (Gunicorn `header_map`).
    pub header_map: HeaderMap,
    /// Peers whose forwarding fields are believed (Gunicorn `forwarded_allow_ips`).
    pub forwarded_allow_ips: AddressList,
    /// Fields with underscores that a trusted peer may set, in any case of letters; `*` is all of them.
    pub forwarder_headers: Vec<Vec<u8>>,
    /// Fields of a trusted peer that tell the scheme, with the value that means https.
    pub secure_scheme_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where a trusted peer tells the client's address and host.
    pub forwarded_headers: ForwardedHeaders,
    /// The path under which the application is mounted: empty, or with one leading slash and none behind.
    pub root_path: Vec<u8>,
    /// Which versions of the PROXY protocol may stand before the first request.
    pub proxy_protocol: ProxyProtocol,
    /// Peers that may send it.
    pub proxy_allow_ips: AddressList,
}

impl ParsePolicy {
    /// A mount path as the rules have it: one leading slash, none behind, and empty for the root.
    #[must_use]
    pub fn normalize_root_path(path: &str) -> Vec<u8> {
        match path.trim_matches('/') {
            "" => Vec::new(),
            path => format!("/{path}").into_bytes(),
        }
    }
}

impl Default for ParsePolicy {
    /// What is so without a setting, and trusting nobody.
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
