//! The page of the codes: what `check --explain` says, all of it.

use std::fmt::Write as _;

use super::cell;
use crate::diagnostic::Code;

/// The page.
pub(super) fn page() -> String {
    let mut text = String::from(
        "# Diagnostics\n\n`patchcord check` names the kind of each problem by a code, which never changes its \
         meaning. An error keeps a mapping from running, a warning does not. `patchcord check --explain CODE` \
         prints what is written here.\n\n| code | name | severity | means |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let anchor = format!("{}-{}", code.as_str().to_lowercase(), code.name());
        let about = cell(code.summary());
        let _ = writeln!(text, "| [{code}](#{anchor}) | {} | {} | {about} |", code.name(), code.severity());
    }
    for code in Code::ALL {
        let _ = write!(text, "\n## {code} {}\n\n{}", code.name(), code.explain());
    }
    text
}
