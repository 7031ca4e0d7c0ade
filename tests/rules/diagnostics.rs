//! What people are told: a folder of `tests/fixtures/check` per case, its whole output compared.
//!
//! A folder is called after the code that it is about, holds `mapping.yaml` or `patchcord.yaml`, and `args.txt`
//! where another command than `check` on that file is to be run. `PATCHCORD_UPDATE=1` rewrites what is expected.

use std::fs;
use std::path::{Path, PathBuf};

use patchcord::diagnostic::Code;

use crate::program::{Output, run, text_of};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/check");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn outcome(folder: &Path) -> String {
    let args = fs::read_to_string(folder.join("args.txt")).unwrap_or_else(|_| {
        let name = if folder.join("patchcord.yaml").exists() { "patchcord.yaml" } else { "mapping.yaml" };
        format!("check {name}")
    });
    let Output { stdout, stderr, code } = run(folder, args.split_whitespace());
    format!("{stdout}{stderr}exit {code}\n")
}

#[test]
fn every_fixture_is_told_to_the_letter() {
    let update = std::env::var_os("PATCHCORD_UPDATE").is_some();
    let mut different = Vec::new();
    for folder in folders() {
        let (path, found) = (folder.join("expected.txt"), outcome(&folder));
        if update {
            fs::write(&path, &found).unwrap();
        } else if text_of(&path) != found {
            different.push(format!(
                "{}\n--- expected\n{}--- found\n{found}",
                folder.display(),
                text_of(&path)
            ));
        }
    }
    assert!(different.is_empty(), "PATCHCORD_UPDATE=1 rewrites what is expected\n{}", different.join("\n"));
}

#[test]
fn every_code_has_a_fixture_and_every_fixture_its_code() {
    let told: Vec<(String, String)> = folders()
        .iter()
        .map(|folder| {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            (name, text_of(&folder.join("expected.txt")))
        })
        .collect();
    for code in Code::ALL {
        let mark = format!("[{}]", code.as_str());
        let shown = told.iter().any(|(name, text)| name.starts_with(code.as_str()) && text.contains(&mark));
        assert!(shown, "no fixture shows {} {}", code.as_str(), code.name());
    }
    for (name, _) in told {
        let known = Code::ALL.iter().any(|code| name.starts_with(code.as_str()));
        assert!(known || !name.starts_with('P'), "{name} is named after no code");
    }
}
