//! Decodes chunked bodies (RFC 9112 section 7.1): data, trailers and the end of the body.

use memchr::memchr;

use super::head;
use super::progress::Progress;
use super::refusal::Refusal;
use super::syntax::is_token;
use crate::pressure::limits::{Limits, MAX_CHUNK_LINE, MAX_TRAILERS};
use crate::pressure::settings::HeaderMap;

/// Position of the next byte in the chunked body.
enum ChunkedState {
    /// In a chunk-size line; `line` has the bytes that have arrived.
    Size,
    /// In the data of a chunk; the number is the bytes still to come.
    Data(u64),
    /// In the CRLF after the data of a chunk; the number is the bytes that have arrived.
    DataEnd(u8),
    /// In the trailer section.
    Trailers,
    /// After the last byte of the body.
    End,
}

/// Decoder of one chunked body.
pub(super) struct ChunkedDecoder {
    state: ChunkedState,
    /// The current line, as far as it has arrived.
    line: Vec<u8>,
    /// Trailer lines that were not dropped.
    trailers: Vec<u8>,
    /// Length of all trailer lines, in bytes.
    trailer_bytes: usize,
    trailer_lines: usize,
    /// Sum of the chunk sizes so far.
    body_length: u64,
}

impl ChunkedDecoder {
    pub(super) fn new() -> Self {
        Self {
            state: ChunkedState::Size,
            line: Vec::new(),
            trailers: Vec::new(),
            trailer_bytes: 0,
            trailer_lines: 0,
            body_length: 0,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, ChunkedState::End)
    }

    pub(super) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Decodes bytes of the body and appends the data to `data`. Returns the number of bytes that
    /// belong to the body, and the progress. Stops before the data of a chunk if it has decoded
    /// data of others.
    pub(super) fn advance(
        &mut self,
        input: &[u8],
        data: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        let mut taken = 0;
        let mut has_data = false;
        while taken < input.len() && !self.is_complete() {
            let rest = &input[taken..];
            taken += match self.state {
                ChunkedState::Size => {
                    let count = self.take_size_line(rest, limits)?;
                    if has_data && matches!(self.state, ChunkedState::Data(_)) {
                        return Ok((taken + count, Progress::NextChunk));
                    }
                    count
                }
                ChunkedState::Data(left) => {
                    has_data = true;
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - count as u64;
                    data.extend_from_slice(&rest[..count]);
                    self.state =
                        if left == 0 { ChunkedState::DataEnd(0) } else { ChunkedState::Data(left) };
                    count
                }
                ChunkedState::DataEnd(count) => {
                    if rest[0] != b"\r\n"[count as usize] {
                        return Err(Refusal::BadChunk);
                    }
                    self.state =
                        if count == 1 { ChunkedState::Size } else { ChunkedState::DataEnd(1) };
                    1
                }
                ChunkedState::Trailers => self.take_trailer_line(rest, limits)?,
                ChunkedState::End => 0,
            };
        }
        Ok((taken, if self.is_complete() { Progress::Complete } else { Progress::More }))
    }

    /// Appends bytes to the current line. Returns their number, and whether the line is complete.
    fn gather_line(
        &mut self,
        rest: &[u8],
        max_len: usize,
        refusal: Refusal,
    ) -> Result<(usize, bool), Refusal> {
        let (count, is_whole_line) = match memchr(b'\n', rest) {
            Some(at) => (at + 1, true),
            None => (rest.len(), false),
        };
        if self.line.len() + count > max_len {
            return Err(refusal);
        }
        self.line.extend_from_slice(&rest[..count]);
        if is_whole_line && !self.line.ends_with(b"\r\n") {
            return Err(Refusal::BadChunk);
        }
        Ok((count, is_whole_line))
    }

    fn take_size_line(&mut self, rest: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let (count, is_whole_line) =
            self.gather_line(rest, MAX_CHUNK_LINE, Refusal::ChunkLineTooLong)?;
        if !is_whole_line {
            // A line without a leading digit is invalid whatever follows, so it is refused before
            // its end.
            let is_size = self.line.first().is_none_or(u8::is_ascii_hexdigit);
            return if is_size { Ok(count) } else { Err(Refusal::BadChunk) };
        }
        let line = &self.line[..self.line.len() - 2];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 || digits > 16 {
            return Err(Refusal::BadChunk);
        }
        check_extensions(&line[digits..])?;
        let size = line[..digits].iter().fold(0u64, |sum, &digit| {
            // The digits have been checked with `is_ascii_hexdigit`.
            sum << 4 | u64::from((digit as char).to_digit(16).unwrap_or(0))
        });
        self.body_length = self.body_length.checked_add(size).ok_or(Refusal::BadChunk)?;
        if limits.settings.limit_request_body > 0
            && self.body_length > limits.settings.limit_request_body
        {
            return Err(Refusal::BodyTooLarge);
        }
        self.line.clear();
        self.state = if size == 0 { ChunkedState::Trailers } else { ChunkedState::Data(size) };
        Ok(count)
    }

    fn take_trailer_line(&mut self, rest: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let max_len = MAX_TRAILERS.min(limits.settings.limit_request_field_size);
        let (count, is_whole_line) = self.gather_line(rest, max_len, Refusal::FieldTooLarge)?;
        if !is_whole_line {
            return Ok(count);
        }
        let line = std::mem::take(&mut self.line);
        if line == b"\r\n" {
            self.state = ChunkedState::End;
            return Ok(count);
        }
        let field = head::parse_field_line(&line, 0, line.len() - 2);
        let (name, _, underscored) = field.map_err(|_| Refusal::BadTrailer)?;
        if FORBIDDEN_TRAILERS.iter().any(|forbidden| name.of(&line).eq_ignore_ascii_case(forbidden))
        {
            return Err(Refusal::BadTrailer);
        }
        self.trailer_lines += 1;
        if self.trailer_lines > limits.settings.limit_request_fields as usize {
            return Err(Refusal::TooManyFields);
        }
        self.trailer_bytes += line.len();
        if self.trailer_bytes > MAX_TRAILERS {
            return Err(Refusal::FieldTooLarge);
        }
        // Proxies write such names into the head. In trailers no peer is trusted with them.
        match limits.parse_policy.header_map {
            HeaderMap::Drop if underscored => {}
            HeaderMap::Refuse if underscored => return Err(Refusal::BadTrailer),
            _ => self.trailers.extend_from_slice(&line),
        }
        Ok(count)
    }
}

/// Checks chunk extensions (RFC 9112 section 7.1.1): `*( BWS ";" BWS name [ BWS "=" BWS ( token /
/// quoted-string ) ] )`. White space after the last one is an error.
fn check_extensions(line: &[u8]) -> Result<(), Refusal> {
    let mut rest = line;
    while !rest.is_empty() {
        rest = skip_space(rest).strip_prefix(b";").ok_or(Refusal::BadChunk)?;
        rest = skip_token(skip_space(rest))?;
        if let Some(value) = skip_space(rest).strip_prefix(b"=") {
            let value = skip_space(value);
            rest = match value {
                [b'"', inside @ ..] => skip_quoted(inside)?,
                _ => skip_token(value)?,
            };
        }
    }
    Ok(())
}

fn skip_space(line: &[u8]) -> &[u8] {
    let count = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &line[count..]
}

/// Returns the rest of the line after its leading token.
fn skip_token(line: &[u8]) -> Result<&[u8], Refusal> {
    match line.iter().take_while(|&&byte| is_token(byte)).count() {
        0 => Err(Refusal::BadChunk),
        count => Ok(&line[count..]),
    }
}

/// Returns the rest of the line after the end of a quoted string (RFC 9110 section 5.6.4).
fn skip_quoted(mut inside: &[u8]) -> Result<&[u8], Refusal> {
    loop {
        inside = match inside {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', b'\t' | 0x20..=0x7e | 0x80.., rest @ ..]
            | [b'\t' | 0x20..=0x5b | 0x5d..=0x7e | 0x80.., rest @ ..] => rest,
            _ => return Err(Refusal::BadChunk),
        };
    }
}

/// Fields of framing, routing, the connection and authentication, which must not be trailers (RFC
/// 9110 section 6.5.1).
const FORBIDDEN_TRAILERS: [&[u8]; 11] = [
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"trailer",
    b"authorization",
    b"te",
    b"connection",
    b"upgrade",
    b"expect",
    b"proxy-authorization",
    b"cookie",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of bytes of the body, its data, and its trailers if it is complete.
    type Read = (usize, Vec<u8>, Option<Vec<u8>>);

    /// Decodes a body in steps of `step` bytes.
    fn run(body: &[u8], step: usize) -> Result<Read, Refusal> {
        let mut decoder = ChunkedDecoder::new();
        let (mut total, mut data) = (0, Vec::new());
        for mut piece in body.chunks(step) {
            while !piece.is_empty() {
                let (taken, progress) = decoder.advance(piece, &mut data, &Limits::default())?;
                piece = &piece[taken..];
                total += taken;
                if progress == Progress::Complete {
                    return Ok((total, data, Some(decoder.trailers().to_vec())));
                }
            }
        }
        Ok((total, data, None))
    }

    #[test]
    fn decoding_stops_where_the_next_chunk_begins() {
        let mut body = &b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\nGET"[..];
        let mut decoder = ChunkedDecoder::new();
        for (expected, expected_progress) in
            [(&b"ab"[..], Progress::NextChunk), (b"c", Progress::Complete)]
        {
            let mut data = Vec::new();
            let (taken, progress) = decoder.advance(body, &mut data, &Limits::default()).unwrap();
            assert_eq!((&*data, progress), (expected, expected_progress));
            body = &body[taken..];
        }
        assert_eq!(body, b"GET");
    }

    #[test]
    fn data_and_end_do_not_depend_on_how_bytes_are_split() {
        let body = b"3\r\nabc\r\n1;x=y\r\nz\r\n0\r\nA: b\r\n\r\nGET";
        for step in 1..body.len() {
            let read = (body.len() - 3, b"abcz".to_vec(), Some(b"A: b\r\n".to_vec()));
            assert_eq!(run(body, step).unwrap(), read, "{step}");
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for body in [
            &b"x"[..],
            b"x\r\n",
            b"\r\n",
            b"3\nabc",
            b"1\r\nab",
            b"-1\r\n",
            b"11111111111111111\r\n",
            b"1 x\r\n",
            b"1 \r\n",
            b"1;\r\n",
            b"1;a=\r\n",
            b"1;a \r\n",
            b"1;a=\"b\r\n",
            b"1;a=b c\r\n",
            b"1;=b\r\n",
        ] {
            assert_eq!(run(body, 1).unwrap_err(), Refusal::BadChunk, "{body:?}");
        }
        for body in ["1;a\r\nz\r\n0\r\n\r\n", "1 ; a = \"b \\\" c\";d=e\r\nz\r\n0;f\r\n\r\n"] {
            assert!(run(body.as_bytes(), 3).unwrap().2.is_some(), "{body:?}");
        }
        assert_eq!(run(b"0\r\nHost: x\r\n\r\n", 5).unwrap_err(), Refusal::BadTrailer);
    }
}
