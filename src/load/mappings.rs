//! Mapping files.
//!
//! Files are read first, all of them; then families are worked out ([`super::family`]) and their members compiled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smol_str::SmolStr;

use super::family::{self, Member};
use super::{judgement, tables};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, FileId, Sources, Span};
use crate::plan::Plan;
use crate::yaml::{self, Node, Text};

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

/// One mapping file, and the mappings that it makes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// The name that it gives itself.
    pub name: Option<SmolStr>,
    /// Its plan; none if there are errors.
    pub plan: Option<Arc<Plan>>,
    /// The names of its variants, and their plans.
    pub variants: Vec<(SmolStr, Option<Arc<Plan>>)>,
    /// What each plan was made of: the file's own mapping and its variants, with what they inherit.
    pub trees: Vec<(Arc<Plan>, Node)>,
}

impl Loaded {
    fn of(file: &MappingFile, members: Vec<(&Member, Option<Arc<Plan>>)>, out: &mut Diagnostics) -> Self {
        let mut loaded =
            Self { path: file.path.clone(), name: None, plan: None, variants: Vec::new(), trees: Vec::new() };
        for (member, plan) in members {
            loaded.trees.extend(plan.clone().zip(member.tree.clone()));
            let name = member.name.as_ref();
            if member.variant {
                loaded.variants.extend(name.map(|name| (name.value.clone(), plan)));
            } else {
                name.iter().for_each(|name| check_name(name, &file.stem(), out));
                (loaded.name, loaded.plan) = (name.map(|name| name.value.clone()), plan);
            }
        }
        loaded
    }

    /// The plan of the file's own mapping, or of one of its variants.
    pub fn plan_of(&self, variant: Option<&str>) -> Option<&Arc<Plan>> {
        match variant.filter(|name| self.name.as_deref() != Some(name)) {
            None => self.plan.as_ref(),
            Some(variant) => self.variants.iter().find(|(name, _)| name == variant)?.1.as_ref(),
        }
    }

    /// Whether a place is in this file, and not in one that it extends.
    pub fn holds(&self, span: Span, sources: &Sources) -> bool {
        sources.path(span.file) == self.path.display().to_string()
    }

    /// The names of its mapping and of its variants.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let variants = self.variants.iter().map(|(name, _)| name.as_str());
        self.name.iter().map(SmolStr::as_str).chain(variants)
    }
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
    /// The mapping files, with those that are only there because others extend them.
    files: Vec<MappingFile>,
}

/// A mapping file that was read.
#[derive(Debug)]
struct MappingFile {
    path: PathBuf,
    node: Option<Node>,
    /// Whether its mappings are wanted, and not only what they give to others.
    wanted: bool,
    /// Whether its mappings were compiled.
    compiled: bool,
    /// What became of them, until they are wanted.
    loaded: Option<Loaded>,
}

impl MappingFile {
    fn stem(&self) -> SmolStr {
        self.path.file_stem().map(|stem| SmolStr::new(stem.to_string_lossy())).unwrap_or_default()
    }

    /// Whether it makes a mapping of that name.
    fn makes(&self, name: &str) -> bool {
        let Some(node) = &self.node else { return false };
        let own = node.get("name").and_then(Node::as_text).is_some_and(|own| own.value == name);
        own || node.get("variants").is_some_and(|variants| variants.entry(name).is_some())
    }
}

fn same_file(left: &Path, right: &Path) -> bool {
    let same = || Some(left.canonicalize().ok()? == right.canonicalize().ok()?);
    left == right || same().unwrap_or(false)
}

impl Library {
    /// Reads and compiles all mappings that the paths stand for.
    pub fn read(paths: &[PathBuf]) -> std::io::Result<Self> {
        let mut library = Self::default();
        for path in paths {
            library.read_more(path)?;
        }
        library.compile();
        Ok(library)
    }

    /// Reads the mappings that a path stands for, but for those that were read before; [`Library::compile`] is next.
    pub fn read_more(&mut self, path: &Path) -> std::io::Result<()> {
        let files = mapping_files(path)
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        for path in files {
            match self.files.iter_mut().find(|file| same_file(&file.path, &path)) {
                Some(file) => file.wanted = true,
                None => self.add(path, true),
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, wanted: bool) {
        let file = read_source(&path, &mut self.sources, &mut self.problems);
        let mut node = file.and_then(|file| yaml::parse(file, &self.sources, &mut self.problems));
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(node) = &mut node {
            tables::inline(node, folder, &mut self.sources, &mut self.problems);
        }
        self.files.push(MappingFile { path, node, wanted, compiled: false, loaded: None });
    }

    /// Compiles what was read, with what it extends: a mapping that is not known is looked for beside the file.
    pub fn compile(&mut self) {
        let mut at = 0;
        while let Some(file) = self.files.get(at) {
            at += 1;
            let Some(name) =
                file.node.as_ref().and_then(family::extends).and_then(|entry| entry.value.as_text())
            else {
                continue;
            };
            let beside = file.path.with_file_name(format!("{}{ENDING}", name.value));
            let known =
                self.files.iter().any(|file| same_file(&file.path, &beside) || file.makes(&name.value));
            if !known && beside.is_file() {
                self.add(beside, false);
            }
        }
        let files: Vec<_> = self.files.iter().map(|file| (file.stem(), file.node.as_ref())).collect();
        let members = family::members(&files, &mut self.problems);
        let new = |member: &&Member| self.files.get(member.file).is_some_and(|file| !file.compiled);
        let new: Vec<&Member> = members.iter().filter(new).collect();
        let plans = judgement::compile(&new, &mut self.problems);
        let mut made: Vec<(&Member, Option<Arc<Plan>>)> = new.into_iter().zip(plans).collect();
        let mut loaded: Vec<Option<Loaded>> = Vec::new();
        for (at, file) in self.files.iter().enumerate() {
            let own: Vec<_> = made.extract_if(.., |(member, _)| member.file == at).collect();
            loaded.push((!file.compiled).then(|| Loaded::of(file, own, &mut self.problems)));
        }
        for (file, loaded) in self.files.iter_mut().zip(loaded) {
            if loaded.is_some() {
                (file.compiled, file.loaded) = (true, loaded);
            }
            if file.wanted {
                self.mappings.extend(file.loaded.take());
            }
        }
    }

    /// The plans by name.
    pub fn plans(&self) -> BTreeMap<SmolStr, Arc<Plan>> {
        let variants =
            |loaded: &Loaded| loaded.variants.iter().filter_map(|(_, plan)| plan.clone()).collect();
        let plans = self.mappings.iter().flat_map(|loaded| {
            let variants: Vec<_> = variants(loaded);
            loaded.plan.iter().cloned().chain(variants)
        });
        plans.map(|plan| (plan.name.clone(), plan)).collect()
    }
}

/// Reports a mapping that is not called as its file.
fn check_name(name: &Text, stem: &str, out: &mut Diagnostics) {
    if name.value == stem {
        return;
    }
    let message = format!("the mapping is called `{}`, its file `{stem}.yaml`", name.value);
    let problem = Diagnostic::new(Code::NameMismatch, name.span, message).label("differs from the file");
    let help = format!("call it `{stem}`, or rename the file to `{}.yaml`", name.value);
    out.push(problem.fix(name.span, stem, help));
}
