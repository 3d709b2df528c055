//! Parses request heads strictly by RFC 9112 sections 2 to 7.

mod size;

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr};

use size::{check_line_length, exceeds_head_size, refuse_long_line};

use super::refusal::Refusal;
use super::request_line::parse_request_line;
use super::syntax::{TOKEN_CLASS, UNDERSCORE, check_host};
use crate::exchange::request_head::{Framing, RequestHead, Span};
use crate::guard::forwarding::ForwardingFields;
use crate::guard::parse_policy::ParsePolicy;
use crate::pressure::limits::Limits;
use crate::pressure::settings::HeaderMap;

/// Searcher for the end of a head. It is static because its preparation takes as long as most
/// searches.
static HEAD_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// Finds the end of the head at the start of `input`. `scanned` holds the number of bytes that
/// earlier calls have searched.
pub(super) fn find_head_end(
    input: &[u8],
    scanned: &mut usize,
    limits: &Limits,
) -> Result<Option<usize>, Refusal> {
    let from = scanned.saturating_sub(3);
    if let Some(at) = HEAD_END.find(&input[from..]) {
        let len = from + at + 4;
        let is_too_large = exceeds_head_size(&input[..len], limits);
        return if is_too_large { Err(Refusal::FieldTooLarge) } else { Ok(Some(len)) };
    }
    // Errors are found before the head is complete, so a client that never completes its head is
    // refused early.
    let begin = request_line_start(input);
    let mut line = memrchr(b'\n', &input[..*scanned]).map_or(0, |at| at + 1);
    for line_feed in memchr_iter(b'\n', &input[*scanned..]).map(|at| *scanned + at) {
        if line_feed == 0 || input[line_feed - 1] != b'\r' {
            return Err(Refusal::BadLineEnd);
        }
        check_line_length(input, line, line_feed + 1 - line, limits)?;
        if limits.node_compatible && line <= begin && line_feed > begin {
            parse_request_line(
                input,
                begin,
                line_feed - 1,
                &mut RequestHead::default(),
                &limits.parse_policy,
            )?;
        }
        line = line_feed + 1;
    }
    *scanned = input.len();
    check_first_bytes(&input[begin..], limits)?;
    // At least one more byte follows.
    check_line_length(input, line, input.len() + 1 - line, limits)?;
    if exceeds_head_size(input, limits) { Err(Refusal::FieldTooLarge) } else { Ok(None) }
}

/// Refuses bytes that cannot begin a request, so that a TLS client, for example, is refused before
/// its head ends.
///
/// With node's rules, a line that is text but no method is refused here too, and so is the start of
/// a method that is not allowed. Otherwise the complete head is needed, because its `Accept` field
/// selects the format of the error.
fn check_first_bytes(line: &[u8], limits: &Limits) -> Result<(), Refusal> {
    let as_node = limits.node_compatible;
    let is_wrong = |at: usize, byte: u8| match byte {
        // Line ends are checked once the line is complete.
        b'\r' | b'\n' => false,
        b' ' if at > 0 => false,
        byte => as_node || !(b' '..0x7f).contains(&byte),
    };
    let method = line.iter().position(|&byte| TOKEN_CLASS[byte as usize] == 0);
    if method.is_some_and(|at| is_wrong(at, line[at])) {
        return Err(Refusal::BadMethod);
    }
    let start = &line[..method.unwrap_or(line.len())];
    let methods = &limits.parse_policy.allowed_methods;
    let is_unknown =
        as_node && !methods.is_empty() && !methods.iter().any(|it| it.starts_with(start));
    if is_unknown { Err(Refusal::BadMethod) } else { Ok(()) }
}

/// Returns the start of the request line. One empty line before it is ignored (RFC 9112 section
/// 2.2).
fn request_line_start(input: &[u8]) -> usize {
    if input.starts_with(b"\r\n") { 2 } else { 0 }
}

/// Parses a complete head. For a trusted peer, `forwarding_name_lengths` has the lengths of the
/// forwarding field names as bits. It is `None` for other peers.
pub(super) fn parse_head(
    input: &[u8],
    head: &mut RequestHead,
    limits: &Limits,
    forwarding_name_lengths: Option<u64>,
) -> Result<(), Refusal> {
    head.clear();
    head.len = input.len();
    let policy = &limits.parse_policy;
    let start = request_line_start(input);
    let line = find_line_end(input, start)?;
    if line - start > limits.settings.limit_request_line {
        return Err(refuse_long_line(&input[start..]));
    }
    let authority = parse_request_line(input, start, line, head, policy)?;
    let lengths = forwarding_name_lengths.unwrap_or(0);
    let mut known =
        KnownFields { accepts_any_host: policy.accepts_any_host, ..KnownFields::default() };
    let mut forwarding = ForwardingFields::default();
    let mut at = line + 2;
    while at + 2 < input.len() {
        let end = find_line_end(input, at)?;
        if end + 2 - at > limits.settings.limit_request_field_size {
            return Err(Refusal::FieldTooLarge);
        }
        if head.fields.len() + head.dropped_fields == limits.settings.limit_request_fields as usize
        {
            return Err(Refusal::TooManyFields);
        }
        let (name, value, underscored) = parse_field_line(input, at, end)?;
        at = end + 2;
        if underscored
            && !keeps_underscored(
                name.of(input),
                value,
                forwarding_name_lengths.is_some(),
                policy,
                &mut forwarding,
            )?
        {
            head.dropped_fields += 1;
            continue;
        }
        known.record(name.of(input), value, head.fields.len(), input)?;
        if lengths >> (name.len() & 63) & 1 == 1 {
            forwarding.record(policy, input, (name, value))?;
        }
        head.fields.push((name, value));
    }
    let host_index = known.host_index;
    known.apply_to(head, input)?;
    // RFC 9112 section 3.2.2: the authority of absolute-form replaces the value of `Host`.
    if let (Some(index), Some(authority), false) = (host_index, authority, policy.accepts_any_host)
    {
        head.fields[index].1 = authority;
    }
    if forwarding_name_lengths.is_some() || !policy.root_path.is_empty() {
        forwarding.apply_to(policy, input, head, host_index)?;
    }
    Ok(())
}

/// Returns whether to keep a field with an underscore in its name.
fn keeps_underscored(
    name: &[u8],
    value: Span,
    trusted: bool,
    policy: &ParsePolicy,
    forwarding: &mut ForwardingFields,
) -> Result<bool, Refusal> {
    let listed = |field: &Vec<u8>| field == b"*" || field.eq_ignore_ascii_case(name);
    if trusted && policy.forwarder_headers.iter().any(listed) {
        if name.eq_ignore_ascii_case(b"script_name") {
            forwarding.record_script_name(value)?;
        }
        return Ok(true);
    }
    match policy.header_map {
        HeaderMap::Drop => Ok(false),
        HeaderMap::Refuse => Err(Refusal::BadField),
        HeaderMap::Dangerous => Ok(true),
    }
}

/// Returns the index of the CR of the line that starts at `from`.
fn find_line_end(input: &[u8], from: usize) -> Result<usize, Refusal> {
    match memchr(b'\n', &input[from..]) {
        Some(at) if at > 0 && input[from + at - 1] == b'\r' => Ok(from + at - 1),
        _ => Err(Refusal::BadLineEnd),
    }
}

/// Parses a field line (RFC 9112 section 5): a token, a colon without white space before it, and a
/// value without control characters. A line that starts with white space is obsolete line folding
/// and has no token.
///
/// Returns the name, the value, and whether the name has an underscore.
pub(super) fn parse_field_line(
    input: &[u8],
    start: usize,
    end: usize,
) -> Result<(Span, Span, bool), Refusal> {
    let line = &input[start..end];
    let mut classes = 0;
    let colon = line.iter().position(|&byte| {
        let class = TOKEN_CLASS[byte as usize];
        classes |= class;
        class == 0
    });
    let colon = colon.ok_or(Refusal::BadField)?;
    if colon == 0 || line[colon] != b':' {
        return Err(Refusal::BadField);
    }
    let (mut from, mut to) = (colon + 1, line.len());
    while from < to && matches!(line[from], b' ' | b'\t') {
        from += 1;
    }
    while to > from && matches!(line[to - 1], b' ' | b'\t') {
        to -= 1;
    }
    if line[from..to].iter().any(|&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
        let control = line[from..to].iter().find(|&&byte| byte < 0x20 && byte != b'\t');
        let is_cr = control == Some(&b'\r');
        return Err(if is_cr { Refusal::BareCarriageReturn } else { Refusal::BadField });
    }
    let value = Span::new(start + from..start + to);
    Ok((Span::new(start..start + colon), value, classes & UNDERSCORE != 0))
}

/// The fields that decide about framing and connection, recorded while the head is parsed.
#[derive(Default)]
struct KnownFields {
    /// Copy of the policy's `accepts_any_host`.
    accepts_any_host: bool,
    content_length: Option<u64>,
    is_chunked: bool,
    has_transfer_encoding: bool,
    /// Index of `Host` in the fields of the head.
    host_index: Option<usize>,
    content_type_count: usize,
    accept: Option<Span>,
    /// Whether `Connection` lists `close`.
    lists_close: bool,
    /// Whether `Connection` lists `keep-alive`.
    lists_keep_alive: bool,
    /// Whether `Connection` lists `upgrade`.
    lists_upgrade: bool,
    /// Whether `Upgrade` has a value.
    has_upgrade: bool,
    has_expect: bool,
}

impl KnownFields {
    fn record(
        &mut self,
        name: &[u8],
        span: Span,
        index: usize,
        input: &[u8],
    ) -> Result<(), Refusal> {
        let value = span.of(input);
        // The length excludes nearly all other names without a comparison.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.accepts_any_host {
                    // Node takes the first.
                    self.host_index.get_or_insert(index);
                    return Ok(());
                }
                if self.host_index.replace(index).is_some() {
                    return Err(Refusal::BadHost);
                }
                check_host(value)?;
            }
            6 if name.eq_ignore_ascii_case(b"accept") => self.accept = Some(span),
            6 if name.eq_ignore_ascii_case(b"expect") => self.has_expect = true,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.has_upgrade |= !value.is_empty(),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                // A value with other bytes is no list of tokens (RFC 9110 section 7.6.1), and
                // parsers differ in how they read it. Such a value may close the connection, but
                // not keep or upgrade it.
                let is_list = value.is_ascii();
                for option in value.split(|&byte| byte == b',') {
                    let option = option.trim_ascii();
                    self.lists_close |= option.eq_ignore_ascii_case(b"close");
                    self.lists_keep_alive |= is_list && option.eq_ignore_ascii_case(b"keep-alive");
                    self.lists_upgrade |= is_list && option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                // Parsers would take different ones, as with `Host` (RFC 9110 section 5.3).
                self.content_type_count += 1;
                if self.content_type_count > 1 && !self.accepts_any_host {
                    return Err(Refusal::BadField);
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.content_length.is_some() {
                    return Err(Refusal::RepeatedContentLength);
                }
                self.content_length = Some(parse_decimal(value).ok_or(Refusal::BadContentLength)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.has_transfer_encoding {
                    return Err(Refusal::BadTransferEncoding);
                }
                self.has_transfer_encoding = true;
                self.is_chunked = parse_transfer_coding(value)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_to(self, head: &mut RequestHead, input: &[u8]) -> Result<(), Refusal> {
        if self.has_transfer_encoding {
            // RFC 9112 section 6.1: both fields are an attack or a mistake, and HTTP/1.0 has no
            // transfer codings.
            if self.content_length.is_some() || head.minor_version == 0 {
                return Err(Refusal::BadTransferEncoding);
            }
            debug_assert!(self.is_chunked);
        }
        // RFC 9112 section 3.2: HTTP/1.1 requires exactly one `Host`; two are never allowed.
        let upgrade = self.has_upgrade && self.lists_upgrade;
        if self.host_index.is_none()
            && head.minor_version == 1
            && !(self.accepts_any_host && upgrade)
        {
            return Err(Refusal::BadHost);
        }
        head.accept = self.accept;
        head.framing = match (self.is_chunked, self.content_length) {
            (true, _) => Framing::Chunked,
            (false, None | Some(0)) => Framing::None,
            (false, Some(length)) => Framing::Length(length),
        };
        let connect = head.method.of(input) == b"CONNECT";
        head.allows_keep_alive =
            !self.lists_close && (head.minor_version == 1 || self.lists_keep_alive) && !connect;
        // RFC 9110 sections 10.1.1 and 7.8: both fields are ignored on HTTP/1.0.
        head.has_expect = self.has_expect && head.minor_version == 1;
        head.is_upgrade = upgrade && head.minor_version == 1 || connect;
        Ok(())
    }
}

/// Parses a decimal number: digits only, without sign, list or white space.
fn parse_decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value
        .iter()
        .try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// Accepts `chunked` alone, with empty list elements (RFC 9110 section 5.6.1.2). The status is 400
/// if `chunked` is repeated or not last, and 501 for codings that the server does not decode.
fn parse_transfer_coding(value: &[u8]) -> Result<bool, Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    let mut count = 0;
    let mut chunked = 0;
    let mut last = &b""[..];
    for coding in value.split(|&byte| byte == b',') {
        let coding = coding.trim_ascii();
        if coding.is_empty() {
            continue;
        }
        last = coding;
        count += 1;
        chunked += usize::from(last.eq_ignore_ascii_case(b"chunked"));
    }
    match (count, chunked) {
        (1, 1) => Ok(true),
        (_, 1) if last.eq_ignore_ascii_case(b"chunked") => Err(Refusal::UnknownTransferCoding),
        (1.., 0) => Err(Refusal::UnknownTransferCoding),
        _ => Err(Refusal::BadTransferEncoding),
    }
}

#[cfg(test)]
mod tests;
