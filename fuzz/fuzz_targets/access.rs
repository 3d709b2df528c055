//! Checks the properties in `properties/access.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/access.rs"]
mod access;

fuzz_target!(|input: &[u8]| access::check(input));
