//! Steps and requests, a line for each thing that is said of them.

use super::{Description, bounds, headers, percent, wait_of};
use crate::scenario::plan::{
    Action, Address, Auth, Body, Capture, CaptureSource, Control, Each, OnFailure, Part, PartContent, Rendezvous, RequestStep,
    Rule, Step, Stop, TextRule, Turns, ValueRule,
};
use crate::template::extract::Pick;
use crate::template::{JsonTemplate, Template};
use crate::units::{format_duration, format_size};

impl Description<'_> {
    pub(super) fn steps(&mut self, depth: usize, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Request(request) => self.request(depth, request),
                Step::Think(wait) => self.line(depth, &format!("think {}", wait_of(*wait))),
                Step::Group { id, steps } => {
                    let name = self.plan.catalog.groups.get(id.index()).map_or("", |group| &group.group);
                    self.line(depth, &format!("group `{name}`"));
                    self.steps(depth + 1, steps);
                }
                Step::Control(control) => self.control(depth, control),
            }
        }
    }

    fn control(&mut self, depth: usize, control: &Control) {
        let (stops, depth_of_notes) = (matches!(control.action, Action::Stop(_)), depth + 2);
        match &control.action {
            Action::Loop(each) => {
                self.line(depth, &format!("loop {}", turns(&each.turns)));
                self.steps(depth + 1, &each.steps);
            }
            Action::If { condition, then, otherwise } => {
                self.line(depth, &format!("if {}", one_line(condition.source())));
                self.steps(depth + 1, then);
                if !otherwise.is_empty() {
                    self.line(depth, "else");
                    self.steps(depth + 1, otherwise);
                }
            }
            Action::Choose(arms) => {
                self.line(depth, "choose");
                let total = arms.iter().map(|(weight, _)| u64::from(*weight)).sum();
                for (weight, steps) in arms {
                    self.line(depth + 1, &percent(u64::from(*weight), total));
                    self.steps(depth + 2, steps);
                }
            }
            Action::Set(all) => {
                let all = all.iter().map(|(name, value)| format!("{name} = {}", one_line(value.shown())));
                self.line(depth, &format!("set {}", all.collect::<Vec<_>>().join(", ")));
            }
            Action::Rendezvous(at) => {
                if let Some(Rendezvous { name, users, timeout }) = self.plan.rendezvous.get(*at).cloned() {
                    let timeout = format_duration(timeout);
                    self.line(depth, &format!("rendezvous `{name}` of {users} users, within {timeout}"));
                }
            }
            Action::Log(text) => self.line(depth, &format!("log {}", one_line(text.source()))),
            Action::Fail(text) => self.line(depth, &format!("fail {}", one_line(text.source()))),
            Action::Stop(stop) => self.line(
                depth,
                match stop {
                    Stop::Task => "stop the task",
                    Stop::User => "stop the user",
                    Stop::Run => "stop the run",
                },
            ),
        }
        if !stops {
            self.on_failure(depth_of_notes, control.on_failure);
        }
    }

    /// What holds for most steps is said once, before them.
    pub(super) fn prevailing(&mut self, depth: usize, steps: &[Step]) {
        let of = |step: &Step| match step {
            Step::Request(request) => Some(request.on_failure),
            Step::Control(control) => Some(control.on_failure),
            Step::Group { .. } | Step::Think(_) => None,
        };
        self.failing = OnFailure::Continue;
        if let Some(first) = steps.iter().find_map(of) {
            self.on_failure(depth, first);
            self.failing = first;
        }
    }

    fn on_failure(&mut self, depth: usize, on_failure: OnFailure) {
        if on_failure == self.failing {
            return;
        }
        self.line(
            depth,
            match on_failure {
                OnFailure::Continue => "on failure the next step",
                OnFailure::NextTask => "on failure the next task",
                OnFailure::StopUser => "on failure the user ends",
            },
        );
    }

    fn sender(&self, auth: &Auth) -> String {
        match auth {
            Auth::Basic { user, .. } => format!("basic, as {}", user.source()),
            Auth::OAuth2(at) => {
                let address = self.plan.oauth2.get(*at).map(|oauth2| match &oauth2.address {
                    Address::Fixed(url) => url.as_str(),
                    Address::Rendered { template, .. } => template.source(),
                });
                format!("oauth2, by a token from {}", address.unwrap_or_default())
            }
            Auth::AwsSigV4(keys) => format!("aws_sigv4, for {} in {}", keys.service.source(), keys.region.source()),
        }
    }

    fn request(&mut self, depth: usize, request: &RequestStep) {
        let host = self.plan.host.as_ref().map(|host| host.as_str().trim_end_matches('/')).unwrap_or_default();
        let url = match &request.address {
            Address::Fixed(url) => url.as_str().strip_prefix(host).filter(|path| path.starts_with('/')).unwrap_or(url.as_str()),
            Address::Rendered { template, .. } => template.source(),
        };
        let plain = format!("{} {url}", request.method);
        let name = if plain == request.name { plain } else { format!("{plain} as `{}`", request.name) };
        self.line(depth, &name);
        let depth = depth + 2;
        if let Some(when) = &request.when {
            self.line(depth, &format!("when {}", when.source()));
        }
        for (name, value) in &request.query {
            self.line(depth, &format!("query {}={}", name.source(), value.source()));
        }
        for (name, value) in headers(request) {
            if !self.common.headers.contains(&(name.clone(), value.clone())) {
                self.line(depth, &format!("header {name}: {value}"));
            }
        }
        if let Some(auth) = &request.auth {
            self.line(depth, &format!("auth {}", self.sender(auth)));
        }
        match &request.body {
            Body::None => {}
            Body::Text(text) => self.line(depth, &format!("body {}", one_line(text.source()))),
            Body::Json(document) => self.line(depth, &format!("json {}", json(document))),
            Body::Form(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", name.source(), value.source())).collect();
                self.line(depth, &format!("form {}", fields.join("&")));
            }
            Body::File(file) => self.line(depth, &format!("body of {}, {}", file.name, format_size(file.content.len() as u64))),
            Body::Multipart(parts) => parts.iter().for_each(|part| self.line(depth, &format!("part {}", part_of(part)))),
        }
        if request.compress || matches!(&request.body, Body::File(file) if file.packed) {
            self.line(depth, "compressed by gzip");
        }
        if let Some(stream) = &request.stream {
            let until =
                stream.until.as_ref().map_or_else(|| "to its end".to_owned(), |until| format!("until {}", until.source()));
            self.line(depth, &format!("stream {until}"));
        }
        if self.common.bounds != Some((request.timeout, request.redirects)) {
            self.line(depth, &bounds(request.timeout, request.redirects));
        }
        for expectation in &request.expect {
            self.line(depth, &format!("expect {}", rule(&expectation.rule)));
        }
        for capture in &request.captures {
            self.line(depth, &format!("capture {}", captured(capture)));
        }
        self.on_failure(depth, request.on_failure);
        if request.keep_body {
            self.line(depth, "keeps the body");
        }
    }
}

fn part_of(part: &Part) -> String {
    let name = part.name.source();
    match &part.content {
        PartContent::Text(text) => format!("{name}={}", one_line(text.source())),
        PartContent::File(file) => format!("{name} of {}, {}", file.name, format_size(file.content.len() as u64)),
    }
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::Status(ranges) => {
            let ranges: Vec<_> = ranges
                .iter()
                .map(|(least, most)| if least == most { least.to_string() } else { format!("{least} to {most}") })
                .collect();
            format!("status {}", ranges.join(" or "))
        }
        Rule::Header(name, rule) => format!("header {name} {}", text_rule(rule)),
        Rule::Body(rule) => format!("body {}", text_rule(rule)),
        Rule::Json { text, rule, .. } => format!("json {text} {}", value_rule(rule)),
        Rule::MaxTime(limit) => format!("at most {}", format_duration(*limit)),
        Rule::That(expression) => format!("that {}", expression.source()),
    }
}

fn turns(turns: &Turns) -> String {
    match turns {
        Turns::Count(1) => "once".to_owned(),
        Turns::Count(count) => format!("{count} times"),
        Turns::Counted(count) => format!("{} times", one_line(count.source())),
        Turns::While { condition, at_most } => format!("while {}, at most {at_most} times", one_line(condition.source())),
        Turns::Each { list: Each::Of(list), name } => format!("for each {name} of {}", one_line(list.source())),
        Turns::Each { list: Each::Fixed(list), name } => format!("for each {name} of {}", one_line(list.shown())),
    }
}

/// What is captured, and from where.
fn captured(capture: &Capture) -> String {
    let from = match &capture.from {
        CaptureSource::Json { text, .. } => format!("json {text}"),
        CaptureSource::Regex { pattern, group: 0 } => format!("what matches `{pattern}`"),
        CaptureSource::Regex { pattern, group } => format!("group {group} of `{pattern}`"),
        CaptureSource::Header(name) => format!("header {name}"),
        CaptureSource::Cookie(name) => format!("cookie {name}"),
        CaptureSource::Css(css) => match css.attribute() {
            Some(attribute) => format!("attribute {attribute} of `{}`", css.source()),
            None => format!("text of `{}`", css.source()),
        },
    };
    let pick = match capture.pick {
        Pick::First => "",
        Pick::Random => ", one at random",
        Pick::All => ", all",
    };
    let default = capture.default.as_ref().map(|default| format!(", else {}", one_line(default.shown())));
    format!("{} = {from}{pick}{}", capture.name, default.unwrap_or_default())
}

fn exists(exists: bool) -> String {
    if exists { "exists" } else { "does not exist" }.to_owned()
}

fn text_rule(rule: &TextRule) -> String {
    let shown = |what: &str, template: &Template| format!("{what} `{}`", one_line(template.source()));
    let parts = [
        rule.exists.map(exists),
        rule.equals.as_ref().map(|template| shown("equals", template)),
        rule.contains.as_ref().map(|template| shown("contains", template)),
        rule.matches.as_ref().map(|regex| format!("matches `{regex}`")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn value_rule(rule: &ValueRule) -> String {
    let number = |sign: &str, number: Option<f64>| number.map(|number| format!("{sign} {number}"));
    let parts = [
        rule.exists.map(exists),
        rule.equals.as_ref().map(|value| format!("equals {}", json(value))),
        rule.contains.as_ref().map(|value| format!("contains {}", json(value))),
        rule.matches.as_ref().map(|regex| format!("matches `{regex}`")),
        number(">", rule.gt),
        number("≥", rule.gte),
        number("<", rule.lt),
        number("≤", rule.lte),
        rule.length.map(|length| format!("has the length {length}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn json(document: &JsonTemplate) -> String {
    document.as_constant().map_or_else(|| "(with templates)".to_owned(), one_line)
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
