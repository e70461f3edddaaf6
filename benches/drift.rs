//! How well drift is told from chance: `cargo bench --bench drift` prints the table of docs/soak.md. With a number behind `--`
//! it simulates so many runs for each line instead of 1,000.

#![expect(clippy::print_stdout, reason = "its table is what it is run for")]

use otload::clock;
use otload::judge::drift::findings::judge;
use otload::judge::drift::series::{Cell, Windows};
use otload::judge::drift::trend::Workspace;
use otload::random::Random;

#[path = "../src/judge/drift/simulated.rs"]
mod simulated;

use simulated::{Course, run};

/// The share of runs, in per cent, in which something regressed; and in which p50 or p99 did.
fn shares(course: Course, names: usize, runs: u64, seed: u64) -> [f64; 2] {
    let labels: Vec<String> = (0..names).map(|name| format!("GET /{name}")).collect();
    let (mut space, mut any, mut times) = (Workspace::default(), 0, 0);
    for number in 0..runs {
        let windows = run(course, names, seed + number);
        let found = judge(&windows, labels.iter().map(String::as_str), 0.1, &mut space);
        any += u32::from(found.regressed().count() > 0);
        times += u32::from(found.regressed().any(|drift| matches!(drift.signal.name(), "p50" | "p99")));
    }
    [any, times].map(|count| f64::from(count) * 100.0 / runs as f64)
}

/// The share of runs in which something had regressed at any of the looks.
fn ever(course: Course, from: usize, runs: u64) -> f64 {
    let (mut space, mut alarms) = (Workspace::default(), 0);
    for seed in 0..runs {
        let mut minutes = from;
        let mut alarm = false;
        while minutes <= course.minutes && !alarm {
            // The same seed gives the same beginning.
            let windows = run(Course { minutes, ..course }, 1, seed);
            alarm = judge(&windows, ["GET /a"].into_iter(), 0.1, &mut space).regressed().count() > 0;
            minutes += (minutes / 8).max(3);
        }
        alarms += u32::from(alarm);
    }
    f64::from(alarms) * 100.0 / runs as f64
}

fn main() {
    // Cargo itself adds `--bench`.
    let runs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    let usual = Course::USUAL;
    let courses = [
        ("12 h, as usual: wave 10%, noise 5%, lag-1 0.6, bursts", usual),
        ("12 h, lag-1 0", Course { lag1: 0.0, ..usual }),
        ("12 h, lag-1 0.3", Course { lag1: 0.3, ..usual }),
        ("12 h, no wave", Course { wave: 0.0, ..usual }),
        ("12 h, wave 20%", Course { wave: 0.2, ..usual }),
        ("12 h, a wave of 37 min", Course { period: 37.0, ..usual }),
        ("12 h, no bursts", Course { bursts: 0.0, ..usual }),
        ("12 h, bursts four times as often", Course { bursts: 0.02, ..usual }),
        ("12 h, noise 10%", Course { noise: 0.1, ..usual }),
        ("12 h, noise 20%", Course { noise: 0.2, ..usual }),
        ("12 h, noise 10%, lag-1 0.9", Course { noise: 0.1, lag1: 0.9, ..usual }),
        ("12 h, 60 requests a minute", Course { requests: 60.0, ..usual }),
        ("12 h, 6 requests a minute", Course { requests: 6.0, ..usual }),
        ("48 h", Course { minutes: 2880, ..usual }),
        ("6 h", Course { minutes: 360, ..usual }),
        ("3 h 10 min", Course { minutes: 190, ..usual }),
        ("2 h", Course { minutes: 120, ..usual }),
        ("1 h, no wave", Course { minutes: 60, wave: 0.0, ..usual }),
        ("30 min, no wave", Course { minutes: 30, wave: 0.0, ..usual }),
        ("30 min, no wave, lag-1 0.3", Course { minutes: 30, wave: 0.0, lag1: 0.3, ..usual }),
    ];
    println!("Per cent of {runs} simulated runs that `regressed`:\n");
    let header = ["no drift", "8% line", "8% step", "15% step", "20% line", "20% step"].map(|name| format!("{name:>9}")).join("");
    println!("{:<56} {header}", "");
    for (name, course) in courses {
        let [none, _] = shares(course, 1, runs, 1_000_000);
        let drifts = [(0.08, 0.0), (0.0, 0.08), (0.0, 0.15), (0.2, 0.0), (0.0, 0.2)];
        let found = drifts.iter().zip(2u64..).map(|((line, step), seed)| {
            let [_, times] = shares(Course { line: *line, step: *step, ..course }, 1, runs, seed * 1_000_000);
            format!("{times:>9.1}")
        });
        println!("{name:<56} {none:>9.1}{}", found.collect::<String>());
    }
    println!("\nChanges below 10%, as usual: line, step");
    for (change, seed) in [0.02, 0.05, 0.08, 0.1, 0.12].into_iter().zip(10u64..) {
        let [_, line] = shares(Course { line: change, ..usual }, 1, runs, seed * 1_000_000);
        let [_, step] = shares(Course { step: change, ..usual }, 1, runs, seed * 1_000_000);
        println!("{:>4.0}% {line:>9.1} {step:>9.1}", change * 100.0);
    }
    let few = (runs / 10).max(1);
    let fifty = [usual, Course { noise: 0.2, ..usual }, Course { requests: 60.0, ..usual }]
        .map(|course| shares(course, 50, few, 4_000_000)[0]);
    println!(
        "\n50 requests, {few} runs, no drift: as usual {:.1}, noise 20% {:.1}, 60 a minute {:.1}",
        fifty[0], fifty[1], fifty[2]
    );
    let calm = Course { wave: 0.0, ..usual };
    let ever = [(usual, 30), (usual, 180), (calm, 30)].map(|(course, from)| ever(course, from, few));
    println!(
        "At any look of 12 h, {few} runs, no drift: as usual {:.1}, from the third hour on {:.1}; no wave {:.1}",
        ever[0], ever[1], ever[2]
    );
    cost(usual);
}

/// What judging costs over 12 h: each minute a window, and a judgement after each sixth that is new.
fn cost(usual: Course) {
    let windows = run(usual, 50, 1);
    let labels: Vec<String> = (0..50).map(|name| format!("GET /{name}")).collect();
    let mut space = Workspace::default();
    let started = clock::now();
    const TIMES: u32 = 20;
    for _ in 0..TIMES {
        std::hint::black_box(judge(&windows, labels.iter().map(String::as_str), 0.1, &mut space));
    }
    let once = (clock::now() - started) / TIMES;
    let started = clock::now();
    let mut pushed = Windows::new(50, 60.0);
    (0..720).for_each(|_| pushed.push(std::iter::repeat_n(Cell::EMPTY, 50), None));
    let pushing = clock::now() - started;
    let (mut judgements, mut last, mut count) = (1, 0.0, 0.0);
    while count < 720.0 {
        count += 1.0;
        if count >= 30.0 && count * 6.0 >= last * 7.0 {
            (last, judgements) = (count, judgements + 1);
        }
    }
    let all = once.as_secs_f64() * f64::from(judgements) + pushing.as_secs_f64();
    println!(
        "\n50 requests: one judgement {:.2} ms; 12 h are {judgements} of them and 720 windows: {:.3} s of CPU",
        once.as_secs_f64() * 1e3,
        all
    );
}
