//! Chunks and requests of batches.

use super::*;
use crate::buffers::sizes::SHORT_CHUNK;

#[test]
fn short_chunks_are_copied_as_far_as_there_is_room() {
    let mut batch = EventBatch::default();
    batch.push_chunk(Bytes::from_static(b"one"));
    batch.push_chunk(Bytes::from_static(b""));
    batch.push_chunk(Bytes::from_static(b"three"));
    batch.push_chunk(Bytes::from(vec![0; SHORT_CHUNK + 1]));
    batch.push_chunk(Bytes::from_static(b"five"));
    let mut room = [0xff; 13];
    assert_eq!(batch.copy_short_chunks(0, 5, &mut room), 2);
    assert_eq!(room[..8], *b"\x03\0one\0\0\xff");
    let mut room = [0xff; 64];
    assert_eq!(batch.copy_short_chunks(0, 5, &mut room), 3);
    assert_eq!(batch.copy_short_chunks(0, 1, &mut room), 1);
    assert_eq!(batch.copy_short_chunks(3, 5, &mut room), 0);
    assert_eq!(batch.copy_short_chunks(4, 9, &mut room), 1);
    assert_eq!(batch.copy_short_chunks(6, 5, &mut room), 0);
    assert_eq!(room[..6], *b"\x04\0five");
}

#[test]
fn an_appended_batch_keeps_its_requests_and_chunks_in_place() {
    let mut first = EventBatch::default();
    first.push_chunk(Bytes::from_static(b"one"));
    first.text.extend_from_slice(&[1; 6_000]);
    let mut second = EventBatch { text: vec![2; 10], ..EventBatch::default() };
    second.push_chunk(Bytes::from_static(b"two"));
    second.requests.push(RequestStart { id: 7, at: 4, chunk: 1, ..RequestStart::default() });
    first.append(&mut second);
    assert_eq!(first.requests[0].position(), BatchPosition { text: 6_004, chunks: 2 });
    let mut room = [0; 16];
    assert_eq!(first.copy_short_chunks(0, 2, &mut room), 2);
    assert_eq!(room[..10], *b"\x03\0one\x03\0two");
}
