//! The timer wheel of an I/O thread: coarse, one entry per connection, no allocation while it
//! advances.
//!
//! A deadline that moves later costs nothing: the owner keeps the real deadline and returns it when
//! the entry is due. So a request on a kept-alive connection does not touch the wheel at all.
//! Deadlines never fire early, and at most one tick plus the owner's own delay late.

/// The entries by key. Keys should be small and reused, as connection ids are: the wheel keeps
/// twelve bytes for each key up to the highest.
pub struct TimerWheel {
    /// First the sentinels, one for each slot, then the entries of the keys. Lists are circular, so
    /// an entry can be unlinked without knowing its list.
    nodes: Vec<Node>,
    /// The last tick that has been processed.
    current: u32,
    len: usize,
}

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    previous: u32,
    /// When the entry is due; `ABSENT` if it is in no list.
    tick: u32,
}

impl TimerWheel {
    /// Creates an empty wheel at the time `now_ms`.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        let nodes =
            (0..SLOTS).map(|slot| Node { next: slot, previous: slot, tick: ABSENT }).collect();
        Self { nodes, current: ticks(now_ms / TICK_MS), len: 0 }
    }

    /// Ensures that the key is due at `deadline_ms` or earlier. A later entry is moved. An
    /// earlier entry stays; when it is due, the owner returns the time that is left.
    pub fn insert(&mut self, key: u32, deadline_ms: u64) {
        let node = node_of(key);
        if node >= self.nodes.len() {
            self.nodes.resize(node + 1, Node { next: 0, previous: 0, tick: ABSENT });
        }
        let tick = ticks(deadline_ms.div_ceil(TICK_MS));
        let present = self.nodes[node].tick;
        if present != ABSENT {
            if present <= tick {
                return;
            }
            self.unlink(node);
        }
        self.link(node, tick);
    }

    /// Calls `on_due` with every key whose entry is due. It returns the key's next deadline, or
    /// `None` to remove the entry.
    pub fn advance(&mut self, now_ms: u64, mut on_due: impl FnMut(u32) -> Option<u64>) {
        let now = ticks(now_ms / TICK_MS);
        // After a long sleep, one round visits every slot.
        self.current = self.current.max(now.saturating_sub(SLOTS));
        while self.current < now {
            self.current += 1;
            let sentinel = (self.current % SLOTS) as usize;
            // The loop terminates: entries linked meanwhile go to other slots than the current one.
            loop {
                let node = self.nodes[sentinel].next as usize;
                if node == sentinel {
                    break;
                }
                let tick = self.nodes[node].tick;
                self.unlink(node);
                if tick > self.current {
                    self.link(node, tick);
                } else if let Some(deadline_ms) = on_due(node as u32 - SLOTS) {
                    self.link(node, ticks(deadline_ms.div_ceil(TICK_MS)));
                }
            }
        }
    }

    /// The number of keys with an entry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the wheel has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Links an entry. A past tick is due at the next one. A tick beyond the wheel's round is
    /// examined when the round is over, and linked again.
    fn link(&mut self, node: usize, tick: u32) {
        let slot = tick.clamp(self.current + 1, self.current + SLOTS - 1) % SLOTS;
        let last = self.nodes[slot as usize].previous;
        self.nodes[node] = Node { next: slot, previous: last, tick };
        self.nodes[last as usize].next = node as u32;
        self.nodes[slot as usize].previous = node as u32;
        self.len += 1;
    }

    fn unlink(&mut self, node: usize) {
        let Node { next, previous, .. } = self.nodes[node];
        self.nodes[previous as usize].next = next;
        self.nodes[next as usize].previous = previous;
        self.nodes[node].tick = ABSENT;
        self.len -= 1;
    }
}

fn node_of(key: u32) -> usize {
    key as usize + SLOTS as usize
}

/// Saturates far below `ABSENT`, after more than ten years.
fn ticks(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(LAST_TICK).min(LAST_TICK)
}

/// The resolution of the wheel, in milliseconds.
pub const TICK_MS: u64 = 100;

/// The number of slots. A round takes 102.4 s, longer than most deadlines.
const SLOTS: u32 = 1_024;

const ABSENT: u32 = u32::MAX;
const LAST_TICK: u32 = u32::MAX - 2 * SLOTS;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn due_at(wheel: &mut TimerWheel, now_ms: u64) -> Vec<u32> {
        let mut keys = Vec::new();
        wheel.advance(now_ms, |key| {
            keys.push(key);
            None
        });
        keys
    }

    #[test]
    fn a_deadline_fires_once_within_a_tick_and_never_early() {
        let mut wheel = TimerWheel::new(12_345);
        wheel.insert(3, 12_501);
        assert_eq!(due_at(&mut wheel, 12_501), []);
        assert_eq!(due_at(&mut wheel, 12_599), []);
        assert_eq!(due_at(&mut wheel, 12_600), [3]);
        assert_eq!(due_at(&mut wheel, 99_999), []);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_past_deadline_fires_at_the_next_tick() {
        let mut wheel = TimerWheel::new(1_000);
        wheel.insert(0, 10);
        assert_eq!(due_at(&mut wheel, 1_099), []);
        assert_eq!(due_at(&mut wheel, 1_100), [0]);
    }

    #[test]
    fn a_due_entry_asks_its_owner_for_a_later_deadline() {
        let mut wheel = TimerWheel::new(0);
        wheel.insert(5, 200);
        wheel.insert(5, 10_000);
        assert_eq!(wheel.len(), 1);
        let mut asked = 0;
        wheel.advance(500, |_| {
            asked += 1;
            Some(10_000)
        });
        assert_eq!((asked, wheel.len()), (1, 1));
        assert_eq!(due_at(&mut wheel, 9_900), []);
        assert_eq!(due_at(&mut wheel, 10_000), [5]);
    }

    #[test]
    fn an_earlier_deadline_moves_the_entry() {
        let mut wheel = TimerWheel::new(0);
        wheel.insert(5, 10_000);
        wheel.insert(5, 300);
        assert_eq!((wheel.len(), due_at(&mut wheel, 300)), (1, vec![5]));
        assert_eq!(due_at(&mut wheel, 20_000), []);
    }

    #[test]
    fn deadlines_beyond_a_round_wait_for_theirs() {
        let mut wheel = TimerWheel::new(0);
        let hour_ms = 3_600_000;
        wheel.insert(1, hour_ms);
        wheel.insert(2, u64::MAX);
        for now_ms in (0..hour_ms).step_by(700) {
            assert_eq!(due_at(&mut wheel, now_ms), []);
        }
        assert_eq!(due_at(&mut wheel, hour_ms), [1]);
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn after_a_long_sleep_all_due_entries_fire() {
        let mut wheel = TimerWheel::new(0);
        (0..50).for_each(|key| wheel.insert(key, u64::from(key) * 10_000));
        wheel.insert(99, 100_000_000);
        let mut keys = due_at(&mut wheel, 50_000_000);
        keys.sort_unstable();
        assert_eq!(keys, (0..50).collect::<Vec<_>>());
        assert_eq!(due_at(&mut wheel, 100_000_000), [99]);
    }

    #[test]
    fn a_hundred_thousand_entries_fire_at_their_deadlines() {
        const KEYS: u32 = 100_000;
        let deadline = |key: u32| u64::from(key.wrapping_mul(2_654_435_761) % 300_000);
        let mut wheel = TimerWheel::new(0);
        (0..KEYS).for_each(|key| wheel.insert(key, deadline(key)));
        let capacity = wheel.nodes.capacity();
        let mut second: HashMap<u32, u64> = HashMap::new();
        let mut ended = 0;
        for now_ms in (0..700_000).step_by(100) {
            wheel.advance(now_ms, |key| {
                let expected = second.get(&key).copied().unwrap_or(deadline(key));
                // A deadline of 0 is due at the first tick.
                assert!(expected <= now_ms && now_ms < expected + 2 * TICK_MS);
                if second.contains_key(&key) {
                    ended += 1;
                    return None;
                }
                second.insert(key, now_ms + 250_000);
                Some(now_ms + 250_000)
            });
        }
        assert_eq!((ended, wheel.len()), (KEYS, 0));
        assert_eq!(wheel.nodes.capacity(), capacity, "nothing is allocated while it turns");
    }
}
