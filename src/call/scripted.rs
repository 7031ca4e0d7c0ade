//! A provider that answers from a script.

use std::sync::Mutex;

use url::Url;

use super::request::Outgoing;
use super::response::Response;
use super::transport::{Answer, Transport, TransportError};

/// One scripted answer.
#[derive(Clone, Debug, Default)]
pub struct ScriptedAnswer {
    /// Only to this method.
    pub method: Option<String>,
    /// Only to this URL; `*` stands for anything.
    pub url: Option<String>,
    /// How often it is given; none is without end.
    pub times: Option<u64>,
    /// What is answered; none is no answer at all.
    pub response: Option<Response>,
}

/// Answers from a script: the first unused answer that fits. Remembers the requests.
#[derive(Debug, Default)]
pub struct Scripted {
    answers: Mutex<Vec<ScriptedAnswer>>,
    requests: Mutex<Vec<Outgoing>>,
}

impl Scripted {
    /// A provider with that script.
    pub fn new(answers: Vec<ScriptedAnswer>) -> Self {
        Self { answers: Mutex::new(answers), requests: Mutex::default() }
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Outgoing> {
        self.requests.lock().map(|requests| requests.clone()).unwrap_or_default()
    }

    /// Answers one request.
    pub fn answer(&self, request: &Outgoing) -> Result<Response, TransportError> {
        if let Ok(mut requests) = self.requests.lock() {
            requests.push(request.clone());
        }
        let url = request.urls.first().map(Url::as_str).unwrap_or_default();
        let bare = url.split('?').next().unwrap_or_default();
        let mut answers =
            self.answers.lock().map_err(|_| TransportError::Connect("the script is broken".into()))?;
        let fitting = answers.iter_mut().find(|answer| {
            answer.times != Some(0)
                && answer.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&request.method))
                && answer.url.as_ref().is_none_or(|pattern| glob(pattern, url) || glob(pattern, bare))
        });
        let Some(answer) = fitting else {
            return Err(TransportError::Unmatched(format!("{} {url}", request.method)));
        };
        if let Some(times) = &mut answer.times {
            *times -= 1;
        }
        answer.response.clone().ok_or(TransportError::Timeout)
    }
}

impl Transport for Scripted {
    fn exchange<'a>(&'a self, request: &'a Outgoing, _: &'a Url) -> Answer<'a> {
        Box::pin(std::future::ready(self.answer(request)))
    }
}

/// Whether a text fits a pattern in which `*` stands for anything.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        assert!(glob("https://x/*", "https://x/a/b"));
        assert!(glob("*/a*c", "x/abbc"));
        assert!(glob("abc", "abc") && !glob("abc", "abcd"));
        assert!(!glob("*b", "a"));
    }
}
