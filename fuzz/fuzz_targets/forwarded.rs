//! Checks the properties in `properties/forwarded.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/forwarded.rs"]
mod forwarded;

fuzz_target!(|input: &[u8]| forwarded::check(input));
