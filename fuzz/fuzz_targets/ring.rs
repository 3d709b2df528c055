//! Checks the properties in `properties/ring.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/ring.rs"]
mod ring;

fuzz_target!(|input: &[u8]| ring::check(input));
