//! The metrics of a slot: counters, gauges and histograms by the layout of the metrics table, and
//! the durations of requests by method, status code and protocol.

use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::cells::{CacheLine, Header, SlotCells, increase};
use super::layout::{
    DURATION_BOUNDS, GAUGE_CELLS, Histogram, JAVASCRIPT_CELLS, LOOP_CELLS, MAX_SERIES, METHODS,
    MetricCell, PROTOCOLS, SIZE_BOUNDS,
};
use super::{Board, SlotRef, WorkerState};

/// The metrics of one worker, or of all released slots.
#[repr(C)]
pub(super) struct MetricCells {
    /// Written by the thread that has the I/O loop.
    loop_cells: [AtomicU64; LOOP_CELLS],
    /// Starts the part that the JavaScript thread writes.
    javascript: CacheLine,
    javascript_cells: [AtomicU64; JAVASCRIPT_CELLS],
    /// Starts the durations of requests, which the thread with the I/O loop writes.
    durations: CacheLine,
    /// One for each combination that the header lists: its buckets, then the sum.
    series: [SeriesCells; MAX_SERIES],
}

/// The durations of the requests of one series.
type SeriesCells = [AtomicU64; SERIES_CELLS];

/// The method, status code and protocol of a request. Its number is never 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SeriesKey(u32);

/// What a loop remembers of the list in the header: where the series of a key is.
pub(crate) struct SeriesCache([Cell<(u32, u16)>; CACHE_SIZE]);

/// A finished request.
#[derive(Clone, Copy, Debug)]
pub struct FinishedRequest {
    /// Its method, status code and protocol.
    pub key: SeriesKey,
    /// Size of its body.
    pub bytes_in: u64,
    /// Size of the body of its response.
    pub bytes_out: u64,
    /// Time from the request head to the end of the response, in microseconds.
    pub us: u64,
}

impl SeriesKey {
    /// Creates the key of a request. The method is a number of [`find_method`], the protocol an
    /// index of `PROTOCOLS`. Status 0 means that no response began.
    #[must_use]
    pub fn new(method: u8, status: u16, protocol: u8) -> Self {
        let status = u32::from(status.min(MAX_STATUS));
        Self(IS_KEY | u32::from(protocol) << 20 | u32::from(method) << 12 | status)
    }

    /// Returns the number of the key: the status code in the lowest 12 bits, then 8 bits for the
    /// method, then the protocol.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0 & !IS_KEY
    }

    /// Returns the status code, 0 if no response began.
    #[must_use]
    pub fn status(self) -> u16 {
        (self.0 & u32::from(MAX_STATUS)) as u16
    }

    fn cache_index(self) -> usize {
        (self.0 ^ self.0 >> 9 ^ self.0 >> 17) as usize % CACHE_SIZE
    }
}

/// Returns the number of a method, 0 for those that have no label of their own.
#[must_use]
pub fn find_method(method: &[u8]) -> u8 {
    METHODS[1..].iter().position(|known| *known == method).map_or(0, |index| index as u8 + 1)
}

/// Returns the number of the protocol that a version such as `HTTP/1.1` names.
#[must_use]
pub fn find_protocol(version: &[u8]) -> u8 {
    let named = version.strip_prefix(b"HTTP/").unwrap_or_default();
    let found = PROTOCOLS.iter().position(|known| named.starts_with(known));
    found.map_or(1, |index| index as u8)
}

impl Default for SeriesCache {
    fn default() -> Self {
        Self([const { Cell::new((0, 0)) }; CACHE_SIZE])
    }
}

impl SeriesCache {
    /// Returns the index of a series, and lists the series in the header if it is new.
    fn find(&self, header: &Header, key: SeriesKey) -> usize {
        let cached = &self.0[key.cache_index()];
        let (known, index) = cached.get();
        if known == key.0 {
            return usize::from(index);
        }
        let index = header.find_series(key.0);
        cached.set((key.0, index as u16));
        index
    }
}

impl Header {
    /// Reserves the first series for all that do not fit.
    pub(super) fn init_series(&self) {
        self.series_keys[OVERFLOW].store(IS_KEY | u32::from(OVERFLOW_STATUS), Relaxed);
    }

    /// Returns the index of a series, and appends the key if it is new. The list only grows: an
    /// index means the same in each slot, as long as the board exists.
    fn find_series(&self, key: u32) -> usize {
        for (index, listed) in self.series_keys.iter().enumerate() {
            let mut found = listed.load(Relaxed);
            if found == 0 {
                found = match listed.compare_exchange(0, key, Relaxed, Relaxed) {
                    Ok(_) => key,
                    Err(other) => other,
                };
            }
            if found == key {
                return index;
            }
        }
        OVERFLOW
    }

    /// Returns the keys of all series, in the order of their indices.
    fn series_keys(&self) -> Vec<u32> {
        self.series_keys.iter().map(|key| key.load(Relaxed)).take_while(|key| *key != 0).collect()
    }
}

impl MetricCells {
    fn cell(&self, index: usize) -> &AtomicU64 {
        match index.checked_sub(LOOP_CELLS) {
            None => &self.loop_cells[index],
            Some(index) => &self.javascript_cells[index],
        }
    }

    fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        self.loop_cells.iter().chain(&self.javascript_cells)
    }

    fn record(&self, histogram: Histogram, value: u64) {
        let start = histogram as usize;
        let bounds = histogram.bounds();
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        increase(self.cell(start + bucket), 1);
        increase(self.cell(start + bounds.len() + 1), value);
    }

    /// Sets everything to 0. `series` is the number of series that the header lists.
    pub(super) fn clear(&self, series: usize) {
        let used = self.series.iter().take(series).flatten();
        self.all().chain(used).for_each(|cell| cell.store(0, Relaxed));
    }

    /// Adds the counters of a slot or board. `index_of` is where a series of the other one is here.
    pub(super) fn add(&self, other: &Self, index_of: &[usize]) {
        for (index, (mine, theirs)) in self.all().zip(other.all()).enumerate() {
            if !GAUGE_CELLS.iter().any(|gauge| *gauge as usize == index) {
                increase(mine, theirs.load(Relaxed));
            }
        }
        for (mine, theirs) in index_of.iter().zip(&other.series) {
            for (mine, theirs) in self.series[*mine].iter().zip(theirs) {
                increase(mine, theirs.load(Relaxed));
            }
        }
    }

    fn append_to(&self, values: &mut Vec<u64>, series: usize) {
        let used = self.series.iter().take(series).flatten();
        values.extend(self.all().chain(used).map(|cell| cell.load(Relaxed)));
    }
}

impl Histogram {
    fn bounds(self) -> &'static [u64] {
        match self {
            Self::RequestBodySize | Self::ResponseBodySize => &SIZE_BOUNDS,
            Self::HandshakeDuration | Self::QueueDuration => &DURATION_BOUNDS,
        }
    }
}

impl SlotCells {
    /// Returns by how much the heartbeat is late, in microseconds: the event loop is blocked. An
    /// application that loads has no heartbeat yet.
    pub(super) fn pending_block_us(&self, now_us: u64) -> u64 {
        if !matches!(self.state(), WorkerState::Accepting | WorkerState::Draining) {
            return 0;
        }
        let silent_us = now_us.saturating_sub(self.beat_ms.load(Relaxed).saturating_mul(1_000));
        silent_us.checked_sub(BEAT_INTERVAL_US).filter(|late| *late > MIN_BLOCK_US).unwrap_or(0)
    }

    /// Adds the block that ends now to the time of all blocks.
    pub(super) fn end_block(&self, now_us: u64) {
        let late = self.pending_block_us(now_us);
        if late > 0 {
            increase(self.metrics.cell(MetricCell::BlockedTime as usize), late);
        }
    }
}

impl SlotRef {
    /// Adds to a counter. Only the thread that the cell's metric names may call it.
    pub fn count(&self, cell: MetricCell, by: u64) {
        increase(self.cells().metrics.cell(cell as usize), by);
    }

    /// Sets a gauge. Only the thread that the cell's metric names may call it.
    pub fn set_gauge(&self, cell: MetricCell, value: u64) {
        self.cells().metrics.cell(cell as usize).store(value, Relaxed);
    }

    /// Adds to a gauge. Only the thread that the cell's metric names may call it.
    pub fn change_gauge(&self, cell: MetricCell, change: i32) {
        let gauge = self.cells().metrics.cell(cell as usize);
        gauge.store(gauge.load(Relaxed).saturating_add_signed(i64::from(change)), Relaxed);
    }

    /// Counts a value. Only the thread that the histogram's metric names may call it.
    pub fn record(&self, histogram: Histogram, value: u64) {
        self.cells().metrics.record(histogram, value);
    }

    /// Counts a value `times` times, like [`SlotRef::record`].
    pub fn record_times(&self, histogram: Histogram, value: u64, times: u64) {
        let metrics = &self.cells().metrics;
        let start = histogram as usize;
        let bounds = histogram.bounds();
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        increase(metrics.cell(start + bucket), times);
        increase(metrics.cell(start + bounds.len() + 1), value.saturating_mul(times));
    }

    /// Counts a finished request. Called by the thread with the I/O loop, which `cache` belongs to.
    pub(crate) fn request_finished(&self, cache: &SeriesCache, request: &FinishedRequest) {
        let cells = self.cells();
        super::decrement(&cells.in_flight);
        cells.counted.record_request(request.bytes_in, request.bytes_out);
        cells.metrics.record(Histogram::RequestBodySize, request.bytes_in);
        cells.metrics.record(Histogram::ResponseBodySize, request.bytes_out);
        let series = &cells.metrics.series[cache.find(self.board().header(), request.key)];
        let bucket = DURATION_BOUNDS.iter().position(|bound| request.us <= *bound);
        increase(&series[bucket.unwrap_or(DURATION_BOUNDS.len())], 1);
        increase(&series[DURATION_BOUNDS.len() + 1], request.us);
    }
}

impl Board {
    /// Returns the numbers of the keys of all series, in the order of their indices. The first one
    /// counts those that do not fit.
    #[must_use]
    pub fn series_keys(&self) -> Vec<u32> {
        self.header().series_keys().into_iter().map(|key| key & !IS_KEY).collect()
    }

    /// Reads the metrics of a slot, or with 0 those of all released slots: the cells of the metrics
    /// table, then the buckets and the sum of each of the first `series` series.
    ///
    /// # Errors
    ///
    /// When there is no slot with this number.
    pub fn read_metrics(&self, number: u32, series: usize) -> std::io::Result<Vec<u64>> {
        let series = series.min(MAX_SERIES);
        let mut values = Vec::with_capacity(LOOP_CELLS + JAVASCRIPT_CELLS + series * SERIES_CELLS);
        if number == 0 {
            self.header().released.metrics.append_to(&mut values, series);
            return Ok(values);
        }
        let slot = self.slot(number)?;
        let cells = slot.cells();
        // Before the cells: a block that ends in between is then counted in one of the two at most.
        let pending = cells.pending_block_us(super::monotonic_us());
        cells.metrics.append_to(&mut values, series);
        values[MetricCell::BlockedTime as usize] += pending;
        Ok(values)
    }

    /// Adds the metrics of another board, whose processes have exited, to those of released slots.
    pub(super) fn absorb_metrics(&self, other: &Board) {
        let keys = other.header().series_keys();
        let index_of: Vec<_> = keys.iter().map(|key| self.header().find_series(*key)).collect();
        let mine = &self.header().released.metrics;
        mine.add(&other.header().released.metrics, &index_of);
        for cells in other.cells() {
            if cells.state() != WorkerState::Free {
                mine.add(&cells.metrics, &index_of);
            }
        }
    }

    /// Returns the number of series in use.
    pub(super) fn series_count(&self) -> usize {
        self.header().series_keys.iter().take_while(|key| key.load(Relaxed) != 0).count()
    }

    /// Returns the indices of all series in use, for slots of the same board.
    pub(super) fn series_indices(&self) -> Vec<usize> {
        (0..self.series_count()).collect()
    }
}

/// Number of cells of a series: its buckets, one for slower requests, and the sum.
const SERIES_CELLS: usize = DURATION_BOUNDS.len() + 2;
/// The series of the requests whose own series does not fit.
const OVERFLOW: usize = 0;
/// The status in the key of that series, which no response has.
const OVERFLOW_STATUS: u16 = MAX_STATUS;
/// The highest status in a key.
const MAX_STATUS: u16 = 0xfff;
/// Set in each key, so that none is 0.
const IS_KEY: u32 = 1 << 31;
/// Number of series that a loop remembers.
const CACHE_SIZE: usize = 64;
/// The longest interval of heartbeats.
const BEAT_INTERVAL_US: u64 = 1_000_000;
/// A heartbeat that is less late is no block.
const MIN_BLOCK_US: u64 = 50_000;
