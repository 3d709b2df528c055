//! Checks the properties in `properties/proxy.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/proxy.rs"]
mod proxy;

fuzz_target!(|input: &[u8]| proxy::check(input));
