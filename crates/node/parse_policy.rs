//! How requests are read, as the settings say it.

use monoceros_engine::guard::addresses::AddressList;
use monoceros_engine::guard::parse_policy::{
    ForwardedSyntax, ParsePolicy, ProxyProtocol, UnderscorePolicy,
};
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
pub(crate) fn parse_policy(settings: &EngineRules) -> napi::Result<ParsePolicy, String> {
    Ok(ParsePolicy {
        permit_unconventional_http_method: settings.permit_unconventional_http_method,
        casefold_http_method: settings.casefold_http_method,
        allowed_methods: Vec::new(),
        accepts_any_host: false,
        header_map: match settings.header_map.as_str() {
            "refuse" => UnderscorePolicy::Refuse,
            "dangerous" => UnderscorePolicy::Keep,
            _ => UnderscorePolicy::Drop,
        },
        forwarded_allow_ips: addresses(&settings.forwarded_allow_ips)?,
        forwarder_headers: settings.forwarder_headers.iter().map(|name| bytes(name)).collect(),
        secure_scheme_headers: settings
            .secure_scheme_headers
            .chunks_exact(2)
            .map(|pair| (bytes(&pair[0]), bytes(&pair[1])))
            .collect(),
        forwarded_headers: match settings.forwarded_headers.as_str() {
            "x-forwarded" => ForwardedSyntax::XForwarded,
            "forwarded" => ForwardedSyntax::Rfc7239,
            _ => ForwardedSyntax::Off,
        },
        root_path: ParsePolicy::normalize_root_path(&settings.root_path),
        proxy_protocol: match settings.proxy_protocol.as_str() {
            "v1" => ProxyProtocol::V1,
            "v2" => ProxyProtocol::V2,
            "auto" => ProxyProtocol::Auto,
            _ => ProxyProtocol::Off,
        },
        proxy_allow_ips: addresses(&settings.proxy_allow_ips)?,
    })
}

fn addresses(text: &str) -> napi::Result<AddressList, String> {
    AddressList::parse(text)
        .map_err(|error| napi::Error::new("ERR_INVALID_ARG_VALUE".into(), error.to_string()))
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}
