//! The GitHub action: its scripts, run as a runner runs them, with the real binary and a small GitHub.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{CountingTarget, Delays, root, venv};

type Texts = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Action {
    inputs: BTreeMap<String, Input>,
    runs: Runs,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    required: bool,
    #[serde(default)]
    default: String,
}

#[derive(Deserialize)]
struct Runs {
    using: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    id: Option<String>,
    #[serde(rename = "if")]
    condition: Option<String>,
    uses: Option<String>,
    run: Option<String>,
    shell: Option<String>,
    #[serde(default)]
    env: Texts,
    #[serde(default)]
    with: Texts,
}

/// A runner's machine, with a repository in which the action is used.
struct Runner {
    dir: TempDir,
    github: GitHub,
}

/// What became of a job.
struct Job {
    code: i32,
    summary: String,
    /// Of each step with an id, by `id.name`.
    outputs: Texts,
    /// What other actions were given, by name.
    used: BTreeMap<String, Texts>,
    log: String,
}

// === the runner ===

impl Runner {
    /// For the pull request of this number, if it is one.
    fn new(number: Option<u64>) -> Self {
        let runner = Self { dir: tempfile::tempdir().unwrap(), github: GitHub::start() };
        for folder in ["temp", "bin", "work"] {
            std::fs::create_dir(runner.dir.path().join(folder)).unwrap();
        }
        let event =
            number.map_or_else(|| json!({ "ref": "refs/heads/main" }), |number| json!({ "number": number, "pull_request": {} }));
        runner.write("event.json", &event.to_string());
        // `cargo install` takes minutes: this one has what it would make, and notes what it was asked.
        let otload = env!("CARGO_BIN_EXE_otload");
        runner.program("cargo", &format!("echo \"$@\" >>\"$RUNNER_TEMP/cargo\"\nwhile [ \"$1\" != --root ]; do shift; done\nmkdir -p \"$2/bin\" && cp {otload} \"$2/bin/otload\"\n"));
        runner.program("rustup", "echo \"rustup $@\" >>\"$RUNNER_TEMP/cargo\"\n");
        runner.program("otload", &format!("exec {otload} \"$@\"\n"));
        runner
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, file: impl AsRef<Path>) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).unwrap_or_default()
    }

    /// Runs the action with these inputs.
    fn run(&self, inputs: &[(&str, &str)]) -> Job {
        let action: Action = serde_yaml::from_str(&std::fs::read_to_string(root().join("action.yml")).unwrap()).unwrap();
        assert_eq!(action.runs.using, "composite");
        let mut known: Texts =
            action.inputs.iter().map(|(name, input)| (format!("inputs.{name}"), input.default.clone())).collect();
        for (name, value) in inputs {
            assert!(action.inputs.contains_key(*name), "there is no input {name}");
            known.insert(format!("inputs.{name}"), (*value).to_owned());
        }
        let wanting = action.inputs.iter().find(|(name, input)| input.required && !inputs.iter().any(|(given, _)| given == name));
        assert!(wanting.is_none(), "{:?} is required", wanting.map(|(name, _)| name));
        known.insert("github.token".into(), "secret-token".into());
        let token = evaluate("${{ inputs.token }}", &known);
        known.insert("inputs.token".into(), evaluate(&token, &known));
        self.write("summary.md", "");
        let mut job = Job { code: 0, summary: String::new(), outputs: Texts::new(), used: BTreeMap::new(), log: String::new() };
        for step in &action.runs.steps {
            let wanted = step.condition.as_ref().is_none_or(|condition| holds(condition, &known));
            match (&step.run, &step.uses) {
                _ if !wanted || job.code != 0 => {}
                (Some(script), None) => {
                    assert_eq!(step.shell.as_deref(), Some("bash"));
                    assert!(!script.contains("${{"), "an input would become a part of the script\n{script}");
                    self.step(step, script, &known, &mut job);
                }
                (None, Some(uses)) => {
                    let with = step.with.iter().map(|(name, value)| (name.clone(), evaluate(value, &known))).collect();
                    job.used.insert(uses.split('@').next().unwrap().to_owned(), with);
                }
                _ => panic!("a step runs something, or uses an action"),
            }
            known.extend(
                job.outputs.iter().map(|(name, value)| (format!("steps.{}", name.replacen('.', ".outputs.", 1)), value.clone())),
            );
        }
        job.summary = self.read("summary.md");
        job
    }

    fn step(&self, step: &Step, script: &str, known: &Texts, job: &mut Job) {
        let at = |file: &str| self.dir.path().join(file).display().to_string();
        self.write("output", "");
        self.write("step.sh", script);
        let path = format!("{}:{}", at("bin"), std::env::var("PATH").unwrap());
        let run = Command::new("bash")
            // As `shell: bash` is.
            .args(["--noprofile", "--norc", "-eo", "pipefail", &at("step.sh")])
            .current_dir(self.dir.path().join("work"))
            .env_clear()
            .envs([("PATH", path), ("HOME", at("temp")), ("RUNNER_TEMP", at("temp")), ("GITHUB_OUTPUT", at("output"))])
            .envs([("GITHUB_STEP_SUMMARY", at("summary.md")), ("GITHUB_EVENT_PATH", at("event.json"))])
            .envs([("GITHUB_ACTION_PATH", root().display().to_string()), ("GITHUB_API_URL", self.github.url())])
            .envs([("RUNNER_OS", "Linux"), ("RUNNER_ARCH", "X64"), ("GITHUB_REPOSITORY", "o/r"), ("GITHUB_RUN_ID", "77")])
            .envs([("GITHUB_SERVER_URL", "https://github.test"), ("GITHUB_ACTIONS", "true")])
            .envs(step.env.iter().map(|(name, value)| (name, evaluate(value, known))))
            .output()
            .unwrap();
        job.log += &format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        job.code = run.status.code().unwrap();
        for line in self.read("output").lines() {
            let (name, value) = line.split_once('=').unwrap();
            job.outputs.insert(format!("{}.{name}", step.id.as_deref().unwrap()), value.to_owned());
        }
    }
}

/// Replaces each `${{ name }}`, and `${{ name || name }}`; what is not known is empty, as it is for a runner.
fn evaluate(text: &str, known: &Texts) -> String {
    let mut parts = text.split("${{");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once("}}").unwrap();
        let values = expression.split("||").map(|name| known.get(name.trim()).cloned().unwrap_or_default());
        out += &values.reduce(|first, second| if first.is_empty() { second } else { first }).unwrap();
        out += rest;
    }
    out
}

/// Conditions of `==`, `!=` and `&&`.
fn holds(condition: &str, known: &Texts) -> bool {
    condition.split("&&").all(|part| {
        let (name, equal, text) = match (part.split_once("=="), part.split_once("!=")) {
            (Some((name, text)), None) => (name, true, text),
            (None, Some((name, text))) => (name, false, text),
            _ => panic!("{condition}"),
        };
        (known.get(name.trim()).map_or("", String::as_str) == text.trim().trim_matches('\'')) == equal
    })
}

// === GitHub ===

/// Keeps comments, and what was asked.
struct GitHub {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    comments: Vec<Value>,
    asked: Vec<String>,
    /// Refuses to write.
    reads_only: bool,
}

impl GitHub {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, kept) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Kept::default())));
        let shared = kept.clone();
        // It ends with the process.
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream, &shared)));
        Self { address, kept }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn bodies(&self) -> Vec<String> {
        self.kept.lock().unwrap().comments.iter().map(|comment| comment["body"].as_str().unwrap().to_owned()).collect()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push(line.trim_end().to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut kept = kept.lock().unwrap();
    let bears = head.iter().any(|line| line.eq_ignore_ascii_case("authorization: Bearer secret-token"));
    let line = head.first().map_or("", |line| line.trim_end_matches(" HTTP/1.1")).to_owned();
    let (method, path) = line.split_once(' ').unwrap();
    let text = || serde_json::from_slice::<Value>(&body).unwrap()["body"].clone();
    let (code, answer) = match (method, path) {
        _ if !bears => (401, Value::Null),
        ("GET", "/repos/o/r/issues/5/comments?per_page=100&page=1") => {
            (200, json!(kept.comments.iter().take(100).collect::<Vec<_>>()))
        }
        ("GET", "/repos/o/r/issues/5/comments?per_page=100&page=2") => {
            (200, json!(kept.comments.iter().skip(100).collect::<Vec<_>>()))
        }
        // As for the token of a job.
        ("GET", "/user") => (403, json!({ "message": "Resource not accessible by integration" })),
        _ if kept.reads_only => (403, json!({ "message": "Resource not accessible by integration" })),
        ("POST", "/repos/o/r/issues/5/comments") => {
            let comment = json!({ "id": 1000 + kept.comments.len(), "body": text(), "user": { "login": "github-actions[bot]" } });
            kept.comments.push(comment.clone());
            (201, comment)
        }
        ("PATCH", _) => {
            let id: u64 = path.strip_prefix("/repos/o/r/issues/comments/").unwrap().parse().unwrap();
            let comment = kept.comments.iter_mut().find(|comment| comment["id"] == id).unwrap();
            comment["body"] = text();
            (200, comment.clone())
        }
        _ => (404, Value::Null),
    };
    kept.asked.push(line);
    drop(kept);
    let answer = answer.to_string();
    let mut stream = reader.into_inner();
    // Whoever asked may be gone.
    let _ = write!(stream, "HTTP/1.1 {code} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}", answer.len());
}

// === what it does ===

fn scenario(target: &CountingTarget, more: &str) -> String {
    let url = target.url();
    format!(
        "name: cars\nhost: {url}\nusers: [{{name: U, wait_time: 20ms, tasks: [{{get: /cars}}]}}]\nload: {{users: 3, run_time: 1s}}\nvalidity: {{max_generator_time: 1h, busy: 100%}}\n{more}"
    )
}

#[test]
fn it_installs_runs_keeps_the_results_sums_up_and_comments_once_for_each_pull_request() {
    let (target, runner) = (CountingTarget::start(Delays::none()), Runner::new(Some(5)));
    runner.github.kept.lock().unwrap().comments.extend((0..120).map(|id| json!({ "id": id, "body": format!("comment {id}") })));
    runner.write("work/my load.yaml", &scenario(&target, ""));
    let inputs = [("scenario", "my load.yaml"), ("args", "--users 4  --set 'x=a b;$(touch hacked) *'"), ("version", "0.1.0")];
    runner.write("work/my load.yaml", &scenario(&target, "variables: {x: y}\n"));
    let job = runner.run(&inputs);
    assert_eq!((job.code, job.outputs["run.exit-code"].as_str()), (0, "0"), "{}", job.log);
    assert!(!runner.dir.path().join("work/hacked").exists());
    let cargo = runner.read("temp/cargo");
    assert!(cargo.contains("install --locked otload --version 0.1.0 --root "), "{cargo}");
    assert!(cargo.contains("rustup toolchain install stable"), "{cargo}");
    // The results folder becomes the artifact.
    assert_eq!(job.used["actions/upload-artifact"]["path"], "otload-results");
    for file in ["summary.json", "report.html", "report.md", "junit.xml", "intervals.jsonl"] {
        assert!(!runner.read(format!("work/otload-results/{file}")).is_empty(), "{file} is missing\n{}", job.log);
    }
    let summary: Value = serde_json::from_str(&runner.read("work/otload-results/summary.json")).unwrap();
    assert_eq!((&summary["peak_users"], &summary["totals"]["requests"]), (&4.into(), &target.requests().into()));
    assert!(runner.read("work/otload-results/scenario.yaml").contains("--set x=a b;$(touch hacked) *"));
    // What is cached is found again by what it was made of.
    assert_eq!(job.used["actions/cache"]["path"], runner.dir.path().join("temp/otload").display().to_string());
    assert_eq!(job.used["actions/cache"]["key"], "otload-Linux-X64-0.1.0");
    // Job summary and comment are the run's Markdown.
    let markdown = runner.read("work/otload-results/report.md");
    assert!(markdown.contains("cars: not judged"), "{markdown}");
    assert_eq!(job.summary, markdown);
    let comments = runner.github.bodies();
    assert_eq!(comments.len(), 121);
    let start = format!("<!-- otload: my load.yaml -->\n{markdown}");
    assert!(
        comments[120].starts_with(&start) && comments[120].contains("https://github.test/o/r/actions/runs/77"),
        "{}",
        comments[120]
    );

    // The next run of the same updates it, another scenario has its own.
    runner.write("work/my load.yaml", &scenario(&target, "thresholds: [\"p50 < 1us\"]\n"));
    let job = runner.run(&[inputs[0], inputs[2]]);
    assert_eq!((job.code, job.outputs["run.exit-code"].as_str()), (1, "1"), "{}", job.log);
    let comments = runner.github.bodies();
    assert!(comments.len() == 121 && comments[120].contains("cars: failed"), "{}", comments[120]);
    runner.run(&[inputs[0], inputs[2], ("comment-key", "other")]);
    assert_eq!(runner.github.bodies().len(), 122);
}

#[test]
fn its_exit_code_is_that_of_the_run_unless_that_is_not_to_fail_the_job() {
    let (target, runner) = (CountingTarget::start(Delays::none()), Runner::new(None));
    let invalid =
        scenario(&target, "").replace("max_generator_time: 1h, busy: 100%", "max_generator_share: 0%, max_generator_time: 1us");
    let invalid = invalid.replace("users: 3, run_time: 1s", "users: 20, run_time: 2s");
    let files =
        [("good", scenario(&target, "")), ("failing", scenario(&target, "thresholds: [\"p50 < 1us\"]\n")), ("invalid", invalid)];
    for (name, text) in &files {
        runner.write(&format!("work/{name}.yaml"), text);
    }
    runner.write("work/wrong.yaml", "users: 5\n");
    for (name, fail_on, code) in [
        ("good", "threshold,invalid", 0),
        ("failing", "threshold, invalid", 1),
        ("failing", "invalid", 0),
        ("invalid", "threshold,invalid", 3),
        ("invalid", "nothing", 0),
        ("wrong", "nothing", 2),
        ("missing", "nothing", 2),
    ] {
        let job = runner.run(&[("scenario", &format!("{name}.yaml")), ("version", "path"), ("fail-on", fail_on)]);
        assert_eq!(job.code, code, "{name}, {fail_on}\n{}", job.log);
        // Told in any case, but not commented: this is no pull request.
        let says = match name {
            "good" => "cars: not judged",
            "failing" => "cars: failed",
            "invalid" => "cars: invalid",
            _ => "otload ended with exit code 2",
        };
        assert!(job.summary.contains(says), "{name}: {}", job.summary);
        assert!(job.log.contains("this is no pull request"), "{}", job.log);
        assert!(job.used.contains_key("actions/upload-artifact") && !job.used.contains_key("actions/cache"));
    }
    let wrong = runner.run(&[("scenario", "wrong.yaml"), ("version", "path"), ("artifact", ""), ("comment", "false")]);
    assert!(wrong.summary.contains("error: ") && wrong.summary.contains("wrong.yaml:1:"), "{}", wrong.summary);
    assert!(wrong.used.is_empty() && !wrong.log.contains("pull request"), "{}", wrong.log);
    assert!(runner.github.kept.lock().unwrap().asked.is_empty() && runner.read("temp/cargo").is_empty());
}

#[test]
fn from_source_it_is_built_from_the_repository_of_the_action() {
    let (target, runner) = (CountingTarget::start(Delays::none()), Runner::new(None));
    runner.write("work/a.yaml", &scenario(&target, ""));
    let keys = [(); 2].map(|()| {
        let job = runner.run(&[("scenario", "a.yaml")]);
        assert_eq!(job.code, 0, "{}", job.log);
        job.used["actions/cache"]["key"].clone()
    });
    let cargo = runner.read("temp/cargo");
    assert!(cargo.contains(&format!("install --locked --path {} --root ", root().display())), "{cargo}");
    let made_of = keys[0].strip_prefix("otload-Linux-X64-").unwrap();
    assert!(keys[0] == keys[1] && made_of.len() == 40, "{keys:?}");
}

#[test]
fn arguments_with_an_open_quote_are_refused() {
    let (target, runner) = (CountingTarget::start(Delays::none()), Runner::new(None));
    runner.write("work/a.yaml", &scenario(&target, ""));
    let job = runner.run(&[("scenario", "a.yaml"), ("version", "path"), ("args", "--users 'four")]);
    assert_eq!((job.code, target.requests()), (2, 0), "{}", job.log);
    assert!(job.log.contains("a quote is not closed"), "{}", job.log);
}

/// Anybody may write a comment that begins as the action's own.
#[test]
fn comments_of_others_are_left_alone() {
    let (target, runner) = (CountingTarget::start(Delays::none()), Runner::new(Some(5)));
    runner.write("work/a.yaml", &scenario(&target, ""));
    let theirs = json!({ "id": 7, "body": "<!-- otload: a.yaml -->\nours?", "user": { "login": "mallory" } });
    runner.github.kept.lock().unwrap().comments.push(theirs);
    let run = |more: &[(&'static str, &'static str)]| {
        let job = runner.run(&[&[("scenario", "a.yaml"), ("version", "path")], more].concat());
        assert_eq!(job.code, 0, "{}", job.log);
        runner.github.bodies()
    };
    let bodies = run(&[]);
    assert_eq!((bodies.len(), &*bodies[0]), (2, "<!-- otload: a.yaml -->\nours?"));
    assert_eq!(run(&[]).len(), 2, "its own is updated");
    // A token of another app, which cannot say who it is either, is named.
    assert!(run(&[("comment-author", "mallory")])[0].contains("cars: not judged"));
}

/// Line breaks, fences and commands of the workflow in what a target says.
#[test]
fn what_a_target_says_stays_text() {
    let said = "x\n````\n@octocat [a](https://evil.example)\n::error::evil\n`````` ";
    let target = CountingTarget::start_with(Delays::none(), "text/plain", said);
    let runner = Runner::new(Some(5));
    runner.write("work/a.yaml", &format!("setup: [{{get: /, expect: {{body: fine}}}}]\n{}", scenario(&target, "")));
    let job = runner.run(&[("scenario", "a.yaml"), ("version", "path")]);
    assert_eq!(job.code, 4, "{}", job.log);
    let lines: Vec<&str> = job.summary.lines().collect();
    let fences: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with("```")).collect();
    assert_eq!((fences.len(), lines[fences[0]], lines[fences[1]]), (2, "```````text", "```````"), "{}", job.summary);
    let inside = lines[fences[0] + 1..fences[1]].join("\n");
    assert!(inside.contains("evil.example") && !job.summary.replace(&inside, "").contains("evil"), "{}", job.summary);
    // Between these two the runner takes no command.
    let stop = job.log.lines().find_map(|line| line.strip_prefix("::stop-commands::")).unwrap();
    assert_eq!(stop.len(), 32);
    let (before, after) = job.log.split_once(&format!("\n::{stop}::\n")).unwrap();
    assert!(
        before.contains("evil") && !after.contains("evil") && !before.split("::stop-commands::").next().unwrap().contains("evil")
    );
}

/// A tag may be moved to other code, a commit may not.
#[test]
fn actions_of_others_are_pinned_by_their_commits() {
    let mut seen = 0;
    for file in ["action.yml", ".github/workflows/ci.yml", "docs/ci.md"] {
        for line in std::fs::read_to_string(root().join(file)).unwrap().lines() {
            let Some((_, uses)) = line.split_once("uses: ").filter(|(_, uses)| uses.starts_with("actions/")) else { continue };
            let (commit, version) =
                uses.split_once('@').unwrap().1.split_once(" # v").unwrap_or_else(|| panic!("{file}: {line}"));
            assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{file}: {line}");
            assert!(version.split('.').count() == 3, "{file}: {line}");
            seen += 1;
        }
    }
    assert_eq!(seen, 10);
}

#[test]
fn action_and_workflow_are_what_github_reads() {
    let check = venv().join("bin/check-jsonschema");
    for (schema, file) in [("vendor.github-actions", "action.yml"), ("vendor.github-workflows", ".github/workflows/ci.yml")] {
        let run = Command::new(&check).args(["--builtin-schema", schema, file]).current_dir(root()).output();
        let run = run.unwrap_or_else(|error| panic!("{}: {error}; tests/run.sh installs it", check.display()));
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    }
}

#[test]
fn what_keeps_the_comment_from_being_written_is_a_warning() {
    let (target, runner) = (CountingTarget::start(Delays::none()), Runner::new(Some(5)));
    runner.github.kept.lock().unwrap().reads_only = true;
    runner.write("work/a.yaml", &scenario(&target, ""));
    let job = runner.run(&[("scenario", "a.yaml"), ("version", "path")]);
    assert_eq!(job.code, 0, "{}", job.log);
    assert!(job.log.contains("::warning title=otload::the pull request was not commented: HTTP Error 403"), "{}", job.log);
    assert!(job.log.contains("`permissions: {pull-requests: write}`"), "{}", job.log);
    assert!(!format!("{}{}", job.log, job.summary).contains("secret-token"));
}

#[test]
fn a_baseline_is_handed_on_and_compared_with() {
    let (target, runner) = (CountingTarget::start(Delays::none()), Runner::new(None));
    runner.write("work/a.yaml", &scenario(&target, ""));
    let of = |results: &'static str, more: &[(&'static str, &'static str)]| {
        runner.run(&[&[("scenario", "a.yaml"), ("version", "path"), ("results", results)], more].concat())
    };
    assert_eq!(of("before", &[]).code, 0);
    runner.write("work/a.yaml", &scenario(&target, "thresholds: [\"baseline.p50 < 1000x\"]\n"));
    let job = of("after", &[("baseline", "before"), ("fail-on", "worse")]);
    assert_eq!((job.code, job.outputs["report.compared"].as_str()), (0, "unknown"), "{}", job.log);
    assert!(job.summary.contains("cars: passed") && job.summary.contains("baseline.p50"), "{}", job.summary);
    assert!(
        job.summary.contains("It was not compared with the baseline:") && job.summary.contains("too short"),
        "{}",
        job.summary
    );
    // Two that can be compared take longer than a test; what this one says is what the real one does.
    let otload = env!("CARGO_BIN_EXE_otload");
    runner.program(
        "otload",
        &format!("if [ \"$1\" = compare ]; then echo \"| worse | $2 $3 $4 $5 |\"; exit 1; fi\nexec {otload} \"$@\"\n"),
    );
    let job = of("after", &[("baseline", "before")]);
    assert_eq!((job.code, job.outputs["report.compared"].as_str()), (0, "worse"), "{}", job.log);
    assert!(job.summary.ends_with("| worse | before after --format markdown |\n"), "{}", job.summary);
    let job = of("after", &[("baseline", "before"), ("fail-on", "worse")]);
    assert_eq!(job.code, 1, "{}", job.log);
    assert!(job.log.contains("::error title=otload::worse than the baseline"), "{}", job.log);
    runner
        .program("otload", &format!("if [ \"$1\" = compare ]; then echo \"| it varies |\"; exit 5; fi\nexec {otload} \"$@\"\n"));
    let job = of("after", &[("baseline", "before"), ("fail-on", "worse")]);
    assert_eq!((job.code, job.outputs["report.compared"].as_str()), (0, "cannot-tell"), "{}", job.log);
    assert!(job.summary.ends_with("| it varies |\n") && job.log.contains("::notice title=otload::cannot tell"), "{}", job.log);
    let job = of("after", &[("baseline", "before"), ("fail-on", "worse,cannot-tell")]);
    assert_eq!(job.code, 5, "{}", job.log);
}
