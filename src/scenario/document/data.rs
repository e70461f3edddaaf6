//! `data`: files whose rows templates see.

use super::read::record;
use super::values::{Choice, List};

record! {
    /// A file whose rows templates see: `{{ accounts.email }}` is the column `email` of the row that a user has. It is read once,
    /// before the run, and checked to its last line. File names are relative to the scenario's folder.
    struct Feeder {
        /// A CSV file in UTF-8. Its first line names the columns, unless `fields` does. All values are texts.
        csv: String,
        /// A JSON file: an array of objects. Values keep their type.
        json: String,
        /// A file with a JSON object in each line. Values keep their type.
        json_lines: String,
        /// The names of a CSV file's columns, when its first line is a row like the others.
        fields: List<String>,
        /// What stands between the fields of a CSV file: one character, or `tab`. Default: a comma.
        delimiter: String,
        /// What stands around fields that hold a delimiter or a line break: one character. Default: a double quote.
        quote: String,
        /// Which row comes next. Default: circular.
        order: RowOrder,
        /// For how long a user keeps a row. Default: task.
        per: Per,
        /// What happens when each row has been given out once. Default: `repeat`; with `order: queue` `stop_user`, and in an open
        /// load `stop_run`.
        at_end: AtEnd,
    }
}

/// Which row comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    Circular,
    Random,
    Shuffle,
    Queue,
}

/// For how long a user keeps a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    Task,
    User,
    Request,
}

/// What happens when each row has been given out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    Repeat,
    StopUser,
    StopRun,
}

impl Choice for RowOrder {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("circular", Self::Circular, "As in the file, then from the start again."),
        ("random", Self::Random, "Any row each time, by the user's own random numbers."),
        ("shuffle", Self::Shuffle, "All rows in random order, then all of them in another."),
        ("queue", Self::Queue, "As in the file, each row once: no two users ever have the same."),
    ];
}

impl Choice for Per {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("task", Self::Task, "Each task begins with another row; `on_start` and `on_stop` count as tasks."),
        ("user", Self::User, "A user has one row from its start to its end."),
        ("request", Self::Request, "Each request that uses it takes another row, also when its `when` then skips it."),
    ];
}

impl Choice for AtEnd {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("repeat", Self::Repeat, "The rows are given out once more."),
        ("stop_user", Self::StopUser, "A user that finds none ends; when the last one has ended, so does the run."),
        ("stop_run", Self::StopRun, "The run ends: users end their tasks, and stop."),
    ];
}
