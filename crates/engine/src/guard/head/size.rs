//! The limits of a request head: its size, and the length of its lines.

use memchr::memchr;

use super::request_line_start;
use crate::guard::refusal::Refusal;
use crate::pressure::limits::Limits;

/// Whether a complete or incomplete head is too large. With `head_bytes` it is counted as Node's
/// parser counts.
pub(super) fn exceeds_head_size(input: &[u8], limits: &Limits) -> bool {
    if limits.head_bytes == 0 {
        return input.len() > limits.head_size();
    }
    input.len() >= limits.head_bytes
        && (input.len() > limits.head_buffer() || counted_size(input) >= limits.head_bytes)
}

/// Returns the number of bytes of the target and of the field names and values in a head. The
/// white space before a value does not count.
fn counted_size(input: &[u8]) -> usize {
    let mut lines = input[request_line_start(input)..].split(|&byte| byte == b'\n');
    let request_line = lines.next().unwrap_or_default();
    let target = request_line.split(|&byte| byte == b' ').nth(1).map_or(0, <[u8]>::len);
    let fields = lines.map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr(b':', line) else { return line.len() };
        colon + line[colon + 1..].trim_ascii_start().len()
    });
    target + fields.sum::<usize>()
}

/// Checks whether the line that starts at `line` may have `length` bytes, including its end.
pub(super) fn check_line_length(
    input: &[u8],
    line: usize,
    length: usize,
    limits: &Limits,
) -> Result<(), Refusal> {
    let (max_len, refusal) = if line <= request_line_start(input) {
        (limits.settings.limit_request_line + 2, Refusal::UriTooLong)
    } else {
        (limits.settings.limit_request_field_size, Refusal::FieldTooLarge)
    };
    match length {
        _ if length <= max_len => Ok(()),
        _ if refusal == Refusal::UriTooLong => Err(refuse_long_line(&input[line..])),
        _ => Err(refusal),
    }
}

/// Returns the refusal of a request line that is too long. Only a long target gets a 414: a line
/// that begins with more than any method is malformed.
pub(super) fn refuse_long_line(line: &[u8]) -> Refusal {
    let start = &line[..line.len().min(MAX_METHOD + 1)];
    if start.contains(&b' ') { Refusal::UriTooLong } else { Refusal::BadMethod }
}

/// Length of the longest method whose target is looked at, with
/// `permit_unconventional_http_method` too.
const MAX_METHOD: usize = 256;
