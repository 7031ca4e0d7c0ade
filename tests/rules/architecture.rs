//! How the code is laid out: who may know whom, and what stands in no file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{files, root};

/// A source file: its path below `src`, and its text.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    files(&src, ".rs")
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The top-level module of a file.
fn module(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Whether a file is only compiled for tests.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs") || path.ends_with("conformance.rs")
}

/// The code of a file without its comments and its tests.
fn code(text: &str) -> String {
    let (before, tests) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((text, ""));
    // What follows the tests is code again.
    let behind = tests.split_once("\n}\n").map_or("", |(_, behind)| behind);
    let text = format!("{before}{behind}");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules that a piece of code names behind `crate::`, also within `crate::{a, b}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let word =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(['$', '_'])
            || code[..at].chars().next_back().is_some_and(char::is_alphanumeric)
        {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    found.insert(word(&group[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn modules_know_only_those_that_they_may() {
    const NEVER: &[(&str, &[&str])] = &[
        ("memory", &["spec", "yaml", "compile", "pipeline", "server", "store", "delivery"]),
        ("message", &["spec", "yaml", "compile", "pipeline", "server", "store", "delivery"]),
        ("expression", &["spec", "yaml", "server", "compile", "plan", "pipeline"]),
        (
            "wire",
            &[
                "spec", "yaml", "server", "compile", "plan", "pipeline", "call", "store", "delivery",
                "platform", "load", "world", "message", "gateway",
            ],
        ),
        ("plan", &["spec", "yaml", "server", "compile", "pipeline"]),
        ("pipeline", &["spec", "yaml", "server", "compile", "store", "delivery"]),
        ("diagnostic", &["spec", "yaml", "compile", "expression", "plan"]),
        ("yaml", &["spec", "compile", "plan", "pipeline", "server"]),
        ("spec", &["compile", "pipeline", "server"]),
        ("compile", &["pipeline", "server", "store", "delivery"]),
        ("media", &["spec", "yaml", "compile", "server", "store", "delivery"]),
        ("delivery", &["pipeline", "spec", "yaml", "server"]),
        ("store", &["pipeline", "spec", "yaml", "server", "delivery"]),
    ];
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let Some((module, never)) = NEVER.iter().find(|(name, _)| *name == module(&path)) else { continue };
        for import in imports(&code(&text)) {
            if never.contains(&import.as_str()) && !is_test(&path) {
                broken.push(format!("{path}: {module} must not know `{import}`"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_outside_crate_has_one_home() {
    /// A crate, and the places that may use it.
    const HOMES: &[(&str, &[&str])] = &[
        ("serde_yaml", &["yaml/"]),
        ("axum", &["server/", "sandbox/"]),
        ("hyper", &["call/", "server/", "sandbox/"]),
        ("hyper_util", &["call/", "server/", "sandbox/"]),
        ("hyper_rustls", &["call/client.rs"]),
        ("h2", &["call/client.rs"]),
        ("tower", &["call/", "server/"]),
        ("reqwest", &["sandbox/"]),
        ("rusqlite", &["store/sqlite/"]),
        ("tokio_postgres", &["store/postgres/"]),
        ("crc32fast", &["store/sqlite/redo/"]),
        ("clap", &["cli/"]),
        ("rustix", &["cli/"]),
        ("anstream", &["cli/"]),
        ("tracing_subscriber", &["cli/"]),
        ("jsonpath_rust", &["expression/query/"]),
        ("pest", &["expression/query/"]),
        ("regex_syntax", &["expression/pattern.rs"]),
        ("rlibphonenumber", &["expression/helper/phone.rs"]),
        ("encoding_rs", &["expression/helper/bytes.rs"]),
        ("roxmltree", &["wire/xml.rs"]),
        ("quick_xml", &["expression/helper/format.rs"]),
        ("pulldown_cmark", &["expression/helper/markdown.rs"]),
        ("unicode_normalization", &["expression/gsm7.rs"]),
        ("aws_lc_rs", &["expression/helper/key.rs", "pipeline/"]),
        ("handlebars", &["sandbox/"]),
        ("annotate_snippets", &["diagnostic/render/"]),
        ("schemars", &["spec/", "plan/words.rs"]),
    ];
    let mut broken = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let code = code(text);
        for (name, homes) in HOMES {
            let used = code
                .match_indices(&format!("{name}::"))
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
            if used && !homes.iter().any(|home| path.starts_with(home)) {
                broken.push(format!("{path} uses `{name}`, whose home is {}", homes.join(", ")));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "these files don't begin with `//!`: {}", silent.join(", "));
}

#[test]
fn nothing_is_swept_under_the_carpet() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            let place = format!("{path}:{}: {}", at + 1, line.trim());
            let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
            let silenced = has(&["allow(", "expect(clippy"])
                && has(&["clippy::unwrap_used", "clippy::expect_used", "clippy::panic"]);
            let left = has(&["todo!(", "unimplemented!(", "FIXME"]);
            if silenced || left || has(&["unsafe {", "unsafe fn", "unsafe impl"]) {
                broken.push(place);
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The names of the shipped mappings, but for those that are common words.
fn providers() -> BTreeSet<String> {
    const COMMON: &[&str] = &["generic", "external", "custom", "sms", "webhook", "http", "line", "messenger"];
    let names = files(&root().join("mappings"), ".yaml").into_iter().map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.split('.').next().unwrap_or_default().to_lowercase()
    });
    names.filter(|name| !COMMON.contains(&name.as_str())).collect()
}

#[test]
fn no_provider_is_named_in_the_source() {
    let providers = providers();
    assert!(!providers.is_empty());
    let mut found = Vec::new();
    let mut all: Vec<PathBuf> = files(&root().join("src"), "");
    all.retain(|path| fs::read_to_string(path).is_ok());
    for path in all {
        let shown = path.strip_prefix(root()).unwrap_or(Path::new("")).display().to_string();
        for (at, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let lower = line.to_lowercase();
            let words = lower.split(|c: char| !c.is_alphanumeric());
            for word in words.filter(|word| providers.contains(*word)) {
                found.push(format!("{shown}:{}: {word}", at + 1));
            }
        }
    }
    assert!(found.is_empty(), "mappings are data, src must not know them:\n{}", found.join("\n"));
}

/// What is changed elsewhere than in `Tx` would be missing after a crash.
#[test]
fn every_change_of_the_store_is_taken_down() {
    let home = |name: &str| {
        name.starts_with("store/sqlite/redo/")
            || ["tx", "writer", "connect", "schema", "checkpoint", "copy"]
                .iter()
                .any(|own| name == format!("store/sqlite/{own}.rs"))
    };
    let all = sources();
    let store = all.iter().filter(|(name, _)| name.starts_with("store/sqlite/") && !is_test(name));
    assert!(store.clone().any(|(name, text)| home(name) && code(text).contains(".execute(")));
    for (name, text) in store.filter(|(name, _)| !home(name)) {
        for call in [".execute(", ".execute_batch(", ".insert(params", ".raw_execute("] {
            assert!(!code(text).contains(call), "{name}: `{call}` changes what no log has");
        }
    }
}

#[test]
fn every_mapping_has_tests() {
    for path in files(&root().join("mappings"), ".yaml") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_test = name.ends_with(".test.yaml");
        let Some(stem) = name
            .strip_suffix(".yaml")
            .filter(|_| !is_test && path.parent() == Some(&root().join("mappings")))
        else {
            continue;
        };
        assert!(path.with_file_name(format!("{stem}.test.yaml")).exists(), "{name} has no tests");
    }
}
