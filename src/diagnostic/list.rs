//! All problems of one run.

use super::{Diagnostic, FileId, Severity, Sources};

/// Collects problems; nothing is lost and nothing is told twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// No problems.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity() == Severity::Error)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order in which they were found, or that of [`Diagnostics::sort`].
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Orders them by file and place, those of one place as they were found, and drops repetitions: what is
    /// defined once and used through aliases is checked more than once.
    pub fn sort(&mut self) {
        let mut seen = std::collections::HashSet::new();
        self.0.retain(|diagnostic| seen.insert(diagnostic.clone()));
        self.0.sort_by_key(|diagnostic| diagnostic.primary.span);
    }

    /// The text of a file with every fix applied that does not overlap an earlier one; none where there is
    /// nothing to apply.
    pub fn fixed(&self, file: FileId, sources: &Sources) -> Option<String> {
        let mut fixes: Vec<_> = self
            .0
            .iter()
            .filter_map(|diagnostic| diagnostic.fix.as_ref())
            .filter(|fix| fix.span.file == file)
            .collect();
        fixes.sort_by_key(|fix| fix.span);
        fixes.dedup();
        let (text, mut done, mut whole) = (sources.text(file), 0, String::new());
        for fix in fixes {
            let range = fix.span.range();
            let Some(kept) = text.get(done..range.start).filter(|_| text.get(range.clone()).is_some()) else {
                continue;
            };
            whole.push_str(kept);
            whole.push_str(&fix.replacement);
            done = range.end;
        }
        let rest = text.get(done..)?;
        whole.push_str(rest);
        (whole != text).then_some(whole)
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.0.extend(diagnostics);
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        Self(diagnostics.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Span};

    fn at(file: FileId, start: usize, code: Code) -> Diagnostic {
        Diagnostic::new(code, Span::new(file, start..start + 1), "x")
    }

    #[test]
    fn sorted_by_file_and_place_without_repetitions() {
        let mut sources = Sources::new();
        let (a, b) = (sources.add("a", "xxxx"), sources.add("b", "xxxx"));
        let mut list = Diagnostics::new();
        for (file, start) in [(b, 0), (a, 2), (a, 1), (b, 0)] {
            list.push(at(file, start, Code::UnknownKey));
        }
        list.push(at(a, 1, Code::WrongType));
        list.sort();
        let places: Vec<_> =
            list.iter().map(|d| (d.primary.span.file, d.primary.span.start, d.code)).collect();
        assert_eq!(
            places,
            [
                (a, 1, Code::UnknownKey),
                (a, 1, Code::WrongType),
                (a, 2, Code::UnknownKey),
                (b, 0, Code::UnknownKey)
            ]
        );
    }

    #[test]
    fn warnings_alone_are_no_errors() {
        let mut sources = Sources::new();
        let file = sources.add("a", "xxxx");
        let mut list: Diagnostics = [at(file, 0, Code::UnusedName)].into_iter().collect();
        assert!(!list.has_errors());
        list.push(at(file, 0, Code::UnknownKey));
        assert!(list.has_errors());
    }

    #[test]
    fn fixes_that_overlap_are_left_for_the_next_run() {
        let mut sources = Sources::new();
        let file = sources.add("a", "abcdef");
        let fix = |range, with: &str| {
            let span = Span::new(file, range);
            Diagnostic::new(Code::UnknownKey, span, "x").fix(span, with, "y")
        };
        let list: Diagnostics =
            [fix(4..5, "E"), fix(1..3, "BC!"), fix(2..4, "no"), fix(4..5, "E")].into_iter().collect();
        assert_eq!(list.fixed(file, &sources).unwrap(), "aBC!dEf");
        assert_eq!(Diagnostics::new().fixed(file, &sources), None);
    }
}
