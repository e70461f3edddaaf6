//! A run as Prometheus would have scraped it, once a minute.

use std::ops::Range;

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// Each minute takes so many per cent longer than the first one.
    Creeping(f64),
    /// So many times as slow.
    Slower(f64),
    /// The period in minutes, and the amplitude.
    Wave(f64, f64),
    SlowerThanBaseline,
    /// The share of requests that fail.
    Failing(f64),
    FewerRequests,
    /// Arrivals find no user: 5% of them.
    Dropping,
    Saturated,
    BreakingThreshold,
    /// The generator is the bottleneck: no threshold is ok then.
    Invalid,
    /// The generator's own verdict.
    Regressed,
}

#[derive(Clone, Debug)]
pub(super) struct Run {
    id: &'static str,
    instance: String,
    /// Before is the ramp, after it the ramp down.
    steady: Range<usize>,
    begins: usize,
    /// When it is done, after its ramp down.
    done: usize,
    /// From then on nothing is scraped any more, and what was there is stale.
    gone: Option<usize>,
    planned: Option<f64>,
    per_second: f64,
    baseline: f64,
    trouble: Vec<(Trouble, Range<usize>)>,
    gaps: Vec<Range<usize>>,
    /// Users were scaled.
    scaled: Option<usize>,
    paused: Range<usize>,
    daemon: bool,
}

/// Response times without trouble, in seconds.
const USUAL: f64 = 0.2;

/// Upper boundaries of buckets, in seconds.
const BUCKETS: [f64; 5] = [0.1, 0.25, 0.5, 1.0, 10.0];

const PHASES: [&str; 5] = ["ramp", "steady", "ramp_down", "done", "paused"];

impl Run {
    pub(super) fn new(id: &'static str) -> Self {
        Self {
            id,
            instance: format!("{id}:9464"),
            steady: 10..100,
            begins: 0,
            done: 105,
            gone: None,
            planned: Some(12.0 * 3600.0),
            per_second: 20.0,
            baseline: 1.0,
            trouble: Vec::new(),
            gaps: Vec::new(),
            scaled: None,
            paused: 0..0,
            daemon: false,
        }
    }

    pub(super) fn steady(mut self, minutes: Range<usize>) -> Self {
        self.done = minutes.end + 5;
        self.steady = minutes;
        self
    }

    pub(super) fn with(mut self, trouble: Trouble, minutes: Range<usize>) -> Self {
        self.trouble.push((trouble, minutes));
        self
    }

    /// Nothing is scraped then.
    pub(super) fn gap(mut self, minutes: Range<usize>) -> Self {
        self.gaps.push(minutes);
        self
    }

    /// Nothing of it is scraped before.
    pub(super) fn beginning(mut self, minute: usize) -> Self {
        self.begins = minute;
        self
    }

    /// Another instance than its own.
    pub(super) fn on(mut self, instance: &str) -> Self {
        instance.clone_into(&mut self.instance);
        self
    }

    /// From then on it is not there any more.
    pub(super) fn vanishing(mut self, minute: usize) -> Self {
        self.gone = Some(minute);
        self
    }

    /// Its process is one that waits for runs.
    pub(super) fn daemon(mut self) -> Self {
        self.daemon = true;
        self
    }

    pub(super) fn planned(mut self, seconds: Option<f64>) -> Self {
        self.planned = seconds;
        self
    }

    pub(super) fn rate(mut self, per_second: f64) -> Self {
        self.per_second = per_second;
        self
    }

    pub(super) fn baseline(mut self, p95: f64) -> Self {
        self.baseline = p95;
        self
    }

    pub(super) fn scaled(mut self, minute: usize) -> Self {
        self.scaled = Some(minute);
        self
    }

    pub(super) fn paused(mut self, minutes: Range<usize>) -> Self {
        self.paused = minutes;
        self
    }

    /// Its series in a case of this name, with the values of each minute.
    pub(super) fn series(&self, case: &str, minutes: usize) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut push = |metric: &str, labels: &str, value: &dyn Fn(usize) -> f64| {
            let (id, instance) = (self.id, &self.instance);
            let labels = format!("test=\"cars\",run_id=\"{case}/{id}\",instance=\"{case}/{instance}\",job=\"{case}\"{labels}");
            all.push((format!("{metric}{{{labels}}}"), self.values(minutes, value)));
        };
        for phase in PHASES {
            push("otload_run_phase", &format!(",phase=\"{phase}\""), &|minute| f64::from(self.phase(minute) == phase));
        }
        push("otload_run_steady_seconds", "", &|minute| self.held(minute));
        push("otload_run_elapsed_seconds", "", &|minute| 60.0 * minute.min(self.done) as f64);
        push("otload_run_start_time_seconds", "", &|_| 0.0);
        if let Some(planned) = self.planned {
            push("otload_run_planned_seconds", "", &|_| planned);
        }
        let request = ",user=\"U\",task=\"t\",request=\"GET /cars\",method=\"GET\"";
        let requests = self.sums(minutes, |minute| self.requests(minute));
        let failures = self.sums(minutes, |minute| self.requests(minute) * self.failing(minute));
        let ended = |status: &str, result: &str| format!("{request},status=\"{status}\",result=\"{result}\"");
        push("otload_requests_total", &ended("200", "success"), &|minute| requests[minute] - failures[minute]);
        // A status comes with its first response, a reason is there from the start.
        let born = |count: f64| if count > 0.0 { count } else { f64::NAN };
        push("otload_requests_total", &ended("500", "failure"), &|minute| born(failures[minute]));
        push("otload_request_failures_total", &format!("{request},reason=\"status\""), &|minute| failures[minute]);
        push("otload_iterations_total", ",user=\"U\",task=\"t\",result=\"success\"", &|minute| requests[minute]);
        let dropped =
            self.sums(minutes, |minute| self.requests(minute) * self.when(minute, |it| matches!(it, Trouble::Dropping)) * 0.05);
        push("otload_arrivals_dropped_total", ",user=\"U\"", &|minute| dropped[minute]);
        let times = self.sums(minutes, |minute| self.requests(minute) * self.takes(minute));
        let histogram = format!("{request},result=\"success\"");
        push("otload_request_duration_seconds_sum", &histogram, &|minute| times[minute]);
        push("otload_request_duration_seconds_count", &histogram, &|minute| requests[minute]);
        for bound in BUCKETS.into_iter().chain([f64::INFINITY]) {
            let within = self.sums(minutes, |minute| self.requests(minute) * f64::from(self.takes(minute) <= bound));
            let le = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
            push("otload_request_duration_seconds_bucket", &format!("{histogram},le=\"{le}\""), &|minute| within[minute]);
        }
        push("otload_generator_saturated", "", &|minute| self.when(minute, |it| matches!(it, Trouble::Saturated)));
        let threshold = ",threshold=\"p95 < 300ms over 1m\"";
        let broken = |it: &Trouble| matches!(it, Trouble::BreakingThreshold | Trouble::Invalid);
        push("otload_threshold_ok", threshold, &|minute| 1.0 - self.when(minute, broken));
        push("otload_run_valid", "", &|minute| 1.0 - self.when(minute, |it| matches!(it, Trouble::Invalid)));
        let soak = ",request=\"GET /cars\",signal=\"p99\"";
        push("otload_soak_regressed", soak, &|minute| self.when(minute, |it| matches!(it, Trouble::Regressed)));
        let baseline = ",request=\"GET /cars\",quantile=\"0.95\"";
        push("otload_baseline_request_duration_seconds", baseline, &|_| self.baseline);
        if self.daemon {
            let labels = format!("instance=\"{case}/{}\",job=\"{case}\"", self.instance);
            let running = self.values(minutes, &|minute| f64::from(minute < self.done));
            all.push((format!("otload_serve_running{{{labels}}}"), running));
        }
        all
    }

    fn values(&self, minutes: usize, value: &dyn Fn(usize) -> f64) -> String {
        let mut words = Vec::with_capacity(minutes);
        let mut there = false;
        for minute in 0..minutes {
            let now = minute >= self.begins
                && self.gone.is_none_or(|gone| minute < gone)
                && !self.gaps.iter().any(|gap| gap.contains(&minute));
            words.push(match (there, now) {
                (_, true) if value(minute).is_nan() => "_".to_owned(),
                (_, true) => format!("{}", value(minute)),
                (true, false) => "stale".to_owned(),
                (false, false) => "_".to_owned(),
            });
            there = now;
        }
        words.join(" ")
    }

    /// A counter: what came until each minute.
    fn sums(&self, minutes: usize, of: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sum = 0.0;
        (0..minutes)
            .map(|minute| {
                sum += of(minute);
                sum
            })
            .collect()
    }

    fn phase(&self, minute: usize) -> &'static str {
        match minute {
            _ if minute >= self.done => "done",
            _ if self.paused.contains(&minute) => "paused",
            _ if self.steady.contains(&minute) => "steady",
            _ if minute < self.steady.start => "ramp",
            _ => "ramp_down",
        }
    }

    fn held(&self, minute: usize) -> f64 {
        let begins = [Some(self.steady.start), self.scaled, Some(self.paused.end)];
        let since = begins.into_iter().flatten().filter(|begin| *begin <= minute).max().unwrap_or(minute);
        if self.phase(minute) == "steady" { 60.0 * (minute - since) as f64 } else { 0.0 }
    }

    /// In this minute.
    fn requests(&self, minute: usize) -> f64 {
        let users = match self.phase(minute) {
            "ramp" => minute as f64 / self.steady.start as f64,
            "steady" => 1.0,
            "ramp_down" => (self.done - minute) as f64 / (self.done - self.steady.end) as f64,
            _ => 0.0,
        };
        let answered =
            1.0 - self.when(minute, |it| matches!(it, Trouble::FewerRequests)) * if self.lasts(minute) { 0.3 } else { 1.0 };
        60.0 * self.per_second * users * answered
    }

    /// Whether the trouble of this minute is more than an outlier, which may be as bad as it likes.
    fn lasts(&self, minute: usize) -> bool {
        self.trouble.iter().any(|(_, minutes)| minutes.contains(&minute) && minutes.len() > 10)
    }

    fn failing(&self, minute: usize) -> f64 {
        let shares = self.trouble.iter().filter(|(_, minutes)| minutes.contains(&minute)).map(|(trouble, _)| match trouble {
            Trouble::Failing(share) => *share,
            _ => 0.0,
        });
        shares.sum()
    }

    /// How long a request takes, in seconds.
    fn takes(&self, minute: usize) -> f64 {
        let factors =
            self.trouble.iter().filter(|(_, minutes)| minutes.contains(&minute)).map(|(trouble, minutes)| match trouble {
                // As an outlier it is as slow as it likes.
                Trouble::Creeping(_) | Trouble::SlowerThanBaseline if !self.lasts(minute) => 10.0,
                Trouble::Creeping(percent) => 1.0 + percent / 100.0 * (minute - minutes.start) as f64,
                Trouble::Slower(times) => *times,
                Trouble::Wave(period, amplitude) => 1.0 + amplitude * (std::f64::consts::TAU * minute as f64 / period).sin(),
                Trouble::SlowerThanBaseline => 1.4,
                _ => 1.0,
            });
        USUAL * factors.product::<f64>()
    }

    /// 1 while this is wrong, else 0.
    fn when(&self, minute: usize, is: impl Fn(&Trouble) -> bool) -> f64 {
        f64::from(self.trouble.iter().any(|(trouble, minutes)| is(trouble) && minutes.contains(&minute)))
    }
}
