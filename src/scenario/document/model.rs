//! The scenario as written: every key of the language, once. Doc comments become the descriptions that editors show.

use std::time::Duration;

use super::auth::AuthForm;
use super::body::{GraphQl, Packing, PartForm};
use super::capture::Capture;
use super::data::Feeder;
use super::flow::{Arm, Loop, OnFailureForm, Rendezvous, StopForm};
use super::observe::Observe;
use super::read::{Field, record};
use super::rules::{BodyRule, HeaderRule, JsonRule, StatusRange};
use super::stream::StreamForm;
use super::threshold::ThresholdForm;
use super::values::{Any, List, Pairs, Size};
use super::wait::WaitForm;
use crate::scenario::threshold::Condition;
use crate::units::{Rate, Ratio};

record! {
    /// One test of otload.
    struct Scenario {
        /// The label `test` of all metrics. Default: the file's name without extension.
        name: String,
        /// Base of relative URLs: scheme, name and port, such as `http://127.0.0.1:5000`. `--host` and OTLOAD_HOST override it.
        host: String,
        /// Constants for templates. `--set NAME=VALUE` overrides one.
        variables: Pairs<Any>,
        /// Files whose rows templates see, by name: `{{ name.column }}`.
        data: Pairs<Feeder>,
        /// Names of environment variables whose values never appear in logs, reports or errors.
        secrets: List<String>,
        /// Defaults for every request.
        http: Http,
        /// Steps that run once, before the first user.
        setup: List<Step>,
        /// Steps that run once, after the last user.
        teardown: List<Step>,
        /// The kinds of users and what they do.
        [required] users: List<UserType>,
        /// How many users there are, and when.
        load: Load,
        /// The beginning of the run that is counted in the metrics and left out of summary and thresholds.
        warm_up: Duration,
        /// How long a stopping user may take to end its task; then its connection is cut. Default: 30s.
        graceful_stop: Duration,
        /// What the run has to keep to pass, such as `p95 < 300ms`.
        thresholds: List<ThresholdForm, true>,
        /// Whether the run fails, with exit code 1, if any request or iteration fails. `--fail-on-errors` sets it. Default: false.
        fail_on_errors: bool,
        /// What comes after a request or step that failed. Default: continue.
        on_failure: OnFailureForm,
        /// When the generator itself was the bottleneck, so that the run is invalid.
        validity: Validity,
        /// Where metrics, spans and logs of failures go, and what of them.
        observe: Observe,
    }
}

record! {
    /// When the generator itself was the bottleneck, so that the run is invalid.
    struct Validity {
        /// How much of a response time (p50, p95, p99, and what thresholds judge) may be the generator's own lateness, as a share of what it would be without it. Default: 10%.
        max_generator_share: Ratio,
        /// How much may be on top of that share. Default: 100us.
        max_generator_time: Duration,
        /// A worker that is busy for a larger share of its time is noted; 100% for no limit. Default: 90%.
        busy: Ratio,
        /// For how long without a break it may be busier than that. Default: 10s.
        busy_for: Duration,
        /// The share of arrivals that may find no user, and of due iterations that may not have begun at the end. Default: 0.1%.
        dropped: Ratio,
        /// false: what is found is said, and the run stays valid. Default: true.
        enabled: bool,
    }
}

record! {
    /// Defaults for every request.
    struct Http {
        /// Headers of every request; a request's own replace them.
        headers: Pairs<String>,
        /// Who sends the requests; a request's own `auth`, or header `authorization`, replaces it.
        auth: AuthForm,
        /// How long an exchange may take from its start to the last byte; a longer one is cut, and has failed with the reason `timeout`. Default: 30s.
        timeout: Duration,
        /// How long resolving, connecting and the TLS handshake may take together. Default: 5s.
        connect_timeout: Duration,
        /// How many redirects a request follows; 0 follows none. Default: 10.
        redirects: u32,
        /// Whether each user keeps cookies. Default: true.
        cookies: bool,
        /// Whether connections are used again; false makes a new one for each request. Default: true.
        keep_alive: bool,
        /// Whether compressed responses are asked for and unpacked. Default: true.
        compression: bool,
        /// A larger response body fails the request. Default: 64MiB.
        max_body: Size,
        /// The header `user-agent`. Default: otload and its version.
        user_agent: String,
        /// Which HTTP is spoken. Default: auto.
        version: HttpVersion,
        /// What carries the requests. Default: auto.
        transport: HttpTransport,
        /// A proxy, such as `http://proxy:3128` or `socks5://proxy:1080`. The environment's are never used.
        proxy: String,
        /// Addresses of names that are not to be looked up: `{example.com: 127.0.0.1}`.
        resolve: Pairs<List<String, true>>,
        /// Local addresses that the users take in turn.
        source_addresses: List<String, true>,
        /// Encryption and certificates.
        tls: Tls,
    }
}

record! {
    /// Encryption and certificates. File names are relative to the scenario's folder.
    struct Tls {
        /// A PEM file of authorities to trust besides the known ones.
        ca: String,
        /// A PEM file with the client's certificate.
        cert: String,
        /// A PEM file with the client's private key.
        key: String,
        /// Accept any certificate. Default: false.
        insecure: bool,
        /// The name to ask for and to verify, instead of the URL's.
        server_name: String,
    }
}

record! {
    /// One kind of user.
    struct UserType {
        /// The label `user` of its metrics. Needed when there are several types. Default: User.
        name: String,
        /// Its share of all users, in proportion to the other types. Default: 1.
        weight: u32,
        /// Exactly so many users, before any weighted ones.
        fixed_count: u32,
        /// The pause after each task. Default: none.
        wait_time: WaitForm,
        /// How the next task is chosen, unless the one before has `next`. Default: weighted.
        order: Order,
        /// A schedule of its own, beside the others.
        load: Load,
        /// When its own `load` begins, after the start of the run. Default: at once.
        start_after: Duration,
        /// Words by which `--tags` and `--exclude-tags` choose it.
        tags: List<String, true>,
        /// What comes after a request or step that failed, for this type. Default: as the scenario says.
        on_failure: OnFailureForm,
        /// Steps that each user of this type does once at its start.
        on_start: List<Step>,
        /// Steps that each user of this type does once at its end.
        on_stop: List<Step>,
        /// What such a user does, over and over.
        [required] tasks: List<Task>,
    }
}

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Auto,
    Http1,
    Http2,
}

/// What carries the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpTransport {
    Auto,
    Wire,
    Reqwest,
}

/// How far apart arrivals are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    Even,
    Poisson,
}

/// How a user chooses its next task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Weighted,
    Sequential,
    Shuffle,
}

/// Adds the keys of a request, which tasks and steps have in common.
macro_rules! with_request {
    ($(#[doc = $doc:literal])* struct $name:ident { $($own:tt)* }) => {
        record! {
            $(#[doc = $doc])*
            struct $name {
                $($own)*
                /// The name of a task; of a request, the one that metrics carry. Needed for a `flow`, and when the URL has a template. Default: method and path, such as `GET /cars`.
                name: String,
                /// A GET request to this URL.
                get: String,
                /// A POST request to this URL.
                post: String,
                /// A PUT request to this URL.
                put: String,
                /// A PATCH request to this URL.
                patch: String,
                /// A DELETE request to this URL.
                delete: String,
                /// A HEAD request to this URL.
                head: String,
                /// An OPTIONS request to this URL.
                options: String,
                /// A request of any method.
                request: CustomRequest,
                /// Appended to the URL, percent-encoded. A list repeats its name.
                query: Pairs<List<String, true>>,
                /// Headers of this request.
                headers: Pairs<String>,
                /// Who sends this request: `basic`, `bearer`, `oauth2` or `aws_sigv4`; `none` for nobody.
                auth: AuthForm,
                /// A JSON body: any value. Its texts are templates, and a text that is one template keeps the type.
                json: Any,
                /// A form as body. A list repeats its name.
                form: Pairs<List<String, true>>,
                /// A form with files as body: names with texts, or with `{file: …}`. A list repeats its name.
                multipart: Pairs<List<PartForm, true>>,
                /// A text as body; it is a template.
                body: String,
                /// A file as body, relative to the scenario's folder; it is read once, and sent as it is.
                body_file: String,
                /// A query of GraphQL as body.
                graphql: GraphQl,
                /// Packs the body. Default: not at all.
                compress: Packing,
                /// A response that goes on, of server-sent events.
                stream: StreamForm,
                /// How long this exchange may take from its start to the last byte. Default: as `http` says.
                timeout: Duration,
                /// How many redirects this request follows; 0 follows none. Default: as `http` says.
                redirects: u32,
                /// An expression; the request is skipped unless it is true.
                when: String,
                /// What the response must be. Without `status`, 400 and above fail the request.
                expect: Expect,
                /// Names for values of the response, which later steps may use: `{id: {json: $.id}}`.
                capture: Pairs<Capture>,
                /// What comes after a failure: of a task, in all its steps; of a step, also in those within it. Default: as the task or user says.
                on_failure: OnFailureForm,
            }
        }

        impl $name {
            /// The keys of a request.
            pub fn request(&self) -> RequestKeys<'_> {
                RequestKeys {
                    name: &self.name,
                    methods: [
                        ("get", &self.get),
                        ("post", &self.post),
                        ("put", &self.put),
                        ("patch", &self.patch),
                        ("delete", &self.delete),
                        ("head", &self.head),
                        ("options", &self.options),
                    ],
                    request: &self.request,
                    query: &self.query,
                    headers: &self.headers,
                    auth: &self.auth,
                    json: &self.json,
                    form: &self.form,
                    multipart: &self.multipart,
                    body: &self.body,
                    body_file: &self.body_file,
                    graphql: &self.graphql,
                    compress: &self.compress,
                    stream: &self.stream,
                    timeout: &self.timeout,
                    redirects: &self.redirects,
                    when: &self.when,
                    expect: &self.expect,
                    capture: &self.capture,
                }
            }
        }
    };
}

/// The keys of a request, of a task or a step.
#[derive(Clone, Copy, Debug)]
pub struct RequestKeys<'a> {
    pub name: &'a Field<String>,
    pub methods: [(&'static str, &'a Field<String>); 7],
    pub request: &'a Field<CustomRequest>,
    pub query: &'a Field<Pairs<List<String, true>>>,
    pub headers: &'a Field<Pairs<String>>,
    pub auth: &'a Field<AuthForm>,
    pub json: &'a Field<Any>,
    pub form: &'a Field<Pairs<List<String, true>>>,
    pub multipart: &'a Field<Pairs<List<PartForm, true>>>,
    pub body: &'a Field<String>,
    pub body_file: &'a Field<String>,
    pub graphql: &'a Field<GraphQl>,
    pub compress: &'a Field<Packing>,
    pub stream: &'a Field<StreamForm>,
    pub timeout: &'a Field<Duration>,
    pub redirects: &'a Field<u32>,
    pub when: &'a Field<String>,
    pub expect: &'a Field<Expect>,
    pub capture: &'a Field<Pairs<Capture>>,
}

with_request! {
    /// What a user does: one request, or a `flow` of steps.
    struct Task {
        /// How often it is chosen, in proportion to the other tasks. Default: 1.
        weight: u32,
        /// Words by which `--tags` and `--exclude-tags` choose it.
        tags: List<String, true>,
        /// Which task comes next: names of tasks with their weights. Default: as the user's `order` says.
        next: Pairs<u32>,
        /// The task's steps.
        flow: List<Step>,
    }
}

with_request! {
    /// One step: a request, a pause, a group of steps, or one that steers the flow.
    struct Step {
        /// A pause: a duration, or a form of `wait_time`.
        think: WaitForm,
        /// The name of a transaction: its `flow` is measured as a whole.
        group: String,
        /// The steps of a group or loop.
        flow: List<Step>,
        /// How often the steps of `flow` are done.
        r#loop: Loop,
        /// An expression; `then` is done if it is true, otherwise `else`.
        r#if: String,
        /// Beside `if`: the steps if it is true.
        then: List<Step>,
        /// Beside `if`: the steps if it is not true.
        r#else: List<Step>,
        /// One of several branches, at random by `weight`.
        choose: List<Arm>,
        /// Variables of this user, by name. A value keeps its YAML type, a text is a template, and `{{ x }}` alone keeps the type of `x`.
        set: Pairs<Any>,
        /// Users wait for each other, then go on together.
        rendezvous: Rendezvous,
        /// A line for `otload.log`, a template. Of very many some are left out and counted.
        log: String,
        /// The task ends here, and has failed: why, a template.
        fail: String,
        /// What ends here, without a failure.
        stop: StopForm,
    }
}

record! {
    /// A request of any method.
    struct CustomRequest {
        /// The method, such as `PURGE`.
        [required] method: String,
        /// Where it goes.
        [required] url: String,
    }
}

record! {
    /// What a response must be; otherwise the request fails with the reason `check`.
    struct Expect {
        /// The status: `200`, a class such as `2xx`, or a list of them.
        status: List<StatusRange, true>,
        /// Header names, each with its value, or with a map of `exists`, `equals`, `contains`, `matches`.
        headers: Pairs<HeaderRule>,
        /// JSONPaths, each with its value, or with a map of `exists`, `equals`, `contains`, `matches`, `gt`, `gte`, `lt`, `lte`, `length`.
        json: Pairs<JsonRule>,
        /// What the body must contain, or a map of `contains`, `matches`, `equals`.
        body: BodyRule,
        /// The longest that it may take, from when the request was sent.
        max_time: Duration,
        /// Expressions that must be true.
        that: List<String, true>,
    }
}

record! {
    /// How many users there are, or how many tasks arrive, and when: constantly, in stages, or in a shape.
    struct Load {
        /// How many users there are at once.
        users: u32,
        /// How fast they come. Default: all at once.
        spawn_rate: Rate,
        /// How long the run lasts. Default: until stopped.
        run_time: Duration,
        /// Open: so many tasks start each second, however slow the target is.
        arrival_rate: Rate,
        /// Open: how many tasks may be under way at once; an arrival beyond them is dropped and counted.
        max_users: u32,
        /// Open: how far apart arrivals are. Default: even.
        arrivals: Spacing,
        /// Each goes evenly from the number of users, or the rate of arrivals, before to its own.
        stages: List<Stage>,
        /// The usual load, suddenly many more users, and the usual load again.
        spike: Spike,
        /// More and more users, until the target breaks or all are there.
        stress: Stress,
        /// Less than the most for a long time.
        soak: Soak,
        /// The run ends after so many tasks, over all users.
        iterations: u64,
        /// The beginning of the run that is counted in the metrics and left out of summary and thresholds.
        warm_up: Duration,
        /// How long a stopping user may take to end its task; then its connection is cut. Default: 30s.
        graceful_stop: Duration,
    }
}

record! {
    /// A change of the number of users, or of the rate of arrivals.
    struct Stage {
        /// How many users there are at the end of the stage.
        users: u32,
        /// How many tasks arrive each second at the end of the stage.
        arrival_rate: Rate,
        /// How long the stage lasts.
        [required] over: Duration,
    }
}

record! {
    /// The usual load, suddenly many more users, and the usual load again.
    struct Spike {
        /// How many users there are at the top.
        [required] users: u32,
        /// How fast they come. Default: all at once.
        spawn_rate: Rate,
        /// How long they stay.
        [required] hold: Duration,
        /// How many users there are before and after. Default: none.
        base: u32,
        /// How long the usual load lasts, before and after. Default: not at all.
        settle: Duration,
    }
}

record! {
    /// More and more users, until the target breaks or all are there.
    struct Stress {
        /// How many users there are first.
        [required] from: u32,
        /// How many there are at most.
        [required] to: u32,
        /// How many come with each step.
        [required] step: u32,
        /// How long each step lasts.
        [required] every: Duration,
        /// What ends it, of the figures of a step, such as `failure_ratio > 5%` or `p95 > 1s`. Default: nothing.
        until: Condition,
        /// How long the first number of users goes on afterwards. Default: not at all.
        recover: Duration,
    }
}

record! {
    /// Less than the most for a long time.
    struct Soak {
        /// How many users the target usually bears.
        [required] normal_users: u32,
        /// Which share of them, such as `80%`. Default: all.
        at: Ratio,
        /// How long it takes until all are there. Default: all at once.
        ramp: Duration,
        /// How long they stay.
        [required] hold: Duration,
    }
}
