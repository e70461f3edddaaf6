//! Steps that steer a flow.

use std::time::Duration;

use super::Step;
use crate::template::{Assigned, Expression, Template};

/// A step that sends nothing itself.
#[derive(Debug)]
pub struct Control {
    /// Where it is written, from 1.
    pub line: usize,
    /// When it fails itself: something cannot be computed, or it is a `fail`.
    pub on_failure: OnFailure,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    Loop(Loop),
    If {
        condition: Expression,
        then: Vec<Step>,
        otherwise: Vec<Step>,
    },
    /// One of these, by weight; at least one has some.
    Choose(Vec<(u32, Vec<Step>)>),
    /// One after the other: a later one may use an earlier one.
    Set(Vec<(Box<str>, Assigned)>),
    /// By index into [`super::Plan::rendezvous`].
    Rendezvous(usize),
    Log(Template),
    /// The task ends, and has failed.
    Fail(Template),
    Stop(Stop),
}

#[derive(Debug)]
pub struct Loop {
    pub turns: Turns,
    pub steps: Vec<Step>,
}

/// How often a loop is done.
#[derive(Debug)]
pub enum Turns {
    Count(u64),
    /// A template that gives a whole number.
    Counted(Template),
    While {
        condition: Expression,
        at_most: u64,
    },
    Each {
        list: Each,
        name: Box<str>,
    },
}

#[derive(Debug)]
pub enum Each {
    Of(Expression),
    Fixed(Assigned),
}

/// Where users wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendezvous {
    pub name: String,
    pub users: u32,
    pub timeout: Duration,
}

/// What a `stop` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Task,
    User,
    Run,
}

/// What comes after a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The next step.
    #[default]
    Continue,
    /// The rest of the task is left out.
    NextTask,
    /// The user ends.
    StopUser,
}

/// No loop has more turns.
pub const MOST_TURNS: u64 = 1_000_000;

/// A `while` has no more, unless the scenario says otherwise.
pub const TURNS_OF_WHILE: u64 = 100_000;

impl Control {
    /// The lists of steps within it.
    pub fn inner(&self) -> Vec<&[Step]> {
        match &self.action {
            Action::Loop(each) => vec![&each.steps],
            Action::If { then, otherwise, .. } => vec![then, otherwise],
            Action::Choose(arms) => arms.iter().map(|(_, steps)| steps.as_slice()).collect(),
            Action::Set(_) | Action::Rendezvous(_) | Action::Log(_) | Action::Fail(_) | Action::Stop(_) => Vec::new(),
        }
    }
}

impl Step {
    /// Whether it, or one within it, may end the user.
    pub fn may_end_user(&self) -> bool {
        let own = match self {
            Self::Request(request) => request.on_failure == OnFailure::StopUser,
            Self::Control(control) => {
                control.on_failure == OnFailure::StopUser || matches!(control.action, Action::Stop(Stop::User | Stop::Run))
            }
            Self::Group { .. } | Self::Think(_) => false,
        };
        own || self.inner().into_iter().flatten().any(Self::may_end_user)
    }

    /// The lists of steps within it.
    pub fn inner(&self) -> Vec<&[Step]> {
        match self {
            Self::Group { steps, .. } => vec![steps],
            Self::Control(control) => control.inner(),
            Self::Request(_) | Self::Think(_) => Vec::new(),
        }
    }
}
