//! Routes: methods and a path.

use smol_str::SmolStr;

use crate::compile::Compiler;
use crate::diagnostic::{Code, Diagnostic, suggest};
use crate::plan::Segment;
use crate::yaml::Text;

/// The methods that a route may have.
const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

impl Compiler<'_> {
    pub(super) fn route(&mut self, route: &Text, shared: bool) -> Option<(Vec<SmolStr>, Vec<Segment>)> {
        let text = route.value.as_str();
        let (methods, path) = text.split_once(' ').unwrap_or((text, ""));
        let mut sound = true;
        let mut start = 0;
        for method in methods.split('|') {
            if !METHODS.contains(&method) {
                let span = route.span_of(start..start + method.len());
                let problem =
                    Diagnostic::new(Code::InvalidRoute, span, format!("`{method}` is not a method"));
                let meant = METHODS.iter().copied().find(|known| known.eq_ignore_ascii_case(method));
                let meant = meant.or_else(|| suggest(method, METHODS.iter().copied()));
                let problem = match meant {
                    Some(meant) => problem.fix(span, meant, format!("did you mean `{meant}`?")),
                    None if text.contains(' ') => {
                        problem.help(format!("the methods are {}", quoted(METHODS)))
                    }
                    None => problem
                        .label("a method is expected here")
                        .help("a route is a method, a blank and a path: `POST receive`, `GET|POST status`"),
                };
                self.out.push(problem);
                sound = false;
            }
            start += method.len() + 1;
        }
        let mut segments = Vec::new();
        let action = path.trim().trim_matches('/').split_once('/');
        if action.is_some_and(|(first, rest)| first == "actions" && !rest.contains('/')) && !shared {
            let at = text.rfind("actions").unwrap_or(0);
            let span = route.span_of(at..at + "actions".len());
            let problem =
                Diagnostic::new(Code::InvalidRoute, span, "the routes `actions/NAME` are the platform's");
            let problem = problem.label("here IS-Messenger asks for the mapping's `actions`");
            self.out.push(problem.help("choose another path, such as `receive`"));
            sound = false;
        }
        if matches!(path.trim().trim_matches('/'), "message" | "message/message") && !shared {
            let at = text.rfind("message").unwrap_or(0);
            let span = route.span_of(at..at + "message".len());
            let problem = Diagnostic::new(Code::InvalidRoute, span, "the route `message` is the platform's");
            let problem = problem.label("here IS-Messenger posts what it wants to have sent");
            self.out.push(problem.help("choose another path, such as `receive`"));
            sound = false;
        }
        for segment in path.trim().trim_matches('/').split('/').filter(|segment| !segment.is_empty()) {
            match self::segment(segment) {
                Some(read) => segments.push(read),
                None => {
                    let at = methods.len() + path.find(segment).unwrap_or(0) + 1;
                    let span = route.span_of(at..at + segment.len());
                    let problem = Diagnostic::new(
                        Code::InvalidRoute,
                        span,
                        format!("`{segment}` is not a segment of a path"),
                    );
                    self.out
                        .push(problem.help("a segment is fixed text, or a name in braces: `status/{id}`, `status/{kind:sent|delivered}`"));
                    sound = false;
                }
            }
        }
        sound.then(|| (methods.split('|').map(SmolStr::new).collect(), segments))
    }
}

/// A segment of a path: fixed text, `{name}`, or `{name:one|two}`.
fn segment(text: &str) -> Option<Segment> {
    let fixed = |text: &str| !text.is_empty() && !text.contains(['{', '}', '?', '#', ' ', '|', ':']);
    let Some(inner) = text.strip_prefix('{') else {
        return (!text.contains(['{', '}', '?', '#', ' '])).then(|| Segment::Fixed(SmolStr::new(text)));
    };
    let inner = inner.strip_suffix('}')?;
    let Some((name, words)) = inner.split_once(':') else {
        return (!inner.is_empty()).then(|| Segment::Bound(SmolStr::new(inner)));
    };
    let words: Vec<&str> = words.split('|').collect();
    (fixed(name) && words.iter().all(|word| fixed(word)))
        .then(|| Segment::OneOf(SmolStr::new(name), words.into_iter().map(SmolStr::new).collect()))
}

/// Whether two paths can match the same request, and neither is meant rather than the other.
pub(super) fn same_path(left: &[Segment], right: &[Segment]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| match (left, right) {
            (Segment::Fixed(left), Segment::Fixed(right)) => left == right,
            (Segment::OneOf(_, left), Segment::OneOf(_, right)) => {
                left.iter().any(|word| right.contains(word))
            }
            (Segment::Bound(_), Segment::Bound(_)) => true,
            _ => false,
        })
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
