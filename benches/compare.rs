//! How well a change between two runs is told from chance: `cargo bench --bench compare` prints the table of docs/compare.md. With
//! a number behind `--` it simulates so many pairs for each line instead of 400.

#![expect(clippy::print_stdout, reason = "its table is what it is run for")]

use otload::clock;
use otload::measure::catalog::RequestName;
use otload::measure::histogram::Point;
use otload::random::Random;
use otload::report::compare::{Interval, Limits, Request, Run, Verdict, compare};

#[path = "../src/report/compare/simulated.rs"]
mod simulated;

use simulated::{Course, run};

/// Of pairs of runs, the share in per cent that is better, same, worse, and cannot be told.
fn shares(before: Course, after: Course, factor: f64, pairs: u64, seed: u64) -> [f64; 4] {
    let mut counts = [0u32; 4];
    for pair in 0..pairs {
        let (one, other) = (run(before, 1.0, seed + 2 * pair), run(after, factor, seed + 2 * pair + 1));
        if let Ok(comparison) = compare(one, other, Limits::default()) {
            let at = match comparison.verdict {
                Verdict::Better => 0,
                Verdict::Same | Verdict::NotJudged => 1,
                Verdict::Worse => 2,
                Verdict::CannotTell => 3,
            };
            counts[at] += 1;
        }
    }
    counts.map(|count| f64::from(count) * 100.0 / pairs as f64)
}

fn main() {
    // Cargo itself adds `--bench`.
    let pairs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(400);
    let usual = Course::USUAL;
    let calm = Course::CALM;
    let courses = [
        ("1 min, 40/s, calm", Course { intervals: 6, requests: 400, ..calm }),
        ("5 min, 40/s, calm", Course { intervals: 30, requests: 400, ..calm }),
        ("10 min, 40/s, calm", Course { requests: 400, ..calm }),
        ("30 min, 40/s, calm", Course { intervals: 180, requests: 400, ..calm }),
        ("1 min, 20/s, as usual", Course { intervals: 6, ..usual }),
        ("2 min, 20/s, as usual", Course { intervals: 12, ..usual }),
        ("5 min, 20/s, as usual", Course { intervals: 30, ..usual }),
        ("10 min, 20/s, as usual", usual),
        ("30 min, 20/s, as usual", Course { intervals: 180, ..usual }),
        ("10 min, 20/s, a wave of 5 min", Course { period: 30.0, ..usual }),
        ("10 min, 20/s, noise 6%", Course { noise: 0.06, ..usual }),
        ("10 min, 20/s, run to run 3%", Course { between: 0.03, ..usual }),
        ("10 min, 100/s, as usual", Course { requests: 1000, ..usual }),
        ("10 min, 10 requests of 20/s", Course { names: 10, ..usual }),
    ];
    println!("Per cent of {pairs} simulated pairs: better / same / worse / cannot tell\n");
    println!("{:<32} {:>26} {:>26} {:>26} {:>26}", "", "equal", "10% slower", "30% slower", "failures 0.5%, then 2.4%");
    for (name, course) in courses {
        let kinds = [(1.0, [0.0, 0.0]), (1.1, [0.0, 0.0]), (1.3, [0.0, 0.0]), (1.0, [0.005, 0.024])];
        let cells = kinds.into_iter().zip(1u64..).map(|((factor, [before, after]), seed)| {
            let of = |failure_ratio| Course { failure_ratio, ..course };
            let found = shares(of(before), of(after), factor, pairs, seed * 1_000_000);
            format!(" {:>26}", found.map(|share| format!("{share:.1}")).join(" / "))
        });
        println!("{name:<32}{}", cells.collect::<String>());
    }
    let course = Course { intervals: 720, names: 50, requests: 50, ..usual };
    let (before, after) = (run(course, 1.0, 1), run(course, 1.0, 2));
    let started = clock::now();
    let compared = compare(before, after, Limits::default()).is_ok();
    println!("\n50 requests in 720 intervals: {:.2} s ({compared})", (clock::now() - started).as_secs_f64());
}
