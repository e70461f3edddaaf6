//! Templates as a scenario's author meets them: what they give, and what is said about the wrong ones.

use super::engine::{ENGINE, lend};
use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

fn names() -> Names {
    let mut names = Names::new();
    for root in ["id", "text", "items", "on", "off", "nothing", "accounts", "later"] {
        names.open(root);
    }
    names.closed("env", ["API_USER".to_owned(), "API_PASSWORD".to_owned()]);
    names.closed("setup", ["token".to_owned()]);
    names
}

fn scope() -> Scope {
    let mut shared = Shared::new("run-1");
    shared.set("env", from_json(&json!({"API_USER": "ann", "API_PASSWORD": "pw"})));
    shared.set("setup", from_json(&json!({"token": "t0k"})));
    shared.set("off", Value::from(false));
    let mut scope = Scope::new(Arc::new(shared), 17);
    scope.set("id", Value::from(5));
    scope.set("text", Value::from("<a & \"b\">"));
    scope.set("items", from_json(&json!([3, 1, 2])));
    scope.set("on", Value::from(true));
    scope.set("nothing", Value::from(()));
    scope.set("accounts", from_json(&json!({"email": "a@example.com", "age": "41", "address": {"city": "Ghent"}})));
    scope
}

fn render(text: &str) -> Result<String, String> {
    let template = Template::parse(text, &names()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let mut out = "|".to_owned();
    let done = template.render(&scope(), &mut Random::new(42, 7), &mut out);
    assert!(done.is_ok() || out == "|", "{text} left {out}");
    done.map(|()| out[1..].to_owned())
}

/// Without bounds each of these would print more than a gibibyte, or go on for hours.
#[test]
fn what_would_be_endless_is_an_error() {
    let of = |text: &str| {
        let mut names = Names::new();
        ["big", "list"].into_iter().for_each(|name| names.open(name));
        let mut scope = Scope::new(Arc::new(Shared::new("r")), 1);
        scope.set("big", Value::from("0123456789".repeat(100_000)));
        scope.set("list", Value::from((0..1000).collect::<Vec<_>>()));
        let template = Template::parse(text, &names).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let mut out = String::new();
        let error = template.render(&scope, &mut Random::new(1, 1), &mut out).expect_err(text);
        assert_eq!(out, "", "{text}");
        error
    };
    let too_large = |text: &str| {
        let error = of(text);
        assert!(error.contains("too large") || error.contains("longer than 16 MiB"), "{text}: {error}");
    };
    too_large("{{ 'x' * 1000000000 }}");
    too_large("{{ big * 1100 }}");
    too_large(&"{{ big }}".repeat(20));
    too_large("{{ list * 1000000 }}");
    too_large("{{ big | replace('0', big) }}");
    too_large("{{ big | indent(2000) | indent(2000) | replace('1', big) }}");
    too_large("{% for a in range(90000) %}{% for b in range(90000) %}x{% endfor %}{% endfor %}");
    too_large("{% for a in range(2000) %}{{ big }}{% endfor %}");
    too_large(
        "{% set ns = namespace(x='0123456789') %}{% for a in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    );
    too_large("{{ list | map('string') | join(big) }}");
}

#[test]
fn templates_and_what_they_give() {
    for (text, expected) in [
        ("", ""),
        ("/cars", "/cars"),
        ("a } b }} c %}", "a } b }} c %}"),
        ("line\n", "line\n"),
        ("/cars/{{ id }}", "/cars/5"),
        ("{{ id }}\n", "5\n"),
        ("{{id}}{{ id }}-{{- id -}} .", "55-5."),
        ("{{ accounts.email }} in {{ accounts.address.city }}", "a@example.com in Ghent"),
        ("{{ accounts['email'] }}", "a@example.com"),
        ("{{ env.API_USER }}:{{ setup.token }}@{{ run_id }}", "ann:t0k@run-1"),
        ("{{ user_id }}/{{ iteration }}", "17/0"),
        ("{{ text }}", "<a & \"b\">"),
        (
            "{% if on %}{{ on }} {{ nothing }} {{ items }} {{ accounts.address }}{{ 1 if off }}{% endif %}",
            r#"true null [3,1,2] {"city":"Ghent"}"#,
        ),
        ("{{ on | string }} {{ 2.0 }} {{ items | map('string') | list }}", r#"true 2.0 ["3","1","2"]"#),
        ("{{ on }} {{ nothing }} {{ items }}", "true null [3,1,2]"),
        ("{{ id + 1 }} {{ 'x' ~ id }} {{ id > 3 and not off }}", "6 x5 true"),
        ("{{ items | sort | join(',') }}", "1,2,3"),
        ("{{ text | urlencode }}", "%3Ca%20%26%20%22b%22%3E"),
        ("{{ accounts.age | int + 1 }}", "42"),
        ("{{ accounts.missing | default('none at all') }}", "none at all"),
        ("{{ later is defined }} {{ id is defined }}", "false true"),
        ("{{ 'yes' if on else 'no' }}{{ 'never' if off }}", "yes"),
        ("{# a remark #}x{% raw %}{{ y }}{% endraw %}", "x{{ y }}"),
        ("{% if id > 3 %}big{% else %}small{% endif %} {{ id }}", "big 5"),
        ("{% for item in items %}{{ loop.index }}={{ item }};{% endfor %}", "1=3;2=1;3=2;"),
        ("{% set x = id * 2 %}{{ x }}", "10"),
        ("{% set ns = namespace(n=0) %}{% for i in items %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"),
        ("{% macro twice(s, sep='-') %}{{ s }}{{ sep }}{{ s }}{% endmacro %}{{ twice(id) }}", "5-5"),
        ("{% with a = 1, b = a + 1 %}{{ b }}{% endwith %}", "2"),
        ("{% filter upper %}ab{{ id }}{% endfilter %}", "AB5"),
        ("{% set page %}p{{ id }}{% endset %}{{ page }}", "p5"),
        ("é{{ id }}ü{% if on %}ß{% endif %}", "é5üß"),
        ("{{ {'a': {'b': 1}} | tojson }}", r#"{"a":{"b":1}}"#),
        // With the seed 42 of user 7.
        ("/cars/{{ random_int(1, 1000) }}", "/cars/418"),
        ("{{ random_int(1, 6) }}{{ random_int(1, 6) }}{% if on %}{{ random_int(1, 6) }}{% endif %}", "366"),
        ("{{ random_int(1, 6) }}{{ random_int(1, 6) }}{{ random_int(1, id + 1) }}", "366"),
        ("{{ fake.first_name() }}", "Hazel"),
        ("{{ random_choice(items) }}", "1"),
    ] {
        assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_computed_here_is_what_the_engine_gives() {
    let scope = scope();
    for expression in [
        "id",
        "text",
        "on",
        "nothing",
        "items",
        "accounts.address.city",
        "accounts.address",
        "random_int(1, 1000)",
        "random_int(-3, -(-3))",
        "uuid()",
        "fake.city()",
        "fake.email()",
    ] {
        let (mut ours, mut engines) = (Random::new(3, 4), Random::new(3, 4));
        let template = Template::parse(&format!("{{{{ {expression} }}}}"), &names()).unwrap();
        let compiled = ENGINE.compile_expression(expression).unwrap();
        let expected = lend(&mut engines, || compiled.eval(scope.root()).unwrap());
        assert_eq!(template.value(&scope, &mut ours), Ok(expected.clone()), "{expression}");
        assert_eq!(ours, engines, "{expression} draws as often");
        let mut out = String::new();
        template.render(&scope, &mut Random::new(3, 4), &mut out).unwrap();
        let mut engines = Random::new(3, 4);
        let whole = Template::parse(&format!("{{% if true %}}{{{{ {expression} }}}}{{% endif %}}"), &names()).unwrap();
        assert_eq!(Ok(Value::from(out)), whole.value(&scope, &mut engines), "{expression}");
    }
}

#[test]
fn what_goes_wrong_while_it_runs() {
    for (text, expected) in [
        ("a {{ later }}", "`later` is undefined"),
        ("{{ accounts.missing }}", "`accounts.missing` is undefined"),
        ("{{ accounts.missing.deeper }}", "`accounts.missing` is undefined"),
        ("{{ accounts.missing | upper }}", "`accounts.missing` is undefined"),
        ("{{ later + 1 }}", "`later` is undefined"),
        ("{{ random_int(1, accounts.max) }}", "`accounts.max` is undefined"),
        ("{{ items[7] }}", "`items[7]` is undefined"),
        ("{{ [] | first }}", "`[] | first` is undefined"),
        ("{{ response.status }}", "`response` is undefined: there is a response only after a request"),
        ("{% if on %}\n{{ later }}{% endif %}", "line 2: `later` is undefined"),
        ("{{ random_int(id, 1) }}", "`random_int`: the lower bound 5 is above the upper bound 1"),
        (
            "{{ random_int(1, accounts.age) }}",
            "`random_int`: `b` must be a whole number, but is `\"41\"`; a text becomes one with `| int`",
        ),
        ("{{ text + 1 }}", "`text + 1`: tried to use + operator on unsupported types string and number"),
        ("{% if on %}{{ 1 // (id - 5) }}{% endif %}", "unable to calculate 1 // 0"),
        ("{{ 1 // (id - 5) }}", "`1 // (id - 5)`: unable to calculate 1 // 0"),
    ] {
        assert_eq!(render(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn a_response_is_seen_after_a_request() {
    let mut scope = scope();
    let template =
        Template::parse("{{ response.status }} {{ response.headers['X-Id'] }} {{ response.json.cars[0].id }}", &names()).unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("x-id", "7".parse().unwrap());
    let mut out = String::new();
    scope.set_response(Response::new(201, headers.clone(), Bytes::from_static(br#"{"cars": [{"id": 9}]}"#)));
    template.render(&scope, &mut Random::new(0, 0), &mut out).unwrap();
    assert_eq!(out, "201 7 9");
    scope.set_response(Response::new(200, headers, Bytes::from_static(b"<html>")));
    let error = template.render(&scope, &mut Random::new(0, 0), &mut out).unwrap_err();
    assert_eq!(error, "`response.json` is undefined: the body is not JSON (expected value at line 1 column 1)");
    let condition = Expression::parse("response.json is defined", &names()).unwrap();
    assert_eq!(condition.is_true(&scope, &mut Random::new(0, 0)), Ok(false));
}

#[test]
fn expressions_keep_types() {
    let scope = scope();
    let mut random = Random::new(0, 0);
    for (text, value, truth) in [
        ("id > 3", json!(true), true),
        ("id", json!(5), true),
        ("  id * 2.0 ", json!(10.0), true),
        ("items | length == 3", json!(true), true),
        ("nothing", json!(null), false),
        ("'x' if off", json!(null), false),
        ("off or []", json!([]), false),
        ("accounts.address", json!({"city": "Ghent"}), true),
        ("3 in items and 'a' in text", json!(true), true),
    ] {
        let expression = Expression::parse(text, &names()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        assert_eq!(expression.source(), text);
        let got = expression.eval(&scope, &mut random).unwrap();
        assert_eq!(serde_json::to_value(&got).unwrap(), value, "{text}");
        assert_eq!(expression.is_true(&scope, &mut random), Ok(truth), "{text}");
    }
    let undefined = Expression::parse("later", &names()).unwrap();
    assert_eq!(undefined.is_true(&scope, &mut random), Err("`later` is undefined".to_owned()));
    let mixed = |text: &str, random: &mut Random| Template::parse(text, &names()).unwrap().value(&scope, random).unwrap();
    assert_eq!(mixed("{{ id }}", &mut random), Value::from(5));
    assert_eq!(mixed("{{ id }} ", &mut random), Value::from("5 "));
    assert_eq!(mixed("{% if on %}5{% endif %}", &mut random), Value::from("5"));
    assert_eq!(mixed("5", &mut random), Value::from("5"));
}

/// What is marked, the message, and the hint, of each error.
type Expected<'a> = &'a [(&'a str, &'a str, &'a str)];

fn compare(text: &str, errors: Vec<ParseError>, expected: Expected<'_>) {
    let got: Vec<_> = errors
        .iter()
        .map(|error| (&text[error.range.clone()], error.message.as_str(), error.hint.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(got, expected, "{text}");
}

#[test]
fn wrong_templates() {
    let table: &[(&str, Expected<'_>)] = &[
        ("/{{ rand_int(1, 2) }}", &[("rand_int", "unknown function `rand_int`", "did you mean `random_int`?")]),
        ("{{ acounts.email }}", &[("acounts", "unknown name `acounts`", "did you mean `accounts`?")]),
        ("{{ id | uper }}", &[("uper", "unknown filter `uper`", "did you mean `upper`?")]),
        ("{{ id is evn }}", &[("evn", "unknown test `evn`", "did you mean `even`?")]),
        ("{{ env.API_USR }}", &[("API_USR", "the environment variable `API_USR` is not set", "did you mean `API_USER`?")]),
        ("{{ env.HOME }}", &[("HOME", "the environment variable `HOME` is not set", "set it before the run: `export HOME=...`")]),
        ("{{ env['API_USR'] }}", &[("'API_USR'", "the environment variable `API_USR` is not set", "did you mean `API_USER`?")]),
        ("{{ setup.x }}", &[("x", "`setup` captures no `x`", "it captures `token`")]),
        ("{{ response.code }}", &[("code", "`response` has no `code`", "there is `body`, `headers`, `json`, `status`")]),
        ("{{ fake.nam() }}", &[("nam", "unknown function `fake.nam`", "did you mean `fake.name()`?")]),
        ("{{ fake.name }}", &[("fake", "`fake` is a set of functions", "write `fake.name()`")]),
        ("{{ fake.name(1) }}", &[("name(1)", "`fake.name` takes no arguments", "write `fake.name()`")]),
        ("{{ fake_email() }}", &[("fake_email", "unknown function `fake_email`", "did you mean `fake.email()`?")]),
        ("{{ uuid }}", &[("uuid", "`uuid` is a function", "write `uuid()`")]),
        ("{{ random_int }}", &[("random_int", "`random_int` is a function", "write `random_int(a, b)`")]),
        ("{{ id() }}", &[("id", "`id` is a variable, not a function", "write `id`")]),
        ("{{ text.upper() }}", &[("upper", "values have no functions of their own, such as `upper`", "write `value | upper`")]),
        ("{{ upper(text) }}", &[("upper", "unknown function `upper`", "`upper` is a filter: write `value | upper`")]),
        (
            "a {{ random_int(1) }}",
            &[("random_int(1)", "`random_int` takes 2 arguments (`a`, `b`), but 1 is given", "write `random_int(a, b)`")],
        ),
        (
            "{{ random_string(length=5) }}",
            &[(
                "random_string(length=5)",
                "`random_string` takes no named arguments, such as `length=`",
                "write `random_string(n)`",
            )],
        ),
        ("{{ random_int(9, 1) }}", &[("random_int(9, 1)", "`random_int`: the lower bound 9 is above the upper bound 1", "")]),
        ("{{ random_choice([]) }}", &[("random_choice([])", "`random_choice`: the list is empty", "")]),
        (
            "{{ random_string(99999) }}",
            &[("random_string(99999)", "`random_string`: `n` must be from 0 to 65536, but is 99999", "")],
        ),
        (
            "{{ text | hmac_sha256 }}",
            &[("hmac_sha256", "`hmac_sha256` takes 1 argument (`key`), but 0 are given", "write `hmac_sha256(key)`")],
        ),
        ("{{ items | map('uper') | list }}", &[("'uper'", "unknown filter `uper`", "did you mean `upper`?")]),
        ("{{ items | selectattr('a', 'od') }}", &[("'od'", "unknown test `od`", "did you mean `odd`?")]),
        // All of them, in the order of the text.
        (
            "{{ idd }} {{ uid() }} {{ [idd, {'a': nope_at_all_x}] }}",
            &[
                ("idd", "unknown name `idd`", "did you mean `id`?"),
                ("uid", "unknown function `uid`", "did you mean `uuid`?"),
                ("idd", "unknown name `idd`", "did you mean `id`?"),
                ("nope_at_all_x", "unknown name `nope_at_all_x`", ""),
            ],
        ),
        // Names of the template itself.
        ("{% for x in items %}{{ x }}{% endfor %}{{ x }}", &[("x", "unknown name `x`", "")]),
        ("{% for x in xs %}{% endfor %}", &[("xs", "unknown name `xs`", "")]),
        ("{% set a = a %}", &[("a", "unknown name `a`", "")]),
        ("{% macro m(p) %}{{ q }}{% endmacro %}{{ p }}", &[("q", "unknown name `q`", ""), ("p", "unknown name `p`", "")]),
        (
            "{% if a1 %}{% elif b1 %}{% else %}{{ c1 }}{% endif %}",
            &[("a1", "unknown name `a1`", ""), ("b1", "unknown name `b1`", ""), ("c1", "unknown name `c1`", "")],
        ),
        // What there is not.
        (
            "{% include 'x' %}",
            &[(
                "include 'x'",
                "`{% include %}` is not available: a scenario has no other templates",
                "write the text where it is needed, or put it into `variables`",
            )],
        ),
        (
            "{% block a %}{% endblock %}",
            &[(
                "block a %}{% endblock",
                "`{% block %}` is not available: a scenario has no other templates",
                "write the text where it is needed, or put it into `variables`",
            )],
        ),
        // What cannot be read.
        ("/cars/{{ id", &[("{{", "`{{` is not closed", "write `}}` where it ends")]),
        ("/cars/{{ id }/x", &[("{{", "`{{` is not closed", "write `}}` where it ends")]),
        ("{{ id }/{{ id }}", &[("}", "expected `}}`, but found `}`", "")]),
        ("{{", &[("{{", "`{{` is not closed", "write `}}` where it ends")]),
        ("é {% if on", &[("{%", "`{%` is not closed", "write `%}` where it ends")]),
        ("{# note", &[("{#", "`{#` is not closed", "write `#}` where it ends")]),
        ("{% if on %}x", &[("{% if on %}", "`{% if %}` is not ended", "write `{% endif %}` where it ends")]),
        (
            "{% set a = 1 %}{% for x in items %}{% if on %}{% endif %}",
            &[("{% for x in items %}", "`{% for %}` is not ended", "write `{% endfor %}` where it ends")],
        ),
        ("{% raw %}x", &[("{% raw %}x", "`{% raw %}` is not ended", "write `{% endraw %}` where it ends")]),
        ("{% endif %}", &[("endif", "`{% endif %}` has nothing to belong to", "")]),
        ("{% fro x in items %}", &[("fro", "unknown statement `fro`", "did you mean `for`?")]),
        ("{{ }}", &[("}}", "an expression is missing here", "")]),
        ("{{ id on }}", &[("on", "expected `}}`, but found `on`", "")]),
        ("{{ id = 3 }}", &[("=", "expected `}}`, but found `=`", "to compare, write `==`")]),
        ("{{ 'id }}", &[("'id }}", "a text is not closed", "write the closing quotation mark")]),
        ("{{ on && off }}", &[("&", "unexpected `&`", "write `and`")]),
        ("{{ id. }}", &[("}}", "expected a name or a number, but found `}}`", "")]),
        ("{{ é }}", &[("é", "unexpected `é`", "")]),
    ];
    for (text, expected) in table {
        compare(text, Template::parse(text, &names()).expect_err(text), expected);
    }
}

#[test]
fn wrong_expressions() {
    let table: &[(&str, Expected<'_>)] = &[
        ("{{ id > 3 }}", &[("{{ id > 3 }}", "an expression here stands without `{{ }}`", "write `id > 3`")]),
        (" ", &[(" ", "the expression is empty", "write a condition such as `id > 10`")]),
        ("id = 3", &[("=", "unexpected `=` after the expression", "to compare, write `==`")]),
        ("id >", &[(">", "the expression ends too early", "")]),
        ("!on", &[("!", "unexpected `!`", "write `not`")]),
        (
            "on || off",
            &[("|", "expected a name, but found `|`", "for a choice of two write `or`; a filter's name stands after one `|`")],
        ),
        (
            "idd > 3 and uid()",
            &[("idd", "unknown name `idd`", "did you mean `id`?"), ("uid", "unknown function `uid`", "did you mean `uuid`?")],
        ),
    ];
    for (text, expected) in table {
        compare(text, Expression::parse(text, &names()).expect_err(text), expected);
    }
}

#[test]
fn few_names_are_listed() {
    let mut few = Names::new();
    few.open("car");
    let errors = Template::parse("{{ xyz }}", &few).unwrap_err();
    assert_eq!(errors[0].hint.as_deref(), Some("there is `car`, `iteration`, `response`, `run_id`, `user_id`"));
}

#[test]
fn references_are_what_is_used() {
    let text = "{{ env.API_USER }}/{% for x in items %}{{ x }}{{ accounts['email'] }}{% endfor %}{{ id | hmac_sha256(env.API_PASSWORD) }}";
    let template = Template::parse(text, &names()).unwrap();
    let got: Vec<_> = template.references().iter().map(|r| (&*r.root, r.field.as_deref(), &text[r.range.clone()])).collect();
    assert_eq!(
        got,
        [
            ("env", Some("API_USER"), "env.API_USER"),
            ("items", None, "items"),
            ("accounts", Some("email"), "accounts['email']"),
            ("id", None, "id"),
            ("env", Some("API_PASSWORD"), "env.API_PASSWORD"),
        ]
    );
    assert!(Template::literal("{{ id }}").references().is_empty());
}

#[test]
fn literals() {
    for (text, literal) in [
        ("/cars", Some("/cars")),
        ("{# x #}", Some("")),
        ("a{# x #}b", Some("ab")),
        ("{% raw %}{{{% endraw %}", Some("{{")),
        ("{{ id }}", None),
    ] {
        let template = Template::parse(text, &names()).unwrap();
        assert_eq!(template.as_literal(), literal, "{text}");
        assert_eq!(template.source(), text);
    }
    let raw = Template::literal("{{ nothing }} {%");
    assert_eq!(raw.as_literal(), Some("{{ nothing }} {%"));
    assert!(!raw.is_one_value());
}

#[test]
fn the_same_seed_gives_the_same_texts_on_every_thread() {
    let template = Template::parse("{{ uuid() }} {{ fake.name() }} {{ random_string(id) }}", &names()).unwrap();
    let texts: Vec<String> = std::thread::scope(|threads| {
        let start = |_| {
            threads.spawn(|| {
                let (scope, mut random, mut out) = (scope(), Random::new(8, 1), String::new());
                (0..20).for_each(|_| template.render(&scope, &mut random, &mut out).unwrap());
                out
            })
        };
        let running: Vec<_> = (0..4).map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(texts.iter().all(|text| *text == texts[0]));
    let mut other = String::new();
    template.render(&scope(), &mut Random::new(8, 2), &mut other).unwrap();
    assert!(!texts[0].starts_with(&other));
}

#[test]
fn templates_go_to_other_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<Template>();
    check::<Expression>();
    check::<JsonTemplate>();
    check::<Scope>();
}

/// What would exhaust the stack of a thread is refused; what is just below works.
#[test]
fn endless_expressions_are_refused() {
    let long = |n: usize| format!("{{{{ id{} }}}}", " + id".repeat(n));
    assert_eq!(render(&long(200)).as_deref(), Ok("1005"));
    for text in [
        long(201),
        long(100_000),
        format!("{{{{ {}id }}}}", "not ".repeat(50_000)),
        format!("{{{{ {}id }}}}", "-".repeat(50_000)),
        format!("{{{{ id{} }}}}", ".x".repeat(50_000)),
        format!("{{{{ id{} }}}}", "|int".repeat(50_000)),
        format!("{{{{ id{} }}}}", " if id else id".repeat(50_000)),
        format!("{{{{ {}id }}}}", "[".repeat(50_000)),
        format!("{{% if id %}}{}{{% endif %}}", "{% elif id %}".repeat(50_000)),
    ] {
        let errors = Template::parse(&text, &names()).expect_err("too large");
        assert!(errors[0].message.starts_with("this has more than 200 "), "{errors:?}");
    }
    let nested = format!("{}{}", "{% if id %}".repeat(10_000), "{% endif %}".repeat(10_000));
    assert!(Template::parse(&nested, &names()).is_err());
    let endless = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    assert!(render(endless).is_err());
    let many = "{{ id }},".repeat(2_000);
    assert_eq!(render(&many).unwrap().len(), 4_000);
}

fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        " ",
        "id",
        "accounts",
        ".",
        "email",
        "|",
        "upper",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "=",
        "==",
        "+",
        "-",
        "*",
        "~",
        "'",
        "\"",
        "1",
        "2.5",
        "if",
        "else",
        "elif",
        "endif",
        "for",
        "in",
        "endfor",
        "set",
        "endset",
        "x",
        "is",
        "not",
        "defined",
        "random_int",
        "fake",
        "raw",
        "endraw",
        "macro",
        "endmacro",
        "call",
        "endcall",
        "filter",
        "endfilter",
        "with",
        "endwith",
        "do",
        "block",
        "include",
        "é",
        "\n",
        "\\",
        "%",
        ":",
        "\u{0}",
    ]);
    prop::collection::vec(fragment, 0..24).prop_map(|fragments| fragments.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_gives_a_template_or_errors_with_places(text in prop_oneof![any::<String>(), fragments(), fragments().prop_map(|t| t.replace(' ', ""))]) {
        let check = |errors: Vec<ParseError>| {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(text.get(error.range.clone()).is_some_and(|marked| text.is_empty() || !marked.is_empty()), "{text:?}: {error:?}");
            }
        };
        match Template::parse(&text, &names()) {
            Ok(template) => {
                let mut out = String::new();
                let _ = template.render(&scope(), &mut Random::new(0, 0), &mut out);
            }
            Err(errors) => check(errors),
        }
        match Expression::parse(&text, &names()) {
            Ok(expression) => {
                let _ = expression.eval(&scope(), &mut Random::new(0, 0));
            }
            Err(errors) => check(errors),
        }
    }

    #[test]
    fn a_text_in_a_variable_arrives_unchanged(value: String, before in "[a-z/{}]{0,5}", after in "[a-z/%}]{0,5}") {
        prop_assume!(!before.contains("{{") && !before.ends_with('{'));
        let mut scope = scope();
        scope.set("text", Value::from(value.clone()));
        let template = Template::parse(&format!("{before}{{{{ text }}}}{after}"), &names()).unwrap();
        let mut out = String::new();
        template.render(&scope, &mut Random::new(0, 0), &mut out).unwrap();
        prop_assert_eq!(out, format!("{before}{value}{after}"));
    }
}
