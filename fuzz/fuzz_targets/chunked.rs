//! Checks the properties in `properties/chunked.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties/agreement.rs"]
mod agreement;
#[path = "../properties/chunked.rs"]
mod chunked;
#[path = "../properties/guard.rs"]
mod guard;

fuzz_target!(|input: &[u8]| chunked::check(input));
