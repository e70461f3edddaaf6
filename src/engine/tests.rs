//! The engine in virtual time: time stands still while anything can run, and jumps to the next timer when nothing can. The
//! transport answers after a fixed delay and touches no network. So an hour of load takes milliseconds and every count is
//! exact.

mod capturing;
mod feeding;
mod flowing;
mod sampling;
mod steering;
mod transports;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::orders::{Mode, Orders};
use super::supervisor::{Options, RunFacts};
use super::timer::Timer;
use super::tracing::Tracing;
use super::worker::{self, Context};
use crate::clock;
use crate::diagnostic::Source;
use crate::http::{Client, TransportKind};
use crate::load::{Course, Part, Wish};
use crate::measure::measured::Measured;
use crate::measure::shard::Shard;
use crate::measure::snapshot::{Detail, Facts, Phase, RunInfo, Snapshot};
use crate::reason::Reason;
use crate::scenario::{self, Overrides, plan::Plan};
use crate::trace::queue::{Spans, queue};
use crate::units::Rate;

const SECOND: Duration = Duration::from_secs(1);

fn plan(yaml: &str) -> Arc<Plan> {
    let source = Arc::new(Source { name: "test.yaml".into(), text: format!("host: http://target.test\n{yaml}") });
    match scenario::compile(source, &Overrides::default()) {
        Ok((plan, _)) => Arc::new(plan),
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

/// A worker in virtual time, whose requests take `delay`.
struct Bench {
    context: Rc<Context>,
    orders: watch::Sender<Orders>,
    /// How long the worker lived.
    took: Cell<Duration>,
    /// Of a plan that is traced.
    spans: RefCell<Option<Spans>>,
}

/// A target: how long it takes, and when it freezes.
#[derive(Clone, Copy)]
struct Target {
    delay: Duration,
    frozen: Option<(Duration, Duration)>,
}

impl From<Duration> for Target {
    fn from(delay: Duration) -> Self {
        Self { delay, frozen: None }
    }
}

impl Bench {
    fn new(plan: &Arc<Plan>, target: Target, part: Part) -> Self {
        let start = clock::now();
        let frozen = target.frozen.map(|(from, until)| (start + from, start + until));
        let client = Client::try_with(&plan.http, TransportKind::Fake { delay: target.delay, frozen }).unwrap();
        let run = Arc::new(RunFacts::new(plan, &Options::plain("virtual", 1), clock::now()));
        let shard = Arc::new(Mutex::new(Shard::new(&plan.catalog)));
        let (tracing, spans) = match &plan.observe.traces {
            Some(traces) => {
                let (into, spans) = queue(traces.queue as usize);
                // The seed of the scenario too, so that streams which are one would be seen as one.
                (Tracing::new(Some((traces, into)), None, &plan.catalog, "virtual", 1), Some(spans))
            }
            None => (Tracing::off(), None),
        };
        Self {
            spans: RefCell::new(spans),
            context: Rc::new(Context::new(plan.clone(), run, (client, tracing), shard, part, Timer::coarse())),
            orders: watch::channel(Orders::new(plan.crews.len())).0,
            took: Cell::default(),
        }
    }

    fn elapsed(&self) -> Duration {
        self.took.get()
    }

    fn tell(&self, mode: Mode) {
        self.orders.send_modify(|orders| orders.mode = mode);
    }

    async fn at(&self, since_start: Duration) {
        tokio::time::sleep_until((self.context.run.started + since_start).into()).await;
    }

    fn snapshot(&self) -> Snapshot {
        let info = RunInfo {
            test: String::new(),
            run_id: String::new(),
            version: String::new(),
            host: String::new(),
            scenario_sha256: String::new(),
            started_at: clock::timestamp(),
            labels: Vec::new(),
        };
        let facts = Facts::new(Arc::new(info), Phase::Steady, 0);
        Snapshot::take(&self.context.plan.catalog, facts, std::slice::from_ref(&self.context.shard), Detail::Full)
    }

    fn measured(&self) -> Measured {
        self.snapshot().measured()
    }

    /// Running, waiting, stopping.
    fn users(&self) -> [u64; 3] {
        self.snapshot().totals.users.iter().fold([0; 3], |sum, states| std::array::from_fn(|i| sum[i] + states[i] as u64))
    }

    /// Requests by name.
    fn requests(&self) -> BTreeMap<String, u64> {
        let rows = self.measured().requests;
        self.context.plan.catalog.requests.iter().zip(rows).map(|(name, row)| (name.request.clone(), row.requests)).collect()
    }
}

/// Runs `test` beside a worker that follows the plan; returns the bench when the worker has ended.
fn virtually<F: Future<Output = ()>>(
    plan: &Arc<Plan>,
    target: impl Into<Target>,
    part: Part,
    test: impl FnOnce(Rc<Bench>) -> F,
) -> Rc<Bench> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let bench = Rc::new(Bench::new(plan, target.into(), part));
        let orders = bench.orders.subscribe();
        let work = async {
            worker::work(bench.context.clone(), orders).await;
            bench.took.set(clock::now() - bench.context.run.started);
        };
        tokio::join!(work, test(bench.clone()));
        bench
    })
}

#[test]
fn an_hour_of_stages_follows_the_schedule_to_the_user() {
    let plan = plan(
        "users: [{name: u, tasks: [{get: /}], wait_time: 7s}]\nload: {stages: [{users: 90, over: 20m}, {users: 90, over: 20m}, {users: 0, over: 20m}]}",
    );
    let profile = plan.crews[0].profile.clone();
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
        for minute in 0..60 {
            // Half a second away from every change: waiting users end at once, running ones within their 100 ms.
            let at = minute * 60 * SECOND + SECOND / 2;
            bench.at(at).await;
            let [running, waiting, stopping] = bench.users();
            assert_eq!(running + waiting, u64::from(profile.users_at(at, &Course::default())), "minute {minute}");
            assert!(stopping <= 1, "minute {minute}: {stopping} still stopping");
        }
    });
    assert_eq!(bench.elapsed(), 3600 * SECOND, "the last user waits when the hour is over, so it ends at once");
    assert_eq!(bench.users(), [0, 0, 0]);
    assert_eq!(bench.context.crews[0].alive.get(), 0);
    assert_eq!(bench.measured().all.failures, 0);
}

#[test]
fn two_thousand_users_at_five_hundred_a_second_are_there_after_four_seconds() {
    let plan =
        plan("users: [{name: u, tasks: [{get: /}], wait_time: 60s}]\nload: {users: 2000, spawn_rate: 500/s, run_time: 5s}");
    for (index, share) in [(0, 1000), (1, 1000)] {
        let bench = virtually(&plan, SECOND / 100, Part { index, of: 2 }, |bench| async move {
            for (millis, all) in [(1000, 501), (2000, 1001), (3998, 2000), (4000, 2000)] {
                bench.at(Duration::from_millis(millis)).await;
                tokio::task::yield_now().await;
                let there: u64 = bench.users().iter().sum();
                assert_eq!(there, u64::from(Part { index, of: 2 }.count(all)), "worker {index} at {millis} ms");
            }
        });
        assert_eq!(bench.measured().all.requests, share, "each has asked once");
        assert_eq!(bench.elapsed(), 5 * SECOND);
    }
}

#[test]
fn iterations_are_done_exactly_and_then_it_ends() {
    let plan = plan("users: [{name: u, tasks: [{get: /}]}]\nload: {iterations: 1000, users: 7}");
    for of in [1, 2, 3] {
        let done: u64 = (0..of)
            .map(|index| {
                let bench = virtually(&plan, SECOND / 10, Part { index, of }, |_| async {});
                assert_eq!(bench.users(), [0, 0, 0]);
                bench.measured().all.requests
            })
            .sum();
        assert_eq!(done, 1000, "over {of} workers");
    }
}

#[test]
fn waits_count_from_the_end_of_a_task_and_pacing_from_its_start() {
    // 100 ms of request and 900 ms of wait are one task a second; pacing of 1 s includes the request.
    for wait in ["900ms", "{constant_pacing: 1s}", "{constant_throughput: 1/s}", "{between: [900ms, 900ms]}"] {
        let plan =
            plan(&format!("users: [{{name: u, tasks: [{{get: /}}], wait_time: {wait}}}]\nload: {{users: 3, run_time: 100s}}"));
        let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {});
        assert_eq!(bench.measured().all.requests, 300, "{wait}");
    }
}

#[test]
fn latency_is_exact_in_virtual_time_and_nothing_lags() {
    let plan = plan("users: [{name: u, tasks: [{get: /}], wait_time: 250ms}]\nload: {users: 10, run_time: 60s}");
    let measured = virtually(&plan, Duration::from_millis(200), Part::WHOLE, |_| async {}).measured();
    for times in [measured.all.response.unwrap(), measured.all.service.unwrap()] {
        assert!((times.p50 - 0.2).abs() < 0.0002 && (times.max - 0.2).abs() < 0.0002, "{times:?}");
    }
    assert!(measured.lag.unwrap().max < 0.001);
}

#[test]
fn the_orders_of_tasks() {
    let of = |order: &str, tasks: &str| {
        let plan = plan(&format!("users: [{{name: u, {tasks}, order: {order}}}]\nload: {{iterations: 400, users: 1}}"));
        virtually(&plan, SECOND / 100, Part::WHOLE, |_| async {}).requests().into_values().collect::<Vec<_>>()
    };
    assert_eq!(of("sequential", "tasks: [{get: /a, weight: 3}, {get: /b}]"), [200, 200]);
    assert_eq!(of("shuffle", "tasks: [{get: /a, weight: 3}, {get: /b}]"), [300, 100], "a deck of three a and one b");
    let weighted = of("weighted", "tasks: [{get: /a, weight: 3}, {get: /b}]");
    assert!((270..=330).contains(&weighted[0]) && weighted.iter().sum::<u64>() == 400, "{weighted:?}");
    // A walk that alternates, whatever the weights say.
    let walk = "tasks: [{get: /a, weight: 9, name: a, next: {b: 1}}, {get: /b, name: b, next: {a: 1}}]";
    assert_eq!(of("weighted", walk), [200, 200]);
}

#[test]
fn a_stop_ends_waiting_users_at_once_and_lets_tasks_end() {
    let flow = "{name: t, flow: [{get: /a}, {think: 3s}, {get: /b}]}";
    let yaml = format!(
        "users: [{{name: u, tasks: [{flow}], wait_time: 100s, on_stop: [{{get: /bye}}]}}]\nload: {{users: 4, spawn_rate: 1/s}}"
    );
    let plan = plan(&yaml);
    // User n starts at n seconds. At 4 s the first one waits and the second has just ended its task; the others are thinking.
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
        bench.at(SECOND * 43 / 10).await;
        assert_eq!(bench.users(), [2, 2, 0]);
        bench.tell(Mode::Stop);
        bench.at(SECOND * 45 / 10).await;
        assert_eq!(bench.users(), [0, 0, 2], "those in a task are stopping; the waiting ones have said goodbye and gone");
    });
    let counts = bench.requests();
    assert_eq!([counts["GET /a"], counts["GET /b"], counts["GET /bye"]], [4, 4, 4]);
    // The last one began at 3 s, and its task takes 3.2 s, its goodbye 0.1 s.
    assert_eq!(bench.elapsed(), SECOND * 63 / 10);
}

#[test]
fn who_takes_longer_than_graceful_stop_is_cut_off_and_counted() {
    let plan = plan("graceful_stop: 2s\nusers: [{name: u, tasks: [{get: /slow}]}]\nload: {users: 5, run_time: 10s}");
    let bench = virtually(&plan, 60 * SECOND, Part::WHOLE, |_| async {});
    let measured = bench.measured();
    assert_eq!(bench.elapsed(), 12 * SECOND);
    assert_eq!((measured.all.requests, measured.all.failures), (5, 5));
    assert_eq!(measured.all.reasons.iter().map(|f| (f.reason, f.count)).collect::<Vec<_>>(), [(Reason::Cancelled, 5)]);
    assert_eq!(bench.users(), [0, 0, 0]);
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let plan = plan("users: [{name: u, tasks: [{get: /slow}]}]\nload: {users: 5}");
    let bench = virtually(&plan, 60 * SECOND, Part::WHOLE, |bench| async move {
        bench.at(SECOND).await;
        bench.tell(Mode::Stop);
        bench.at(2 * SECOND).await;
        assert_eq!(bench.users(), [0, 0, 5]);
        bench.tell(Mode::Cut);
    });
    assert_eq!(bench.elapsed(), 2 * SECOND);
    assert_eq!(bench.measured().all.failures, 5);
}

#[test]
fn users_go_and_come_again_when_the_number_falls_and_rises() {
    let stages = "[{users: 10, over: 0s}, {users: 10, over: 10s}, {users: 2, over: 0s}, {users: 2, over: 10s}, {users: 6, over: 0s}, {users: 6, over: 10s}]";
    let plan = plan(&format!(
        "users: [{{name: u, tasks: [{{get: /}}], wait_time: 1s, on_start: [{{get: /hello}}]}}]\nload: {{stages: {stages}}}"
    ));
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
        for (at, users) in [(5, 10), (15, 2), (25, 6)] {
            bench.at(at * SECOND + SECOND / 20).await;
            assert_eq!(bench.users()[..2].iter().sum::<u64>(), users, "at {at} s");
        }
    });
    assert_eq!(bench.requests()["GET /hello"], 14, "ten, and four more");
}

#[test]
fn a_user_that_skips_everything_does_not_keep_the_others_from_working() {
    let plan = plan(
        "users: [{name: idle, tasks: [{get: /never, when: user_id > 99}]}, {name: busy, tasks: [{get: /}], wait_time: 1s}]\nload: {users: 2, run_time: 10s}",
    );
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {});
    let counts = bench.requests();
    assert_eq!((counts["GET /never"], counts["GET /"]), (0, 10));
}

#[test]
fn groups_and_tasks_leave_out_think_time() {
    let flow = "{name: t, flow: [{group: g, flow: [{get: /a}, {think: 5s}, {get: /b}]}, {think: 2s}, {get: /c}]}";
    let plan = plan(&format!("users: [{{name: u, tasks: [{flow}]}}]\nload: {{iterations: 3, users: 1}}"));
    let snapshot = virtually(&plan, SECOND / 10, Part::WHOLE, |_| async {}).snapshot();
    let task = &snapshot.totals.tasks[plan.users[0].tasks[0].id.index()];
    let group = &snapshot.totals.groups[0];
    assert_eq!((task[0].count(), task[1].count(), group[0].count()), (3, 0, 3));
    assert!((task[0].sum_nanos() as f64 / 1e9 - 0.9).abs() < 1e-9, "three requests of 0.1 s, three times");
    assert!((group[0].sum_nanos() as f64 / 1e9 - 0.6).abs() < 1e-9, "two requests of 0.1 s, three times");
}

// === open loads ===

#[test]
fn an_hour_of_arrivals_is_exact_to_the_request() {
    // 6,000 on the way up, 12,000 at 10/s, 6,000 on the way down.
    let plan = plan(
        "users: [{name: u, tasks: [{get: /}]}]\nload: {max_users: 50, stages: [{arrival_rate: 10/s, over: 20m}, {arrival_rate: 10/s, over: 20m}, {arrival_rate: 0/s, over: 20m}]}",
    );
    for of in [1, 2, 3] {
        let all: Vec<_> = (0..of)
            .map(|index| {
                let bench = virtually(&plan, SECOND / 5, Part { index, of }, |_| async {});
                assert_eq!((bench.elapsed(), bench.users()), (3600 * SECOND, [0, 0, 0]));
                bench.measured()
            })
            .collect();
        assert_eq!(all.iter().map(|measured| measured.all.requests).sum::<u64>(), 24_000, "over {of} workers");
        assert!(all.iter().all(|measured| measured.arrivals_dropped == 0 && measured.all.failures == 0));
        // Virtual time has steps of a millisecond.
        assert!(all.iter().all(|measured| measured.lag.unwrap().max <= 0.0021), "{:?}", all[0].lag);
        assert!(all.iter().all(|measured| measured.all.response.unwrap().max <= 0.2025), "{:?}", all[0].all.response);
    }
}

#[test]
fn an_arrival_without_a_free_user_is_dropped_and_counted() {
    // Ten users, each busy for 995 ms of every second: of a hundred arrivals ten are done.
    let plan = plan("users: [{name: u, tasks: [{get: /}]}]\nload: {arrival_rate: 100/s, max_users: 10, run_time: 10s}");
    for of in [1, 2, 5] {
        let all: Vec<_> = (0..of)
            .map(|index| virtually(&plan, Duration::from_millis(995), Part { index, of }, |_| async {}).measured())
            .collect();
        let sums = all.iter().fold((0, 0), |sum, measured| (sum.0 + measured.all.requests, sum.1 + measured.arrivals_dropped));
        assert_eq!(sums, (100, 900), "over {of} workers");
        assert!(all.iter().all(|measured| measured.all.response.unwrap().max < 0.998), "none was kept waiting in secret");
    }
}

#[test]
fn few_users_do_many_tasks_and_wait_between() {
    let plan = plan(
        "users: [{name: u, wait_time: 9s, on_start: [{get: /hello}], on_stop: [{get: /bye}], tasks: [{get: /}]}]\nload: {arrival_rate: 10/s, max_users: 100, run_time: 60s}",
    );
    let bench = virtually(&plan, SECOND / 4, Part::WHOLE, |bench| async move {
        bench.at(30 * SECOND + SECOND / 20).await;
        let [running, waiting, stopping] = bench.users();
        assert_eq!((running, stopping), (3, 0), "a quarter of a second of ten tasks a second");
        assert!((1..=4).contains(&waiting), "{waiting}");
    });
    let counts = bench.requests();
    assert_eq!(counts["GET /"], 600);
    // Those of the first half second say hello first and are away for longer.
    assert!((4..=7).contains(&counts["GET /hello"]) && counts["GET /bye"] == counts["GET /hello"], "{counts:?}");
    // The last ones began at 59.9 s and take a quarter of a second, and another to say goodbye.
    assert_eq!(bench.elapsed(), Duration::from_millis(60_400));
    assert!(bench.measured().all.response.unwrap().max < 0.253, "a first task counts from the end of on_start");
}

#[test]
fn a_frozen_target_is_seen_by_all_who_arrive_meanwhile() {
    let plan = plan("users: [{name: u, tasks: [{get: /}]}]\nload: {arrival_rate: 100/s, max_users: 500, run_time: 10s}");
    let target = Target { delay: Duration::from_millis(5), frozen: Some((5 * SECOND, 6 * SECOND)) };
    let measured = virtually(&plan, target, Part::WHOLE, |_| async {}).measured();
    assert_eq!((measured.all.requests, measured.arrivals_dropped), (1000, 0), "no arrival is skipped");
    let response = measured.all.response.unwrap();
    assert!(response.p99 >= 0.9 && response.p90 < 0.11, "{response:?}");
    assert!(measured.lag.unwrap().max < 0.002, "it is not the generator's fault");
}

#[test]
fn a_throughput_is_measured_from_its_schedule() {
    let target = Target { delay: Duration::from_millis(5), frozen: Some((5 * SECOND, 6 * SECOND)) };
    let of = |wait: &str| {
        let plan =
            plan(&format!("users: [{{name: u, wait_time: {wait}, tasks: [{{get: /}}]}}]\nload: {{users: 1, run_time: 10s}}"));
        let measured = virtually(&plan, target, Part::WHOLE, |_| async {}).measured();
        assert!(measured.lag.unwrap().max < 0.002, "{wait}: it is not the generator's fault, {:?}", measured.lag);
        (measured.all.requests, measured.all.response.unwrap(), measured.all.service.unwrap())
    };
    // The one user is kept for a second by one request. A hundred tasks were due meanwhile, and are done after it.
    let (requests, response, service) = of("{constant_throughput: 100/s}");
    assert_eq!(requests, 1000, "none is skipped");
    assert!(response.p99 >= 0.9, "{response:?}");
    assert!(service.p99 < 0.01 && service.max >= 1.0, "{service:?}");
    // Pacing gives way: what was not asked is not measured.
    let (requests, response, _) = of("{constant_pacing: 10ms}");
    assert!((895..=905).contains(&requests) && response.p99 < 0.01, "{requests} {response:?}");
}

#[test]
fn what_a_schedule_asked_for_has_begun_or_is_overdue() {
    // (delay of the target in ms, iterations that began: the last one begins with the others due before the end)
    for (delay, graceful_stop, begun) in
        [(50, "30s", 100), (250, "30s", 40), (250, "100ms", 40), (3_000, "30s", 4), (30_000, "1s", 1)]
    {
        let plan = plan(&format!(
            "graceful_stop: {graceful_stop}\nusers: [{{name: u, wait_time: {{constant_throughput: 10/s}}, tasks: [{{get: /}}]}}]\n\
             load: {{users: 1, run_time: 10s}}"
        ));
        let bench = virtually(&plan, Duration::from_millis(delay), Part::WHOLE, |_| async {});
        let measured = bench.measured();
        assert_eq!((measured.all.requests, measured.iterations_overdue), (begun, 100 - begun), "{delay} ms");
    }
    // So many iterations are all there is to do.
    let plan =
        plan("users: [{name: u, wait_time: {constant_throughput: 10/s}, tasks: [{get: /}]}]\nload: {users: 1, iterations: 20}");
    let measured = virtually(&plan, SECOND, Part::WHOLE, |_| async {}).measured();
    assert_eq!((measured.all.requests, measured.iterations_overdue), (20, 0));
}

/// The worker does not run for a second: what it starts late, and what waits behind that, is late by its own fault.
#[test]
fn what_a_worker_that_stood_still_makes_late_is_its_own() {
    let plan =
        plan("users: [{name: u, wait_time: {constant_throughput: 100/s}, tasks: [{get: /}]}]\nload: {users: 1, run_time: 10s}");
    let stands_still = |bench: Rc<Bench>| async move {
        bench.at(5 * SECOND).await;
        tokio::time::advance(SECOND).await;
    };
    let bench = virtually(&plan, Duration::from_millis(5), Part::WHOLE, stands_still);
    let all = bench.measured().all;
    assert_eq!(all.requests, 1000, "none is skipped");
    let (measured, without) = (all.response.unwrap(), all.response_without_generator.unwrap());
    // A hundred were due meanwhile, and as many until the backlog is gone.
    assert!(measured.p90 > 0.4 && measured.p99 >= 0.9, "{measured:?}");
    assert!((without.p50 - 0.005).abs() < 0.002 && without.p99 < 0.01, "{without:?}");
    assert!(bench.measured().lag.unwrap().p99 > 0.9);
}

#[test]
fn arrivals_go_to_user_types_by_weight_and_make_room_for_each_other() {
    // All ten users would be of the type that arrives more often.
    let plan = plan(
        "users: [{name: a, weight: 9, tasks: [{get: /a}]}, {name: b, tasks: [{get: /b}]}]\nload: {arrival_rate: 100/s, max_users: 10, run_time: 10s}",
    );
    let bench = virtually(&plan, Duration::from_millis(95), Part::WHOLE, |_| async {});
    let counts = bench.requests();
    assert_eq!(counts["GET /a"] + counts["GET /b"] + bench.measured().arrivals_dropped, 1000);
    assert_eq!(counts["GET /b"], 100, "{counts:?}");
    assert!(counts["GET /a"] >= 890, "{counts:?}");
}

#[test]
fn poisson_arrivals_come_as_often_and_repeat() {
    let plan = plan(
        "users: [{name: u, tasks: [{get: /}]}]\nload: {arrival_rate: 50/s, arrivals: poisson, max_users: 100, run_time: 10m}",
    );
    let of = |of: u32| -> u64 {
        (0..of).map(|index| virtually(&plan, SECOND / 10, Part { index, of }, |_| async {}).measured().all.requests).sum()
    };
    // Four standard deviations.
    for workers in [1, 3] {
        let requests = of(workers);
        assert!((30_000 - 700..=30_000 + 700).contains(&requests), "{requests}");
    }
    assert_eq!(of(1), of(1));
}

#[test]
fn an_open_load_stops_and_is_cut_like_any_other() {
    let plan = plan(
        "graceful_stop: 2s\nusers: [{name: u, tasks: [{name: t, flow: [{get: /a}, {think: 1s}, {get: /b}]}]}]\nload: {arrival_rate: 10/s, max_users: 100}",
    );
    let bench = virtually(&plan, SECOND / 20, Part::WHOLE, |bench| async move {
        bench.at(10 * SECOND + SECOND / 100).await;
        bench.tell(Mode::Stop);
    });
    let counts = bench.requests();
    assert_eq!((counts["GET /a"], counts["GET /b"]), (101, 101), "whoever has begun ends its task, and nobody begins");
    assert_eq!(bench.elapsed(), Duration::from_millis(11_100));
    let bench = virtually(&plan, 60 * SECOND, Part::WHOLE, |bench| async move {
        bench.at(SECOND + SECOND / 100).await;
        bench.tell(Mode::Stop);
    });
    assert_eq!((bench.elapsed(), bench.measured().all.failures), (Duration::from_millis(3010), 11), "cut after two seconds");
    let bench = virtually(&plan, 60 * SECOND, Part::WHOLE, |bench| async move {
        bench.at(SECOND + SECOND / 100).await;
        bench.tell(Mode::Cut);
    });
    assert_eq!((bench.elapsed(), bench.measured().all.failures), (Duration::from_millis(1010), 11));
}

// === several loads ===

#[test]
fn crews_follow_their_own_loads_side_by_side() {
    let plan = plan(
        "users:\n  - {name: main, wait_time: 1s, tasks: [{get: /main}]}\n  - {name: late, start_after: 10s, load: {users: 2, run_time: 20s}, wait_time: 1s, tasks: [{get: /late}]}\n  - {name: rate, start_after: 5s, load: {arrival_rate: 4/s, max_users: 3, run_time: 10s}, tasks: [{get: /rate}]}\nload: {users: 4, run_time: 10s}",
    );
    assert_eq!(
        plan.crews.iter().map(|crew| (crew.first_slot, crew.end().unwrap())).collect::<Vec<_>>(),
        [(0, 10 * SECOND), (4, 30 * SECOND), (6, 15 * SECOND)]
    );
    for of in [1, 2] {
        let mut sums = BTreeMap::new();
        for index in 0..of {
            let bench = virtually(&plan, Duration::from_millis(1), Part { index, of }, |bench| async move {
                bench.at(9 * SECOND + SECOND / 2).await;
                let before: u64 = bench.snapshot().totals.users[1].iter().sum::<i64>() as u64;
                assert_eq!(before, 0, "it begins after 10 s");
            });
            bench.requests().into_iter().for_each(|(name, count)| *sums.entry(name).or_insert(0) += count);
        }
        // A task each 1.001 s.
        assert_eq!((sums["GET /main"], sums["GET /late"], sums["GET /rate"]), (40, 40, 40), "over {of} workers");
    }
}

#[test]
fn a_stress_that_breaks_falls_recovers_and_ends() {
    let plan = plan(
        "users: [{name: u, wait_time: 1s, tasks: [{get: /}]}]\nload: {stress: {from: 2, to: 20, step: 3, every: 10s, until: p95 > 1s, recover: 30s}}",
    );
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
        for (at, users) in [(5, 2), (15, 5), (24, 8)] {
            bench.at(at * SECOND + SECOND / 20).await;
            assert_eq!(bench.users()[..2].iter().sum::<u64>(), users, "at {at} s");
        }
        let broke = Course { broke_at: Some(25 * SECOND), steering: None };
        bench.orders.send_modify(|orders| orders.set_course(0, broke));
        bench.at(25 * SECOND + SECOND / 2).await;
        assert_eq!(bench.users()[..2].iter().sum::<u64>(), 2);
        bench.at(54 * SECOND).await;
        assert_eq!(bench.users()[..2].iter().sum::<u64>(), 2);
    });
    assert!((55 * SECOND..56 * SECOND).contains(&bench.elapsed()), "{:?}", bench.elapsed());
}
