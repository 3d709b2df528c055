//! Properties of the look at a TLS `ClientHello`, for any start of a connection. An incomplete list
//! of ciphers has no preference, and more bytes after the list change nothing.

use monoceros_engine::fuzzing::prefers_chacha20;

/// Checks one input, and each of its prefixes.
pub fn check(input: &[u8]) {
    let whole = prefers_chacha20(input);
    for end in 0..input.len().min(MAX_PREFIXES) {
        // The list of ciphers is complete in that prefix already.
        assert!(whole || !prefers_chacha20(&input[..end]), "more bytes change it: {input:?}");
    }
    let longer = [input, &[0x13, 0x03, 0xff]].concat();
    assert!(!whole || prefers_chacha20(&longer), "more bytes change it: {input:?}");
    let is_hello = input.first() == Some(&22) && input.get(5) == Some(&1);
    assert!(!whole || is_hello, "no ClientHello: {input:?}");
}

/// Maximum number of prefixes to try.
const MAX_PREFIXES: usize = 300;
