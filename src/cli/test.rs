//! `test`: the tests of mappings.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Trouble, Verdict, print};
use crate::diagnostic::text;
use crate::expression::Value;
use crate::load::{Library, test_file_of};
use crate::rehearsal::{CaseResult, read_tests, run_tests};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Mappings, test files and folders; `mappings` unless given
    paths: Vec<PathBuf>,
    /// Only tests whose name holds this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print everything that came of a failed test
    #[arg(long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The results of one test file.
struct Suite {
    mapping: String,
    path: String,
    results: Vec<(usize, CaseResult)>,
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let paths = if args.paths.is_empty() { vec![PathBuf::from("mappings")] } else { args.paths.clone() };
    let mut library = Library::read(&paths)?;
    let mut suites = Vec::new();
    let mut untested = Vec::new();
    for mapping in library.mappings.clone() {
        let path = test_file_of(&mapping.path);
        if !path.exists() {
            untested.push(mapping.path);
            continue;
        }
        let read = read_tests(&path, &mapping, &mut library);
        if let (Some(name), Some(read)) = (&mapping.name, read) {
            let results = run_tests(&mapping, &read)
                .into_iter()
                .filter(|result| args.only.as_ref().is_none_or(|text| result.name.contains(text.as_str())));
            let results = results.map(|result| (library.sources.start(result.span).line, result)).collect();
            suites.push(Suite { mapping: name.to_string(), path: path.display().to_string(), results });
        }
    }
    if library.problems.has_errors() {
        library.problems.sort();
        print(&text(&library.problems, &library.sources, true));
    }
    match args.format {
        Format::Text => report(&suites, args.verbose),
        Format::Json => print(&as_json(&suites)),
    }
    for path in &untested {
        anstream::eprintln!(
            "warning: {} has no tests ({} is missing)",
            path.display(),
            test_file_of(path).display()
        );
    }
    let passed = suites.iter().flat_map(|suite| &suite.results).all(|(_, result)| result.passed());
    Ok(Verdict::of(passed && !library.problems.has_errors()))
}

fn report(suites: &[Suite], verbose: bool) {
    let (mut passed, mut failed) = (0, 0);
    for suite in suites {
        let good = suite.results.iter().filter(|(_, result)| result.passed()).count();
        passed += good;
        failed += suite.results.len() - good;
        let mark = if good == suite.results.len() { "ok  " } else { "FAIL" };
        print(&format!("{mark} {} ({good} of {})", suite.mapping, suite.results.len()));
        for (line, result) in suite.results.iter().filter(|(_, result)| !result.passed()) {
            print(&format!("\n  FAIL {}\n       {}:{line}", result.name, suite.path));
            if let Some(why) = &result.broken {
                print(&format!("       {why}"));
            }
            for difference in &result.differences {
                print(&format!(
                    "       {}\n         - expected {}\n         + found    {}",
                    difference.path, difference.expected, difference.found
                ));
            }
            if verbose {
                let outcome = serde_json::to_string_pretty(&result.outcome).unwrap_or_default();
                print(&outcome.replace('\n', "\n       | "));
            }
        }
    }
    print(&format!("\n{passed} passed, {failed} failed"));
}

fn as_json(suites: &[Suite]) -> String {
    let case = |suite: &Suite, line: usize, result: &CaseResult| {
        let differences = result.differences.iter().map(|difference| {
            Value::map([
                ("path", Value::text(&difference.path)),
                ("expected", Value::text(&difference.expected)),
                ("found", Value::text(&difference.found)),
            ])
        });
        Value::map([
            ("mapping", Value::text(&suite.mapping)),
            ("file", Value::text(&suite.path)),
            ("line", Value::from(line)),
            ("name", Value::text(&result.name)),
            ("passed", Value::Bool(result.passed())),
            ("broken", Value::from(result.broken.clone())),
            ("differences", Value::list(differences.collect())),
        ])
    };
    let cases = suites
        .iter()
        .flat_map(|suite| suite.results.iter().map(move |(line, result)| case(suite, *line, result)));
    serde_json::to_string_pretty(&Value::list(cases.collect())).unwrap_or_default()
}
