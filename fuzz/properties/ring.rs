//! Properties of the ring's reader, for any content of the memory. It never panics, reads nothing
//! outside of the memory, terminates, and reads all records.
//!
//! Only a bug in our own JavaScript could write such memory. The I/O thread must survive it.

use monoceros_engine::bridge::ring::{Ring, RingCommand};
use monoceros_engine::bridge::wire::{RING_DATA_AT, ring_word};

/// Fills the memory of a ring from the input and reads it: write and read position, then the
/// records.
pub fn check(input: &[u8]) {
    let (positions, records) = input.split_at(input.len().min(8));
    let mut words = [0u8; 8];
    words[..positions.len()].copy_from_slice(positions);
    let word =
        |at: usize| u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
    let mut memory = vec![0u64; (RING_DATA_AT + SIZE) / 8];
    let start = memory.as_mut_ptr().cast::<u8>();
    // SAFETY: the memory is zeroed, aligned to 8 bytes, and alive until the end of this function.
    let ring = unsafe { Ring::new(start, RING_DATA_AT + SIZE) }.expect("a power of two");
    let length = records.len().min(SIZE);
    // SAFETY: the addresses are inside the memory, and no other code uses it meanwhile.
    unsafe {
        start.add(RING_DATA_AT).copy_from_nonoverlapping(records.as_ptr(), length);
        start.cast::<u32>().add(ring_word::TAIL).write(word(0));
        start.cast::<u32>().add(ring_word::HEAD).write(word(4));
    }
    let bounds = start as usize + RING_DATA_AT..=start as usize + RING_DATA_AT + SIZE;
    let is_inside = |part: &[u8]| {
        let from = part.as_ptr() as usize;
        part.is_empty() || (bounds.contains(&from) && bounds.contains(&(from + part.len())))
    };
    let (mut count, mut bytes) = (0, 0);
    ring.read_records(|_, command| {
        let parts = referenced_parts(&command);
        assert!(parts.iter().all(|part| is_inside(part)), "{command:?} is outside the memory");
        bytes += parts.iter().map(|part| part.len()).sum::<usize>();
        count += 1;
    });
    assert!(count <= SIZE / 4, "{count} records in {SIZE} bytes");
    assert!(bytes <= SIZE, "{bytes} bytes of payload in {SIZE}");
    assert!(!ring.has_unread_records());
}

/// Returns all slices that a command refers to.
fn referenced_parts<'a>(command: &RingCommand<'a>) -> Vec<&'a [u8]> {
    match command {
        RingCommand::Respond(head, body) => {
            vec![head.fields, head.reason.unwrap_or_default(), body]
        }
        RingCommand::Head(head, _) | RingCommand::Interim(head) => {
            vec![head.fields, head.reason.unwrap_or_default()]
        }
        RingCommand::Data(bytes) | RingCommand::Trailers(bytes) => vec![bytes],
        _ => Vec::new(),
    }
}

const SIZE: usize = 1 << 12;
