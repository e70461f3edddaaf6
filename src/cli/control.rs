//! `otload status | scale | pause | resume | stop | annotate`: one request to a running otload, and its answer in words.

use serde_json::{Value, json};

use super::args::{AnnotateArgs, ScaleArgs, StatusArgs, ToArgs};
use super::{Exit, colour, print, refuse, token};
use crate::console;
use crate::control::client::{Client, Failure};
use crate::printable;
use crate::run::Failed;

pub(super) fn status(args: &StatusArgs) -> Exit {
    let told = |client: &Client| {
        if args.health {
            return client.health().map(|()| "ok\n".to_owned());
        }
        let status = client.status()?;
        if !args.requests {
            return Ok(if args.json { json(&status) } else { state(&status) });
        }
        let requests = client.ask("/api/v1/requests", None)?;
        Ok(if args.json { json(&requests) } else { format!("{}\n{}", state(&status), table(&requests)) })
    };
    with(&args.to, told)
}

pub(super) fn scale(args: &ScaleArgs) -> Exit {
    let rate = |rate: Option<crate::units::Rate>| rate.map(|rate| json!(rate.per_second()));
    let given = [
        ("users", args.users.map(Value::from)),
        ("spawn_rate", rate(args.spawn_rate)),
        ("arrival_rate", rate(args.arrival_rate)),
        ("user", args.user.clone().map(Value::from)),
    ];
    let body = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<serde_json::Map<_, _>>();
    ask(&args.to, "scale", &Value::Object(body), |effect| {
        let number = |key: &str| effect[key].as_f64().unwrap_or_default();
        let what = if args.users.is_some() { "users" } else { "arrivals a second" };
        let when = match number("reached_in_seconds") {
            0.0 => "at once".to_owned(),
            seconds => format!("within {seconds:.1} s"),
        };
        let note = effect["note"].as_str().map_or_else(String::new, |note| format!("note: {}\n", printable::one_line(note)));
        format!("{what}: {} → {} {when}\n{note}", number("from"), number("to"))
    })
}

pub(super) fn pause(to: &ToArgs) -> Exit {
    changed(to, "pause", "paused: tasks under way end, none begin; `otload resume` goes on", "it is paused already")
}

pub(super) fn resume(to: &ToArgs) -> Exit {
    changed(to, "resume", "it goes on", "it was not paused")
}

pub(super) fn stop(to: &ToArgs) -> Exit {
    changed(to, "stop", "stopping: users end their tasks, then the run reports as usual", "it is stopping already")
}

pub(super) fn annotate(args: &AnnotateArgs) -> Exit {
    ask(&args.to, "annotate", &json!({ "text": args.text.join(" ") }), |effect| {
        format!(
            "noted at {}
",
            printable::one_line(effect["at"].as_str().unwrap_or_default())
        )
    })
}

fn changed(to: &ToArgs, what: &str, now: &str, already: &str) -> Exit {
    ask(to, what, &json!({}), |effect| {
        format!(
            "{}
",
            if effect["changed"] == true { now } else { already }
        )
    })
}

/// Sends one command, and says what came of it.
fn ask(to: &ToArgs, what: &str, body: &Value, told: impl FnOnce(&Value) -> String) -> Exit {
    with(to, |client| client.ask(&format!("/api/v1/{what}"), Some(body)).map(|effect| told(&effect)))
}

fn with(to: &ToArgs, talk: impl FnOnce(&Client) -> Result<String, Failure>) -> Exit {
    let client = match token(to.control_token_file.as_deref()).and_then(|token| Client::try_new(&to.to, token)) {
        Ok(client) => client,
        Err(problem) => return refuse(&Failed::Refused(problem)),
    };
    match talk(&client) {
        Ok(text) => print(&text),
        Err(Failure::Unreachable(problem)) => refuse(&Failed::Broken(problem)),
        Err(Failure::Refused(status, problem)) => {
            console::problem(&problem, colour());
            if status.as_u16() == 400 { Exit::Wrong } else { Exit::Failed }
        }
    }
}

fn json(answer: &Value) -> String {
    printable::json(&format!("{answer}\n"))
}

/// In two lines.
fn state(status: &Value) -> String {
    let phase = printable::one_line(status["phase"].as_str().unwrap_or("unknown"));
    if phase == "idle" {
        return "idle: there has been no run yet\n".to_owned();
    }
    let text = |key: &str| printable::one_line(status[key].as_str().unwrap_or_default());
    let count = |key: &str| status[key].as_u64().unwrap_or_default();
    let number = |key: &str| status[key].as_f64().unwrap_or_default();
    let seconds = number("elapsed_seconds") as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let share = if count("requests") > 0 { count("failures") as f64 / count("requests") as f64 * 100.0 } else { 0.0 };
    let valid = if status["valid"] == false { " · invalid: the generator is the bottleneck" } else { "" };
    format!(
        "{} → {} · run {} · {phase}{valid}\n{hours:02}:{minutes:02}:{seconds:02}  users {}/{}  requests {} ({:.1}/s)  failures {} ({share:.2}%)\n",
        text("test"),
        text("host"),
        text("run_id"),
        count("users"),
        count("users_target"),
        count("requests"),
        number("rps"),
        count("failures"),
    )
}

fn table(requests: &Value) -> String {
    let mut out =
        format!("{:>10} {:>9} {:>10} {:>9} {:>9} {:>9}  name\n", "requests", "failures", "req/s", "p50 ms", "p95 ms", "p99 ms");
    let empty = Vec::new();
    for row in requests["requests"].as_array().unwrap_or(&empty).iter().chain([&requests["totals"]]) {
        let time = |quantile: &str| {
            row["response_time_seconds"][quantile]
                .as_f64()
                .map_or_else(|| "-".to_owned(), |seconds| format!("{:.1}", seconds * 1e3))
        };
        let name = row["request"].as_str().map_or_else(|| "Aggregated".to_owned(), printable::one_line);
        let (requests, failures) = (row["requests"].as_u64().unwrap_or_default(), row["failures"].as_u64().unwrap_or_default());
        let rps = row["rps"].as_f64().unwrap_or_default();
        let [p50, p95, p99] = ["p50", "p95", "p99"].map(time);
        out.push_str(&format!("{requests:>10} {failures:>9} {rps:>10.2} {p50:>9} {p95:>9} {p99:>9}  {name}\n"));
    }
    out
}
