//! Proofs that a request comes from the provider.

use std::time::Duration;

use crate::compile::Compiler;
use crate::compile::value::literal_value;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Template, Value};
use crate::plan::{Claim, ClaimTest, Encoding, Jwt, JwtAlgorithm, Network, Origin, Proof, Signature, Verify};
use crate::spec::{self, Raw};
use crate::yaml::{Entry, Kind, Node};

/// How far a signature's moment may be away.
const TOLERANCE: Duration = Duration::from_mins(5);
/// How far the clock of whoever makes tokens may be away.
const LEEWAY: Duration = Duration::from_secs(30);
/// What a proof is one of.
const KINDS: &[&str] = &["equal", "signature", "jwt", "basic", "ip", "any"];

impl Compiler<'_> {
    pub(super) fn verify(&mut self, verify: &spec::Verify, outer: &Names) -> Option<Verify> {
        let mut names = outer.clone();
        let when = self.optional_condition(verify.when.as_ref(), &names);
        if verify.shape.is_unread("let") {
            names.open();
        }
        let lets = self.lets(&verify.r#let, &mut names);
        let proof = self.proof(verify, &names);
        let on_fail = verify.on_fail.map_or(401, |status| u16::try_from(status.0).unwrap_or(0));
        if !(400..600).contains(&on_fail) {
            self.out.push(Diagnostic::new(
                Code::InvalidValue,
                verify.shape.value("on_fail", verify.span),
                "`on_fail` is an HTTP status from 400 to 599",
            ));
        }
        Some(Verify { when, lets, proof: proof?, on_fail })
    }

    fn proof(&mut self, verify: &spec::Verify, names: &Names) -> Option<Proof> {
        let given = [
            verify.equal.is_some(),
            verify.signature.is_some(),
            verify.jwt.is_some(),
            verify.basic.is_some(),
            verify.ip.is_some(),
            verify.any.is_some(),
        ];
        let given: Vec<&str> =
            KINDS.iter().zip(given).filter(|(_, given)| *given).map(|(kind, _)| *kind).collect();
        if given.is_empty() && KINDS.iter().any(|kind| verify.shape.is_unread(kind)) {
            return None;
        }
        if given.len() != 1 {
            let list: Vec<_> = KINDS.iter().map(|kind| format!("`{kind}`")).collect();
            let message = format!("a proof is one of {}", list.join(", "));
            let (code, span, help) = match given.get(1) {
                Some(second) => {
                    let span = verify.shape.key(second, verify.span);
                    (
                        Code::InvalidValue,
                        span,
                        "write two entries where both must hold, or `any:` where one must",
                    )
                }
                None => (Code::MissingKey, verify.shape.key("", verify.span), "say what proves who calls"),
            };
            self.out.push(Diagnostic::new(code, span, message).help(help));
        }
        // Each of them is judged, even where there is one too many.
        let mut proofs: Vec<Option<Proof>> = Vec::new();
        if let Some(pair) = &verify.equal {
            let example = "`equal: [\"{{request.headers.x-token}}\", \"{{config.token}}\"]`";
            let pair = self.pair(pair, verify, "equal", "`equal` compares two values", example, names);
            proofs.push(pair.map(|(left, right)| Proof::Equal(left, right)));
        }
        if let Some(signature) = &verify.signature {
            proofs.push(Some(Proof::Signature(Box::new(self.signature(signature, names)))));
        }
        if let Some(jwt) = &verify.jwt {
            proofs.push(Some(Proof::Jwt(Box::new(self.jwt(jwt, names)))));
        }
        if let Some(pair) = &verify.basic {
            let example = "`basic: [\"{{config.user}}\", \"{{config.password}}\"]`";
            let message = "`basic` is a list of a user name and a password";
            let pair = self.pair(pair, verify, "basic", message, example, names);
            proofs.push(pair.map(|(user, password)| Proof::Basic(user, password)));
        }
        if let Some(Raw(node)) = &verify.ip {
            proofs.push(Some(Proof::Ip(self.origins(node, names))));
        }
        if let Some(entries) = &verify.any {
            proofs.push(Some(Proof::Any(self.any(entries, verify, names))));
        }
        proofs.into_iter().next().flatten()
    }

    fn pair(
        &mut self,
        pair: &[Raw],
        verify: &spec::Verify,
        key: &str,
        message: &str,
        example: &str,
        names: &Names,
    ) -> Option<(Template, Template)> {
        let mut values: Vec<Template> = pair.iter().map(|raw| self.value(&raw.0, names)).collect();
        match (values.pop(), values.pop(), values.is_empty()) {
            (Some(right), Some(left), true) => Some((left, right)),
            _ => {
                let span = verify.shape.value(key, verify.span);
                let problem = Diagnostic::new(Code::InvalidValue, span, message);
                self.out.push(problem.help(format!("for example {example}")));
                None
            }
        }
    }

    fn signature(&mut self, signature: &spec::Signature, names: &Names) -> Signature {
        Signature {
            algorithm: signature.alg,
            key: self.value(&signature.key.0, names),
            over: self.value(&signature.over.0, names),
            encoding: signature.encoding.unwrap_or(Encoding::Hex),
            actual: self.value(&signature.actual.0, names),
            prefix: signature.prefix.as_ref().map(|text| text.value.clone()).unwrap_or_default(),
            timestamp: signature.timestamp.as_ref().map(|raw| {
                (self.value(&raw.0, names), signature.tolerance.map_or(TOLERANCE, |tolerance| tolerance.0))
            }),
        }
    }

    fn jwt(&mut self, jwt: &spec::Jwt, names: &Names) -> Jwt {
        let span = jwt.shape.value("alg", jwt.span);
        let shared = |algorithm: &JwtAlgorithm| algorithm.as_str().starts_with("HS");
        let algorithms = jwt.alg.clone().unwrap_or_default();
        if jwt.alg.is_none() && !jwt.shape.is_unread("alg") {
            let message = "`jwt` needs `alg`, the algorithms that may be used";
            let problem = Diagnostic::new(Code::MissingKey, span, message);
            self.out.push(problem.help("for example `alg: [HS256]`"));
        } else if algorithms.iter().any(shared) && !algorithms.iter().all(shared) {
            let message = "algorithms with a shared secret and with a public key can't be mixed";
            let problem = Diagnostic::new(Code::InvalidValue, span, message);
            let problem = problem.label("whoever knows the public key could sign with it");
            self.out.push(problem.help("write an `any:` of two `jwt` entries, each with its own key"));
        }
        Jwt {
            token: self.value(&jwt.token.0, names),
            algorithms,
            key: self.value(&jwt.key.0, names),
            claims: jwt
                .claims
                .0
                .iter()
                .map(|(name, raw)| {
                    let (optional, test) = self.claim(&raw.0, names);
                    Claim { name: name.value.clone(), optional, test }
                })
                .collect(),
            leeway: jwt.leeway.map_or(LEEWAY, |leeway| leeway.0),
        }
    }

    fn claim(&mut self, node: &Node, names: &Names) -> (bool, ClaimTest) {
        let Kind::Map(entries) = &node.kind else {
            return (
                false,
                match &node.kind {
                    Kind::List(_) => ClaimTest::Passes(self.test(node, names)),
                    _ => ClaimTest::Equals(self.value(node, names)),
                },
            );
        };
        if entries.iter().any(|entry| entry.key.value.starts_with('$')) {
            return (false, ClaimTest::Equals(self.value(node, names)));
        }
        let is_equality = |entry: &Entry| matches!(entry.key.value.as_str(), "equals" | "equal" | "optional");
        if !entries.iter().any(is_equality) {
            return (false, ClaimTest::Passes(self.test(node, names)));
        }
        let known = spec::unknown_keys(entries, &["equals", "optional"], "a claim", self.out);
        let value = |key| known.iter().find(|(name, _)| *name == key).map(|(_, entry)| &entry.value);
        let Some(wanted) = value("equals") else {
            let problem = Diagnostic::new(Code::MissingKey, node.span, "this claim needs `equals`");
            self.out.push(problem.help("write `{equals: value, optional: true}`"));
            return (true, ClaimTest::Equals(Template::Literal(Value::Null)));
        };
        let optional = value("optional").is_some_and(|node| {
            let flag = <spec::Flag as spec::FromNode>::from_node(node, self.out);
            flag.is_some_and(|flag| flag.0)
        });
        (optional, ClaimTest::Equals(self.value(wanted, names)))
    }

    fn origins(&mut self, node: &Node, names: &Names) -> Vec<Origin> {
        let items = node.as_list().unwrap_or(std::slice::from_ref(node));
        if items.is_empty() {
            let problem = Diagnostic::new(Code::InvalidValue, node.span, "`ip` names no network");
            self.out.push(problem.help("for example `ip: [192.0.2.0/24, \"2001:db8::/32\"]`"));
        }
        items
            .iter()
            .filter_map(|item| {
                let Some(literal) = literal_value(item) else {
                    return Some(Origin::Made(self.value(item, names)));
                };
                let network = literal.as_text().and_then(Network::parse).map(Origin::Fixed);
                if network.is_none() {
                    let message = "this is neither an IP address nor a network";
                    let problem = Diagnostic::new(Code::InvalidValue, item.span, message);
                    self.out.push(problem.help("write `192.0.2.7`, `192.0.2.0/24` or `\"2001:db8::/32\"`"));
                }
                network
            })
            .collect()
    }

    fn any(&mut self, entries: &[spec::Verify], verify: &spec::Verify, names: &Names) -> Vec<Verify> {
        if entries.is_empty() {
            let span = verify.shape.key("any", verify.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "`any` of nothing never holds");
            self.out.push(problem.help("list the proofs of which one must hold"));
        }
        for entry in entries.iter().filter(|entry| entry.on_fail.is_some()) {
            let span = entry.shape.key("on_fail", entry.span);
            let problem =
                Diagnostic::new(Code::InvalidValue, span, "one proof among several does not answer");
            self.out.push(problem.label("never used").help("write `on_fail` beside `any`"));
        }
        entries.iter().filter_map(|entry| self.verify(entry, names)).collect()
    }
}
