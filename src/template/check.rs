//! What is wrong with a template that can be parsed: names, functions, filters, tests and fields that do not exist, and
//! arguments that can never be right. All of it is collected, each at its place.

use super::engine::{ENGINE_FILTERS, ENGINE_FUNCTIONS, ENGINE_TESTS};
use super::fakes::FAKES;
use super::filters::FILTERS;
use super::functions::{FUNCTIONS, Function};
use super::{Literal, Names, ParseError, Random, Reference, Value, range};
use crate::diagnostic::nearest;
use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CompareOpKind, Expr, Macro, Spanned, Stmt};
use minijinja::value::ValueKind;
use std::ops::Range;

/// Checks a template; gives the names that it uses.
pub(super) fn template(tree: &Stmt<'_>, names: &Names) -> Result<Vec<Reference>, Vec<ParseError>> {
    let mut checker = Checker::new(names);
    checker.statement(tree);
    checker.finish()
}

/// Checks a bare expression; gives the names that it uses.
/// Whether it calls a function, too: then it may give something else each time.
pub(super) fn expression(tree: &Expr<'_>, names: &Names) -> Result<(Vec<Reference>, bool), Vec<ParseError>> {
    let mut checker = Checker::new(names);
    checker.expression(tree);
    let calls = checker.calls;
    checker.finish().map(|references| (references, calls))
}

struct Checker<'a> {
    names: &'a Names,
    /// Names that the template itself defines; cut back where a `for`, `with` or `macro` ends.
    locals: Vec<String>,
    references: Vec<Reference>,
    /// What is visited now need not be there.
    guarded: bool,
    /// A function is called.
    calls: bool,
    errors: Vec<ParseError>,
}

impl<'a> Checker<'a> {
    fn new(names: &'a Names) -> Self {
        Self { names, locals: Vec::new(), references: Vec::new(), guarded: false, calls: false, errors: Vec::new() }
    }

    fn finish(mut self) -> Result<Vec<Reference>, Vec<ParseError>> {
        if self.errors.is_empty() {
            self.references.sort_by_key(|reference| reference.range.start);
            // `x if x is defined else 1`: whoever looks knows what it does.
            let looked: Vec<_> = self.references.iter().filter(|one| one.guarded).map(|one| one.root.clone()).collect();
            self.references.iter_mut().for_each(|one| one.guarded |= looked.contains(&one.root));
            Ok(self.references)
        } else {
            self.errors.sort_by_key(|error| error.range.start);
            Err(self.errors)
        }
    }

    fn error(&mut self, range: Range<usize>, message: String, hint: Option<String>) {
        self.errors.push(ParseError { message, range, hint });
    }

    fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|local| local == name)
    }

    // === statements ===

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    /// Runs `inside`; names that are defined there are unknown afterwards.
    fn nested(&mut self, inside: impl FnOnce(&mut Self)) {
        let before = self.locals.len();
        inside(self);
        self.locals.truncate(before);
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                self.expression(&each.iter);
                self.nested(|checker| {
                    checker.define(&each.target);
                    checker.optional(each.filter_expr.as_ref());
                    checker.locals.push("loop".to_owned());
                    checker.statements(&each.body);
                });
                self.nested(|checker| checker.statements(&each.else_body));
            }
            // What one branch sets is known after it, as in Jinja; that the other did not, shows when it runs.
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr);
                self.statements(&condition.true_body);
                self.statements(&condition.false_body);
            }
            Stmt::WithBlock(with) => self.nested(|checker| {
                for (target, value) in &with.assignments {
                    checker.expression(value);
                    checker.define(target);
                }
                checker.statements(&with.body);
            }),
            Stmt::Set(set) => {
                self.expression(&set.expr);
                self.define(&set.target);
            }
            Stmt::SetBlock(set) => {
                self.optional(set.filter.as_ref());
                self.statements(&set.body);
                self.define(&set.target);
            }
            Stmt::AutoEscape(escape) => {
                self.expression(&escape.enabled);
                self.statements(&escape.body);
            }
            Stmt::FilterBlock(filter) => {
                self.expression(&filter.filter);
                self.statements(&filter.body);
            }
            Stmt::Macro(declared) => {
                self.locals.push(declared.name.to_owned());
                self.nested(|checker| checker.declaration(declared));
            }
            Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.nested(|checker| checker.declaration(&block.macro_decl));
            }
            Stmt::Do(action) => self.call(&action.call),
            Stmt::Block(it) => self.refuse("block", range(it.span())),
            Stmt::Import(it) => self.refuse("import", range(it.span())),
            Stmt::FromImport(it) => self.refuse("from", range(it.span())),
            Stmt::Extends(it) => self.refuse("extends", range(it.span())),
            Stmt::Include(it) => self.refuse("include", range(it.span())),
        }
    }

    fn refuse(&mut self, name: &str, range: Range<usize>) {
        let hint = Some("write the text where it is needed, or put it into `variables`".to_owned());
        self.error(range, format!("`{{% {name} %}}` is not available: a scenario has no other templates"), hint);
    }

    fn declaration(&mut self, declared: &Macro<'_>) {
        declared.defaults.iter().for_each(|default| self.expression(default));
        declared.args.iter().for_each(|argument| self.define(argument));
        self.locals.push("caller".to_owned());
        self.statements(&declared.body);
    }

    /// Makes the names of an assignment's left side known.
    fn define(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(name) => self.locals.push(name.id.to_owned()),
            Expr::List(list) => list.items.iter().for_each(|item| self.define(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.define(item)),
            // `{% set namespace.field = 1 %}`
            other => self.expression(other),
        }
    }

    // === expressions ===

    fn optional(&mut self, expression: Option<&Expr<'_>>) {
        if let Some(expression) = expression {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Var(name) => self.name(name.id, range(name.span()), None),
            Expr::Const(_) => {}
            Expr::GetAttr(attribute) => {
                let end = range(attribute.span()).end;
                self.field(&attribute.expr, attribute.name, end - attribute.name.len()..end, end);
            }
            Expr::GetItem(item) => match item.subscript_expr.as_const() {
                Some(key) if key.as_str().is_some() => {
                    let place = range(item.subscript_expr.span());
                    self.field(&item.expr, key.as_str().unwrap_or_default(), place, range(item.span()).end);
                }
                _ => {
                    self.expression(&item.expr);
                    self.expression(&item.subscript_expr);
                }
            },
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().for_each(|bound| self.optional(bound.as_ref()));
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => {
                use BinOpKind::{Eq, Gt, Gte, Lt, Lte, Ne};
                let compares = matches!(operation.op, Eq | Ne | Lt | Lte | Gt | Gte);
                self.side(&operation.left, compares.then_some(&operation.right));
                self.side(&operation.right, compares.then_some(&operation.left));
            }
            Expr::Compare(compare) => {
                let mut left = &compare.expr;
                self.expression(left);
                for operation in &compare.ops {
                    let compares = !matches!(operation.op, CompareOpKind::In | CompareOpKind::NotIn);
                    self.compared(left, &operation.expr, compares);
                    self.side(&operation.expr, compares.then_some(left));
                    left = &operation.expr;
                }
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr);
                self.expression(&choice.true_expr);
                self.optional(choice.false_expr.as_ref());
            }
            Expr::Filter(filter) => {
                self.guarding(matches!(filter.name, "default" | "d"), |checker| checker.optional(filter.expr.as_ref()));
                self.filter(filter.name, &filter.args, range(filter.span()));
            }
            Expr::Test(test) => {
                self.guarding(matches!(test.name, "defined" | "undefined"), |checker| checker.expression(&test.expr));
                let start = range(test.span()).start;
                self.known_test(test.name, start..start + test.name.len());
                self.arguments(&test.args);
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|item| self.expression(item)),
        }
    }

    /// One side of an operator, and the other if it is a comparison.
    fn side(&mut self, side: &Expr<'_>, other: Option<&Expr<'_>>) {
        self.expression(side);
        if let Some(other) = other {
            self.compared(side, other, true);
        }
    }

    /// Notes of the name that was visited last that it is compared with a value that is written out.
    fn compared(&mut self, side: &Expr<'_>, other: &Expr<'_>, compares: bool) {
        let bare = match side {
            Expr::Var(_) => true,
            Expr::GetAttr(attribute) => matches!(attribute.expr, Expr::Var(_)),
            _ => false,
        };
        let literal = other.as_const().and_then(|value| match value.kind() {
            ValueKind::String => Some(Literal::Text),
            ValueKind::Number => Some(Literal::Number),
            _ => None,
        });
        let end = range(side.span()).end;
        if let (true, true, Some(last)) = (compares, bare, self.references.iter_mut().rev().find(|one| one.range.end == end)) {
            last.compared_with = literal.or(last.compared_with);
        }
    }

    fn guarding(&mut self, guards: bool, inside: impl FnOnce(&mut Self)) {
        let before = self.guarded;
        self.guarded |= guards;
        inside(self);
        self.guarded = before;
    }

    /// A name that stands for a value, perhaps with a field of it: its name, its place, and where the whole ends.
    fn name(&mut self, name: &str, place: Range<usize>, field: Option<(&str, Range<usize>, usize)>) {
        if self.is_local(name) {
            return;
        }
        if !self.names.contains(name) {
            return self.unknown_name(name, place, field.map(|(field, ..)| field));
        }
        let whole = place.start..field.as_ref().map_or(place.end, |(.., end)| *end);
        if let (Some((field, place, _)), Some(known)) = (&field, self.names.fields(name))
            && !known.contains(*field)
        {
            let near = nearest(field, known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
            let (message, otherwise) = match name {
                "env" => (
                    format!("the environment variable `{field}` is not set"),
                    Some(format!("set it before the run: `export {field}=...`")),
                ),
                "setup" => (
                    format!("`setup` captures no `{field}`"),
                    Some(match known.is_empty() {
                        true => format!("add a step with `capture: {{{field}: …}}` to `setup`"),
                        false => {
                            format!("it captures {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
                        }
                    }),
                ),
                _ => (format!("`{name}` has no `{field}`"), listed(known.iter().map(String::as_str))),
            };
            self.error(place.clone(), message, near.or(otherwise));
            return;
        }
        let (field, guarded) = (field.map(|(field, ..)| field.into()), self.guarded);
        self.references.push(Reference { root: name.into(), field, range: whole, guarded, compared_with: None });
    }

    fn unknown_name(&mut self, name: &str, place: Range<usize>, field: Option<&str>) {
        let function = FUNCTIONS.iter().find(|function| function.name == name).map(Function::usage);
        if let Some(usage) = function {
            return self.error(place, format!("`{name}` is a function"), Some(format!("write `{usage}`")));
        }
        if is_engine_function(name) {
            return self.error(place, format!("`{name}` is a function"), Some(format!("write `{name}(...)`")));
        }
        if name == "fake" {
            let method = field.unwrap_or("name");
            return self.error(place, "`fake` is a set of functions".to_owned(), Some(format!("write `fake.{method}()`")));
        }
        if name == "loop_index" {
            return self.error(
                place,
                "`loop_index` is known within a `loop` only".to_owned(),
                Some("to keep it, `set` a variable in the loop".to_owned()),
            );
        }
        let known = self.names.roots().chain(self.locals.iter().map(String::as_str));
        let hint = nearest(name, known).map(|near| format!("did you mean `{near}`?"));
        let hint = hint.or_else(|| listed(self.names.roots()));
        self.error(place, format!("unknown name `{name}`"), hint);
    }

    /// `parent.name` or `parent["name"]`.
    fn field(&mut self, parent: &Expr<'_>, name: &str, place: Range<usize>, end: usize) {
        match parent {
            Expr::Var(root) => self.name(root.id, range(root.span()), Some((name, place, end))),
            other => self.expression(other),
        }
    }

    // === calls ===

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value) | CallArg::Kwarg(_, value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value) => {
                    self.expression(value);
                }
            }
        }
    }

    fn call(&mut self, call: &Spanned<Call<'_>>) {
        self.calls = true;
        let end = range(call.span()).end;
        match &call.expr {
            Expr::Var(name) if self.is_local(name.id) => {}
            Expr::Var(name) => self.function(name.id, range(name.span()), end, &call.args),
            Expr::GetAttr(attribute) => {
                let field_end = range(attribute.span()).end;
                let place = field_end - attribute.name.len()..field_end;
                match &attribute.expr {
                    Expr::Var(root) if self.is_local(root.id) => {}
                    Expr::Var(root) if root.id == "fake" && !self.names.contains("fake") => {
                        self.fake(attribute.name, place, end, &call.args);
                    }
                    parent => {
                        self.expression(parent);
                        self.no_method(attribute.name, place);
                    }
                }
            }
            other => self.expression(other),
        }
        self.arguments(&call.args);
    }

    fn function(&mut self, name: &str, place: Range<usize>, end: usize, arguments: &[CallArg<'_>]) {
        if self.names.contains(name) {
            return self.error(place, format!("`{name}` is a variable, not a function"), Some(format!("write `{name}`")));
        }
        if is_engine_function(name) {
            return;
        }
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
            let known = FUNCTIONS.iter().map(|function| function.name).chain(ENGINE_FUNCTIONS.split(' '));
            let near =
                nearest(name, known.chain(self.locals.iter().map(String::as_str))).map(|near| format!("did you mean `{near}`?"));
            let hint = near.or_else(|| {
                let fake = FAKES.iter().find(|(fake, _)| *fake == name || name.strip_prefix("fake_") == Some(fake));
                let filter = is_filter(name).then(|| format!("`{name}` is a filter: write `value | {name}`"));
                fake.map(|(fake, _)| format!("did you mean `fake.{fake}()`?")).or(filter)
            });
            return self.error(place, format!("unknown function `{name}`"), hint);
        };
        let range = place.start..end;
        if self.count(function, arguments, range.clone()) {
            let constants: Option<Vec<Value>> = arguments
                .iter()
                .map(|argument| if let CallArg::Pos(value) = argument { value.as_const() } else { None })
                .collect();
            // With nothing that varies, it fails now if it ever does.
            if let Some(Err(error)) = constants.map(|constants| function.call(&mut Random::new(0, 0), &constants)) {
                let message = error.detail().unwrap_or("this cannot be computed").to_owned();
                self.error(range, message, None);
            }
        }
    }

    fn fake(&mut self, name: &str, place: Range<usize>, end: usize, arguments: &[CallArg<'_>]) {
        if !FAKES.iter().any(|(known, _)| *known == name) {
            let near = nearest(name, FAKES.iter().map(|(known, _)| *known)).map(|near| format!("did you mean `fake.{near}()`?"));
            let all = || FAKES.iter().map(|(known, _)| format!("`{known}`")).collect::<Vec<_>>().join(", ");
            self.error(place, format!("unknown function `fake.{name}`"), near.or_else(|| Some(format!("there are {}", all()))));
        } else if !arguments.is_empty() {
            self.error(place.start..end, format!("`fake.{name}` takes no arguments"), Some(format!("write `fake.{name}()`")));
        }
    }

    fn no_method(&mut self, name: &str, place: Range<usize>) {
        let hint = match name {
            "format" | "join" => Some(format!("write `value | {name}(...)`")),
            _ if is_filter(name) => Some(format!("write `value | {name}`")),
            _ => nearest(name, filters()).map(|near| format!("is it the filter `| {near}`?")),
        };
        self.error(place, format!("values have no functions of their own, such as `{name}`"), hint);
    }

    /// Whether the number of arguments is right, as far as it can be seen.
    fn count(&mut self, function: &Function, arguments: &[CallArg<'_>], place: Range<usize>) -> bool {
        if arguments.iter().any(|argument| matches!(argument, CallArg::PosSplat(_) | CallArg::KwargSplat(_))) {
            return true;
        }
        let message =
            match arguments.iter().find_map(|argument| if let CallArg::Kwarg(name, _) = argument { Some(name) } else { None }) {
                Some(name) => Err(format!("`{}` takes no named arguments, such as `{name}=`", function.name)),
                None => function.check_count(arguments.len()),
            };
        let Err(message) = message else { return true };
        self.error(place, message, Some(format!("write `{}`", function.usage())));
        false
    }

    // === filters and tests ===

    fn filter(&mut self, name: &str, arguments: &[CallArg<'_>], place: Range<usize>) {
        if self.known_filter(name, place.start..place.start + name.len())
            && let Some(function) = FILTERS.iter().find(|filter| filter.name == name)
        {
            self.count(function, arguments, place);
        }
        self.arguments(arguments);
        // Names of filters and tests that are handed over as texts.
        let text_at = |at: usize| match arguments.get(at) {
            Some(CallArg::Pos(value)) => {
                value.as_const().filter(|value| value.as_str().is_some()).map(|text| (text, range(value.span())))
            }
            _ => None,
        };
        match name {
            "map" => {
                if let Some((filter, place)) = text_at(0) {
                    self.known_filter(filter.as_str().unwrap_or_default(), place);
                }
            }
            "select" | "reject" | "selectattr" | "rejectattr" => {
                if let Some((test, place)) = text_at(usize::from(name.ends_with("attr"))) {
                    self.known_test(test.as_str().unwrap_or_default(), place);
                }
            }
            _ => {}
        }
    }

    fn known_filter(&mut self, name: &str, place: Range<usize>) -> bool {
        if is_filter(name) {
            return true;
        }
        let hint = nearest(name, filters()).map(|near| format!("did you mean `{near}`?"));
        self.error(place, format!("unknown filter `{name}`"), hint);
        false
    }

    fn known_test(&mut self, name: &str, place: Range<usize>) {
        if !ENGINE_TESTS.split(' ').any(|test| test == name) {
            let hint = nearest(name, ENGINE_TESTS.split(' ')).map(|near| format!("did you mean `{near}`?"));
            self.error(place, format!("unknown test `{name}`"), hint);
        }
    }
}

fn filters() -> impl Iterator<Item = &'static str> {
    FILTERS.iter().map(|filter| filter.name).chain(ENGINE_FILTERS.split(' '))
}

fn is_engine_function(name: &str) -> bool {
    ENGINE_FUNCTIONS.split(' ').any(|function| function == name)
}

fn is_filter(name: &str) -> bool {
    filters().any(|filter| filter == name)
}

/// The known names as a hint, when they are few enough to read.
fn listed<'a>(known: impl Iterator<Item = &'a str>) -> Option<String> {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    match known.len() {
        0 => Some("there is nothing in it".to_owned()),
        1..=12 => Some(format!("there is {}", known.join(", "))),
        _ => None,
    }
}
