//! Which worker owns a session: the part of the shared memory that session affinity uses.
//!
//! A session is known by the hash of its key: a client's address, the value of a cookie, or a query
//! parameter. A worker that creates a session enters it into a table. A session without an entry
//! belongs to the accepting worker with the highest score for the hash (rendezvous hashing), so
//! that only the sessions of a worker that has left move, and all workers agree without messages.
//!
//! The table has a fixed size. A full bucket loses the session that was used least recently.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::{Board, SlotCells, WorkerState, monotonic_us};

/// The hash of a session's key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionHash(u64);

impl SessionHash {
    /// The number, for a message to another worker.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The hash with this number, from a message of another worker.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }

    fn bucket(self) -> usize {
        self.0 as usize % BUCKETS
    }

    fn tag(self) -> u64 {
        self.0 >> (u64::BITS - TAG_BITS)
    }
}

/// The entries whose hashes end in the same bits. Each entry is one word, so that a reader never
/// sees half of one: from the highest bit the tag of the hash, the slot's index, the low bits of
/// the slot's generation, and when the session was last used. An empty entry is 0.
#[repr(C, align(64))]
pub(super) struct Bucket([AtomicU64; WAYS]);

/// An entry in its parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    tag: u64,
    slot: u64,
    generation: u64,
    /// In units of [`AGE_UNIT_US`], modulo 2^16.
    used_at: u64,
}

impl Entry {
    fn unpack(word: u64) -> Self {
        let part = |shift: u32, bits: u32| (word >> shift) & mask(bits);
        Self {
            tag: part(SLOT_BITS + GENERATION_BITS + AGE_BITS, TAG_BITS),
            slot: part(GENERATION_BITS + AGE_BITS, SLOT_BITS),
            generation: part(AGE_BITS, GENERATION_BITS),
            used_at: part(0, AGE_BITS),
        }
    }

    fn pack(self) -> u64 {
        (((self.tag << SLOT_BITS | self.slot) << GENERATION_BITS | self.generation) << AGE_BITS)
            | self.used_at
    }
}

/// The owners of sessions on a board.
#[derive(Clone, Copy)]
pub struct Sessions<'a> {
    board: &'a Board,
}

impl<'a> Sessions<'a> {
    /// Returns the owners of the sessions on a board.
    #[must_use]
    pub fn of(board: &'a Board) -> Self {
        Self { board }
    }
}

impl Sessions<'_> {
    /// Hashes the key of a session. The hash has a secret of the board in it, so that no client can
    /// choose keys that fall on one worker or into one bucket.
    #[must_use]
    pub fn hash(self, key: &[u8]) -> SessionHash {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.board.inner.mapping.header().secret.load(Relaxed));
        hasher.write(key);
        SessionHash(hasher.finish())
    }

    /// The slot, from 0, of the worker that owns a session: the one that has created it, or the
    /// one that the hash selects. `None` if no worker accepts connections.
    #[must_use]
    pub fn owner_of(self, session: SessionHash) -> Option<usize> {
        self.recorded_owner(session).or_else(|| self.select_owner(session))
    }

    /// Enters a session that the worker with this slot, from 0, has created.
    pub fn record_owner(self, session: SessionHash, slot: usize) {
        let Some(cells) = self.board.cells().get(slot) else { return };
        let now = age_now();
        let bucket = &self.board.inner.mapping.sessions(self.board.inner.slots)[session.bucket()];
        let place = bucket.0.iter().min_by_key(|word| {
            let word = word.load(Relaxed);
            let entry = Entry::unpack(word);
            match word {
                0 => 1,
                _ if entry.tag == session.tag() => 0,
                _ if !self.is_alive(entry) => 2,
                _ => 3 + mask(AGE_BITS) - (now.wrapping_sub(entry.used_at) & mask(AGE_BITS)),
            }
        });
        let entry = Entry {
            tag: session.tag(),
            slot: slot as u64,
            generation: generation_of(cells),
            used_at: now,
        };
        if let Some(word) = place {
            word.store(entry.pack(), Relaxed);
        }
    }

    /// The worker that has entered the session, if it still accepts connections.
    fn recorded_owner(self, session: SessionHash) -> Option<usize> {
        let bucket = &self.board.inner.mapping.sessions(self.board.inner.slots)[session.bucket()];
        for cell in &bucket.0 {
            let word = cell.load(Relaxed);
            let entry = Entry::unpack(word);
            if word == 0 || entry.tag != session.tag() || !self.is_alive(entry) {
                continue;
            }
            let now = age_now();
            if entry.used_at != now {
                // Another session may have replaced the entry: that one stays.
                let used = Entry { used_at: now, ..entry }.pack();
                let _ = cell.compare_exchange(word, used, Relaxed, Relaxed);
            }
            return Some(entry.slot as usize);
        }
        None
    }

    fn select_owner(self, session: SessionHash) -> Option<usize> {
        let accepting = self.board.cells().iter().enumerate().filter(|(_, cells)| accepts(cells));
        accepting.map(|(slot, _)| slot).max_by_key(|&slot| score(session, slot))
    }

    fn is_alive(self, entry: Entry) -> bool {
        self.board
            .cells()
            .get(entry.slot as usize)
            .is_some_and(|cells| accepts(cells) && generation_of(cells) == entry.generation)
    }
}

/// The secret of a new board.
pub(super) fn create_secret() -> u64 {
    // The one source of random numbers in the standard library.
    RandomState::new().build_hasher().finish()
}

fn accepts(cells: &SlotCells) -> bool {
    cells.state() == WorkerState::Accepting
}

fn generation_of(cells: &SlotCells) -> u64 {
    u64::from(cells.generation.load(Relaxed)) & mask(GENERATION_BITS)
}

/// The score of a slot for a session: every slot has the same chance to have the highest.
fn score(session: SessionHash, slot: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(session.0);
    hasher.write_usize(slot);
    hasher.finish()
}

fn age_now() -> u64 {
    (monotonic_us() / AGE_UNIT_US) & mask(AGE_BITS)
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

const TAG_BITS: u32 = 24;
/// Enough for `MAX_SLOTS`.
const SLOT_BITS: u32 = 12;
const GENERATION_BITS: u32 = 12;
const AGE_BITS: u32 = 16;
/// A session is written again at most this often: 16 seconds. The age wraps after 12 days, and a
/// session that has not been used for that long may look new.
const AGE_UNIT_US: u64 = 16_000_000;
/// Entries of a bucket: one cache line.
const WAYS: usize = 8;
/// 65,536 entries in half a megabyte. Pages that nothing has written take no memory.
pub(super) const BUCKETS: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn board(workers: u32) -> Board {
        let board = Board::create(workers + 2).unwrap();
        for slot in 1..=workers {
            board.claim(slot, slot).unwrap();
            board.slot(slot).unwrap().set_state(WorkerState::Accepting);
        }
        board
    }

    fn sessions(board: &Board) -> Vec<SessionHash> {
        (0..2_000_u32).map(|key| Sessions::of(board).hash(&key.to_be_bytes())).collect()
    }

    #[test]
    fn sessions_are_spread_evenly_and_the_same_way_in_each_process() {
        let board = board(4);
        let other = Board::open(board.fd(), 6).unwrap();
        let mut counts = [0; 4];
        for session in sessions(&board) {
            let owner = Sessions::of(&board).owner_of(session).unwrap();
            assert_eq!(Sessions::of(&other).owner_of(session), Some(owner));
            counts[owner] += 1;
        }
        assert!(counts.iter().all(|count| (400..600).contains(count)), "{counts:?}");
    }

    #[test]
    fn only_the_sessions_of_a_worker_that_drains_move() {
        let board = board(4);
        let before: Vec<_> =
            sessions(&board).iter().map(|one| Sessions::of(&board).owner_of(*one)).collect();
        board.slot(3).unwrap().set_state(WorkerState::Draining);
        for (session, owner) in sessions(&board).into_iter().zip(before) {
            let now = Sessions::of(&board).owner_of(session);
            if owner == Some(2) {
                assert_ne!(now, Some(2));
            } else {
                assert_eq!(now, owner);
            }
        }
    }

    #[test]
    fn a_recorded_session_belongs_to_its_worker_until_that_worker_leaves() {
        let board = board(3);
        for session in sessions(&board) {
            Sessions::of(&board).record_owner(session, 1);
            assert_eq!(Sessions::of(&board).owner_of(session), Some(1));
        }
        board.slot(2).unwrap().set_state(WorkerState::Gone);
        board.release(2).unwrap();
        let session = sessions(&board)[0];
        assert_ne!(Sessions::of(&board).owner_of(session), Some(1));
        board.claim(2, 9).unwrap();
        board.slot(2).unwrap().set_state(WorkerState::Accepting);
        assert_eq!(
            Sessions::of(&board).owner_of(session),
            Sessions::of(&board).select_owner(session),
            "another process"
        );
    }

    #[test]
    fn a_full_bucket_loses_the_session_that_was_used_least_recently() {
        let board = board(1);
        let crowd = (0..=WAYS as u64).map(|tag| SessionHash(tag << (64 - TAG_BITS)));
        let crowd: Vec<_> = crowd.collect();
        let bucket = &board.inner.mapping.sessions(board.inner.slots)[0].0;
        for session in &crowd[..WAYS] {
            Sessions::of(&board).record_owner(*session, 0);
        }
        let aged =
            Entry { used_at: age_now().wrapping_sub(2) & mask(16), ..find(bucket, crowd[3]) };
        bucket[3].store(aged.pack(), Relaxed);
        Sessions::of(&board).record_owner(crowd[WAYS], 0);
        assert_eq!(Sessions::of(&board).recorded_owner(crowd[3]), None);
        for kept in [0, 1, 2, 4, WAYS] {
            assert_eq!(Sessions::of(&board).recorded_owner(crowd[kept]), Some(0), "{kept}");
        }
    }

    fn find(bucket: &[AtomicU64], session: SessionHash) -> Entry {
        let mut entries = bucket.iter().map(|word| Entry::unpack(word.load(Relaxed)));
        entries.find(|entry| entry.tag == session.tag()).unwrap()
    }

    #[test]
    fn without_an_accepting_worker_no_worker_owns_a_session() {
        let board = board(1);
        board.slot(1).unwrap().set_state(WorkerState::Draining);
        assert_eq!(Sessions::of(&board).owner_of(Sessions::of(&board).hash(b"key")), None);
    }

    #[test]
    fn each_board_has_its_own_secret() {
        let hashes = [board(1), board(1)].map(|board| Sessions::of(&board).hash(b"key"));
        assert_ne!(hashes[0], hashes[1]);
    }
}
