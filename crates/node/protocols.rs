//! The settings of the versions of HTTP as JavaScript gives them.

use monoceros_engine::pressure::limits::{Cleartext, Http2Limits};
use napi_derive::napi;

/// The bounds of HTTP/2; what is not said is as without a setting.
#[napi(object)]
pub struct Http2Settings {
    /// Whether it is spoken without TLS: `off`, `beside` HTTP/1 or `alone`.
    pub cleartext: Option<String>,
    pub max_concurrent_streams: Option<u32>,
    pub initial_window_size: Option<u32>,
    pub max_frame_size: Option<u32>,
    pub max_header_list_size: Option<u32>,
    pub max_resets: Option<u32>,
    pub max_idle_frames: Option<u32>,
}

/// The bounds that they make.
pub fn http2(settings: &Http2Settings) -> Http2Limits {
    let unset = Http2Limits::default();
    Http2Limits {
        cleartext: match settings.cleartext.as_deref() {
            Some("beside") => Cleartext::Beside,
            Some("alone") => Cleartext::Alone,
            _ => Cleartext::Off,
        },
        streams: settings.max_concurrent_streams.unwrap_or(unset.streams),
        window: settings.initial_window_size.unwrap_or(unset.window),
        frame: settings.max_frame_size.unwrap_or(unset.frame),
        header_list: settings.max_header_list_size.unwrap_or(unset.header_list),
        resets: settings.max_resets.unwrap_or(unset.resets),
        idle_frames: settings.max_idle_frames.unwrap_or(unset.idle_frames),
    }
}
