//! What a million rows cost: `cargo bench --bench feeder` prints how long each form takes to load, how much memory the process has
//! taken at most by then, and what giving out a row costs. With a number behind `--` so many rows.

#![expect(clippy::print_stdout, reason = "its table is what it is run for")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use otload::clock;
use otload::template::{Format, Table};

/// The most memory that the process has had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() -> std::io::Result<()> {
    // Cargo itself adds `--bench`; a child has the form behind its number.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rows = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let forms = [
        ("csv", Format::Csv { delimiter: b',', quote: b'"', fields: None }),
        ("json", Format::Json),
        ("jsonl", Format::JsonLines),
    ];
    match forms.iter().find(|(name, _)| arguments.iter().any(|argument| argument == name)) {
        Some((name, format)) => measure(name, format, rows)?,
        // Each in a process of its own, for its memory.
        None => {
            for (name, _) in forms {
                std::process::Command::new(std::env::current_exe()?).args([&rows.to_string(), name]).status()?;
            }
        }
    }
    Ok(())
}

fn measure(name: &str, format: &Format, rows: usize) -> std::io::Result<()> {
    let path = std::env::temp_dir().join(format!("otload-rows-{}.{name}", std::process::id()));
    let mut text = String::new();
    if name == "csv" {
        text.push_str("id,email,password,city\n");
    }
    for row in 0..rows {
        let _ = match name {
            "csv" => writeln!(text, "{row},user{row}@example.com,secret-{row:08x},Gothenburg"),
            _ => writeln!(
                text,
                "{{\"id\":{row},\"email\":\"user{row}@example.com\",\"password\":\"secret-{row:08x}\",\"city\":\"Gothenburg\"}}"
            ),
        };
    }
    if name == "json" {
        text = format!("[{}]", text.trim_end().replace('\n', ",\n"));
    }
    std::fs::write(&path, &text)?;
    let size = text.len() / (1 << 20);
    drop(text);
    // What making the file took is forgotten: from here on the peak is that of loading.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let before = peak();
    let started = clock::now();
    let table = Table::load(&path, name, format).map(Arc::new);
    let took = (clock::now() - started).as_secs_f64();
    std::fs::remove_file(&path)?;
    let Ok(table) = table else { return Err(std::io::Error::other("the file is wrong")) };
    let loaded = peak().saturating_sub(before);
    let started = clock::now();
    for draw in 0..1_000_000 {
        black_box(table.row(draw * 7919 % rows).get_attr("email").ok());
    }
    let each = (clock::now() - started).as_secs_f64() * 1e3;
    println!(
        "{name:<6} {rows} rows of {size} MiB: {took:.2} s, {loaded} MiB more at most; a row and one of its columns {each:.0} ns"
    );
    Ok(())
}
