//! Replays the corpora of `fuzz/`, and changed copies of them, against the properties that the fuzz targets check.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/properties/access.rs"]
mod access;
#[path = "../../../fuzz/properties/agreement.rs"]
mod agreement;
#[path = "../../../fuzz/properties/chunked.rs"]
mod chunked;
#[path = "../../../fuzz/properties/forwarded.rs"]
mod forwarded;
#[path = "../../../fuzz/properties/guard.rs"]
mod guard;
#[path = "../../../fuzz/properties/proxy.rs"]
mod proxy;
#[path = "../../../fuzz/properties/ring.rs"]
mod ring;

/// Longer files are not changed: reading them byte by byte takes the square of their length.
const MAX_CHANGED_BYTES: usize = 1_024;

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    files(&format!("fuzz/corpus/{name}"))
}

/// All files of a folder of the repository, by name.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = fs::read_dir(&folder).expect("it is committed");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a folder that can be opened can be read").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a committed file")))
        .collect();
    files.sort();
    files
}

#[test]
fn guard_holds_its_property() {
    replay("guard", 600, guard::check);
}

#[test]
fn guard_and_hyper_agree() {
    replay("agreement", 600, agreement::check);
    replay("guard", 200, agreement::check);
}

#[test]
fn golden_requests_hold_both_properties() {
    for kind in ["valid", "invalid"] {
        // What is expected of them is as good an input as any.
        for (path, input) in files(&format!("__test__/golden/requests/{kind}")) {
            println!("{path}");
            guard::check(&input);
            guard::check_every_cut(&input);
            agreement::check(&input);
        }
    }
}

#[test]
fn chunked_bodies_hold_their_property() {
    replay("chunked", 300, chunked::check);
}

#[test]
fn proxies_headers_hold_their_property() {
    replay("proxy", 400, proxy::check);
}

#[test]
fn forwarded_fields_hold_their_property() {
    replay("forwarded", 600, forwarded::check);
}

#[test]
fn guard_and_hyper_both_read_what_is_valid() {
    for (path, input) in corpus("agreement") {
        assert!(agreement::compared(&input) > 0, "{path}");
    }
}

#[test]
fn ring_holds_its_property() {
    replay("ring", 1_000, ring::check);
}

#[test]
fn access_holds_its_property() {
    replay("access", 600, access::check);
}

#[test]
fn guard_accepts_what_is_valid_and_refuses_what_is_not() {
    for (path, input) in corpus("guard") {
        let reading = guard::read(&input, 1 << 16);
        let name = path.rsplit('/').next().unwrap_or_default();
        assert_eq!(reading.refusal.is_some(), name.starts_with("bad-"), "{name}: {reading:?}");
        assert!(reading.refusal.is_some() || reading.complete > 0, "{name} is not whole");
    }
}

/// Checks each file of a corpus and so many changed copies of it: as many as take a second or so without optimisation.
/// For more there is cargo-fuzz.
fn replay(name: &str, copies: usize, check: fn(&[u8])) {
    let files = corpus(name);
    assert!(files.len() >= 8, "the corpus of {name} is missing");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (path, input) in &files {
        println!("{path}");
        check(input);
    }
    for (_, input) in files.iter().filter(|(_, input)| input.len() <= MAX_CHANGED_BYTES) {
        for _ in 0..copies {
            let (_, other) = &files[random.below(files.len())];
            check(&changed(input, other, &mut random));
        }
    }
}

/// One to four changes of the kinds that find faults in parsers: a byte set, removed, doubled, or a piece of another file.
fn changed(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    const TELLING: &[u8] = b"\r\n\0 :\t,;0\x80\xff";
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match random.below(4) {
            0 if !bytes.is_empty() => bytes[at] = TELLING[random.below(TELLING.len())],
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

/// xorshift: the same inputs on every run, so that a failure can be looked at.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap_or_default()
    }
}
