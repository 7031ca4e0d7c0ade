//! Tables that stand in files of their own: `tables: {errors: {file: errors.yaml}}`.
//!
//! The file's tree takes the place of the reference before anything is judged, so a problem in it is told at
//! its place in that file.

use std::path::Path;

use super::mappings::read_source;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Sources};
use crate::yaml::{self, Kind, Node, Text};

/// Puts the files of a mapping's tables, and of its variants', where they are named.
pub(super) fn inline(node: &mut Node, folder: &Path, sources: &mut Sources, out: &mut Diagnostics) {
    let Kind::Map(members) = &mut node.kind else { return };
    let variants = members.iter_mut().find(|entry| entry.key.value == "variants");
    if let Some(Kind::Map(variants)) = variants.map(|entry| &mut entry.value.kind) {
        variants.iter_mut().for_each(|variant| inline(&mut variant.value, folder, sources, out));
    }
    let tables = members.iter_mut().find(|entry| entry.key.value == "tables");
    let Some(Kind::Map(tables)) = tables.map(|entry| &mut entry.value.kind) else { return };
    for table in tables {
        let Some(name) = file_of(&table.value) else { continue };
        let empty = Node { span: table.value.span, kind: Kind::Map(Vec::new()) };
        table.value = read(&name, folder, sources, out).unwrap_or(empty);
    }
}

/// The file that a table is in; a table with a row for the key `file` says `"file": ..` beside other rows.
fn file_of(node: &Node) -> Option<Text> {
    let [entry] = node.as_map()? else { return None };
    let name = entry.value.as_text()?;
    (entry.key.value == "file").then(|| name.clone())
}

fn read(name: &Text, folder: &Path, sources: &mut Sources, out: &mut Diagnostics) -> Option<Node> {
    let path = folder.join(name.value.as_str());
    if !path.is_file() {
        let message = format!("there is no file `{}`", path.display());
        let problem = Diagnostic::new(Code::MissingFile, name.span, message).label("not found");
        out.push(problem.help("a path is relative to the mapping that names it"));
        return None;
    }
    let file = read_source(&path, sources, out)?;
    let node = yaml::parse(file, sources, out)?;
    if node.as_map().is_none() {
        let message = format!("a table is a map of keys and values, not {}", node.kind_name());
        let problem = Diagnostic::new(Code::WrongType, node.span, message);
        out.push(problem.secondary(name.span, "named here"));
        return None;
    }
    Some(node)
}
