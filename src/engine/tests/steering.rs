//! Runs that are steered and paused while they run.

use super::*;

impl Bench {
    fn steer(&self, wish: Wish) {
        let (of, started) = (&self.context.plan.crews[0], self.context.run.started);
        self.orders.send_modify(|orders| assert!(orders.steer(0, of, started, clock::now(), wish).is_some()));
    }

    fn pause(&self) {
        self.orders.send_modify(|orders| assert!(orders.pauses.begin(clock::now())));
    }

    fn resume(&self) {
        self.orders.send_modify(|orders| assert!(orders.pauses.end(clock::now())));
    }

    /// Those who are not stopping.
    fn present(&self) -> u64 {
        self.users()[..2].iter().sum()
    }
}

fn users(to: u32, per_second: f64) -> Wish {
    Wish::Users { to, spawn_rate: Rate::try_new(per_second) }
}

#[test]
fn a_hundred_users_become_a_thousand_and_fifty_at_the_spawn_rate() {
    let plan = plan("users: [{name: u, tasks: [{get: /}], wait_time: 1s}]\nload: {users: 100, run_time: 60s}");
    for part in [Part::WHOLE, Part { index: 0, of: 2 }, Part { index: 1, of: 2 }, Part { index: 2, of: 3 }] {
        let bench = virtually(&plan, SECOND / 100, part, |bench| async move {
            let expect = async |millis: u64, all: u32| {
                bench.at(Duration::from_millis(millis)).await;
                tokio::task::yield_now().await;
                assert_eq!(bench.present(), u64::from(part.count(all)), "at {millis} ms, {part:?}");
            };
            expect(4999, 100).await;
            bench.at(5 * SECOND).await;
            bench.steer(users(1000, 100.0));
            // Each in the middle between two users.
            for (millis, all) in [(5005, 101), (6005, 201), (10_005, 601), (13_985, 999), (13_995, 1000), (19_995, 1000)] {
                expect(millis, all).await;
            }
            bench.at(20 * SECOND).await;
            bench.steer(users(50, 500.0));
            // They wait most of the time, and go at once.
            for (millis, all) in [(20_001, 999), (21_001, 499), (21_891, 54), (21_899, 50), (59_000, 50)] {
                expect(millis, all).await;
            }
        });
        assert_eq!(bench.elapsed(), 60 * SECOND, "it ends when it would have");
        assert_eq!((bench.users(), bench.measured().all.failures), ([0; 3], 0));
    }
}

#[test]
fn stages_are_overridden_and_users_of_two_loads_keep_their_numbers_apart() {
    let yaml = "users:\n  - {name: u, wait_time: 1h, tasks: [{get: /u}]}\n  - {name: own, load: {users: 2, run_time: 10s}, wait_time: 1h, tasks: [{get: /own}]}\nload: {stages: [{users: 3, over: 0s}, {users: 90, over: 10s}]}";
    let plan = plan(yaml);
    let bench = virtually(&plan, SECOND / 100, Part::WHOLE, |bench| async move {
        bench.at(SECOND / 10).await;
        bench.steer(users(95, 1000.0));
        bench.at(9 * SECOND).await;
        assert_eq!(bench.present(), 97, "what the stages would have is forgotten");
        assert_eq!(bench.context.number(0, 89), 89);
        assert_eq!((bench.context.number(1, 0), bench.context.number(1, 1)), (90, 91));
        assert_eq!((bench.context.number(0, 90), bench.context.number(0, 94)), (92, 100));
        assert_eq!(bench.context.number(1, 2), 93, "never one that the other load has");
    });
    assert_eq!(bench.elapsed(), 10 * SECOND);
}

#[test]
fn while_it_is_paused_the_time_of_closed_users_stands_still() {
    for wait in ["900ms", "{constant_pacing: 1s}", "{constant_throughput: 1/s}", "{between: [900ms, 900ms]}"] {
        let yaml = format!("users: [{{name: u, tasks: [{{get: /}}], wait_time: {wait}}}]\nload: {{users: 10, run_time: 20s}}");
        let plan = plan(&yaml);
        // In the middle of the waits, in the middle of the requests; twice in one wait.
        for pauses in [&[(3500, 9000)][..], &[(3050, 9000)], &[(3500, 4000), (4200, 7000)], &[(3050, 3070), (3200, 4000)]] {
            let stood: u64 = pauses.iter().map(|(from, until)| until - from).sum();
            let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
                for (from, until) in pauses {
                    bench.at(Duration::from_millis(*from)).await;
                    bench.pause();
                    if until - from > 1000 {
                        bench.at(Duration::from_millis(from + 500)).await;
                        let (waiting, requests) = (bench.users(), bench.measured().all.requests);
                        assert_eq!(waiting, [0, 10, 0], "{wait}: those who were at work have ended their task");
                        bench.at(Duration::from_millis(*until - 1)).await;
                        assert_eq!((bench.measured().all.requests, bench.users()), (requests, waiting), "{wait}");
                    }
                    bench.at(Duration::from_millis(*until)).await;
                    bench.resume();
                }
            });
            let measured = bench.measured();
            // Who was at work when it paused is behind those who waited, and may be at work at the end.
            let over = bench.elapsed() - (20 * SECOND + Duration::from_millis(stood));
            assert!(over <= SECOND / 10, "{wait}, {pauses:?}: the time of a pause does not count, {over:?}");
            // Those that were under way when it paused went on while the load's time stood still.
            assert!((200..=210).contains(&measured.all.requests), "{wait}, {pauses:?}: {}", measured.all.requests);
            assert!(measured.all.response.unwrap().max < 0.1015, "{wait}, {pauses:?}: {:?}", measured.all.response);
            assert!(measured.lag.unwrap().max < 0.0015, "{wait}, {pauses:?}: {:?}", measured.lag);
        }
    }
}

#[test]
fn users_without_a_wait_and_new_ones_are_held_too() {
    let plan = plan(
        "users: [{name: u, on_start: [{get: /hello}], tasks: [{name: t, flow: [{get: /a}, {think: 1s}, {get: /b}]}]}]\nload: {users: 4, spawn_rate: 1/s, run_time: 20s}",
    );
    let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
        // The second user says hello.
        bench.at(SECOND * 105 / 100).await;
        bench.pause();
        bench.at(10 * SECOND).await;
        assert_eq!(bench.users(), [0, 2, 0], "nobody comes, and nobody begins a task");
        assert_eq!(bench.requests().into_values().collect::<Vec<_>>(), [1, 1, 2], "the task that had begun went to its end");
        bench.resume();
        bench.at(SECOND * 112 / 10).await;
        assert_eq!(bench.users().iter().sum::<u64>(), 3, "the third one comes 0.95 s later");
    });
    let measured = bench.measured();
    assert!(measured.all.response.unwrap().max < 0.1015, "{:?}", measured.all.response);
    assert!(measured.lag.unwrap().max < 0.0015, "{:?}", measured.lag);
    assert_eq!((measured.all.failures, bench.requests()["GET /hello"]), (0, 4));
}

#[test]
fn while_it_is_paused_nothing_arrives_and_nothing_is_dropped() {
    for arrivals in ["even", "poisson"] {
        let yaml = format!(
            "users: [{{name: u, tasks: [{{get: /}}]}}]\nload: {{arrival_rate: 100/s, arrivals: {arrivals}, max_users: 40, run_time: 10s}}"
        );
        let plan = plan(&yaml);
        for of in [1, 3] {
            let run = |pause: bool| {
                let all: Vec<_> = (0..of)
                    .map(|index| {
                        let bench = virtually(&plan, Duration::from_millis(50), Part { index, of }, |bench| async move {
                            if pause {
                                bench.at(Duration::from_millis(4005)).await;
                                bench.pause();
                                bench.at(5 * SECOND).await;
                                let before = bench.measured().all.requests;
                                bench.at(60 * SECOND).await;
                                assert_eq!(bench.measured().all.requests, before);
                                bench.resume();
                            }
                        });
                        (bench.measured(), bench.elapsed())
                    })
                    .collect();
                for (measured, _) in &all {
                    assert_eq!(measured.arrivals_dropped, 0);
                    assert!(measured.all.response.unwrap().max < 0.053 && measured.lag.unwrap().max < 0.003, "{measured:?}");
                }
                let ended = all[0].1;
                (all.iter().map(|(measured, _)| measured.all.requests).sum::<u64>(), ended)
            };
            let (plain, ended) = run(false);
            assert_eq!(run(true), (plain, ended + Duration::from_millis(55_995)), "{arrivals}, over {of} workers");
        }
    }
}

#[test]
fn a_rate_of_arrivals_is_changed_at_once() {
    let plan = plan("users: [{name: u, tasks: [{get: /}]}]\nload: {arrival_rate: 10/s, max_users: 100, run_time: 30s}");
    for of in [1, 2] {
        let sums = (0..of).map(|index| {
            let bench = virtually(&plan, Duration::from_millis(5), Part { index, of }, |bench| async move {
                bench.at(10 * SECOND).await;
                bench.steer(Wish::Arrivals(Rate::try_new(200.0).unwrap()));
                bench.at(20 * SECOND).await;
                bench.steer(Wish::Arrivals(Rate::try_new(0.0).unwrap()));
                bench.at(25 * SECOND).await;
                bench.steer(Wish::Arrivals(Rate::try_new(2.0).unwrap()));
            });
            assert_eq!(bench.elapsed(), 30 * SECOND);
            let measured = bench.measured();
            assert!(measured.lag.unwrap().max < 0.0025, "{:?}", measured.lag);
            measured.all.requests
        });
        assert_eq!(sums.sum::<u64>(), 100 + 2000 + 10, "over {of} workers");
    }
}

#[test]
fn a_paused_run_stops_and_is_cut() {
    for load in ["users: 5", "arrival_rate: 10/s, max_users: 5"] {
        let plan = plan(&format!(
            "users: [{{name: u, on_stop: [{{get: /bye}}], tasks: [{{get: /}}], wait_time: 100ms}}]\nload: {{{load}}}"
        ));
        for mode in [Mode::Stop, Mode::Cut] {
            let bench = virtually(&plan, SECOND / 10, Part::WHOLE, |bench| async move {
                bench.at(Duration::from_millis(2150)).await;
                bench.pause();
                bench.at(10 * SECOND).await;
                bench.tell(mode);
            });
            let after = if mode == Mode::Stop { SECOND / 10 } else { Duration::ZERO };
            assert_eq!((bench.elapsed(), bench.users()), (10 * SECOND + after, [0; 3]), "{load}, {mode:?}");
            assert_eq!(bench.requests()["GET /bye"] > 0, mode == Mode::Stop);
            assert!(bench.measured().all.response.unwrap().max < 0.103);
        }
    }
}

#[test]
fn a_rate_that_nobody_can_keep_ends_in_time_and_all_that_was_dropped_is_counted() {
    let plan = plan(
        "users: [{name: a, weight: 3, tasks: [{get: /}]}, {name: b, tasks: [{get: /}]}]\nload: {arrival_rate: 10/s, max_users: 5, run_time: 4s}",
    );
    for (stop, seconds) in [(false, 4), (true, 2)] {
        let bench = virtually(&plan, SECOND / 100, Part::WHOLE, |bench| async move {
            bench.at(SECOND).await;
            bench.steer(Wish::Arrivals(Rate::try_new(1e12).unwrap()));
            bench.at(2 * SECOND).await;
            if stop {
                bench.tell(Mode::Stop);
            }
        });
        assert!(bench.elapsed() <= seconds * SECOND + SECOND / 50, "{stop}: {:?}", bench.elapsed());
        let (measured, dropped) = (bench.measured(), bench.snapshot().totals.arrivals_dropped);
        let all = measured.all.requests + measured.arrivals_dropped;
        let planned = 1e12 * f64::from(seconds - 1);
        // A turn that comes after the stop counts nothing.
        assert!(((all as f64) / planned - 1.0).abs() < 0.02, "{all} of {planned}");
        assert!((dropped[0] as f64 / dropped[1] as f64 - 3.0).abs() < 0.01, "{dropped:?}");
    }
}
