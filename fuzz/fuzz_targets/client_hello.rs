//! Checks the properties in `properties/client_hello.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/client_hello.rs"]
mod client_hello;

fuzz_target!(|input: &[u8]| client_hello::check(input));
