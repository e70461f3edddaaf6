//! Keys that the language has and this version does not: known, so that they are neither misspelt nor ignored in silence.
//! One table; a feature that arrives takes its line out.

/// Record, key, and what it stands for.
const LATER: &[(&str, &str, &str)] = &[];

/// Keys that people look for in the wrong record: record, key, where it belongs.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("Scenario", "tasks", "tasks belong to a user type: `users: [{name: …, tasks: […]}]`"),
    ("Scenario", "wait_time", "it belongs to a user type, under `users`"),
    ("Scenario", "stages", "it belongs under `load`"),
    ("Scenario", "spawn_rate", "it belongs under `load`"),
    ("Scenario", "run_time", "it belongs under `load`"),
    ("Scenario", "iterations", "it belongs under `load`"),
    ("Scenario", "arrival_rate", "it belongs under `load`"),
    ("Scenario", "max_users", "it belongs under `load`"),
    ("Scenario", "start_after", "it belongs to a user type, beside its own `load`"),
    ("Load", "start_after", "it belongs to a user type, beside its own `load`"),
    ("Stage", "max_users", "it belongs under `load`, beside `stages`"),
    ("Scenario", "headers", "it belongs under `http`"),
    ("Scenario", "auth", "it belongs under `http`, for all requests, or to a request"),
    ("Scenario", "timeout", "it belongs under `http`"),
    ("Scenario", "tls", "it belongs under `http`"),
    ("Scenario", "metrics", "it belongs under `observe`"),
    ("Scenario", "traces", "it belongs under `observe`"),
    ("Scenario", "labels", "it belongs under `observe`: `observe: {metrics: {labels: {…}}}`"),
    ("Observe", "labels", "it belongs under `metrics`: `metrics: {labels: {…}}`"),
    ("Observe", "logs", "it is called `otlp_logs`"),
    ("Observe", "endpoint", "it belongs under `traces`, `otlp_metrics` or `otlp_logs`"),
    ("ObserveMetrics", "endpoint", "it belongs under `otlp_metrics`; `metrics` is what Prometheus scrapes too"),
    ("ObserveMetrics", "interval", "it belongs under `otlp_metrics`; `metrics` is what Prometheus scrapes too"),
    ("Scenario", "env", "variables of the environment need no declaration: `{{ env.NAME }}`"),
    ("UserType", "flow", "a flow belongs to a task: `tasks: [{name: …, flow: […]}]`"),
    ("UserType", "get", "requests belong under `tasks`"),
    ("UserType", "post", "requests belong under `tasks`"),
    ("UserType", "next", "it belongs to a task"),
    ("Task", "loop", "a loop is a step of a `flow`"),
    ("Task", "if", "a branch is a step of a `flow`; to leave out this task's request there is `when`"),
    ("Task", "choose", "a branch is a step of a `flow`; tasks are chosen by their `weight`"),
    ("Task", "set", "`set` is a step of a `flow`"),
    ("Task", "rendezvous", "a rendezvous is a step of a `flow`"),
    ("Task", "log", "`log` is a step of a `flow`"),
    ("Task", "fail", "`fail` is a step of a `flow`"),
    ("Task", "stop", "`stop` is a step of a `flow`"),
    ("Step", "while", "it belongs to a loop: `loop: {while: …}`"),
    ("Step", "for_each", "it belongs to a loop: `loop: {for_each: …, as: …}`"),
    ("Step", "count", "it belongs to a loop: `loop: {count: …}`"),
    ("Loop", "flow", "it stands beside `loop`, not in it"),
    ("Rendezvous", "flow", "a rendezvous has no steps; those after it begin together"),
    ("Task", "think", "a pause is a step of a `flow`; between tasks there is the user's `wait_time`"),
    ("Task", "group", "a group is a step of a `flow`"),
    ("Task", "wait_time", "it belongs to the user type; within a task there is `think`, a step of a `flow`"),
    ("Task", "status", "it belongs under `expect`"),
    ("Expect", "capture", "it belongs to the request, beside `expect`"),
    ("Step", "weight", "tasks have weights, steps of a flow are all done"),
    ("Step", "tags", "tasks and user types have tags, steps have none"),
    ("Step", "next", "it belongs to a task"),
    ("Step", "wait_time", "within a flow a pause is the step `think`"),
    ("Step", "status", "it belongs under `expect`"),
    (
        "Validity",
        "schedule_lag",
        "in its place there is `max_generator_time`: how much of a response time may be the generator's own lateness, on top of `max_generator_share`",
    ),
    (
        "Validity",
        "lag_of_median",
        "in its place there is `max_generator_share`: the share of each judged response time that may be the generator's own lateness",
    ),
];

/// Words of other tools for what has another name here: the key, where it is looked for, and what it is called. `*` is any record.
/// docs/coming-from.md has whole scenarios.
const FOREIGN: &[(&str, &str, &str)] = &[
    // Artillery
    ("Scenario", "config", "what Artillery has under `config` stands at the top: `host`, `http`, `variables`, `data`, `load`"),
    ("Scenario", "target", "it is called `host`"),
    (
        "Scenario",
        "phases",
        "it is called `stages`, under `load`: `load: {max_users: 500, stages: [{arrival_rate: 50/s, over: 1m}]}`",
    ),
    ("Scenario", "scenarios", "it is called `users`: a list of kinds of users, each with `tasks`"),
    ("Scenario", "payload", "it is called `data`: `data: {accounts: {csv: accounts.csv}}`"),
    ("Scenario", "ensure", "it is called `thresholds`, such as `p95 < 300ms`"),
    ("Scenario", "before", "it is called `setup`"),
    ("Scenario", "after", "it is called `teardown`"),
    ("Load", "phases", "it is called `stages`"),
    ("*", "arrivalRate", "it is called `arrival_rate`"),
    ("*", "maxVusers", "it is called `max_users`"),
    ("*", "rampTo", "a stage goes evenly from the rate before to its own `arrival_rate`"),
    ("Stage", "duration", "it is called `over`"),
    ("Expect", "statusCode", "it is called `status`"),
    ("Expect", "contentType", "write `headers: {content-type: {contains: json}}`"),
    ("Expect", "hasProperty", "write `json: {$.name: {exists: true}}`"),
    ("*", "ifTrue", "it is called `when`"),
    ("*", "beforeRequest", "there is no code; `set`, templates and filters compute what a request needs"),
    ("*", "afterResponse", "there is no code; `capture` and `expect: {that: …}` look at a response"),
    // k6
    ("Scenario", "options", "what k6 has under `options` stands under `load` and `thresholds`"),
    ("Scenario", "vus", "it is called `users`, under `load`"),
    ("Scenario", "duration", "it is called `run_time`, under `load`"),
    ("Load", "vus", "it is called `users`"),
    ("Load", "duration", "it is called `run_time`"),
    ("Load", "rate", "it is called `arrival_rate`"),
    ("Load", "executor", "the keys say which: `users` and `run_time`, `stages`, `iterations`, or `arrival_rate`"),
    ("Load", "maxVUs", "it is called `max_users`"),
    ("Stage", "target", "it is called `users`, or `arrival_rate`"),
    ("*", "sleep", "it is called `think`; between tasks there is the user's `wait_time`"),
    ("*", "check", "it is called `expect`"),
    ("*", "checks", "it is called `expect`"),
    // Locust, Gatling, JMeter and others
    ("Load", "hatch_rate", "it is called `spawn_rate`"),
    ("Load", "ramp_up", "give `spawn_rate`, or `stages`"),
    ("Load", "rampUp", "give `spawn_rate`, or `stages`"),
    ("*", "pause", "it is called `think`; between tasks there is the user's `wait_time`"),
    ("*", "wait", "within a task it is called `think`, between tasks `wait_time` of the user"),
    ("*", "extract", "it is called `capture`"),
    ("*", "assert", "it is called `expect`"),
    ("*", "validate", "it is called `expect`"),
    ("*", "feeder", "rows of files are `data`, at the top"),
    ("*", "repeat", "it is called `loop`: `loop: {count: 3}`, beside `flow`"),
    ("Step", "url", "the key is the method: `get: /cars`"),
    ("Task", "url", "the key is the method: `get: /cars`"),
    ("Step", "method", "the key is the method: `get: /cars`; others have `request: {method: …, url: …}`"),
    ("Task", "method", "the key is the method: `get: /cars`; others have `request: {method: …, url: …}`"),
];

/// What a word of another tool is here.
pub fn foreign(record: &str, key: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(of, name, _)| (*of == record || *of == "*") && *name == key).map(|(_, _, hint)| *hint)
}

/// Where `key` belongs, when it is none of `record`.
pub fn elsewhere(record: &str, key: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(of, name, _)| *of == record && *name == key).map(|(_, _, hint)| *hint)
}

/// What `key` of `record` will be. Tasks are steps with more keys, so they have the same ones to come.
pub fn find(record: &str, key: &str) -> Option<&'static str> {
    let record = if record == "Task" { "Step" } else { record };
    LATER.iter().find(|(of, name, _)| *of == record && *name == key).map(|(_, _, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that the language has would never be looked up here, and a record that it has not neither.
    #[test]
    fn words_of_others_are_none_of_ours() {
        let schema = super::super::schema();
        let keys = |record: &str| match record {
            "Scenario" => schema["properties"].clone(),
            record => schema["definitions"][record]["properties"].clone(),
        };
        for (record, key, hint) in FOREIGN.iter().chain(ELSEWHERE) {
            assert!(*record == "*" || keys(record).is_object(), "there is no {record}");
            assert!(keys(record).get(key).is_none(), "{record} has {key}");
            assert!(!hint.ends_with('.') && foreign(record, key).or(elsewhere(record, key)).is_some(), "{record} {key}");
        }
        assert_eq!((foreign("Soak", "pause"), foreign("Soak", "url")), (foreign("Step", "pause"), None));
    }
}
