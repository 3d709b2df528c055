//! Checks every head with an independent parser (httparse). The request is refused if httparse
//! reads it differently. A bug in the guard can therefore not split one request into two (request
//! smuggling).

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::refusal::Refusal;
use crate::exchange::request_head::{Framing, RequestHead};

/// Checks that httparse reads the same request line, number of fields, end of the head and framing
/// of the body.
///
/// # Errors
///
/// [`Refusal::ParserDisagreement`].
pub(super) fn check_agreement(head: &RequestHead, bytes: &[u8]) -> Result<(), Refusal> {
    let count = head.fields.len() + head.dropped_fields;
    let is_same = if count <= MAX_FIELDS_ON_STACK {
        is_same_request(
            head,
            bytes,
            count,
            &mut [const { MaybeUninit::uninit() }; MAX_FIELDS_ON_STACK],
        )
    } else {
        is_same_request(head, bytes, count, &mut vec![MaybeUninit::uninit(); count])
    };
    if is_same { Ok(()) } else { Err(Refusal::ParserDisagreement) }
}

fn is_same_request<'a>(
    head: &RequestHead,
    bytes: &'a [u8],
    count: usize,
    room: &mut [MaybeUninit<Header<'a>>],
) -> bool {
    let mut read = httparse::Request::new(&mut []);
    read.parse_with_uninit_headers(bytes, room) == Ok(Status::Complete(head.len))
        && read.method.is_some_and(|method| method.as_bytes() == head.method.of(bytes))
        && read.path.is_some_and(|path| path.as_bytes() == head.target.of(bytes))
        && read.version == Some(head.minor_version)
        && read.headers.len() == count
        && read_framing(read.headers) == Some(head.framing)
}

/// Returns the framing of the body (RFC 9112 section 6.3), or `None` if the fields are invalid or
/// repeated.
fn read_framing(fields: &[Header<'_>]) -> Option<Framing> {
    let mut framing = None;
    for field in fields {
        let is_length = field.name.eq_ignore_ascii_case("content-length");
        if !is_length && !field.name.eq_ignore_ascii_case("transfer-encoding") {
            continue;
        }
        let found = if is_length {
            match std::str::from_utf8(field.value).ok()?.parse().ok()? {
                0 => Framing::None,
                length => Framing::Length(length),
            }
        } else {
            is_chunked(std::str::from_utf8(field.value).ok()?).then_some(Framing::Chunked)?
        };
        if framing.replace(found).is_some() {
            return None;
        }
    }
    Some(framing.unwrap_or_default())
}

/// Whether `chunked` is the only coding of a list, whose empty elements are ignored.
fn is_chunked(list: &str) -> bool {
    let is_separator = |character| matches!(character, ',' | ' ' | '\t');
    list.trim_matches(is_separator).eq_ignore_ascii_case("chunked")
}

/// Maximum number of fields for which httparse's table is on the stack.
const MAX_FIELDS_ON_STACK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Guard, Progress};
    use crate::pressure::limits::Limits;

    /// Parses the head of a request with the guard.
    fn read(bytes: &[u8]) -> RequestHead {
        let mut head = RequestHead::default();
        let result = Guard::new().advance(bytes, &mut Vec::new(), &mut head, &Limits::default());
        assert_eq!(result, Ok((bytes.len(), Progress::Head)), "{}", bytes.escape_ascii());
        head
    }

    #[test]
    fn a_head_that_the_guard_misread_is_refused() {
        const REQUEST: &[u8] = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
        let right = read(REQUEST);
        assert_eq!(check_agreement(&right, REQUEST), Ok(()));
        let wrongs: [fn(&mut RequestHead); 8] = [
            |head| head.method.end -= 1,
            |head| head.target.end -= 1,
            |head| head.minor_version = 0,
            |head| head.len -= 2,
            |head| head.dropped_fields = 1,
            |head| head.framing = Framing::Length(6),
            |head| head.framing = Framing::None,
            |head| head.framing = Framing::Chunked,
        ];
        for (number, wrong) in wrongs.into_iter().enumerate() {
            let mut head = right.clone();
            wrong(&mut head);
            assert_eq!(
                check_agreement(&head, REQUEST),
                Err(Refusal::ParserDisagreement),
                "{number}"
            );
        }
    }

    #[test]
    fn framing_is_read_from_length_and_coding() {
        for (fields, framing) in [
            (&[][..], Some(Framing::None)),
            (&[("Content-Length", "0")], Some(Framing::None)),
            (&[("content-length", "007")], Some(Framing::Length(7))),
            (&[("Transfer-Encoding", "Chunked")], Some(Framing::Chunked)),
            (&[("Transfer-Encoding", ", chunked ,,")], Some(Framing::Chunked)),
            (&[("Transfer-Encoding", "gzip, chunked")], None),
            (&[("Content-Length", "7"), ("Content-Length", "7")], None),
            (&[("Content-Length", "7"), ("Transfer-Encoding", "chunked")], None),
            (&[("Content-Length", "7, 7")], None),
            (&[("Content-Length", "-7")], None),
            (&[("Content-Length", "99999999999999999999")], None),
        ] {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| Header { name, value: value.as_bytes() })
                .collect();
            assert_eq!(super::read_framing(&fields), framing, "{fields:?}");
        }
    }

    #[test]
    fn many_fields_are_read_like_few() {
        for count in [1, MAX_FIELDS_ON_STACK, MAX_FIELDS_ON_STACK + 1, 99] {
            let fields = "Field: value\r\n".repeat(count - 1);
            let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
            assert_eq!(read(request.as_bytes()).fields.len(), count);
        }
    }
}
