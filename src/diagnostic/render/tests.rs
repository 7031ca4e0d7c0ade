//! The formats as they come out.

use super::*;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, FileId, Sources, Span};

fn sources() -> (Sources, FileId, FileId) {
    let mut sources = Sources::new();
    let a = sources.add("mappings/ä,1.yaml", "name: ünï\nrout: POST receive\nwhen:\n  a: 1\n  b: 2\n");
    let b = sources.add("patchcord.yaml", "channels: {x: {mapping: y}}\n");
    (sources, a, b)
}

fn problems(a: FileId, b: FileId) -> Diagnostics {
    let rout = Span::new(a, 12..16);
    [
        Diagnostic::new(Code::UnknownKey, rout, "`rout` means nothing here")
            .label("unknown key")
            .secondary(Span::new(b, 24..25), "used here")
            .help("keys are `route` and 100% others")
            .did_you_mean("rout", ["decode", "route"]),
        Diagnostic::new(Code::UnverifiedRoute, Span::new(a, 39..50), "anyone can call this"),
    ]
    .into_iter()
    .collect()
}

#[test]
fn text_is_like_that_of_rustc() {
    let (sources, a, b) = sources();
    assert_eq!(
        text(&problems(a, b), &sources, false),
        r"error[P0001]: `rout` means nothing here
 --> mappings/ä,1.yaml:2:1
  |
2 | rout: POST receive
  | ^^^^ unknown key
  |
 ::: patchcord.yaml:1:25
  |
1 | channels: {x: {mapping: y}}
  |                         - used here
  |
  = help: keys are `route` and 100% others
help: did you mean `route`?
  |
2 | route: POST receive
  |     +

warning[P0020]: anyone can call this
 --> mappings/ä,1.yaml:4:3
  |
4 |   a: 1
  |   ^^^^
"
    );
}

#[test]
fn colours_are_only_used_when_asked_for() {
    let (sources, a, b) = sources();
    assert!(text(&problems(a, b), &sources, true).contains("\u{1b}["));
    assert!(!text(&problems(a, b), &sources, false).contains('\u{1b}'));
}

#[test]
fn a_file_that_could_not_be_read_has_no_lines_to_show() {
    let mut sources = Sources::new();
    let file = sources.add("gone.yaml", "");
    let problems: Diagnostics =
        [Diagnostic::new(Code::FailedToRead, Span::new(file, 0..0), "permission denied")]
            .into_iter()
            .collect();
    let told = text(&problems, &sources, false);
    assert!(told.starts_with("error[P0027]: permission denied\n --> gone.yaml:1:1\n"), "{told}");
}

#[test]
fn an_endless_line_is_named_but_not_shown() {
    let mut sources = Sources::new();
    let file = sources.add("long.yaml", "é".repeat(4000));
    let span = Span::new(file, 2000..2002);
    let problems: Diagnostics =
        [Diagnostic::new(Code::WrongType, span, "x").fix(span, "y", "write `y`")].into_iter().collect();
    assert_eq!(
        text(&problems, &sources, false),
        "error[P0003]: x\n--> long.yaml:1:1001\n |\nhelp: write `y`\n--> long.yaml:1:1001\n"
    );
}

#[test]
fn json_says_everything() {
    let (sources, a, b) = sources();
    let found: serde_json::Value = serde_json::from_str(&json(&problems(a, b), &sources)).unwrap();
    let wanted = serde_json::json!([
        {
            "code": "P0001", "name": "unknown-key", "severity": "error", "message": "`rout` means nothing here",
            "file": "mappings/ä,1.yaml", "line": 2, "column": 1, "end_line": 2, "end_column": 5, "start": 12, "end": 16,
            "label": "unknown key",
            "related": [{
                "file": "patchcord.yaml", "line": 1, "column": 25, "end_line": 1, "end_column": 26, "start": 24, "end": 25,
                "label": "used here"
            }],
            "help": ["keys are `route` and 100% others"],
            "fix": {
                "message": "did you mean `route`?", "replacement": "route",
                "file": "mappings/ä,1.yaml", "line": 2, "column": 1, "end_line": 2, "end_column": 5, "start": 12, "end": 16
            }
        },
        {
            "code": "P0020", "name": "unverified-route", "severity": "warning", "message": "anyone can call this",
            "file": "mappings/ä,1.yaml", "line": 4, "column": 3, "end_line": 5, "end_column": 7, "start": 39, "end": 50,
            "label": "", "related": [], "help": [], "fix": null
        }
    ]);
    assert_eq!(found, wanted);
    assert_eq!(json(&Diagnostics::new(), &sources), "[]");
}

#[test]
fn github_commands_are_escaped() {
    let (sources, a, b) = sources();
    assert_eq!(
        github(&problems(a, b), &sources),
        "::error file=mappings/ä%2C1.yaml,line=2,col=1,endLine=2,endColumn=5,title=P0001 unknown-key::`rout` means \
         nothing here%0Aunknown key%0Akeys are `route` and 100%25 others%0Adid you mean `route`?\n\
         ::warning file=mappings/ä%2C1.yaml,line=4,col=3,endLine=5,title=P0020 unverified-route::anyone can call this\n"
    );
}
