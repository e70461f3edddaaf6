//! What rendering costs: `cargo bench --bench template`. A text without templates is the ground; a URL with two variables may add 0.6 µs to
//! it. The variables are those of a real user: a capture, a row, a number, a constant.

use std::sync::Arc;

use divan::{Bencher, black_box};
use otload::random::Random;
use otload::template::{Expression, JsonTemplate, Names, Scope, Shared, Template, Value, from_json};
use serde_json::json;

fn main() {
    divan::main();
}

const TEXTS: &[(&str, &str)] = &[
    ("without templates", "/cars/1234567/wheels/front-left"),
    ("one variable", "/cars/{{ id }}/wheels/front-left"),
    ("two variables", "/cars/{{ id }}/wheels/{{ wheel }}"),
    ("two fields of rows", "/cars/{{ car.id }}/wheels/{{ car.wheel }}"),
    ("user_id and iteration", "/cars/{{ user_id }}/wheels/{{ iteration }}"),
    ("random_int", "/cars/{{ random_int(1, 1000000) }}"),
    ("uuid", "/cars/{{ uuid() }}"),
    ("a filter", "/cars/{{ wheel | urlencode }}"),
    ("a sum", "/cars/{{ id + 1 }}"),
    ("a statement", "/cars/{% if id > 5 %}{{ id }}{% endif %}"),
];

fn names() -> Names {
    let mut names = Names::new();
    ["id", "wheel", "car", "currency"].into_iter().for_each(|name| names.open(name));
    names
}

/// As a user has it in the middle of its work.
fn scope() -> Scope {
    let mut shared = Shared::new("20261124-093000-abcd");
    shared.set("currency", Value::from("EUR"));
    let mut scope = Scope::new(Arc::new(shared), 123);
    scope.set("car", from_json(&json!({"id": "1234567", "wheel": "front-left"})));
    scope.set("id", Value::from(1_234_567));
    scope.set("wheel", Value::from("front-left"));
    scope.set_iteration(42);
    scope
}

#[divan::bench(args = TEXTS.iter().map(|(name, _)| name))]
fn render(bencher: Bencher<'_, '_>, name: &str) {
    let Some(template) =
        TEXTS.iter().find(|(known, _)| *known == name).and_then(|(_, text)| Template::parse(text, &names()).ok())
    else {
        return;
    };
    let (scope, mut random, mut out) = (scope(), Random::new(1, 2), String::with_capacity(256));
    bencher.bench_local(|| {
        out.clear();
        let done = black_box(&template).render(&scope, &mut random, &mut out);
        black_box((&out, done.is_ok()));
    });
}

/// The ground below the ground: what a text costs that no template knows of.
#[divan::bench]
fn copy(bencher: Bencher<'_, '_>) {
    let mut out = String::with_capacity(256);
    bencher.bench_local(|| {
        out.clear();
        out.push_str(black_box(TEXTS[0].1));
        black_box(&out);
    });
}

#[divan::bench(args = ["id > 10", "id", "wheel == 'front-left' and id % 2 == 1"])]
fn decide(bencher: Bencher<'_, '_>, text: &str) {
    let Ok(expression) = Expression::parse(text, &names()) else { return };
    let (scope, mut random) = (scope(), Random::new(1, 2));
    bencher.bench_local(|| black_box(&expression).is_true(&scope, &mut random));
}

/// `{"id": …, "wheel": …, "currency": "EUR", "quantity": 1}`
#[divan::bench]
fn json_with_two_variables(bencher: Bencher<'_, '_>) {
    let text =
        |text: &str| Template::parse(text, &names()).map_or_else(|_| JsonTemplate::constant(&json!(null)), JsonTemplate::text);
    let member = |name: &str, value: JsonTemplate| (Template::literal(name), value);
    let document = JsonTemplate::map(vec![
        member("id", text("{{ id }}")),
        member("wheel", text("{{ wheel }}")),
        member("currency", JsonTemplate::constant(&json!("EUR"))),
        member("quantity", JsonTemplate::constant(&json!(1))),
    ]);
    let (scope, mut random, mut out) = (scope(), Random::new(1, 2), String::with_capacity(256));
    bencher.bench_local(|| {
        out.clear();
        let done = black_box(&document).render(&scope, &mut random, &mut out);
        black_box((&out, done.is_ok()));
    });
}
