//! Checks the properties in `properties/websocket.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/websocket.rs"]
mod websocket;

fuzz_target!(|input: &[u8]| websocket::check(input));
