//! How many users there are, as Prometheus and the target see it, against the schedule.

use std::net::SocketAddr;
use std::time::Duration;

use otload::clock;
use otload::load::{Closed, Stage};
use otload::units::Rate;

use crate::kit::{CountingTarget, Delays, Otload, Signal, get, on_time, wait_for};

/// The sum of the series that begin with `prefix` in an exposition in text.
pub(crate) fn sum(text: &str, prefix: &str) -> f64 {
    let series = text.lines().filter(|line| line.starts_with(prefix));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Looks at `/metrics` again and again for `span` and compares the users with the schedule; answers with the number of looks.
/// The schedule may be that of any moment between the question and the answer.
fn follow(metrics: SocketAddr, schedule: &Closed, span: Duration) -> usize {
    let (began, mut looks) = (clock::now(), 0);
    while began.elapsed() < span {
        let before = clock::timestamp().unix_seconds();
        let text = get(metrics, "/metrics", &[]).unwrap().text();
        let after = clock::timestamp().unix_seconds();
        let start = sum(&text, "otload_run_start_time_seconds");
        let users = sum(&text, "otload_users{") - stopping(&text);
        let at = |moment: f64| f64::from(schedule.users_at(Duration::from_secs_f64((moment - start).max(0.0))));
        let (low, high) = (at(before).min(at(after)), at(before).max(at(after)));
        assert!(
            users >= low * 0.99 - 2.0 && users <= high * 1.01 + 2.0,
            "{:.3} s after the start there are {users} users, where the schedule has {low} to {high}",
            after - start
        );
        looks += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    looks
}

fn stopping(text: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with("otload_users{") && line.contains("state=\"stopping\""));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn two_thousand_users_at_500_a_second_follow_the_schedule_and_are_there_after_4_s() {
    on_time(check_two_thousand_users_at_500_a_second_follow_the_schedule_and_are_there_after_4_s);
}

fn check_two_thousand_users_at_500_a_second_follow_the_schedule_and_are_there_after_4_s() {
    let target = CountingTarget::start(Delays::none());
    let scenario =
        "users: [{name: U, wait_time: {between: [5s, 10s]}, tasks: [{get: /cars}]}]\nload: {users: 2000, spawn_rate: 500/s}\n";
    let mut run = Otload::run(scenario, &["--host", &target.url(), "--quiet"]);
    let metrics = run.metrics();
    let schedule = Closed::constant(2000, Rate::try_new(500.0), None);
    let looks = follow(metrics, &schedule, Duration::from_secs(5));
    assert!(looks > 30, "only {looks} looks");
    let text = get(metrics, "/metrics", &[]).unwrap().text();
    let start = sum(&text, "otload_run_start_time_seconds");
    assert!(clock::timestamp().unix_seconds() - start >= 4.0);
    let users = sum(&text, "otload_users{");
    assert!((1960.0..=2040.0).contains(&users), "{users} users after 4 s");
    assert_eq!(sum(&text, "otload_users_target{"), 2000.0);
    assert!((1960..=2000).contains(&target.peak()), "each has a connection of its own: {}", target.peak());
    run.signal(Signal::TERM);
    let finished = run.wait(Duration::from_secs(30)).expect_code(0);
    assert_eq!(finished.summary()["peak_users"], 2000);
    assert_eq!(finished.summary()["totals"]["failures"], 0);
}

#[test]
fn after_a_ramp_down_to_none_all_connections_are_closed() {
    on_time(check_after_a_ramp_down_to_none_all_connections_are_closed);
}

fn check_after_a_ramp_down_to_none_all_connections_are_closed() {
    let target = CountingTarget::start(Delays::none());
    let stage = |users, seconds| Stage { users, over: Duration::from_secs(seconds) };
    let scenario = "users: [{name: U, wait_time: 50ms, tasks: [{get: /cars}]}]\n\
                    load: {stages: [{users: 60, over: 2s}, {users: 60, over: 1s}, {users: 0, over: 2s}, {users: 0, over: 3s}]}\n";
    let run = Otload::run(scenario, &["--host", &target.url(), "--quiet"]);
    let metrics = run.metrics();
    follow(metrics, &Closed::stages(&[stage(60, 2), stage(60, 1), stage(0, 2), stage(0, 3)]), Duration::from_millis(5100));
    assert_eq!(target.peak(), 60);
    // The run goes on for more than two seconds without users.
    wait_for("all connections to be closed", Duration::from_secs(2), || (target.open() == 0).then_some(()));
    let text = get(metrics, "/metrics", &[]).unwrap().text();
    assert_eq!((sum(&text, "otload_users{"), sum(&text, "otload_connections{")), (0.0, 0.0), "{text}");
    assert_eq!(sum(&text, "otload_connections_opened_total"), target.accepted() as f64);
    let finished = run.wait(Duration::from_secs(20)).expect_code(0);
    assert_eq!(finished.summary()["totals"]["requests"], target.requests());
}
