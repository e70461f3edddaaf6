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
];

/// Where `key` belongs, when it is none of `record`.
pub fn elsewhere(record: &str, key: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(of, name, _)| *of == record && *name == key).map(|(_, _, hint)| *hint)
}

/// What `key` of `record` will be. Tasks are steps with more keys, so they have the same ones to come.
pub fn find(record: &str, key: &str) -> Option<&'static str> {
    let record = if record == "Task" { "Step" } else { record };
    LATER.iter().find(|(of, name, _)| *of == record && *name == key).map(|(_, _, what)| *what)
}
