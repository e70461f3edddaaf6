//! A long run in at most 240 windows. When they are full, neighbours are joined and windows become twice as long: so the state
//! stays the same size however long the run is.

/// What one request did in one window; the mean of what it did in several, once they are joined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub seconds: f64,
    pub requests: f64,
    pub failures: f64,
    /// In seconds; of no meaning without requests.
    pub p50: f64,
    pub p99: f64,
}

/// The windows of a run, for each request; all lists have the same length.
#[derive(Clone, Debug)]
pub struct Windows {
    /// How long one is.
    seconds: f64,
    requests: Vec<Vec<Cell>>,
    resident_bytes: Vec<Option<f64>>,
}

/// More windows than this are joined.
pub const MOST: usize = 240;

// === Windows ===

impl Windows {
    pub fn new(requests: usize, seconds: f64) -> Self {
        let requests = (0..requests).map(|_| Vec::with_capacity(MOST)).collect();
        Self { seconds, requests, resident_bytes: Vec::with_capacity(MOST) }
    }

    /// How long the next one is to be.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    pub fn len(&self) -> usize {
        self.resident_bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many could be kept without asking for memory.
    pub fn capacity(&self) -> usize {
        self.requests.iter().map(Vec::capacity).sum::<usize>() + self.resident_bytes.capacity()
    }

    /// Adds a window: a cell for each request.
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>, resident_bytes: Option<f64>) {
        if self.len() >= MOST {
            self.requests.iter_mut().for_each(|cells| join(cells, Cell::join));
            join(&mut self.resident_bytes, |a, b| a.zip(b).map(|(a, b)| f64::midpoint(a, b)).or(a).or(b));
            self.seconds *= 2.0;
        }
        for (all, cell) in self.requests.iter_mut().zip(cells) {
            all.push(cell);
        }
        self.resident_bytes.push(resident_bytes);
    }

    pub fn of(&self, request: usize) -> &[Cell] {
        self.requests.get(request).map_or(&[], Vec::as_slice)
    }

    pub fn resident_bytes(&self) -> &[Option<f64>] {
        &self.resident_bytes
    }

    /// Forgets all of them; windows have their first length again.
    pub fn clear(&mut self, seconds: f64) {
        self.seconds = seconds;
        self.requests.iter_mut().for_each(Vec::clear);
        self.resident_bytes.clear();
    }
}

/// Joins each two neighbours, in place.
fn join<T: Copy>(list: &mut Vec<T>, both: impl Fn(T, T) -> T) {
    let pairs = list.len() / 2;
    for at in 0..pairs {
        list[at] = both(list[2 * at], list[2 * at + 1]);
    }
    if list.len() % 2 == 1 {
        list[pairs] = list[2 * pairs];
        list.truncate(pairs + 1);
    } else {
        list.truncate(pairs);
    }
}

// === Cell ===

impl Cell {
    pub const EMPTY: Self = Self { seconds: 0.0, requests: 0.0, failures: 0.0, p50: 0.0, p99: 0.0 };

    /// Both together. Quantiles cannot be joined exactly without their histograms; the mean, weighted by requests, is as good
    /// to see a trend in, and a hundredth of the memory.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let requests = self.requests + other.requests;
        let mean = |a: f64, b: f64| if requests > 0.0 { (a * self.requests + b * other.requests) / requests } else { 0.0 };
        Self {
            seconds: self.seconds + other.seconds,
            requests,
            failures: self.failures + other.failures,
            p50: mean(self.p50, other.p50),
            p99: mean(self.p99, other.p99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(requests: f64, p50: f64) -> Cell {
        Cell { seconds: 60.0, requests, failures: 1.0, p50, p99: 2.0 * p50 }
    }

    #[test]
    fn neighbours_are_joined_by_the_weight_of_their_requests() {
        let joined = cell(10.0, 1.0).join(cell(30.0, 3.0));
        assert_eq!(joined, Cell { seconds: 120.0, requests: 40.0, failures: 2.0, p50: 2.5, p99: 5.0 });
        assert_eq!(Cell::EMPTY.join(cell(5.0, 3.0)).p50, 3.0);
        assert_eq!(Cell::EMPTY.join(Cell::EMPTY), Cell::EMPTY);
    }

    #[test]
    fn a_hundred_thousand_windows_take_no_more_room_than_240() {
        let mut windows = Windows::new(50, 60.0);
        let before = windows.capacity();
        assert_eq!(before, 51 * MOST);
        for number in 0..100_000u32 {
            // As long as is asked for, from the length that was asked for last.
            windows.push((0..50).map(|_| cell(60.0, f64::from(number))), Some(f64::from(number)));
            assert!(windows.len() <= MOST && windows.len() == windows.of(49).len());
        }
        assert_eq!(windows.capacity(), before);
        // Nothing was lost on the way.
        assert_eq!(windows.of(0).iter().map(|cell| cell.requests).sum::<f64>(), 6_000_000.0);
        assert_eq!(windows.of(0).last().map(|cell| cell.p50), Some(99_999.0));
        assert!(windows.seconds() > 60.0);
    }

    #[test]
    fn an_odd_one_stays_alone() {
        let mut list = vec![1, 2, 3, 4, 5];
        join(&mut list, |a, b| a + b);
        assert_eq!(list, [3, 7, 5]);
    }
}
