//! How requests are read, as the settings say it.

use monoceros_engine::guard::addresses::AddressList;
use monoceros_engine::guard::parse_policy::{Forwarded, ProxyProtocol, Rules, Underscores};
use napi_derive::napi;

/// The settings of the same names.
#[napi(object)]
pub struct EngineRules {
    pub permit_unconventional_http_method: bool,
    pub casefold_http_method: bool,
    pub header_map: String,
    pub forwarded_allow_ips: String,
    /// Names and the values that mean https, in turn.
    pub secure_scheme_headers: Vec<String>,
    pub forwarder_headers: Vec<String>,
    pub forwarded_headers: String,
    pub root_path: String,
    pub proxy_protocol: String,
    pub proxy_allow_ips: String,
}

/// The rules that the engine knows; `ts/settings/kinds.ts` has checked the words and the lists.
pub(crate) fn rules(settings: &EngineRules) -> napi::Result<Rules, String> {
    Ok(Rules {
        any_method: settings.permit_unconventional_http_method,
        casefold_method: settings.casefold_http_method,
        methods: Vec::new(),
        any_host: false,
        underscores: match settings.header_map.as_str() {
            "refuse" => Underscores::Refuse,
            "dangerous" => Underscores::Keep,
            _ => Underscores::Drop,
        },
        trusted: addresses(&settings.forwarded_allow_ips)?,
        forwarder_fields: settings.forwarder_headers.iter().map(|name| bytes(name)).collect(),
        scheme_fields: settings
            .secure_scheme_headers
            .chunks_exact(2)
            .map(|pair| (bytes(&pair[0]), bytes(&pair[1])))
            .collect(),
        forwarded: match settings.forwarded_headers.as_str() {
            "x-forwarded" => Forwarded::XForwarded,
            "forwarded" => Forwarded::Standard,
            _ => Forwarded::Off,
        },
        prefix: Rules::prefix_of(&settings.root_path),
        proxy_protocol: match settings.proxy_protocol.as_str() {
            "v1" => ProxyProtocol::V1,
            "v2" => ProxyProtocol::V2,
            "auto" => ProxyProtocol::Auto,
            _ => ProxyProtocol::Off,
        },
        proxies: addresses(&settings.proxy_allow_ips)?,
    })
}

fn addresses(text: &str) -> napi::Result<AddressList, String> {
    AddressList::parse(text)
        .map_err(|error| napi::Error::new("ERR_INVALID_ARG_VALUE".into(), error.to_string()))
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}
