//! Checks the properties in `properties/http2_frames.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/http2_frames.rs"]
mod http2_frames;

fuzz_target!(|input: &[u8]| http2_frames::check(input));
