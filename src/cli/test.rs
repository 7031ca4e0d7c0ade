//! `test`: the tests of mappings.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Trouble, Verdict, print};
use crate::diagnostic::text;
use crate::expression::Value;
use crate::load::{Library, test_file_of};
use crate::rehearsal::{CaseResult, Place, coverage, read_tests, run_tests};

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
    /// Tell how much of each mapping the tests reach, and what they don't
    #[arg(long)]
    coverage: bool,
    /// Fail if they reach less than this percentage of a mapping
    #[arg(long, value_name = "PERCENT", requires = "coverage")]
    min: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The results of one test file.
struct Suite {
    mapping: String,
    file: String,
    path: String,
    results: Vec<(usize, CaseResult)>,
    /// The places of the mapping, each with its line.
    places: Vec<(usize, Place)>,
}

impl Suite {
    /// How many places the tests reach, in percent, rounded down.
    fn percentage(&self) -> usize {
        let reached = self.places.iter().filter(|(_, place)| place.reached).count();
        (reached * 100).checked_div(self.places.len()).unwrap_or(100)
    }
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let paths = if args.paths.is_empty() { vec![PathBuf::from("mappings")] } else { args.paths.clone() };
    let mut library = Library::read(&paths)?;
    let mut suites = Vec::new();
    let mut untested = Vec::new();
    let mut unread = 0;
    for mapping in library.mappings.clone() {
        let tests = test_file_of(&mapping.path);
        if !tests.exists() {
            untested.push(mapping.path);
            continue;
        }
        let read = read_tests(&tests, &mapping, &mut library);
        unread += usize::from(read.is_none());
        if let (Some(name), Some(read)) = (&mapping.name, read) {
            let results = run_tests(&mapping, &read)
                .into_iter()
                .filter(|result| args.only.as_ref().is_none_or(|text| result.name.contains(text.as_str())));
            let line = |span| library.sources.start(span).line;
            let results: Vec<_> = results.map(|result| (line(result.span), result)).collect();
            let reached = results.iter().flat_map(|(_, result)| &result.reached).copied().collect();
            let places =
                if args.coverage { coverage(&mapping, &library.sources, &reached) } else { Vec::new() };
            suites.push(Suite {
                mapping: name.to_string(),
                file: mapping.path.display().to_string(),
                path: tests.display().to_string(),
                results,
                places: places.into_iter().map(|place| (line(place.span), place)).collect(),
            });
        }
    }
    if library.problems.has_errors() {
        library.problems.sort();
        let told = text(&library.problems, &library.sources, true);
        match args.format {
            Format::Text => print(&told),
            Format::Json => anstream::eprint!("{told}"),
        }
    }
    match args.format {
        Format::Text => {
            report(&suites, unread, args.verbose);
            if args.coverage {
                report_coverage(&suites);
            }
        }
        Format::Json if args.coverage => {
            print(&pretty(&Value::map([("tests", cases(&suites)), ("coverage", coverage_json(&suites))])))
        }
        Format::Json => print(&pretty(&cases(&suites))),
    }
    for path in &untested {
        anstream::eprintln!(
            "warning: {} has no tests ({} is missing)",
            path.display(),
            test_file_of(path).display()
        );
    }
    let passed = suites.iter().flat_map(|suite| &suite.results).all(|(_, result)| result.passed());
    let enough = suites.iter().all(|suite| args.min.is_none_or(|least| suite.percentage() >= least));
    Ok(Verdict::of(passed && enough && !library.problems.has_errors()))
}

fn report(suites: &[Suite], unread: usize, verbose: bool) {
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
    let unread = match unread {
        0 => String::new(),
        1 => ", 1 test file could not be read".into(),
        many => format!(", {many} test files could not be read"),
    };
    print(&format!("\n{passed} passed, {failed} failed{unread}"));
}

/// How much of each mapping was reached, and each place that was not.
fn report_coverage(suites: &[Suite]) {
    print("");
    for suite in suites {
        let reached = suite.places.iter().filter(|(_, place)| place.reached).count();
        let (percent, all) = (suite.percentage(), suite.places.len());
        print(&format!("{percent:3} % of {} ({reached} of {all} places)", suite.mapping));
        for (line, place) in suite.places.iter().filter(|(_, place)| !place.reached) {
            let path = if place.path.is_empty() { String::new() } else { format!(" (`{}`)", place.path) };
            print(&format!("      {}:{line}: no test reaches this {}{path}", suite.file, place.what));
        }
    }
}

fn coverage_json(suites: &[Suite]) -> Value {
    let place = |suite: &Suite, line: usize, place: &Place| {
        Value::map([
            ("mapping", Value::text(&suite.mapping)),
            ("file", Value::text(&suite.file)),
            ("line", Value::from(line)),
            ("what", Value::text(place.what)),
            ("path", Value::text(&place.path)),
            ("reached", Value::Bool(place.reached)),
        ])
    };
    let places = suites
        .iter()
        .flat_map(|suite| suite.places.iter().map(move |(line, found)| place(suite, *line, found)));
    Value::list(places.collect())
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn cases(suites: &[Suite]) -> Value {
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
    Value::list(cases.collect())
}
