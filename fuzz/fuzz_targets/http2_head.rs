//! Checks the properties in `properties/http2_head.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/guard.rs"]
mod guard;
#[path = "../properties/http2_head.rs"]
mod http2_head;

fuzz_target!(|input: &[u8]| http2_head::check(input));
