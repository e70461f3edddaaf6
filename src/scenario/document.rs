//! The scenario as written: from the bytes of a file to [`Scenario`], and the JSON Schema of such files.
//!
//! ```text
//! bytes ── node.rs ──▶ Node ── read.rs ──▶ Scenario        every value knows its place
//!            │                   │
//!       syntax.rs            model.rs, wait.rs, rules.rs, values.rs     one definition: struct, reader, schema
//!     no YAML: why          later.rs                                    keys to come, keys in the wrong place
//! ```

pub mod auth;
pub mod body;
pub mod capture;
pub mod data;
pub mod flow;
pub mod later;
pub mod model;
pub mod node;
pub mod observe;
pub mod place;
pub mod read;
pub mod reported;
pub mod rules;
pub mod stream;
mod syntax;
pub mod threshold;
pub mod values;
pub mod wait;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

pub use model::Scenario;

use crate::diagnostic::{Diagnostic, Problems, Source};
use crate::file::{self, ReadError};
use node::Node;
use read::{Read, Reader};
use reported::Reported;
use syntax::LARGEST;

/// Reads the file at `path` as text.
///
/// # Errors
/// It does not exist, is a folder, cannot be read, is too large, or is not UTF-8.
pub fn open(path: &Path) -> Result<Arc<Source>, Problems> {
    let name = path.display().to_string();
    let problem = |message: String| Diagnostic::error(message);
    match file::read_text(path, LARGEST) {
        Ok(text) => Ok(Arc::new(Source { name, text })),
        Err(ReadError::NotUtf8(bytes, at)) => Err(not_utf8(&name, &bytes, at)),
        Err(ReadError::TooLarge(_)) => Err(syntax::too_large(&name).into()),
        Err(error) => Err(match error {
            error if error.is_not_found() => {
                problem(format!("there is no file `{name}`")).hint("give the path of a scenario, such as examples/cars.yaml")
            }
            ReadError::Folder => {
                problem(format!("`{name}` is a folder, not a scenario")).hint("give the path of a YAML file in it")
            }
            ReadError::NotRegular(_) => {
                problem(format!("`{name}` cannot be read: {error}")).hint("save the scenario as a file, and give its path")
            }
            ReadError::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                problem(format!("`{name}` may not be read")).hint("check the permissions of the file and of its folder")
            }
            error => problem(format!("`{name}` cannot be read: {error}")),
        }
        .into()),
    }
}

fn not_utf8(name: &str, bytes: &[u8], at: usize) -> Problems {
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let source = Arc::new(Source { name: name.to_owned(), text: String::from_utf8_lossy(bytes).into_owned() });
    // Everything before the first wrong byte is as long in the lossy text as in the file.
    let problem = place::error_at(&source, &(at..at + 3), "the file is not UTF-8 from here on");
    problem.hint(if utf16 { "it looks like UTF-16; save it as UTF-8" } else { "save it as UTF-8" }).into()
}

/// Reads a scenario; with it, everything that is wrong with single keys and values.
///
/// # Errors
/// The text is not YAML, or not a map.
pub fn parse(source: &Arc<Source>) -> Result<(Scenario, Reported), Problems> {
    let node = Node::parse(source)?;
    let mut reader = Reader { source: source.clone(), problems: Reported::default(), key: String::new() };
    match Scenario::read(&node, &mut reader) {
        Some(scenario) => Ok((scenario, reader.problems)),
        None => Err(reader.problems.finish()),
    }
}

/// The JSON Schema of scenarios, in draft 7, which editors' YAML support understands best.
pub fn schema() -> Json {
    let mut definitions = Map::new();
    Scenario::schema(&mut definitions);
    let mut root = definitions.remove("Scenario").unwrap_or_default();
    for name in ["Task", "Step"] {
        let steps = ["think", "group", "loop", "if", "choose", "set", "rendezvous", "log", "fail", "stop"];
        let actions: &[&str] = if name == "Task" { &["flow"] } else { &steps };
        let methods = ["get", "post", "put", "patch", "delete", "head", "options", "request"];
        let forms: Vec<_> = methods.iter().chain(actions).map(|key| json!({"required": [key]})).collect();
        if let Some(definition) = definitions.get_mut(name) {
            definition["oneOf"] = Json::Array(forms);
        }
    }
    if let Some(capture) = definitions.get_mut("Capture") {
        let sources = ["json", "regex", "header", "cookie", "css"];
        capture["oneOf"] = sources.iter().map(|key| json!({"required": [key]})).collect();
    }
    if let Some(each) = definitions.get_mut("Loop") {
        each["oneOf"] = ["count", "while", "for_each"].iter().map(|key| json!({"required": [key]})).collect();
    }
    if let Some(stage) = definitions.get_mut("Stage") {
        stage["oneOf"] = json!([{"required": ["users"]}, {"required": ["arrival_rate"]}]);
    }
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "otload scenario",
    });
    if let (Some(schema), Some(root)) = (schema.as_object_mut(), root.as_object_mut()) {
        schema.append(root);
        schema.insert("definitions".to_owned(), Json::Object(definitions));
    }
    schema
}
