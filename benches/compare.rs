//! How well a change between two runs is told from chance: `cargo bench --bench compare` prints the table of docs/compare.md. With
//! a number behind `--` it simulates so many pairs for each line instead of 400.

#![expect(clippy::print_stdout, reason = "its table is what it is run for")]

use otload::clock;
use otload::measure::catalog::RequestName;
use otload::measure::histogram::Point;
use otload::random::Random;
use otload::report::compare::{Interval, Request, Run, Verdict, compare};

#[path = "../src/report/compare/simulated.rs"]
mod simulated;

use simulated::{Course, run};

/// The share of pairs, in per cent, with this verdict.
fn share(course: Course, factor: f64, verdict: Verdict, pairs: u64, seed: u64) -> f64 {
    let with = |pair: &u64| {
        let (before, after) = (run(course, 1.0, seed + 2 * pair), run(course, factor, seed + 2 * pair + 1));
        compare(before, after).is_ok_and(|comparison| comparison.verdict == verdict)
    };
    (0..pairs).filter(with).count() as f64 * 100.0 / pairs as f64
}

fn main() {
    // Cargo itself adds `--bench`.
    let pairs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(400);
    let usual = Course::USUAL;
    let courses = [
        ("10 min, 20/s, as usual: noise 3%, lag-1 0.6, wave 3% of 2 min, run to run 1%", usual),
        ("no noise but that of the latencies", Course { noise: 0.0, wave: 0.0, between: 0.0, ..usual }),
        ("a wave of 5 min", Course { period: 30.0, ..usual }),
        ("noise 6%", Course { noise: 0.06, ..usual }),
        ("run to run 2%", Course { between: 0.02, ..usual }),
        ("run to run 3%", Course { between: 0.03, ..usual }),
        ("5 min", Course { intervals: 30, ..usual }),
        ("2 min", Course { intervals: 12, ..usual }),
        ("1 min", Course { intervals: 6, ..usual }),
        ("30 min", Course { intervals: 180, ..usual }),
        ("10 min, 2/s", Course { requests: 20, ..usual }),
        ("10 min, 100/s", Course { requests: 1000, ..usual }),
        ("10 min, 10 requests of 20/s", Course { names: 10, ..usual }),
    ];
    println!("Per cent of {pairs} simulated pairs:\n\n{:<68} {:>6} {:>12} {:>13}", "", "same", "+10%: worse", "-10%: better");
    for (name, course) in courses {
        let same = share(course, 1.0, Verdict::Same, pairs, 1_000_000);
        let worse = share(course, 1.1, Verdict::Worse, pairs, 2_000_000);
        let better = share(course, 0.9, Verdict::Better, pairs, 3_000_000);
        println!("{name:<68} {same:>6.1} {worse:>12.1} {better:>13.1}");
    }
    let course = Course { intervals: 720, names: 50, requests: 50, ..usual };
    let (before, after) = (run(course, 1.0, 1), run(course, 1.0, 2));
    let started = clock::now();
    let compared = compare(before, after).is_ok();
    println!("\n50 requests in 720 intervals: {:.2} s ({compared})", (clock::now() - started).as_secs_f64());
}
