//! The steps that steer a flow: loops, branches, variables, meetings, and ends.

use std::time::Duration;

use super::model::Step;
use super::read::record;
use super::values::{Any, Choice, List};

record! {
    /// Repetition of the steps of `flow`. Has one of `count`, `while`, `for_each`. `loop_index` is the number of the turn, from 0.
    struct Loop {
        /// So many turns: a number, or a template that gives one.
        count: Any,
        /// An expression, looked at before each turn; the loop ends when it is not true.
        r#while: String,
        /// An expression that gives a list, or a list: a turn for each of its elements.
        for_each: Any,
        /// Beside `for_each`: the name of the element, within the loop. Default: item.
        r#as: String,
        /// Beside `while`: after so many turns the loop is given up, and the task has failed. Default: 100000.
        at_most: u64,
    }
}

record! {
    /// One of several branches.
    struct Arm {
        /// How often it is chosen, in proportion to the others. Default: 1.
        weight: u32,
        /// Its steps.
        [required] flow: List<Step>,
    }
}

record! {
    /// Users of all workers wait for each other, then go on together. A user that is told to stop leaves, and the others go on waiting.
    struct Rendezvous {
        /// What it is called; users that wait under one name wait together.
        [required] name: String,
        /// When so many are there they go on, and the next ones wait anew.
        [required] users: u32,
        /// Who has waited for so long goes on alone, and its task has failed. Default: 30s.
        timeout: Duration,
    }
}

/// What `stop` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopForm {
    Task,
    User,
    Run,
}

/// What comes after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailureForm {
    Continue,
    NextTask,
    StopUser,
}

impl Choice for StopForm {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("task", Self::Task, "The rest of the task is left out."),
        ("user", Self::User, "The user does its `on_stop` and ends. Of a closed load nobody takes its place."),
        ("run", Self::Run, "The run ends as it does when it is stopped: no task begins, and those under way end."),
    ];
}

impl Choice for OnFailureForm {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("continue", Self::Continue, "The task goes on with its next step."),
        ("next_task", Self::NextTask, "The rest of the task is left out."),
        ("stop_user", Self::StopUser, "The user does its `on_stop` and ends."),
    ];
}
