//! Finds pseudo-header fields in the trailers of a client (RFC 9113 section 8.1), which h2 drops
//! without an error. Only the blocks of trailers are read, and they are rare. A name that the
//! client has put into the dynamic table is not known here, so h2 drops such a field.

/// Position in the block of one trailer section, which may span several frames.
#[derive(Default)]
pub(crate) struct TrailerScan {
    /// Number of bytes before the block in a `HEADERS` frame.
    prefix: usize,
    /// Whether the next byte is the length of the padding.
    awaits_padding: bool,
    /// Number of padding bytes at the end of the frame.
    padding: usize,
    part: Part,
    number: Number,
    /// Number of bytes of a name or value to skip before `part`.
    string: usize,
}

/// The part of a field representation to which the next byte belongs (RFC 7541 section 6).
#[derive(Clone, Copy, Default)]
enum Part {
    /// The first byte.
    #[default]
    Start,
    /// The rest of an index.
    Index(Representation),
    /// The length of a name that is a literal.
    NameLength,
    /// The first byte of a name of this length.
    Name(usize),
    /// The length of a value.
    ValueLength,
}

#[derive(Clone, Copy)]
enum Representation {
    /// Name and value are an entry of a table.
    Indexed,
    /// The value is a literal, and the name too if its index is 0.
    Literal,
    /// No field, but a new size of the dynamic table.
    SizeUpdate,
}

/// An integer with a prefix (RFC 7541 section 5.1), as far as it has arrived.
#[derive(Clone, Copy, Default)]
struct Number {
    value: usize,
    shift: u32,
    /// Whether the prefix has arrived and more bytes follow.
    is_continued: bool,
    /// Whether the bit before the prefix is set, which means a Huffman code before a string.
    is_huffman: bool,
}

impl Number {
    /// Adds a byte; `bits` of it belong to the prefix. Returns the integer when it is complete.
    fn add(&mut self, byte: u8, bits: u32) -> Option<usize> {
        if self.is_continued {
            // h2 refuses an integer that is too large. Here it only must not overflow.
            let part = usize::from(byte & 0x7f) << self.shift.min(MAX_SHIFT);
            self.value = self.value.saturating_add(part);
            self.shift += 7;
            self.is_continued = byte & 0x80 != 0;
        } else {
            let max = (1 << bits) - 1;
            self.value = usize::from(byte) & max;
            self.shift = 0;
            self.is_continued = self.value == max;
            self.is_huffman = byte >> bits & 1 != 0;
        }
        (!self.is_continued).then_some(self.value)
    }
}

impl TrailerScan {
    /// Begins a frame with these flags.
    pub fn begin_frame(&mut self, flags: u8) {
        self.awaits_padding = flags & PADDED != 0;
        self.padding = 0;
        self.prefix = if flags & PRIORITY != 0 { PRIORITY_BYTES } else { 0 };
    }

    /// Reads a part of a frame's payload, after which `left` bytes are to arrive. Returns
    /// whether a pseudo-header field begins in it.
    pub fn scan(&mut self, mut payload: &[u8], left: usize) -> bool {
        if self.awaits_padding
            && let Some((&padding, rest)) = payload.split_first()
        {
            self.awaits_padding = false;
            self.padding = usize::from(padding);
            payload = rest;
        }
        let start = self.prefix.min(payload.len());
        self.prefix -= start;
        let end = payload.len().saturating_sub(self.padding.saturating_sub(left));
        payload.get(start..end).is_some_and(|block| self.scan_block(block))
    }

    fn scan_block(&mut self, mut block: &[u8]) -> bool {
        loop {
            let skipped = self.string.min(block.len());
            self.string -= skipped;
            let Some((&byte, rest)) = block[skipped..].split_first() else { return false };
            block = rest;
            let Some(next) = self.next_part(byte) else { return true };
            self.part = next;
        }
    }

    /// Returns the part that follows `byte`, or `None` if `byte` shows a pseudo-header field.
    fn next_part(&mut self, byte: u8) -> Option<Part> {
        Some(match self.part {
            Part::Start => {
                let (representation, bits) = match byte {
                    0x80.. => (Representation::Indexed, 7),
                    0x40.. => (Representation::Literal, 6),
                    0x20.. => (Representation::SizeUpdate, 5),
                    _ => (Representation::Literal, 4),
                };
                return self.after_index(representation, byte, bits);
            }
            Part::Index(representation) => return self.after_index(representation, byte, 0),
            Part::NameLength => match self.number.add(byte, STRING_BITS) {
                None => Part::NameLength,
                Some(0) => Part::ValueLength,
                Some(length) => Part::Name(length),
            },
            Part::Name(_) if self.is_colon(byte) => return None,
            Part::Name(length) => {
                self.string = length - 1;
                Part::ValueLength
            }
            Part::ValueLength => match self.number.add(byte, STRING_BITS) {
                None => Part::ValueLength,
                Some(length) => {
                    self.string = length;
                    Part::Start
                }
            },
        })
    }

    fn after_index(&mut self, kind: Representation, byte: u8, bits: u32) -> Option<Part> {
        let Some(index) = self.number.add(byte, bits) else { return Some(Part::Index(kind)) };
        let is_field = !matches!(kind, Representation::SizeUpdate);
        if is_field && (1..=LAST_PSEUDO_INDEX).contains(&index) {
            return None;
        }
        Some(match kind {
            Representation::Indexed | Representation::SizeUpdate => Part::Start,
            Representation::Literal if index == 0 => Part::NameLength,
            Representation::Literal => Part::ValueLength,
        })
    }

    /// Returns whether a name begins with a colon, whose Huffman code has seven bits.
    fn is_colon(&self, byte: u8) -> bool {
        if self.number.is_huffman { byte >> 1 == HUFFMAN_COLON } else { byte == b':' }
    }
}

/// Flags of a `HEADERS` frame (RFC 9113 section 6.2).
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Length of the fields that the flag `PRIORITY` announces.
const PRIORITY_BYTES: usize = 5;
/// Bits of the prefix in the length of a string.
const STRING_BITS: u32 = 7;
/// Last entry of the static table whose name is that of a pseudo-header field (RFC 7541 appendix
/// A).
const LAST_PSEUDO_INDEX: usize = 14;
/// The Huffman code of a colon (RFC 7541 appendix B).
const HUFFMAN_COLON: u8 = 0b101_1100;
/// Maximum shift of a part of an integer, so that it cannot overflow.
const MAX_SHIFT: u32 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans the payload of one frame in steps of `step` bytes.
    fn scan(flags: u8, payload: &[u8], step: usize) -> bool {
        let mut scan = TrailerScan::default();
        scan.begin_frame(flags);
        let mut left = payload.len();
        payload.chunks(step).any(|part| {
            left -= part.len();
            scan.scan(part, left)
        })
    }

    fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
        let length = |text: &[u8]| {
            let mut bytes = vec![text.len().min(127) as u8];
            if text.len() >= 127 {
                bytes.extend([(text.len() - 127) as u8 | 0x80, ((text.len() - 127) >> 7) as u8]);
            }
            bytes
        };
        [&[0][..], &length(name), name, &length(value), value].concat()
    }

    #[test]
    fn a_pseudo_field_is_found_in_each_representation() {
        let other = literal(b"x-checksum", &[b':'; 300]);
        let huffman_name = [&[0x10, 0x80 | 5][..], &[0xb9, 0x58, 0xd3, 0x3f, 0xff], &[0]].concat();
        for pseudo in [&[0x82][..], &[0x41, 1, b'x'], &[0x04, 0], &[0x1e, 0], &huffman_name] {
            let block = [&other, &[0x3f, 0xe1, 0x1f][..], pseudo].concat();
            for step in [1, 2, 7, 1_000] {
                assert!(scan(0, &block, step), "{pseudo:x?}");
            }
        }
        assert!(scan(0, &literal(b":status", b"200"), 3));
    }

    #[test]
    fn other_fields_padding_and_priority_are_no_pseudo_fields() {
        // Entries 15 and 62 of the tables, and an index of two bytes.
        let indexed = [&[0x8f, 0xbe, 0xff, 3][..], &[0x4f, 1, b':'], &[0x7f, 0, 1, b':']].concat();
        let fields = [&literal(b"a:b", b":"), &literal(b"", b""), &indexed[..]].concat();
        let padded = [&[3][..], &fields, &[0x82; 3]].concat();
        let both = [&[2][..], &[0x82; 5], &fields, &[0x82; 2]].concat();
        for step in [1, 2, 5, 1_000] {
            assert!(!scan(0, &fields, step));
            assert!(!scan(PADDED, &padded, step));
            assert!(!scan(PADDED | PRIORITY, &both, step));
            assert!(scan(PADDED, &[&[1][..], &fields, &[0x84, 0x82]].concat(), step));
        }
    }
}
