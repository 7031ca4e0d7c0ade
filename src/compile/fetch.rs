//! Files that the platform can't fetch itself: with which credentials, and what a `$call` in their URL may say.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Query, Scope, Template, Value};
use crate::plan::{Fetch, Request, SHORTEST_TTL, Target};
use crate::spec::{self, FetchAuth, FromNode};
use crate::yaml::{Kind, Node};

const FETCH: &[Scope] = &[Scope::Config, Scope::Deployment, Scope::Channel];
const NO_CALLS: &str = "which hosts get the credentials must be known when the event is posted";

impl Compiler<'_> {
    pub(super) fn fetch(&mut self, spec: &spec::Mapping) -> Fetch {
        let names = self.names(FETCH);
        let plain = spec::Request::stand_in(spec.span);
        let without = self.download(&plain, &names);
        let Some(fetch) = &spec.fetch else {
            let with = self.download(&plain, &names);
            return Fetch { only_hosts: Vec::new(), with, without, max: None, ttl: None };
        };
        if fetch.only_hosts.is_empty() && !fetch.shape.is_unread("only_hosts") {
            let span = fetch.shape.key("only_hosts", fetch.span);
            let problem = Diagnostic::new(Code::MissingKey, span, "`fetch` needs `only_hosts`");
            let problem = problem.label("the credentials would go to nobody");
            self.out.push(problem.help("list the provider's hosts: `only_hosts: [files.example.com]`"));
        }
        let known = names.without_calls(NO_CALLS);
        let only_hosts = fetch.only_hosts.iter().map(|raw| {
            self.host(&raw.0);
            self.value(&raw.0, &known)
        });
        let only_hosts = only_hosts.collect();
        if fetch.ttl.is_some_and(|ttl| ttl.0 < SHORTEST_TTL) {
            let span = fetch.shape.value("ttl", fetch.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "this is too short");
            self.out.push(problem.help("the platform comes back for a file for at least 10m"));
        }
        let mut request = plain;
        request.query.clone_from(&fetch.query);
        request.headers.clone_from(&fetch.headers);
        request.auth = match &fetch.auth {
            None => None,
            Some(FetchAuth::By(auth)) => Some(auth.clone()),
            Some(FetchAuth::Inherit) => {
                let auth = spec.http.as_ref().and_then(|http| http.auth.clone());
                let told = fetch.shape.is_unread("auth")
                    || spec.shape.is_unread("http")
                    || spec.http.as_ref().is_some_and(|http| http.shape.is_unread("auth"));
                if auth.is_none() && !told {
                    let span = fetch.shape.value("auth", fetch.span);
                    let problem = Diagnostic::new(Code::InvalidValue, span, "there is no `http.auth`");
                    self.out.push(problem.label("nothing to inherit"));
                }
                auth
            }
        };
        let with = self.download(&request, &names);
        Fetch { only_hosts, with, without, max: fetch.max.map(|max| max.0), ttl: fetch.ttl.map(|ttl| ttl.0) }
    }

    /// The request that downloads what the scope `it` is the URL of.
    fn download(&mut self, request: &spec::Request, names: &Names) -> Request {
        let request = self.request(None, request, names);
        let url = Query::compile("$.url").map_or(Template::Literal(Value::Null), Template::Path);
        let target = Target::Made { base: None, url };
        Request { method: Some(Template::Literal(Value::text("GET"))), target, ..request }
    }

    /// A host is written without scheme and path.
    fn host(&mut self, node: &Node) {
        let Some(text) = node.as_text().filter(|text| !text.value.contains("{{")) else { return };
        if text.value.contains('/') {
            let problem = Diagnostic::new(Code::InvalidValue, node.span, "this is not a host");
            self.out.push(problem.help("leave out the scheme and the path: `files.example.com`"));
        }
    }

    /// A call in the URL of an attachment has no value at hand that could take the place of what it gives.
    pub(super) fn postponed_calls(&mut self, url: &Node) {
        match &url.kind {
            Kind::List(items) => items.iter().for_each(|item| self.postponed_calls(item)),
            Kind::Map(entries) if url.get("$call").is_some() => {
                for entry in entries.iter().filter(|entry| entry.key.value == "$on_error") {
                    let message = "`$on_error` means nothing in the `url` of an attachment";
                    let problem = Diagnostic::new(Code::InvalidValue, entry.key.span, message);
                    let problem = problem.label("the call is made when the file is fetched");
                    self.out.push(problem.help("the platform is told then that there is no such file"));
                }
            }
            Kind::Map(entries) => entries.iter().for_each(|entry| self.postponed_calls(&entry.value)),
            _ => {}
        }
    }
}
