//! Rows for templates, from a file: read once, checked to the last row, and kept as compactly as a file is.
//!
//! ```text
//! email,password             text   annsecret1bobsecret2          one text for all cells of a CSV
//! ann,secret1         ──▶    ends   3      10  13     20          4 bytes for each cell
//! bob,secret2
//! ```
//!
//! Rows of JSON are kept as they are written, and read when they are given out: what is in them may be of any shape.

use std::fmt;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::Path;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};
use minijinja::value::{Enumerator, Object};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Value, json::from_json};
use crate::diagnostic::Diagnostic;
use crate::file::{self, ReadError};

/// The rows of a file. One copy serves all users.
pub struct Table {
    columns: Vec<Column>,
    /// All cells, or all rows as they are written.
    text: String,
    cells: Cells,
}

enum Cells {
    /// Where each cell ends in the text; rows one after the other.
    Ends(Vec<u32>),
    /// Where each row begins and ends.
    Rows(Vec<(u32, u32)>),
}

#[derive(Debug)]
struct Column {
    name: String,
    /// The number of rows up to the last one that has it.
    count: usize,
    /// The first row that lacks it, from 0.
    missing: Option<usize>,
}

/// How the rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// `fields` are the names of the columns; otherwise the first line has them.
    Csv { delimiter: u8, quote: u8, fields: Option<Vec<String>> },
    /// One array of objects.
    Json,
    /// An object in each line.
    JsonLines,
}

/// One row, as a template sees it.
#[derive(Debug)]
struct Row {
    table: Arc<Table>,
    number: usize,
}

/// More columns than anybody names; each row is searched for them.
pub const MOST_COLUMNS: usize = 2000;

/// Cells are found by numbers of 32 bits.
const LARGEST: u64 = u32::MAX as u64;

// === impl Table ===

impl Table {
    /// Reads the file at `path`, which messages call `name`.
    ///
    /// # Errors
    /// What is wrong with it, with the line, and how it would be right.
    pub fn load(path: &Path, name: &str, format: &Format) -> Result<Self, Diagnostic> {
        let unreadable = |error: ReadError| Diagnostic::error(format!("`{name}` cannot be read: {error}"));
        let (file, size) = file::open(path).map_err(unreadable)?;
        if size > LARGEST {
            let hint = "split it, and give each user type a file of its own";
            return Err(Diagnostic::error(format!("`{name}` is larger than 4 GiB")).hint(hint));
        }
        let table = match format {
            Format::Csv { delimiter, quote, fields } => {
                let reader = BufReader::with_capacity(1 << 20, file.take(LARGEST));
                csv_rows(reader, (size, name, path), (*delimiter, *quote), fields.as_deref())?
            }
            Format::Json | Format::JsonLines => {
                let bytes = file::read(path, LARGEST).map_err(unreadable)?;
                let text = String::from_utf8(bytes).map_err(|error| {
                    let bytes = error.as_bytes();
                    let line = 1 + bytes[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
                    not_utf8(name, line, bytes)
                })?;
                json_rows(text, name, *format == Format::JsonLines)?
            }
        };
        match table.rows() {
            0 => Err(Diagnostic::error(format!("`{name}` has no rows")).hint("give it at least one")),
            _ => Ok(table),
        }
    }

    pub fn rows(&self) -> usize {
        match &self.cells {
            Cells::Ends(ends) => ends.len() / self.columns.len().max(1),
            Cells::Rows(rows) => rows.len(),
        }
    }

    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Whether all cells are texts, whatever is in them: CSV knows nothing else.
    pub fn is_text(&self) -> bool {
        matches!(self.cells, Cells::Ends(_))
    }

    /// The first row without this column, and its line, both from 1.
    pub fn lacks(&self, column: &str) -> Option<(usize, usize)> {
        let row = self.columns.iter().find(|known| known.name == column)?.missing?;
        let Cells::Rows(rows) = &self.cells else { return None };
        let before = self.text.get(..rows.get(row)?.0 as usize)?;
        Some((row + 1, before.matches('\n').count() + 1))
    }

    /// The row `number`, from 0.
    pub fn row(self: &Arc<Self>, number: usize) -> Value {
        match &self.cells {
            Cells::Ends(_) => Value::from_object(Row { table: self.clone(), number }),
            Cells::Rows(rows) => {
                let written = rows.get(number).and_then(|(start, end)| self.text.get(*start as usize..*end as usize));
                // It has been read before, and was right.
                from_json(&serde_json::from_str(written.unwrap_or("{}")).unwrap_or_default())
            }
        }
    }

    fn cell(&self, row: usize, column: usize) -> Option<&str> {
        let Cells::Ends(ends) = &self.cells else { return None };
        let at = row * self.columns.len() + column;
        let start = if at == 0 { 0 } else { *ends.get(at - 1)? };
        self.text.get(start as usize..*ends.get(at)? as usize)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("columns", &self.columns).field("rows", &self.rows()).finish_non_exhaustive()
    }
}

// === impl Row ===

impl Object for Row {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let column = self.table.columns.iter().position(|column| column.name == key)?;
        self.table.cell(self.number, column).map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.table.columns().map(Value::from).collect())
    }
}

// === CSV ===

fn csv_rows(
    input: impl std::io::Read,
    (size, name, path): (u64, &str, &Path),
    (delimiter, quote): (u8, u8),
    fields: Option<&[String]>,
) -> Result<Table, Diagnostic> {
    // Lines are compared with the header here, which names both in its message.
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).quote(quote).from_reader(input);
    let mut record = ByteRecord::new();
    let mut next = |record: &mut ByteRecord| {
        let more = reader.read_byte_record(record);
        more.map_err(|error| Diagnostic::error(format!("`{name}` cannot be read: {error}")))
    };
    let columns = match fields {
        Some(fields) => fields.to_vec(),
        None => {
            if !next(&mut record)? {
                return Err(Diagnostic::error(format!("`{name}` is empty"))
                    .hint("its first line names the columns, such as `email,password`"));
            }
            header(&record, name, path)?
        }
    };
    let mut text = String::with_capacity(size as usize);
    let mut ends: Vec<u32> = Vec::new();
    while next(&mut record)? {
        if record.len() != columns.len() {
            return Err(ragged(name, line_of(&record, path), record.len(), &columns, fields.is_some()));
        }
        let written = std::str::from_utf8(record.as_slice()).ok();
        let start = text.len();
        let mut whole = true;
        for column in 0..record.len() {
            let end = record.range(column).map_or(0, |range| range.end);
            whole &= written.is_some_and(|written| written.is_char_boundary(end));
            ends.push((start + end) as u32);
        }
        match written.filter(|_| whole) {
            Some(written) => text.push_str(written),
            None => return Err(not_utf8(name, line_of(&record, path), record.as_slice())),
        }
    }
    text.shrink_to_fit();
    ends.shrink_to_fit();
    let columns = columns.into_iter().map(|name| Column { name, count: 0, missing: None }).collect();
    Ok(Table { columns, text, cells: Cells::Ends(ends) })
}

/// The line in which a record begins, from 1. The crate's counts from the blank ones before it.
fn line_of(record: &ByteRecord, path: &Path) -> usize {
    let Some(position) = record.position() else { return 1 };
    let blank = || {
        let mut file = BufReader::new(std::fs::File::open(path).ok()?);
        file.seek(std::io::SeekFrom::Start(position.byte())).ok()?;
        let before = file.bytes().map_while(Result::ok).take_while(|byte| matches!(byte, b'\r' | b'\n'));
        Some(before.filter(|byte| *byte == b'\n').count())
    };
    position.line() as usize + blank().unwrap_or(0)
}

/// The names of the columns, from the first line.
fn header(record: &ByteRecord, name: &str, path: &Path) -> Result<Vec<String>, Diagnostic> {
    let line = line_of(record, path);
    if record.len() > MOST_COLUMNS {
        return Err(too_many_columns(name, line, record.len()));
    }
    let mut columns: Vec<String> = Vec::new();
    for (at, field) in record.iter().enumerate() {
        let column = std::str::from_utf8(field).map_err(|_| not_utf8(name, line, record.as_slice()))?.trim().to_owned();
        if column.is_empty() {
            let message = format!("`{name}`, line {line}: the column {} has no name", at + 1);
            return Err(Diagnostic::error(message).hint("name it in the first line, or name all columns with `fields`"));
        }
        if columns.contains(&column) {
            let message = format!("`{name}`, line {line}: two columns are named `{column}`");
            return Err(Diagnostic::error(message).hint("rename one of them, or name all columns with `fields`"));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn too_many_columns(name: &str, line: usize, columns: usize) -> Diagnostic {
    Diagnostic::error(format!("`{name}`, line {line}: {columns} columns are more than the {MOST_COLUMNS} that there may be"))
        .hint("leave out what no template uses; or is another `delimiter` meant, such as `;` or `tab`?")
}

fn ragged(name: &str, line: usize, found: usize, columns: &[String], by_fields: bool) -> Diagnostic {
    let count = |count: usize| format!("{count} field{}", if count == 1 { "" } else { "s" });
    let wanted = if by_fields { "`fields` names" } else { "the header has" };
    let hint = match (found, columns) {
        (1, [_, _, ..]) => "is another `delimiter` meant, such as `;` or `tab`? An empty field has its delimiter too".to_owned(),
        (_, [_]) => "is another `delimiter` meant, such as `;` or `tab`?".to_owned(),
        _ => format!("each line has {}; a field with a comma or a line break stands in quotes", columns.join(", ")),
    };
    Diagnostic::error(format!("`{name}`, line {line}: {}, but {wanted} {}", count(found), columns.len())).hint(hint)
}

fn not_utf8(name: &str, line: usize, bytes: &[u8]) -> Diagnostic {
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    Diagnostic::error(format!("`{name}`, line {line}: this is not UTF-8")).hint(if utf16 {
        "it looks like UTF-16; save it as UTF-8"
    } else {
        "save it as UTF-8"
    })
}

// === JSON ===

fn json_rows(text: String, name: &str, in_lines: bool) -> Result<Table, Diagnostic> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    if text[start..].trim().is_empty() {
        let hint = if in_lines { "each line is an object" } else { "it holds an array of objects" };
        return Err(Diagnostic::error(format!("`{name}` is empty")).hint(format!("{hint}, such as {EXAMPLE}")));
    }
    let mut rows = Rows { columns: Vec::new(), found: Vec::new(), text: &text, name };
    if in_lines {
        let mut at = start;
        for (number, line) in text[start..].split('\n').enumerate() {
            if !line.trim().is_empty() {
                let wrong = |error: &serde_json::Error| {
                    Diagnostic::error(format!("`{name}`, line {}, column {}: {}", number + 1, error.column(), reason(error)))
                        .hint(format!("each line is an object, such as {EXAMPLE}"))
                };
                rows.row(line, at, &wrong)?;
            }
            at += line.len() + 1;
        }
    } else {
        let wrong = |error: &serde_json::Error| {
            Diagnostic::error(format!("`{name}`, line {}, column {}: {}", error.line(), error.column(), reason(error)))
                .hint(format!("it holds an array of objects, such as [{EXAMPLE}]"))
        };
        let mut deserializer = serde_json::Deserializer::from_str(&text[start..]);
        let all = deserializer.deserialize_any(Array).map_err(|error| wrong(&error))?;
        deserializer.end().map_err(|error| wrong(&error))?;
        for raw in all {
            let written = raw.get();
            let at = written.as_ptr() as usize - text.as_ptr() as usize;
            rows.row(written, at, &|error| {
                let line = text[..at].matches('\n').count() + error.line();
                Diagnostic::error(format!("`{name}`, line {line}: {}", reason(error)))
                    .hint(format!("each element is an object, such as {EXAMPLE}"))
            })?;
        }
    }
    let Rows { mut columns, found, .. } = rows;
    for column in &mut columns {
        if column.missing.is_none() && column.count < found.len() {
            column.missing = Some(column.count);
        }
    }
    Ok(Table { columns, cells: Cells::Rows(found), text })
}

const EXAMPLE: &str = "{\"email\": \"ann@example.com\"}";

/// What the parser says, without its place.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or_else(|| text.clone(), |(reason, _)| reason.to_owned())
}

/// Rows as they are found.
struct Rows<'a> {
    columns: Vec<Column>,
    found: Vec<(u32, u32)>,
    text: &'a str,
    name: &'a str,
}

impl Rows<'_> {
    fn row(&mut self, written: &str, at: usize, wrong: &dyn Fn(&serde_json::Error) -> Diagnostic) -> Result<(), Diagnostic> {
        let row = self.found.len();
        let mut deserializer = serde_json::Deserializer::from_str(written);
        let read = deserializer.deserialize_any(Keys { columns: &mut self.columns, row }).and_then(|()| deserializer.end());
        read.map_err(|error| wrong(&error))?;
        if at + written.len() > self.text.len() {
            return Err(Diagnostic::error(format!("`{}` changed while it was read", self.name)));
        }
        self.found.push((at as u32, (at + written.len()) as u32));
        Ok(())
    }
}

/// The elements of an array, unread.
struct Array;

impl<'de> Visitor<'de> for Array {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(all)
    }
}

/// The keys of one row, noted in the columns.
struct Keys<'a> {
    columns: &'a mut Vec<Column>,
    row: usize,
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let known = self.columns.len();
            map.next_value::<IgnoredAny>()?;
            match self.columns.iter_mut().find(|column| column.name == *key) {
                // A key that is there twice is one column.
                Some(column) if column.count <= self.row => {
                    if column.count < self.row && column.missing.is_none() {
                        column.missing = Some(column.count);
                    }
                    column.count = self.row + 1;
                }
                Some(_) => {}
                None if known == MOST_COLUMNS => {
                    return Err(serde::de::Error::custom(format!("its rows have more than {MOST_COLUMNS} keys in all")));
                }
                None => {
                    let missing = (self.row > 0).then_some(0);
                    self.columns.push(Column { name: key.into_owned(), count: self.row + 1, missing });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(content: &[u8], format: &Format) -> Result<Arc<Table>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, content).unwrap();
        Table::load(&path, "x", format)
            .map(Arc::new)
            .map_err(|problem| problem.message + &problem.hint.map_or_else(String::new, |hint| format!(" ({hint})")))
    }

    const CSV: Format = Format::Csv { delimiter: b',', quote: b'"', fields: None };

    fn all(table: &Arc<Table>) -> Vec<String> {
        (0..table.rows()).map(|row| serde_json::to_string(&table.row(row)).unwrap()).collect()
    }

    #[test]
    fn csv_with_quotes_bom_line_ends_and_odd_columns() {
        let text = "\u{feff}email, full name \r\nann@x.test,\"Ann \"\"A.\"\", née B\r\nsecond line\"\r\n\r\nbob@x.test,\r\n";
        let table = load(text.as_bytes(), &CSV).unwrap();
        assert_eq!(table.columns().collect::<Vec<_>>(), ["email", "full name"]);
        assert_eq!(
            all(&table),
            [
                r#"{"email":"ann@x.test","full name":"Ann \"A.\", née B\r\nsecond line"}"#,
                r#"{"email":"bob@x.test","full name":""}"#
            ]
        );
        let row = table.row(1);
        assert_eq!(row.get_attr("email").unwrap(), Value::from("bob@x.test"));
        assert!(row.get_attr("mail").unwrap().is_undefined());
    }

    #[test]
    fn csv_without_header_and_with_other_signs() {
        let fields = Some(vec!["a".to_owned(), "b".to_owned()]);
        let table = load(b"1;'2;3'\n4;5", &Format::Csv { delimiter: b';', quote: b'\'', fields }).unwrap();
        assert_eq!(all(&table), [r#"{"a":"1","b":"2;3"}"#, r#"{"a":"4","b":"5"}"#]);
    }

    #[test]
    fn json_keeps_types_and_knows_what_is_missing() {
        let text = "\u{feff}[\n {\"id\": 1, \"tags\": [\"a\"]},\n {\"tags\": [], \"id\": 2.5, \"x\": null},\n{\"id\": \"3\", \"id\": 4}\n]\n";
        let table = load(text.as_bytes(), &Format::Json).unwrap();
        assert_eq!(table.columns().collect::<Vec<_>>(), ["id", "tags", "x"]);
        assert_eq!(all(&table), [r#"{"id":1,"tags":["a"]}"#, r#"{"tags":[],"id":2.5,"x":null}"#, r#"{"id":4}"#]);
        assert_eq!(["id", "tags", "x", "y"].map(|column| table.lacks(column)), [None, Some((3, 4)), Some((1, 2)), None]);

        let lines = load(b"{\"a\":1}\n\n {\"a\":2,\"b\":1} \r\n{\"b\":2}", &Format::JsonLines).unwrap();
        assert_eq!(all(&lines), [r#"{"a":1}"#, r#"{"a":2,"b":1}"#, r#"{"b":2}"#]);
        assert_eq!((lines.lacks("a"), lines.lacks("b")), (Some((3, 4)), Some((1, 1))));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_line() {
        for (content, format, message) in [
            (&b""[..], &CSV, "`x` is empty (its first line names the columns, such as `email,password`)"),
            (b"a,b\n", &CSV, "`x` has no rows (give it at least one)"),
            (
                b"a,b\n1,2\n\n1\n",
                &CSV,
                "`x`, line 4: 1 field, but the header has 2 (is another `delimiter` meant, such as `;` or `tab`? An empty field \
                 has its delimiter too)",
            ),
            (
                b"a,b\n1,2,3\n",
                &CSV,
                "`x`, line 2: 3 fields, but the header has 2 (each line has a, b; a field with a comma or a line break stands \
                 in quotes)",
            ),
            (b"a,b\n1,\"\xe4\"\n", &CSV, "`x`, line 2: this is not UTF-8 (save it as UTF-8)"),
            (b"\xff\xfea\0,\0b\0", &CSV, "`x`, line 1: this is not UTF-8 (it looks like UTF-16; save it as UTF-8)"),
            (
                b"a,,b\n",
                &CSV,
                "`x`, line 1: the column 2 has no name (name it in the first line, or name all columns with `fields`)",
            ),
            (b"a,a\n", &CSV, "`x`, line 1: two columns are named `a` (rename one of them, or name all columns with `fields`)"),
            (b" \n", &Format::Json, "`x` is empty (it holds an array of objects, such as {\"email\": \"ann@example.com\"})"),
            (b"[]", &Format::Json, "`x` has no rows (give it at least one)"),
            (
                b"{\"a\": 1}",
                &Format::Json,
                "`x`, line 1, column 1: invalid type: map, expected an array of objects (it holds an array of objects, such as \
                 [{\"email\": \"ann@example.com\"}])",
            ),
            (
                b"[{\"a\": 1},\n{\"a\": }]",
                &Format::Json,
                "`x`, line 2, column 7: expected value (it holds an array of objects, such as [{\"email\": \"ann@example.com\"}])",
            ),
            (
                b"[{\"a\": 1},\n5]",
                &Format::Json,
                "`x`, line 2: invalid type: integer `5`, expected an object (each element is an object, such as {\"email\": \
                 \"ann@example.com\"})",
            ),
            (
                b"{\"a\": 1}\n{\"a\": 1",
                &Format::JsonLines,
                "`x`, line 2, column 7: EOF while parsing an object (each line is an object, such as {\"email\": \
                 \"ann@example.com\"})",
            ),
            (b"{\"a\": 1}\n\xff", &Format::JsonLines, "`x`, line 2: this is not UTF-8 (save it as UTF-8)"),
        ] {
            let found = load(content, format).unwrap_err();
            assert_eq!(found, message);
        }
    }

    #[test]
    fn columns_are_bounded() {
        let names = |count: usize| (0..count).map(|at| format!("c{at}")).collect::<Vec<_>>();
        let csv = |count| format!("{}\n{}\n", names(count).join(","), ",".repeat(count - 1));
        assert_eq!(load(csv(MOST_COLUMNS).as_bytes(), &CSV).unwrap().columns().count(), MOST_COLUMNS);
        let error = load(csv(100_000).as_bytes(), &CSV).unwrap_err();
        assert!(error.starts_with("`x`, line 1: 100000 columns are more than the 2000 that there may be ("), "{error}");
        let json =
            |count| format!("{{{}}}\n", names(count).iter().map(|name| format!("\"{name}\": 1")).collect::<Vec<_>>().join(","));
        assert_eq!(load(json(MOST_COLUMNS).as_bytes(), &Format::JsonLines).unwrap().columns().count(), MOST_COLUMNS);
        let error = load(json(100_000).as_bytes(), &Format::JsonLines).unwrap_err();
        assert!(error.contains("its rows have more than 2000 keys in all"), "{error}");
    }

    #[test]
    fn only_files_have_rows() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for format in [CSV, Format::Json, Format::JsonLines] {
            let told = |path: &Path| Table::load(path, "x", &format).unwrap_err().message;
            assert_eq!(told(&pipe), "`x` cannot be read: it is a pipe, and only regular files are read");
            assert_eq!(told(folder.path()), "`x` cannot be read: it is a folder");
        }
    }

    #[test]
    fn a_field_that_begins_in_the_middle_of_a_character() {
        // Together the two fields would be an `ä`.
        assert_eq!(load(b"a,b\n\xc3,\xa4\n", &CSV).unwrap_err(), "`x`, line 2: this is not UTF-8 (save it as UTF-8)");
    }
}
