//! What was said and done while a run was on, each with its moment.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A remark, or a change by hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Remark {
    pub at: Timestamp,
    /// Of the run, without pauses.
    pub elapsed: Duration,
    pub kind: Kind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody's own words.
    Annotation,
    Scaled,
    Paused,
    Resumed,
    Stopped,
}

/// As files have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// RFC 3339, UTC.
    at: String,
    elapsed_seconds: f64,
    kind: String,
    text: String,
}

/// More are only in the summary.
const SHOWN: usize = 20;

impl Kind {
    const ALL: [Self; 5] = [Self::Annotation, Self::Scaled, Self::Paused, Self::Resumed, Self::Stopped];

    pub fn name(self) -> &'static str {
        match self {
            Self::Annotation => "annotation",
            Self::Scaled => "scaled",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Stopped => "stopped",
        }
    }
}

impl Remark {
    pub(super) fn written(&self) -> Written {
        Written {
            at: self.at.rfc3339(),
            elapsed_seconds: self.elapsed.as_secs_f64(),
            kind: self.kind.name().to_owned(),
            text: self.text.clone(),
        }
    }

    /// `None` for what nobody wrote so.
    pub(super) fn read(written: &Written) -> Option<Self> {
        Some(Self {
            at: Timestamp::from_rfc3339(&written.at)?,
            elapsed: Duration::try_from_secs_f64(written.elapsed_seconds).ok()?,
            kind: Kind::ALL.into_iter().find(|kind| kind.name() == written.kind)?,
            text: written.text.clone(),
        })
    }
}

/// A line for each of the first ones: `at 00:01:05 scaled: users from 100 to 1000 at 10/s`.
pub(super) fn lines(remarks: &[Remark]) -> String {
    let line = |remark: &Remark| {
        let seconds = remark.elapsed.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let text = if remark.text.is_empty() { String::new() } else { format!(": {}", super::printable(&remark.text)) };
        format!("at {hours:02}:{minutes:02}:{seconds:02} {}{text}\n", remark.kind.name())
    };
    let mut lines: String = remarks.iter().take(SHOWN).map(line).collect();
    if remarks.len() > SHOWN {
        lines.push_str(&format!("and {} more, which are in the summary\n", remarks.len() - SHOWN));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_take_a_line_and_many_are_cut() {
        let remark = Remark {
            at: Timestamp::from_unix(Duration::from_millis(1_795_428_930_250)),
            elapsed: Duration::from_millis(3_725_900),
            kind: Kind::Annotation,
            text: "deployed\u{1b}v2".into(),
        };
        assert_eq!(lines(std::slice::from_ref(&remark)), "at 01:02:05 annotation: deployed\\u{1b}v2\n");
        let written = serde_json::to_string(&remark.written()).unwrap();
        assert_eq!(
            written,
            r#"{"at":"2026-11-23T10:15:30.250Z","elapsed_seconds":3725.9,"kind":"annotation","text":"deployed\u001bv2"}"#
        );
        assert_eq!(Remark::read(&remark.written()), Some(remark.clone()));
        let paused = Remark { kind: Kind::Paused, text: String::new(), ..remark };
        let many = lines(&vec![paused; 25]);
        assert!(
            many.starts_with("at 01:02:05 paused\nat 01:02:05 paused\n")
                && many.ends_with("and 5 more, which are in the summary\n")
        );
        assert_eq!(many.lines().count(), 21);
    }
}
