//! What a request carries: one body.

use http::Method;

use super::Compiler;
use super::text::After;
use crate::file::{self, ReadError};
use crate::http::multipart::{gzip, type_of};
use crate::scenario::document::body::{GraphQl, Packing, Part as PartRecord, PartForm};
use crate::scenario::document::model::RequestKeys;
use crate::scenario::document::node::Value;
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::values::{List, Pairs};
use crate::scenario::plan::{Body, Part, PartContent, SentFile};
use crate::template::{JsonTemplate, Template};

/// When a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packed {
    Not,
    Now,
    /// For each request.
    Later,
}

/// Files that are sent are read into memory, once for all users.
const LARGEST: u64 = 1 << 30;

impl Compiler<'_> {
    pub(super) fn body(&mut self, keys: &RequestKeys<'_>, after: After, method: Option<&Method>) -> Body {
        let bodies = [
            ("json", keys.json.key()),
            ("form", keys.form.key()),
            ("multipart", keys.multipart.key()),
            ("body", keys.body.key()),
            ("body_file", keys.body_file.key()),
            ("graphql", keys.graphql.key()),
        ];
        let mut given: Vec<_> = bodies.into_iter().filter_map(|(name, key)| Some((name, key?.clone()))).collect();
        given.sort_by_key(|(_, key)| key.start);
        match (given.as_slice(), method) {
            ([(first, _), (second, place), ..], _) => {
                self.push(place, format!("a request has one body, but here are `{first}` and `{second}`"), "keep one of them");
            }
            ([(name, place)], Some(method)) if matches!(*method, Method::GET | Method::HEAD) => {
                let hint = format!("many servers ignore or refuse it; is `post` meant, or `query` instead of `{name}`?");
                self.warn(place, format!("a {method} request with a body"), hint);
            }
            ([], Some(_)) => {
                if let Some(place) = keys.compress.key() {
                    self.push(&place.clone(), "there is no body to compress", "remove it, or give the request a body");
                }
            }
            _ => {}
        }
        let json = keys.json.value().and_then(|node| self.json(&node.0, after)).map(Body::Json);
        let form = keys.form.value().map(|pairs| Body::Form(self.pairs(pairs, after)));
        let text = keys.body.given().and_then(|text| self.template(text, after)).map(Body::Text);
        let multipart = keys.multipart.given().map(|parts| self.multipart(parts, after));
        let file = keys.body_file.given().and_then(|_| self.sent_file(keys.body_file)).map(Body::File);
        let graphql = keys.graphql.value().and_then(|graphql| self.graphql(graphql, after)).map(Body::Json);
        let all = [json, form, multipart, text, file, graphql];
        all.into_iter().flatten().next().unwrap_or(Body::None)
    }

    /// A body that is always the same is packed here, once.
    pub(super) fn packed(&self, packing: &Field<Packing>, body: Body) -> (Body, Packed) {
        if packing.value() != Some(&Packing::Gzip) {
            return (body, Packed::Not);
        }
        let (name, content) = match &body {
            Body::Text(text) => ("body", text.as_literal().map(str::as_bytes)),
            Body::Json(document) => ("body.json", document.as_constant().map(str::as_bytes)),
            Body::File(file) => (file.name.as_str(), Some(&*file.content)),
            Body::None | Body::Form(_) | Body::Multipart(_) => ("", None),
        };
        match content {
            Some(content) => {
                let content = gzip(content);
                (Body::File(SentFile { name: name.to_owned(), content, packed: true }), Packed::Now)
            }
            None => (body, Packed::Later),
        }
    }

    // === GraphQL ===

    fn graphql(&mut self, form: &GraphQl, after: After) -> Option<JsonTemplate> {
        let query = form.query.given().and_then(|query| {
            if query.value.trim().is_empty() {
                self.push(&query.range, "the query is empty", "write it like `query: \"{ cars { brand } }\"`");
            }
            self.template(query, after)
        });
        let variables = match form.variables.given() {
            None => None,
            Some(node) if !matches!(node.value.0.value, Value::Map(_)) => {
                self.push(&node.range, "`variables` is a map of names and values", "write it like `variables: {id: 5}`");
                return None;
            }
            Some(node) => Some(self.json(&node.value.0, after)?),
        };
        let operation = form.operation.given().map(|operation| self.template(operation, after));
        let mut members = vec![(Template::literal("query"), JsonTemplate::text(query?))];
        members.extend(variables.map(|variables| (Template::literal("variables"), variables)));
        if let Some(operation) = operation {
            members.push((Template::literal("operationName"), JsonTemplate::text(operation?)));
        }
        Some(JsonTemplate::map(members))
    }

    // === files and forms ===

    fn sent_file(&mut self, field: &Field<String>) -> Option<SentFile> {
        let path = self.file(field)?;
        let placed = field.given()?;
        if let Some(known) = self.files.get(&path) {
            return Some(SentFile { name: placed.value.clone(), content: known.clone(), packed: false });
        }
        match file::read(&path, LARGEST) {
            Ok(content) => {
                let content = bytes::Bytes::from(content);
                self.files.insert(path, content.clone());
                Some(SentFile { name: placed.value.clone(), content, packed: false })
            }
            Err(ReadError::TooLarge(_)) => {
                let hint = "all users share one copy of it in memory; send a smaller one, or several times";
                self.push(&placed.range, format!("`{}` is larger than 1 GiB", placed.value), hint);
                None
            }
            Err(error) => {
                self.push(
                    &placed.range,
                    format!("`{}` cannot be read: {error}", placed.value),
                    "check the permissions of the file",
                );
                None
            }
        }
    }

    fn multipart(&mut self, parts: &Placed<Pairs<List<PartForm, true>>>, after: After) -> Body {
        if parts.value.0.is_empty() {
            self.push(&parts.range, "this form has no parts", "write it like `multipart: {photo: {file: car.jpg}}`");
        }
        let mut all = Vec::new();
        for (key, forms) in &parts.value.0 {
            let name = self.template_at(&key.name, &key.range, after);
            for form in &forms.value.items {
                let part = match &form.value {
                    PartForm::Text(text) => {
                        self.template_at(text, &form.range, after).map(|text| (PartContent::Text(text), None, None))
                    }
                    PartForm::Part(part) => self.part(part, &form.range, after),
                };
                all.extend(name.clone().zip(part).map(|(name, (content, filename, content_type))| Part {
                    name,
                    content,
                    filename,
                    content_type,
                }));
            }
        }
        Body::Multipart(all)
    }

    fn part(
        &mut self,
        part: &PartRecord,
        range: &std::ops::Range<usize>,
        after: After,
    ) -> Option<(PartContent, Option<Template>, Option<Template>)> {
        let filename = part.filename.given().map(|text| self.template(text, after));
        let content_type = part.content_type.given().map(|text| self.template(text, after));
        let content = match (part.file.key(), part.text.key()) {
            (Some(file), Some(text)) => {
                let later = if file.start > text.start { file } else { text };
                self.push(&later.clone(), "a part is a `file` or a `text`, not both", "keep one of them");
                return None;
            }
            (None, None) => {
                if !part.has_odd_keys {
                    self.push(range, "this part has no content", "give it a `file` or a `text`");
                }
                return None;
            }
            (Some(_), None) => PartContent::File(self.sent_file(&part.file)?),
            (None, Some(_)) => PartContent::Text(part.text.given().and_then(|text| self.template(text, after))?),
        };
        let (mut filename, mut content_type) = (optional(filename)?, optional(content_type)?);
        if let PartContent::File(file) = &content {
            let base = file.name.rsplit(['/', '\\']).next().unwrap_or(&file.name);
            content_type.get_or_insert_with(|| Template::literal(type_of(base)));
            filename.get_or_insert_with(|| Template::literal(base));
        }
        Some((content, filename, content_type))
    }
}

/// `None` if it is wrong, `Some(None)` if it is not there.
fn optional(template: Option<Option<Template>>) -> Option<Option<Template>> {
    match template {
        None => Some(None),
        Some(template) => template.map(Some),
    }
}
