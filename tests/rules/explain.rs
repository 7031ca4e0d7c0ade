//! The pages of `check --explain`: the wrong example of each really is wrong in that way, the right one is not.

use std::fs;
use std::path::Path;

use patchcord::diagnostic::{Code, Diagnostics, Sources};
use patchcord::yaml::{Kind, Node, parse};

use crate::program::{run, scratch};

/// What a fragment is put into so that it is a whole file.
struct Frame {
    /// The file that is checked.
    file: &'static str,
    /// The text around the fragment; it goes where `@` stands, with the indentation of that line.
    text: &'static str,
}

const MAPPING: &str = "mapping.yaml";
const INSTALLATION: &str = "patchcord.yaml";

/// A mapping in which a fragment stands where its keys belong.
fn frame(code: Code, fragment: &str) -> Frame {
    let top = fragment.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    let key = top.split(':').next().unwrap_or_default();
    let (file, text) = match (code, key) {
        (Code::UnknownMapping | Code::LiteralSecret | Code::MissingSecret, _)
        | (_, "channels" | "platform" | "mappings") => match key {
            "channels" => (INSTALLATION, "@\n"),
            "config" => (
                INSTALLATION,
                "channels:\n  one:\n    mapping: acme\n    platform: {webhook_url: \"https://p.example/\", channel_id: c, token: {file: token}}\n    @\n",
            ),
            _ => (
                INSTALLATION,
                "@\nchannels: {one: {mapping: acme, platform: {webhook_url: \"https://p.example/\", channel_id: c}, config: {api_key: {file: token}}}}\n",
            ),
        },
        (Code::NameMismatch, _) => {
            ("acme.yaml", "patchcord: 1\n@\ncontact_id: phone\nsend: {steps: [{request: {url: a}}]}\n")
        }
        (Code::DuplicateKey, _) => ("acme.yaml", "patchcord: 1\n@\n"),
        (Code::UnknownStatus, "tables") => (
            MAPPING,
            "@\nwebhooks:\n  - route: POST status\n    events:\n      - {emit: message_status, id: $.id, status: {$table: status, key: $.code}}\n",
        ),
        (_, "calls") => (
            MAPPING,
            "@\nsend: {steps: [{request: {url: 'https://a.example/', query: {a: {$call: token}}}}]}\n",
        ),
        (_, "send" | "webhooks" | "tables" | "config" | "contact_id" | "http") => (MAPPING, "@\n"),
        (_, "route") => (MAPPING, "webhooks:\n  - reply: ok\n    @\n"),
        (_, "text" | "id" | "when" | "let" | "contact") => {
            (MAPPING, "webhooks:\n  - route: POST receive\n    events:\n      - emit: message\n        @\n")
        }
        (code, key) => panic!("{code}: no frame for `{key}`"),
    };
    Frame { file, text }
}

/// The fragment in its frame. What stands at the top of a mapping and goes with keys of an event (as `tables`
/// goes with `id`) is put there.
fn complete(code: Code, fragment: &str) -> (&'static str, String) {
    let inner = ["text", "id", "when", "let", "contact"];
    let head = |line: &str| line.split(':').next().unwrap_or_default().to_string();
    let (mut top, mut event) = (String::new(), String::new());
    let mut into_event = false;
    for line in fragment.lines() {
        if !line.starts_with(' ') && !line.starts_with('#') {
            into_event = inner.contains(&head(line).as_str());
        }
        let target = if into_event { &mut event } else { &mut top };
        target.push_str(line);
        target.push('\n');
    }
    let (main, rest) = if event.is_empty() { (top.clone(), String::new()) } else { (event, top) };
    let Frame { file, text } = frame(code, &main);
    let mut whole = rest;
    for line in text.lines() {
        match line.strip_suffix('@') {
            Some(indent) => main.lines().for_each(|line| whole.extend([indent, line, "\n"])),
            None => whole.extend([line, "\n"]),
        }
    }
    if file == MAPPING && code != Code::InvalidYaml && code != Code::DuplicateKey {
        for (key, line) in
            [("patchcord", "patchcord: 1"), ("name", "name: mapping"), ("contact_id", "contact_id: phone")]
        {
            if !whole.lines().any(|found| found.starts_with(&format!("{key}:"))) {
                whole.extend([line, "\n"]);
            }
        }
    }
    (file, whole)
}

fn check(folder: &Path, file: &str, text: &str) -> Vec<String> {
    fs::create_dir_all(folder.join("mappings")).unwrap();
    let acme = "patchcord: 1\nname: acme\ncontact_id: phone\nconfig: {api_key: {secret: true}}\nhttp: {auth: {bearer: \"{{config.api_key}}\"}}\nsend: {steps: [{request: {url: a}}]}\n";
    fs::write(folder.join("mappings/acme.yaml"), acme).unwrap();
    fs::write(folder.join("errors.yaml"), "\"1\": one\n").unwrap();
    fs::write(folder.join("prefixes.yaml"), "\"1201\": US\n").unwrap();
    fs::write(folder.join("token"), "secret\n").unwrap();
    fs::write(folder.join(file), text).unwrap();
    let output = run(folder, ["check", "--format", "json", file]);
    let problems: Vec<serde_json::Value> = serde_json::from_str(&output.stdout).unwrap();
    problems.iter().map(|problem| problem["code"].as_str().unwrap().to_string()).collect()
}

fn blocks(page: &str) -> Vec<String> {
    page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_string()).collect()
}

/// Pages whose example can't be shown by `check` of one small file; each has a fixture.
const SHOWN_OTHERWISE: &[Code] = &[
    Code::TooLarge,      // 30,000 rows
    Code::FailedToRead,  // bytes that are no text
    Code::MissingSecret, // only looked up by `serve`
];

#[test]
fn the_wrong_example_of_every_page_is_wrong_in_that_way_and_the_right_one_is_not() {
    for code in Code::ALL {
        let page = code.explain();
        let [wrong, right] = blocks(&page).try_into().unwrap();
        let folder = scratch(&format!("explain-{}", code.name()));
        let (file, text) = complete(*code, &right);
        let found = check(&folder, file, &text);
        let allowed = |found: &String| {
            // The frame is as small as can be: nothing proves who calls, nothing reads what is declared, and
            // a fragment may lack what the page is not about.
            [Code::UnverifiedRoute, Code::UnusedName, Code::MissingKey, Code::UndeclaredConfig]
                .iter()
                .any(|small| small != code && small.as_str() == found)
        };
        let bad: Vec<_> = found.into_iter().filter(|found| !allowed(found)).collect();
        assert!(bad.is_empty(), "{code}: the right example has {bad:?}\n{text}");
        if SHOWN_OTHERWISE.contains(code) {
            continue;
        }
        let (file, text) = complete(*code, &wrong);
        let found = check(&folder, file, &text);
        assert!(
            found.iter().any(|found| found == code.as_str()),
            "{code}: the wrong example has {found:?}\n{text}"
        );
    }
}

#[test]
fn explain_prints_the_page_of_a_code_or_name_and_lists_all() {
    let folder = scratch("explain");
    for code in Code::ALL {
        for name in [code.as_str().to_string(), code.name().to_string(), code.as_str().to_lowercase()] {
            let output = run(&folder, ["check", "--explain", &name]);
            assert_eq!(output.code, 0);
            assert!(output.stdout.starts_with(&format!(
                "{} {}\n\n{}",
                code.as_str(),
                code.name(),
                code.summary()
            )));
        }
    }
    let all = run(&folder, ["check", "--explain"]);
    assert_eq!(all.stdout.lines().count(), Code::ALL.len());
    let unknown = run(&folder, ["check", "--explain", "P9999"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""));
}

/// An example must be YAML that the reader takes, unless that is what the page is about.
#[test]
fn every_example_is_yaml() {
    for code in Code::ALL {
        if matches!(code, Code::InvalidYaml | Code::QuoteNeeded | Code::DuplicateKey) {
            continue;
        }
        for block in blocks(&code.explain()) {
            let mut sources = Sources::new();
            let file = sources.add("example", block.as_str());
            let mut out = Diagnostics::new();
            let node: Option<Node> = parse(file, &sources, &mut out);
            assert!(
                out.is_empty() && node.is_some_and(|node| matches!(node.kind, Kind::Map(_))),
                "{code}: {block}"
            );
        }
    }
}
