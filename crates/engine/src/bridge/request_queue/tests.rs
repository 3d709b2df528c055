//! Parts of batches, withdrawn requests and overload.

use std::time::Duration;

use super::*;
use crate::bridge::wire::event;

/// Adds requests with these ids, whose records have `size` bytes each.
fn append(queue: &mut RequestQueue, ids: &[u32], size: usize, now_us: u64) {
    let mut batch = EventBatch::default();
    for &id in ids {
        let at = batch.text.len() as u32;
        batch.requests.push(RequestStart { id, at, ..RequestStart::default() });
        batch.text.resize(batch.text.len() + size, event::REQUEST);
    }
    queue.append(&mut batch, now_us);
}

/// Takes a part, and returns its end and the waits.
fn take_part(
    queue: &mut RequestQueue,
    batch: &mut EventBatch,
    from: usize,
    now_us: u64,
) -> (usize, Vec<(u64, u64)>) {
    let mut waits = Vec::new();
    let end = queue.take_part(batch, from, || now_us, |wait, count| waits.push((wait, count)));
    (end.text, waits)
}

fn queue(target: Duration) -> RequestQueue {
    RequestQueue::new(QueueDelay::new(target))
}

#[test]
fn a_part_ends_with_the_next_request_after_its_size() {
    let mut queue = queue(Duration::ZERO);
    let mut batch = EventBatch::default();
    append(&mut queue, &[1, 2, 3, 4], 3_000, 5);
    queue.take(&mut batch);
    assert_eq!(take_part(&mut queue, &mut batch, 0, 10), (6_000, vec![(5, 2)]));
    assert_eq!(take_part(&mut queue, &mut batch, 6_000, 20), (12_000, vec![(15, 2)]));
}

#[test]
fn a_part_has_what_javascript_handles_in_10_ms() {
    let mut queue = queue(Duration::ZERO);
    let mut batch = EventBatch::default();
    append(&mut queue, &(0..40).collect::<Vec<_>>(), 10, 0);
    queue.take(&mut batch);
    assert_eq!(take_part(&mut queue, &mut batch, 0, 1).0, 100);
    // 10 requests have taken 50 ms.
    assert_eq!(take_part(&mut queue, &mut batch, 100, 50_001).0, 120);
    // 2 requests have taken 40 ms.
    assert_eq!(take_part(&mut queue, &mut batch, 120, 90_001).0, 130);
    // One request has taken 0.1 ms. The pace of 20 ms at most doubles from part to part.
    assert_eq!(take_part(&mut queue, &mut batch, 130, 90_101).0, 140);
    assert_eq!(take_part(&mut queue, &mut batch, 140, 90_201).0, 160);
    assert_eq!(take_part(&mut queue, &mut batch, 160, 90_401).0, 200);
}

#[test]
fn withdrawn_requests_do_not_make_a_part_shorter_or_the_pace_faster() {
    let mut queue = queue(Duration::ZERO);
    let mut batch = EventBatch::default();
    append(&mut queue, &(0..40).collect::<Vec<_>>(), 10, 0);
    queue.take(&mut batch);
    for id in (0..40).filter(|id| id % 4 > 0) {
        assert!(queue.withdraw(id, |_| true));
    }
    // Three of four are withdrawn: 10 others are in the whole batch.
    assert_eq!(take_part(&mut queue, &mut batch, 0, 1), (400, vec![(1, 10)]));
    batch.clear();
    append(&mut queue, &(0..40).collect::<Vec<_>>(), 10, 0);
    queue.take(&mut batch);
    // 10 requests have taken 50 ms.
    assert_eq!(take_part(&mut queue, &mut batch, 0, 50_001), (20, vec![(50_001, 2)]));
}

#[test]
fn a_request_is_withdrawn_until_javascript_takes_its_part() {
    let mut queue = queue(Duration::ZERO);
    let mut batch = EventBatch::default();
    append(&mut queue, &[1, 2, 3], 3_000, 0);
    queue.take(&mut batch);
    append(&mut queue, &[4, 5], 10, 100);
    assert_eq!(take_part(&mut queue, &mut batch, 0, 0).0, 6_000);
    assert!(!queue.withdraw(1, |_| true));
    assert!(queue.withdraw(3, |arrived| arrived == 0));
    assert!(!queue.withdraw(4, |arrived| arrived == 0));
    assert!(queue.withdraw(5, |_| true));
    assert!(!queue.withdraw(5, |_| true));
    assert_eq!(take_part(&mut queue, &mut batch, 6_000, 200), (9_000, vec![]));
    assert_eq!(batch.text[6_000], event::WITHDRAWN);
    batch.clear();
    queue.take(&mut batch);
    assert_eq!(take_part(&mut queue, &mut batch, 0, 300), (20, vec![(200, 1)]));
    assert_eq!([batch.text[0], batch.text[10]], [event::REQUEST, event::WITHDRAWN]);
}

#[test]
fn an_overloaded_worker_rejects_the_requests_that_have_waited_longest() {
    const MS: u64 = 1_000;
    let mut queue = queue(Duration::from_millis(100));
    let mut batch = EventBatch::default();
    // Each batch has waited for 150 ms, and as many requests are refused as JavaScript takes.
    for turn in 0..10 {
        append(&mut queue, &[0, 0], 10, turn * 150 * MS);
        queue.note_refused();
        queue.note_refused();
        batch.clear();
        queue.take(&mut batch);
        let mut from = 0;
        while from < batch.text.len() {
            from = take_part(&mut queue, &mut batch, from, (turn + 1) * 150 * MS).0;
        }
    }
    append(&mut queue, &(1..=20).collect::<Vec<_>>(), 10, 2_000 * MS);
    let late = queue.take_late(2_200 * MS);
    assert!(late.ids.is_empty() && late.report.is_none() && late.next_check_us.is_some());
    append(&mut queue, &[21, 22], 10, 2_100 * MS);
    let late = queue.take_late(2_201 * MS);
    assert_eq!(late.ids, (1..=14).collect::<Vec<_>>());
    assert!(matches!(late.report, Some(Report::Begin(_))));
    assert!(queue.take_late(2_201 * MS).ids.is_empty());
    assert!(!queue.withdraw(1, |_| true));
}
