//! `check`: every problem of mappings and of `patchcord.yaml`, in one run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{Trouble, Verdict, print};
use crate::diagnostic::{Code, Diagnostics, Severity, Sources, github, json, text};
use crate::load::{Library, check_installation, test_file_of};
use crate::rehearsal::read_tests;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders; `mappings` and, if it is there, `patchcord.yaml` unless given
    paths: Vec<PathBuf>,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Apply the fixes that need no thought
    #[arg(long)]
    fix: bool,
    /// Explain a code, such as P0001, or all of them
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = "all", conflicts_with_all = ["paths", "fix"])]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Github,
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    if let Some(code) = &args.explain {
        return explain(code);
    }
    if args.fix {
        return fix(&args.paths);
    }
    let (sources, mut problems, files) = read(&args.paths)?;
    problems.sort();
    match args.format {
        Format::Text => {
            if !problems.is_empty() {
                print(&text(&problems, &sources, true));
                anstream::eprintln!();
            }
            summary(&problems, files);
        }
        Format::Json => print(&json(&problems, &sources)),
        Format::Github => print(&github(&problems, &sources)),
    }
    Ok(Verdict::of(!problems.has_errors()))
}

/// Reads everything that the paths stand for.
fn read(paths: &[PathBuf]) -> Result<(Sources, Diagnostics, usize), Trouble> {
    let (configs, mut mappings): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().cloned().partition(|path| path.file_name().is_some_and(|name| name == "patchcord.yaml"));
    if paths.is_empty() {
        mappings.push("mappings".into());
    }
    let implied = paths.is_empty() && PathBuf::from("patchcord.yaml").exists();
    let configs = if implied { vec![PathBuf::from("patchcord.yaml")] } else { configs };
    let mut library = Library::read(&mappings)?;
    for mapping in library.mappings.clone() {
        let tests = test_file_of(&mapping.path);
        if tests.exists() {
            read_tests(&tests, &mapping, &mut library);
        }
    }
    for path in configs {
        check_installation(&path, &mut library);
    }
    let Library { sources, problems, .. } = library;
    let files = sources.files().count();
    Ok((sources, problems, files))
}

fn summary(problems: &Diagnostics, files: usize) {
    let of = |severity| problems.iter().filter(|problem| problem.severity() == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    anstream::eprintln!(
        "{} checked: {}, {}",
        plural(files, "file"),
        plural(errors, "error"),
        plural(warnings, "warning")
    );
}

/// Applies fixes until none is left: one may uncover the next, and two may overlap.
fn fix(paths: &[PathBuf]) -> Result<Verdict, Trouble> {
    const ROUNDS: usize = 16;
    let mut changed = BTreeSet::new();
    for round in 0.. {
        let (sources, mut problems, files) = read(paths)?;
        problems.sort();
        let fixed = sources.files().filter_map(|file| Some((file, problems.fixed(file, &sources)?)));
        let fixed: Vec<_> = fixed.collect();
        if fixed.is_empty() || round == ROUNDS {
            if !problems.is_empty() {
                print(&text(&problems, &sources, true));
            }
            for path in &changed {
                anstream::eprintln!("fixed {path}");
            }
            summary(&problems, files);
            return Ok(Verdict::of(!problems.has_errors()));
        }
        for (file, text) in fixed {
            replace(Path::new(sources.path(file)), &text)?;
            changed.insert(sources.path(file).to_string());
        }
    }
    Ok(Verdict::Findings)
}

/// Puts a text in the place of a file at once, so that an interruption leaves the old or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".fixing");
    let beside = path.with_file_name(name);
    let written = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, std::fs::metadata(&path)?.permissions()))
        .and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn explain(code: &str) -> Result<Verdict, Trouble> {
    if code == "all" {
        let lines = Code::ALL.iter().map(|code| {
            format!(
                "{} {:18} {}",
                code.as_str(),
                code.name(),
                code.explain().lines().next().unwrap_or_default().trim()
            )
        });
        print(&lines.collect::<Vec<_>>().join("\n"));
        return Ok(Verdict::Good);
    }
    let code = Code::find(code)
        .ok_or_else(|| Trouble(format!("there is no code `{code}`; `--explain` alone lists all")))?;
    print(&format!("{} {}\n\n{}", code.as_str(), code.name(), code.explain()));
    Ok(Verdict::Good)
}
