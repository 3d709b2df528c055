//! Checks the properties of the fuzz targets with the corpora of `fuzz/` and with mutations of
//! them.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/properties/access.rs"]
mod access;
#[path = "../../../fuzz/properties/agreement.rs"]
mod agreement;
#[path = "../../../fuzz/properties/chunked.rs"]
mod chunked;
#[path = "../../../fuzz/properties/client_hello.rs"]
mod client_hello;
#[path = "../../../fuzz/properties/forwarded.rs"]
mod forwarded;
#[path = "../../../fuzz/properties/guard.rs"]
mod guard;
#[path = "../../../fuzz/properties/http2_frames.rs"]
mod http2_frames;
#[path = "../../../fuzz/properties/http2_head.rs"]
mod http2_head;
#[path = "../../../fuzz/properties/proxy.rs"]
mod proxy;
#[path = "../../../fuzz/properties/ring.rs"]
mod ring;
#[path = "../../../fuzz/properties/websocket.rs"]
mod websocket;

/// Maximum size of a file that is mutated, in bytes. The time to parse a file byte by byte grows
/// with the square of its size.
const MAX_MUTATED_BYTES: usize = 1_024;

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    files(&format!("fuzz/corpus/{name}"))
}

/// Returns the paths and contents of all files in a folder of the repository, sorted by path.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = fs::read_dir(&folder).expect("the folder is committed");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a folder that can be opened can be read").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a committed file")))
        .collect();
    files.sort();
    files
}

#[test]
fn the_guard_holds_its_properties() {
    replay("guard", 600, guard::check);
}

#[test]
fn the_guard_and_hyper_agree() {
    replay("agreement", 600, agreement::check);
    replay("guard", 200, agreement::check);
}

#[test]
fn golden_requests_hold_the_properties_of_guard_and_agreement() {
    for kind in ["valid", "invalid"] {
        // The JSON files with the expected results are useful input too.
        for (path, input) in files(&format!("__test__/golden/requests/{kind}")) {
            println!("{path}");
            guard::check(&input);
            guard::check_every_cut(&input);
            agreement::check(&input);
        }
    }
}

#[test]
fn chunked_bodies_hold_their_properties() {
    replay("chunked", 300, chunked::check);
}

#[test]
fn proxy_protocol_headers_hold_their_properties() {
    replay("proxy", 400, proxy::check);
}

#[test]
fn forwarding_fields_hold_their_properties() {
    replay("forwarded", 600, forwarded::check);
}

#[test]
fn the_guard_and_hyper_accept_valid_messages() {
    for (path, input) in corpus("agreement") {
        assert!(agreement::count_agreements(&input) > 0, "{path}");
    }
}

#[test]
fn http2_frames_hold_their_properties() {
    replay("http2_frames", 600, http2_frames::check);
}

#[test]
fn http2_heads_hold_their_properties() {
    replay("http2_head", 600, http2_head::check);
}

#[test]
fn websocket_frames_hold_their_properties() {
    replay("websocket", 600, websocket::check);
}

#[test]
fn client_hellos_hold_their_properties() {
    replay("client_hello", 300, client_hello::check);
}

#[test]
fn the_ring_holds_its_properties() {
    replay("ring", 1_000, ring::check);
}

#[test]
fn access_log_lines_hold_their_properties() {
    replay("access", 600, access::check);
}

#[test]
fn the_guard_accepts_valid_and_refuses_invalid_input() {
    for (path, input) in corpus("guard") {
        let reading = guard::read(&input, 1 << 16);
        let name = path.rsplit('/').next().unwrap_or_default();
        assert_eq!(reading.refusal.is_some(), name.starts_with("bad-"), "{name}");
        assert!(reading.refusal.is_some() || reading.complete > 0, "{name} is incomplete");
    }
}

/// Checks each file of a corpus, and `mutations` mutations of it. The number is chosen so that a
/// test takes about a second without optimization. Use cargo-fuzz for more.
fn replay(name: &str, mutations: usize, check: fn(&[u8])) {
    let files = corpus(name);
    assert!(files.len() >= 8, "the corpus of {name} is missing");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (path, input) in &files {
        println!("{path}");
        check(input);
    }
    for (_, input) in files.iter().filter(|(_, input)| input.len() <= MAX_MUTATED_BYTES) {
        for _ in 0..mutations * factor() {
            let (_, other) = &files[random.below(files.len())];
            check(&mutate(input, other, &mut random));
        }
    }
}

/// Returns the value of the variable `FUZZ_FACTOR`, for a longer run without cargo-fuzz.
fn factor() -> usize {
    std::env::var("FUZZ_FACTOR").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Mutates an input one to four times, in ways that find bugs in parsers. A mutation sets, removes
/// or doubles a byte, or inserts a part of another file.
fn mutate(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    const SPECIAL_BYTES: &[u8] = b"\r\n\0 :\t,;0\x80\xff";
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match random.below(4) {
            0 if !bytes.is_empty() => bytes[at] = SPECIAL_BYTES[random.below(SPECIAL_BYTES.len())],
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 if !bytes.is_empty() => bytes.insert(at, bytes[at]),
            _ => {
                let start = random.below(other.len().max(1));
                let end = (start + random.below(16)).min(other.len());
                bytes.splice(at..at, other[start.min(end)..end].iter().copied());
            }
        }
    }
    bytes
}

/// A xorshift generator. Every run has the same inputs, so that a failure can be reproduced.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap_or_default()
    }
}
