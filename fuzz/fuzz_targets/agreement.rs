//! Checks the properties in `properties/agreement.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/agreement.rs"]
mod agreement;

fuzz_target!(|input: &[u8]| agreement::check(input));
