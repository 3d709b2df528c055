//! Checks the properties in `properties/guard.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/guard.rs"]
mod guard;

fuzz_target!(|input: &[u8]| guard::check(input));
