//! What a long run is watched for, and what was found: plain figures, which `judge` fills in and exporters and reports show.

/// What is looked at in the windows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    P50,
    P99,
    FailureRatio,
    /// Requests a second.
    Throughput,
    /// Memory of the generator; of the run, not of a request.
    ResidentBytes,
}

/// How one signal of one request went over the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The request's name; empty for the run.
    pub request: String,
    pub signal: Signal,
    /// In the first and in the last quarter of the windows: seconds, shares of one, requests a second, bytes.
    pub first: f64,
    pub last: f64,
    /// Of the last quarter against the first: 0.1 is a tenth more. The height of a step where a step explains it.
    pub change: f64,
    /// Theil and Sen's slope, relative to where its line begins, for each hour.
    pub slope_per_hour: f64,
    /// How likely such a trend is by chance, given how many signals were looked at.
    pub p_value: f64,
    /// Beyond chance.
    pub significant: bool,
    /// It got worse: beyond chance, and by more than is accepted.
    pub regressed: bool,
}

/// What was found, and in how much.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Soak {
    /// The windows that were looked at, and how long each is, in seconds; 0 while there are too few to judge.
    pub windows: usize,
    pub window_seconds: f64,
    /// The change that is accepted.
    pub min_change: f64,
    /// Whether a run that got worse, or was too short to tell, has failed.
    pub fail_on_regression: bool,
    /// By request, then by signal.
    pub drifts: Vec<Drift>,
}

// === Signal ===

impl Signal {
    pub const ALL: [Self; 5] = [Self::P50, Self::P99, Self::FailureRatio, Self::Throughput, Self::ResidentBytes];
    /// Those that each request has.
    pub const OF_REQUESTS: [Self; 4] = [Self::P50, Self::P99, Self::FailureRatio, Self::Throughput];

    /// As the label `signal` carries it.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::FailureRatio => "failure_ratio",
            Self::Throughput => "throughput",
            Self::ResidentBytes => "resident_bytes",
        }
    }

    /// Whether such a change is for the worse.
    pub fn is_worse(self, change: f64) -> bool {
        if self == Self::Throughput { change < 0.0 } else { change > 0.0 }
    }
}

// === Soak ===

impl Soak {
    pub fn regressed(&self) -> impl Iterator<Item = &Drift> {
        self.drifts.iter().filter(|drift| drift.regressed)
    }
}
