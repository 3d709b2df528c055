//! Reads from a `ClientHello`, before rustls does, which cipher the client prefers.

/// Whether the client names `ChaCha20` before any AES, as clients without AES instructions do.
/// False for bytes that are no complete `ClientHello`: rustls handles them.
pub fn prefers_chacha20(first: &[u8]) -> bool {
    let Some(suites) = suites(first) else { return false };
    let mut known = suites.chunks_exact(2).filter_map(|pair| match pair {
        [0x13, 0x03] | [0xcc, 0xa8 | 0xa9] => Some(true),
        [0x13, 0x01 | 0x02] | [0xc0, 0x2b | 0x2c | 0x2f | 0x30] => Some(false),
        _ => None,
    });
    known.next() == Some(true)
}

/// The cipher suites of a `ClientHello` (RFC 8446 sections 4.1.2 and 5.1).
fn suites(first: &[u8]) -> Option<&[u8]> {
    let [HANDSHAKE, _, _, _, _, CLIENT_HELLO, _, _, _, hello @ ..] = first else { return None };
    let (session, rest) = hello.get(VERSION_AND_RANDOM..)?.split_first()?;
    let (count, rest) = rest.get(usize::from(*session)..)?.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*count)))
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const VERSION_AND_RANDOM: usize = 34;

#[cfg(test)]
mod tests {
    use super::prefers_chacha20;

    fn hello(suites: &[u8]) -> Vec<u8> {
        let mut hello = vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
        hello.extend([7; 32]);
        hello.push(4);
        hello.extend([9; 4]);
        hello.extend((suites.len() as u16).to_be_bytes());
        hello.extend(suites);
        hello.extend([1, 0, 0, 0]);
        hello
    }

    #[test]
    fn a_client_prefers_the_suite_that_it_names_first() {
        // Only suites that the server has count. 0x0a0a is a reserved value (GREASE, RFC 8701) that
        // clients send to test servers.
        assert!(prefers_chacha20(&hello(&[0x0a, 0x0a, 0x13, 0x03, 0x13, 0x01])));
        assert!(prefers_chacha20(&hello(&[0xcc, 0xa8, 0xc0, 0x2f])));
        assert!(!prefers_chacha20(&hello(&[0x13, 0x02, 0x13, 0x03, 0x13, 0x01])));
        assert!(!prefers_chacha20(&hello(&[0xc0, 0x2b, 0xcc, 0xa9])));
        assert!(!prefers_chacha20(&hello(&[])));
    }

    #[test]
    fn an_incomplete_client_hello_has_no_preference() {
        let whole = hello(&[0x13, 0x03, 0x13, 0x01]);
        for len in 0..whole.len() - 4 {
            assert!(!prefers_chacha20(&whole[..len]), "{len}");
        }
        assert!(!prefers_chacha20(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert!(!prefers_chacha20(&[22; 100]));
        assert!(!prefers_chacha20(&[255; 100]));
    }
}
