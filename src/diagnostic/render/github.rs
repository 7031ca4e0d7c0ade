//! For GitHub Actions: workflow commands that become annotations of a pull request.
//!
//! <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostics, Sources};

/// One line for each problem.
pub fn github(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        let span = diagnostic.primary.span;
        let (from, to) = (sources.start(span), sources.end(span));
        let file = property(sources.path(span.file));
        let mut message = diagnostic.message.clone();
        for more in std::iter::once(&diagnostic.primary.text).chain(&diagnostic.help) {
            if !more.is_empty() {
                message.push('\n');
                message.push_str(more);
            }
        }
        if let Some(fix) = &diagnostic.fix {
            message.push('\n');
            message.push_str(&fix.message);
        }
        let (severity, code, name) =
            (diagnostic.severity(), diagnostic.code.as_str(), diagnostic.code.name());
        // Columns are only understood within one line.
        let end = if to.line == from.line { format!(",endColumn={}", to.column) } else { String::new() };
        let written = writeln!(
            out,
            "::{severity} file={file},line={},col={},endLine={}{end},title={code} {name}::{}",
            from.line,
            from.column,
            to.line,
            data(&message)
        );
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
