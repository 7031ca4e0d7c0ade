//! `docs`: the reference of everything that people write, and the overview of a folder of mappings.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{Trouble, Verdict, print};
use crate::diagnostic::text;
use crate::load::Library;
use crate::reference::{overview, pages};

/// Arguments of `docs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which page
    #[arg(value_enum, default_value_t = Which::Mapping)]
    page: Which,
    /// Write all pages into `reference` in this folder instead
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Write the README.md of this folder of mappings too: what each can do
    #[arg(long, value_name = "FOLDER", requires = "write")]
    mappings: Option<PathBuf>,
    /// Say whether what is there is up to date, and write nothing
    #[arg(long, requires = "write")]
    check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Mapping,
    Tests,
    Installation,
    Values,
    Helpers,
    Diagnostics,
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let Some(folder) = &args.write else {
        let name = args.page.to_possible_value().map(|value| value.get_name().to_string());
        let page = pages().into_iter().find(|page| Some(page.name) == name.as_deref());
        page.iter().for_each(|page| print(&page.text));
        return Ok(Verdict::Good);
    };
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for page in pages() {
        files.push((folder.join("reference").join(format!("{}.md", page.name)), page.text));
    }
    if let Some(mappings) = &args.mappings {
        files.push((mappings.join("README.md"), overview_of(mappings)?));
    }
    let mut fresh = true;
    for (path, text) in files {
        if !args.check {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&path, text)?;
        } else if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            anstream::eprintln!("{} is stale; run `just generate`", path.display());
            fresh = false;
        }
    }
    Ok(Verdict::of(fresh))
}

fn overview_of(folder: &Path) -> Result<String, Trouble> {
    let library = Library::read(&[folder.to_path_buf()])?;
    if library.problems.has_errors() {
        return Err(Trouble(text(&library.problems, &library.sources, true)));
    }
    let plans: Vec<_> = library.mappings.iter().filter_map(|loaded| loaded.plan.as_deref()).collect();
    Ok(overview(&plans))
}
