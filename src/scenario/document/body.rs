//! Bodies that are more than a text: forms with files, and queries of GraphQL.

use serde_json::{Map, Value as Json, json};

use super::node::{Node, Value};
use super::read::{Read, Reader, record};
use super::values::{Any, Choice};

/// A part of a multipart form: a text, or a map.
#[derive(Clone, Debug, PartialEq)]
pub enum PartForm {
    Text(String),
    Part(Box<Part>),
}

record! {
    /// A part of a multipart form: a file, or a text with a type of its own.
    struct Part {
        /// A file, relative to the scenario's folder. It is read once, and sent as it is.
        file: String,
        /// A text; it is a template.
        text: String,
        /// What the server is told as the file's name. Default: the name of `file`, without folders.
        filename: String,
        /// The header `content-type` of the part. Default: by the end of the file's name; none for a text.
        content_type: String,
    }
}

record! {
    /// A query or mutation of GraphQL, sent as JSON.
    struct GraphQl {
        /// The query or mutation; what varies belongs into `variables`.
        [required] query: String,
        /// Its variables, by name: any values, whose texts are templates.
        variables: Any,
        /// Which operation is meant, when `query` has several.
        operation: String,
    }
}

/// How the body of a request is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Gzip,
}

impl Choice for Packing {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[("gzip", Self::Gzip, "With `content-encoding: gzip`.")];
}

impl Read for PartForm {
    fn expected() -> String {
        "a text, or a map with `file` or `text`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Map(_) => Part::read(node, reader).map(Box::new).map(Self::Part),
            Value::List(_) | Value::Null => {
                reader.unexpected(node, &Self::expected());
                None
            }
            _ => String::read(node, reader).map(Self::Text),
        }
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({"oneOf": [String::schema(definitions), Part::schema(definitions)]})
    }
}
