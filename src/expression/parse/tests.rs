//! The language of templates, and what is wrong with a template.

use super::*;
use crate::expression::{Env, Failure, Read, Scope, Value};
use crate::world::World;

fn names() -> Names {
    Names::of(&[Scope::It, Scope::Root, Scope::Message, Scope::Config])
        .declare(Some(vec![("key".into(), Read::default())]), Some(vec![]))
}

fn problems(source: &str) -> Vec<(Range<usize>, ProblemKind)> {
    let mut problems = Vec::new();
    template(source, &names(), &mut problems);
    problems.into_iter().map(|problem| (problem.range, problem.kind)).collect()
}

fn eval(source: &str, it: &str) -> Result<Value, Failure> {
    let mut problems = Vec::new();
    let text = template(source, &names(), &mut problems);
    assert!(problems.is_empty(), "{source}: {problems:?}");
    let world = World::fixed(0, 0);
    let mut env = Env::new(&world);
    env.set(Scope::It, Value::from_json(it.as_bytes()).unwrap());
    match text.lone() {
        Some(expr) => expr.eval(&mut env),
        None => text.eval(&mut env),
    }
}

#[test]
fn every_problem_is_found_in_one_pass_at_its_characters() {
    assert_eq!(
        problems("{{it.a}} {{nope}} {{uper it.a}} {{config.kee}}"),
        [(11..15, ProblemKind::Name), (20..24, ProblemKind::Helper), (41..44, ProblemKind::Config),]
    );
    assert_eq!(problems("a {{it.a"), [(2..4, ProblemKind::Template)]);
    assert_eq!(problems("{{message.txt}}"), [(10..13, ProblemKind::Name)]);
    assert_eq!(problems("{{upper it.a it.b}}"), [(2..7, ProblemKind::Arguments)]);
    assert_eq!(problems("{{rows it.a maxwidth=3}}"), [(12..20, ProblemKind::Arguments)]);
    assert_eq!(problems("{{re_test it.a '('}}"), [(16..17, ProblemKind::Regex)]);
    assert_eq!(problems("{{path it '$.a['}}"), [(14..15, ProblemKind::Path)]);
    assert_eq!(problems("{{#if it.a}}x"), [(0..12, ProblemKind::Template)]);
    assert_eq!(problems("x{{/if}}"), [(1..8, ProblemKind::Template)]);
    assert_eq!(problems("{{part.text}}"), [(2..6, ProblemKind::Name)]);
    assert_eq!(problems("{{> p}}"), [(2..3, ProblemKind::Template)]);
    assert_eq!(problems("{{'open}}"), [(2..3, ProblemKind::Template)]);
    assert_eq!(problems("{{it.a + 1}}"), [(7..8, ProblemKind::Template)]);
    assert_eq!(
        problems("{{nope}} {{it.a and {{nope}} {{upper 'x}} {{nope}} {{it.b"),
        [
            (9..11, ProblemKind::Template),
            (37..38, ProblemKind::Template),
            (51..53, ProblemKind::Template),
            (2..6, ProblemKind::Name),
            (22..26, ProblemKind::Name),
            (44..48, ProblemKind::Name),
        ],
        "what can't be read hides nothing around it"
    );
}

#[test]
fn lone_expressions_keep_their_type() {
    assert_eq!(
        eval("{{it.n}}", r#"{"n":12345678901234567890}"#).unwrap(),
        Value::Int(12_345_678_901_234_567_890)
    );
    assert_eq!(eval(" {{it.n}}", r#"{"n":1}"#).unwrap(), Value::text(" 1"));
    assert_eq!(eval("{{it.[a b].0}}", r#"{"a b":["x"]}"#).unwrap(), Value::text("x"));
    assert_eq!(eval("{{concat 'a}}' '\\'' \"\\n\"}}", "null").unwrap(), Value::text("a}}'\n"));
}

#[test]
fn nothing_is_escaped_but_what_is_asked_for() {
    assert_eq!(eval("<{{it}}> \\{{it}}", "\"a&b\"").unwrap(), Value::text("<a&b> {{it}}"));
}

#[test]
fn hostile_templates_are_refused_without_a_crash() {
    assert_eq!(problems(&"{{#if it.a}}".repeat(3000)).len(), 65);
    assert_eq!(problems(&format!("{{{{{}it.a{}}}}}", "(not ".repeat(3000), ")".repeat(3000))).len(), 1);
    assert_eq!(problems(&"x".repeat(70_000)).len(), 1);
    assert!(
        eval("{{#each it}}{{#each it}}{{#each it}}{{@index}}{{/each}}{{/each}}{{/each}}", "[[[1]]]").is_ok()
    );
}

#[test]
fn text_templates_are_handlebars() {
    let mut handlebars = handlebars::Handlebars::new();
    handlebars.register_escape_fn(handlebars::no_escape);
    let json = r#"{"a":"x & y","n":3,"list":["p","q"],"none":[],"yes":true,"no":"","m":{"k":"v"}}"#;
    let data: serde_json::Value = serde_json::from_str(json).unwrap();
    for source in [
        "plain",
        "{{it.a}}!",
        "{{{it.a}}}",
        "{{&it.a}} {{it.n}}",
        "{{#if it.yes}}1{{else}}2{{/if}}",
        "{{#if it.no}}1{{else if it.yes}}2{{else}}3{{/if}}",
        "{{#unless it.no}}u{{/unless}}",
        "a {{~it.n~}} b",
        "{{! comment }}x{{!-- {{it.a}} --}}y",
        "{{#each it.none}}i{{else}}none{{/each}}",
        "{{#if it.yes}}\n  line\n{{/if}}\nend",
        "  {{#if it.no}}\n a\n  {{else}}\n b\n  {{/if}}\nend\n",
        "\n{{! alone }}\nz",
        "{{it.m.k}}{{it.[m].[k]}}",
        "{{#if it.missing}}1{{/if}}-{{it.missing}}-",
        "{{#if it.yes}} {{~#if it.n~}} deep {{~/if~}} {{/if}}.",
    ] {
        let theirs = handlebars.render_template(source, &serde_json::json!({"it": data})).unwrap();
        let ours = eval(source, json).unwrap().to_text();
        assert_eq!(ours, theirs, "{source:?}");
    }
}
