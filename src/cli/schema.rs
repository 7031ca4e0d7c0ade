//! `schema`: the JSON Schemas of the files that people write.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Trouble, Verdict, print};
use crate::spec::{self, FileKind, schema};

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which one
    #[arg(value_enum, default_value_t = Which::Mapping)]
    which: Which,
    /// Write all of them into this folder instead
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Say whether the folder's are up to date, and write nothing
    #[arg(long, requires = "write")]
    check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Mapping,
    Test,
    Patchcord,
}

impl Which {
    fn json(self) -> String {
        let kind = match self {
            Self::Mapping => FileKind::Mapping,
            Self::Test => FileKind::Test,
            Self::Patchcord => FileKind::Installation,
        };
        let mut schema = schema(kind);
        if self == Self::Mapping {
            spec::with_overlays(&mut schema);
        }
        let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
        text.push('\n');
        text
    }
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let Some(folder) = &args.write else {
        print(&args.which.json());
        return Ok(Verdict::Good);
    };
    let mut fresh = true;
    for which in [Which::Mapping, Which::Test, Which::Patchcord] {
        let name = which.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default();
        let path = folder.join(format!("{name}.schema.json"));
        let json = which.json();
        if args.check {
            if std::fs::read_to_string(&path).ok().as_deref() != Some(json.as_str()) {
                anstream::eprintln!("{} is stale; run `just generate`", path.display());
                fresh = false;
            }
        } else {
            std::fs::create_dir_all(folder)?;
            std::fs::write(&path, json)?;
        }
    }
    Ok(Verdict::of(fresh))
}
