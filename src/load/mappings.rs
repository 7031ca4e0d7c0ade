//! Mapping files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smol_str::SmolStr;

use super::tables;
use crate::compile;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, FileId, Sources, Span};
use crate::plan::Plan;
use crate::yaml::{self, Node};

/// What a mapping file is called.
const ENDING: &str = ".yaml";
/// What a file with a mapping's tests is called.
const TEST_ENDING: &str = ".test.yaml";

/// The mapping files that a path stands for: itself, or those of a folder, by name. A test file stands for its
/// mapping.
pub fn mapping_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !path.is_dir() {
        std::fs::metadata(path)?;
        let own = name(path);
        return Ok(vec![match own.strip_suffix(TEST_ENDING) {
            Some(stem) => path.with_file_name(format!("{stem}{ENDING}")),
            None => path.to_path_buf(),
        }]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let own = name(&path);
        if own.ends_with(ENDING) && !own.ends_with(TEST_ENDING) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The file with a mapping's tests, which may not exist.
pub fn test_file_of(mapping: &Path) -> PathBuf {
    let name = mapping.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    mapping.with_file_name(format!("{}{TEST_ENDING}", name.strip_suffix(ENDING).unwrap_or(&name)))
}

/// Reads a file into the sources; what can't be read is a problem of the file.
pub fn read_source(path: &Path, sources: &mut Sources, out: &mut Diagnostics) -> Option<FileId> {
    let shown = path.display().to_string();
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Some(sources.add(shown, text)),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(at).copied().unwrap_or_default();
            let file = sources.add(shown, String::from_utf8_lossy(error.as_bytes()));
            let span = Span::new(file, at..at + char::REPLACEMENT_CHARACTER.len_utf8());
            let problem = Diagnostic::new(Code::FailedToRead, span, "this file is not UTF-8");
            out.push(problem.label(format!("the byte {byte:#04x}")).help("save it as UTF-8"));
            None
        }
        Err(error) => {
            let file = sources.add(shown, "");
            out.push(Diagnostic::new(
                Code::FailedToRead,
                Span::new(file, 0..0),
                format!("this file can't be read: {error}"),
            ));
            None
        }
    }
}

/// One mapping that was read.
#[derive(Debug)]
pub struct Loaded {
    /// Its file.
    pub path: PathBuf,
    /// Its tree.
    pub node: Option<Node>,
    /// Its plan; none if there are errors.
    pub plan: Option<Arc<Plan>>,
}

/// The mappings of an installation, and what was found wrong on the way.
#[derive(Debug, Default)]
pub struct Library {
    /// The files that were read.
    pub sources: Sources,
    /// The problems.
    pub problems: Diagnostics,
    /// The mappings, in the order of their files.
    pub mappings: Vec<Loaded>,
}

impl Loaded {
    /// The name that it gives itself.
    pub fn name(&self) -> Option<String> {
        Some(self.node.as_ref()?.get("name")?.as_text()?.value.to_string())
    }
}

fn same_file(left: &Path, right: &Path) -> bool {
    match (left.canonicalize(), right.canonicalize()) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

impl Library {
    /// Reads and compiles all mappings that the paths stand for.
    pub fn read(paths: &[PathBuf]) -> std::io::Result<Self> {
        let mut library = Self::default();
        for path in paths {
            library.read_more(path)?;
        }
        Ok(library)
    }

    /// Reads and compiles the mappings that a path stands for, but for those that were read before.
    pub fn read_more(&mut self, path: &Path) -> std::io::Result<()> {
        let files = mapping_files(path)
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        for file in files {
            let same = |loaded: &Loaded| loaded.path == file || same_file(&loaded.path, &file);
            if !self.mappings.iter().any(same) {
                self.add(file);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf) {
        let Some(file) = read_source(&path, &mut self.sources, &mut self.problems) else { return };
        let mut node = yaml::parse(file, &self.sources, &mut self.problems);
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(node) = &mut node {
            tables::inline(node, folder, &mut self.sources, &mut self.problems);
        }
        let plan = node.as_ref().and_then(|node| compile::mapping(node, &mut self.problems));
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(name) = node.as_ref().and_then(|node| node.get("name")?.as_text().cloned())
            && name.value != stem
        {
            let message = format!("the mapping is called `{}`, its file `{stem}.yaml`", name.value);
            let problem =
                Diagnostic::new(Code::NameMismatch, name.span, message).label("differs from the file");
            self.problems.push(problem.fix(
                name.span,
                stem.clone(),
                format!("call it `{stem}`, or rename the file to `{}.yaml`", name.value),
            ));
        }
        self.mappings.push(Loaded { path, node, plan: plan.map(Arc::new) });
    }

    /// The plans by name.
    pub fn plans(&self) -> BTreeMap<SmolStr, Arc<Plan>> {
        let plans = self.mappings.iter().filter_map(|loaded| loaded.plan.clone());
        plans.map(|plan| (plan.name.clone(), plan)).collect()
    }
}
