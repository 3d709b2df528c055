//! A response as a client reads it, strictly.

/// One response, interim or final.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Sizes of the chunks, when the body came in chunks.
    pub chunks: Vec<usize>,
    pub trailers: Vec<(String, String)>,
}

impl Response {
    /// Parses the response at the start of `bytes` and returns it with its length in bytes; `None`
    /// while it is incomplete. `bodiless` is for responses to HEAD; `at_end` means that no more
    /// bytes follow.
    pub fn read(bytes: &[u8], bodiless: bool, at_end: bool) -> Option<(Self, usize)> {
        let end = find(bytes, b"\r\n\r\n")? + 4;
        let text =
            std::str::from_utf8(&bytes[..end - 4]).expect("the heads of these tests are ASCII");
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("status line {line:?}"));
        let (status, reason) = rest.split_once(' ').expect("a reason phrase, if an empty one");
        let mut response = Self {
            status: status.parse().expect("three digits"),
            reason: reason.to_owned(),
            fields: lines.map(field).collect(),
            body: Vec::new(),
            chunks: Vec::new(),
            trailers: Vec::new(),
        };
        if bodiless || response.status < 200 || matches!(response.status, 204 | 304) {
            return Some((response, end));
        }
        if response.field("transfer-encoding") == Some("chunked") {
            assert_eq!(response.field("content-length"), None, "two framings");
            let length = response.dechunk(&bytes[end..])?;
            return Some((response, end + length));
        }
        if let Some(length) = response.field("content-length") {
            let length: usize = length.parse().expect("a number");
            response.body = bytes.get(end..end + length)?.to_vec();
            return Some((response, end + length));
        }
        response.body = bytes[end..].to_vec();
        at_end.then_some((response, bytes.len()))
    }

    /// The value of a field that occurs once at most.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} occurs twice: {self:?}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the text bodies of these tests are UTF-8")
    }

    fn dechunk(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let line = at + find(&bytes[at..], b"\r\n")?;
            let size = std::str::from_utf8(&bytes[at..line]).expect("digits");
            let size = usize::from_str_radix(size, 16).expect("a size in hex");
            at = line + 2;
            if size == 0 {
                break;
            }
            self.body.extend_from_slice(bytes.get(at..at + size)?);
            self.chunks.push(size);
            assert_eq!(bytes.get(at + size..at + size + 2)?, b"\r\n", "after a chunk");
            at += size + 2;
        }
        loop {
            let end = at + find(&bytes[at..], b"\r\n")?;
            if end == at {
                return Some(at + 2);
            }
            self.trailers.push(field(std::str::from_utf8(&bytes[at..end]).expect("ASCII")));
            at = end + 2;
        }
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("field line {line:?}"));
    (name.to_owned(), value.to_owned())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
