//! The kinds of problems. The comment of each is its page in `patchcord explain` and in the reference: there
//! is one table, so the two can't diverge.
//!
//! Invariant: a code string names the same kind of problem for ever; a kind that is no longer found keeps its
//! number.

use std::fmt;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing runs until it is put right.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:literal $name:literal $variant:ident $severity:ident;)+) => {
        /// A kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every kind, in the order of the code strings.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code string, such as `P0001`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The name, such as `unknown-key`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How bad a problem of this kind is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// The comment of its variant, each line with the blank that follows the slashes.
            fn comment(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc, "\n",)+),)+ }
            }
        }
    };
}

codes! {
    /// A key that means nothing at this place.
    ///
    /// Every key is known: one that is not would be ignored, and the mapping would do something other than
    /// it says. Usually it is mistyped, or stands one level too deep or not deep enough.
    ///
    /// Wrong:
    /// ```yaml
    /// webhooks:
    ///   - rout: POST receive
    /// ```
    /// Right:
    /// ```yaml
    /// webhooks:
    ///   - route: POST receive
    /// ```
    "P0001" "unknown-key" UnknownKey Error;

    /// A key that must be there is not.
    ///
    /// Wrong:
    /// ```yaml
    /// webhooks:
    ///   - reply: ok
    /// ```
    /// Right:
    /// ```yaml
    /// webhooks:
    ///   - route: GET receive
    ///     reply: ok
    /// ```
    "P0002" "missing-key" MissingKey Error;

    /// A value is of another type than is needed at this place.
    ///
    /// Wrong:
    /// ```yaml
    /// webhooks: {route: POST receive}
    /// ```
    /// Right:
    /// ```yaml
    /// webhooks:
    ///   - {route: POST receive}
    /// ```
    "P0003" "wrong-type" WrongType Error;

    /// The same key stands twice in one map.
    ///
    /// Only one of the two could count, and readers would differ on which. Keys are compared by their text, so
    /// `1` and `"1"` are the same key.
    ///
    /// Wrong:
    /// ```yaml
    /// contact_id: phone
    /// name: acme
    /// contact_id: custom
    /// ```
    /// Right:
    /// ```yaml
    /// contact_id: phone
    /// name: acme
    /// ```
    "P0004" "duplicate-key" DuplicateKey Error;

    /// The file is not YAML, or uses a part of YAML that Patchcord does not read.
    ///
    /// Most often a line is not indented like its neighbours, a quote or bracket is not closed, or a tab is
    /// used where only spaces may stand. One file holds one document, keys are text, and the only tags are the
    /// standard `!!str` and its like.
    ///
    /// Wrong:
    /// ```yaml
    /// http:
    ///   base: https://api.example.com/
    ///  auth: {bearer: "{{config.token}}"}
    /// ```
    /// Right:
    /// ```yaml
    /// http:
    ///   base: https://api.example.com/
    ///   auth: {bearer: "{{config.token}}"}
    /// ```
    "P0005" "invalid-yaml" InvalidYaml Error;

    /// A value is not one of those that are possible here.
    ///
    /// Wrong:
    /// ```yaml
    /// contact_id: telephone
    /// ```
    /// Right:
    /// ```yaml
    /// contact_id: phone
    /// ```
    "P0006" "invalid-value" InvalidValue Error;

    /// A text that starts with `$.` or `$[` is not a JSONPath (RFC 9535).
    ///
    /// A name with other characters than letters, digits and `_` stands in brackets and quotes. A text that is
    /// meant literally and happens to start with `$.` must be written as a template.
    ///
    /// Wrong:
    /// ```yaml
    /// id: $.message-id
    /// ```
    /// Right:
    /// ```yaml
    /// id: $['message-id']
    /// ```
    "P0007" "invalid-jsonpath" InvalidJsonpath Error;

    /// A text that holds `{{` is not a template.
    ///
    /// Usually braces or a quote are not closed, or a block such as `{{#if}}` has no end.
    ///
    /// Wrong:
    /// ```yaml
    /// text: "{{#if it.body}}{{it.body}}"
    /// ```
    /// Right:
    /// ```yaml
    /// text: "{{#if it.body}}{{it.body}}{{/if}}"
    /// ```
    "P0008" "invalid-template" InvalidTemplate Error;

    /// A template or operator reads a name that nothing defines.
    ///
    /// Names are scopes (`it`, `root`, `request`, `config`, `contact`, `message`, `part` and so on) and what
    /// `let` names; members of the payload are read as `it.name`.
    ///
    /// Wrong:
    /// ```yaml
    /// text: "{{body}}"
    /// ```
    /// Right:
    /// ```yaml
    /// text: "{{it.body}}"
    /// ```
    "P0009" "unknown-name" UnknownName Error;

    /// A template calls a helper that does not exist.
    ///
    /// Wrong:
    /// ```yaml
    /// text: "{{uppercase it.body}}"
    /// ```
    /// Right:
    /// ```yaml
    /// text: "{{upper it.body}}"
    /// ```
    "P0010" "unknown-helper" UnknownHelper Error;

    /// A helper is called with too many, too few or unfit arguments.
    ///
    /// Wrong:
    /// ```yaml
    /// text: "{{left it.body}}"
    /// ```
    /// Right:
    /// ```yaml
    /// text: "{{left it.body 160}}"
    /// ```
    "P0011" "wrong-arguments" WrongArguments Error;

    /// A mapping reads a `config` or `deployment` value that it does not declare.
    ///
    /// What a channel must supply is declared, so that a missing value is found before the first message.
    ///
    /// Wrong:
    /// ```yaml
    /// config: {api_key: {required: true, secret: true}}
    /// http: {auth: {bearer: "{{config.token}}"}}
    /// ```
    /// Right:
    /// ```yaml
    /// config: {token: {required: true, secret: true}}
    /// http: {auth: {bearer: "{{config.token}}"}}
    /// ```
    "P0012" "undeclared-config" UndeclaredConfig Error;

    /// `$table` names a table that the mapping does not have.
    ///
    /// Wrong:
    /// ```yaml
    /// tables: {status: {"200": sent}}
    /// id: {$table: statuses, key: $.code}
    /// ```
    /// Right:
    /// ```yaml
    /// tables: {status: {"200": sent}}
    /// id: {$table: status, key: $.code}
    /// ```
    "P0013" "unknown-table" UnknownTable Error;

    /// A key that starts with `$` is not an operator.
    ///
    /// An operator is the only one in its map. A JSON member whose name starts with `$` is written as a
    /// template: `"{{'$name'}}"`.
    ///
    /// Wrong:
    /// ```yaml
    /// text: {$frist: [$.body, $.caption]}
    /// ```
    /// Right:
    /// ```yaml
    /// text: {$first: [$.body, $.caption]}
    /// ```
    "P0014" "unknown-operator" UnknownOperator Error;

    /// A text is not a regular expression of the linear-time kind.
    ///
    /// Back references and look-around do not exist, since they can take forever.
    ///
    /// Wrong:
    /// ```yaml
    /// when: {$.from: {re: '^(\d+'}}
    /// ```
    /// Right:
    /// ```yaml
    /// when: {$.from: {re: '^(\d+)'}}
    /// ```
    "P0015" "invalid-regex" InvalidRegex Error;

    /// A route is not `METHOD path` or `METHOD|METHOD path`.
    ///
    /// The path has no leading slash and no query; `{name}` binds a segment.
    ///
    /// Wrong:
    /// ```yaml
    /// route: /receive
    /// ```
    /// Right:
    /// ```yaml
    /// route: POST receive
    /// ```
    "P0016" "invalid-route" InvalidRoute Error;

    /// Two webhooks would answer the same request.
    ///
    /// Wrong:
    /// ```yaml
    /// webhooks:
    ///   - {route: POST receive}
    ///   - {route: GET|POST receive}
    /// ```
    /// Right:
    /// ```yaml
    /// webhooks:
    ///   - {route: POST receive}
    ///   - {route: GET receive}
    /// ```
    "P0017" "duplicate-route" DuplicateRoute Error;

    /// A status is none of those that the platform knows.
    ///
    /// They are `sent`, `delivered`, `read` and `failed`; null (`~`) is no news, as when the provider is going
    /// to try again.
    ///
    /// Wrong:
    /// ```yaml
    /// tables: {status: {DELIVRD: deliverd}}
    /// ```
    /// Right:
    /// ```yaml
    /// tables: {status: {DELIVRD: delivered}}
    /// ```
    "P0018" "unknown-status" UnknownStatus Error;

    /// A file that is named here does not exist.
    ///
    /// Paths are relative to the file that names them.
    ///
    /// Wrong:
    /// ```yaml
    /// tables: {errors: {file: tables/errors.yaml}}
    /// ```
    /// Right:
    /// ```yaml
    /// tables: {errors: {file: errors.yaml}}
    /// ```
    "P0019" "missing-file" MissingFile Error;

    /// Anyone who guesses the URL of this webhook can inject messages.
    ///
    /// Let `verify` prove that a request comes from the provider: a signature, a shared secret, or the
    /// addresses that it sends from. Where the provider has nothing of the kind, a secret in the URL is enough.
    ///
    /// Wrong:
    /// ```yaml
    /// webhooks:
    ///   - route: POST receive
    /// ```
    /// Right:
    /// ```yaml
    /// webhooks:
    ///   - route: POST receive
    ///     verify: [{equal: ["{{request.query.key}}", "{{config.webhook_key}}"]}]
    /// ```
    "P0020" "unverified-route" UnverifiedRoute Warning;

    /// A name is defined and never read.
    ///
    /// Usually it is mistyped where it is read, or a left-over.
    ///
    /// Wrong:
    /// ```yaml
    /// let: {sender: $.from}
    /// text: $.body
    /// ```
    /// Right:
    /// ```yaml
    /// let: {sender: $.from}
    /// text: "{{sender}}: {{it.body}}"
    /// ```
    "P0021" "unused-name" UnusedName Warning;

    /// A text needs quotes, since YAML gives its characters another meaning.
    ///
    /// A plain text can't start with `{{`: YAML sees a map within a map. Within `{...}` and `[...]` it can't hold
    /// brackets, braces or commas, so a path such as `$.items[0]` needs quotes there. Nor can it hold a colon
    /// before a space, or start with `@`, `%` or a backtick. `patchcord check --fix` adds the quotes.
    ///
    /// Wrong:
    /// ```yaml
    /// text: {{it.body}}
    /// contact: {id: $.contacts[0].id}
    /// ```
    /// Right:
    /// ```yaml
    /// text: "{{it.body}}"
    /// contact: {id: "$.contacts[0].id"}
    /// ```
    "P0022" "quote-needed" QuoteNeeded Error;

    /// A file or something in it exceeds its bound.
    ///
    /// The bounds keep one mapping from hurting its host: 1 MiB a file, 20,000 values, 200 aliases, 64 levels;
    /// 64 KiB and 64 levels a template. Large lookups belong in a table file of their own.
    ///
    /// Wrong:
    /// ```yaml
    /// tables: {prefixes: {"1201": US, "1202": US}}   # and 30,000 more
    /// ```
    /// Right:
    /// ```yaml
    /// tables: {prefixes: {file: prefixes.yaml}}
    /// ```
    "P0023" "too-large" TooLarge Error;

    /// The mapping's name is not that of its file.
    ///
    /// Everything else names a mapping by its name: channels, tests, URLs. It would be looked for in the wrong
    /// file.
    ///
    /// Wrong:
    /// ```yaml
    /// # mappings/acme.yaml
    /// name: ac-me
    /// ```
    /// Right:
    /// ```yaml
    /// # mappings/acme.yaml
    /// name: acme
    /// ```
    "P0024" "name-mismatch" NameMismatch Error;

    /// A channel, a test or `extends` names a mapping that was not found.
    ///
    /// What `extends` names is looked for among the mappings that are read, and beside the file as `NAME.yaml`. A test
    /// file is about its mapping and the variants of it.
    ///
    /// Wrong:
    /// ```yaml
    /// channels: {support: {mapping: ac_me}}
    /// ```
    /// Right:
    /// ```yaml
    /// channels: {support: {mapping: acme}}
    /// ```
    "P0025" "unknown-mapping" UnknownMapping Error;

    /// A secret is referred to but not there.
    ///
    /// The environment variable is not set or empty, or the file can't be read.
    ///
    /// Wrong:
    /// ```yaml
    /// config: {api_key: {env: ACME_KEY}}   # not set
    /// ```
    /// Right:
    /// ```yaml
    /// config: {api_key: {file: /run/secrets/acme_key}}
    /// ```
    "P0026" "missing-secret" MissingSecret Error;

    /// A file is there but could not be read.
    ///
    /// Its permissions forbid it, it is a folder, or it is not UTF-8.
    ///
    /// Wrong:
    /// ```yaml
    /// mappings: [mappings/acme.yaml/]
    /// ```
    /// Right:
    /// ```yaml
    /// mappings: [mappings]
    /// ```
    "P0027" "failed-to-read" FailedToRead Error;

    /// Two things have the same name or address, so it does not say which is meant.
    ///
    /// Steps of `send` are told apart by their `id`, the channels of a mapping with a shared route by their
    /// address, mappings and variants by their name. A constant of `set` is visible everywhere, so nothing else has
    /// its name.
    ///
    /// Wrong:
    /// ```yaml
    /// send:
    ///   steps:
    ///     - {id: upload, request: {url: media}}
    ///     - {id: upload, request: {url: messages}}
    /// ```
    /// Right:
    /// ```yaml
    /// send:
    ///   steps:
    ///     - {id: upload, request: {url: media}}
    ///     - {id: deliver, request: {url: messages}}
    /// ```
    "P0028" "duplicate-name" DuplicateName Error;

    /// A secret stands in the file itself.
    ///
    /// Files are shared, backed up and kept in version control; a secret in them leaks. Refer to an environment
    /// variable or to a file that only the gateway can read.
    ///
    /// Wrong:
    /// ```yaml
    /// # patchcord.yaml
    /// platform: {token: eyJhbGciOiJIUzI1NiJ9}
    /// ```
    /// Right:
    /// ```yaml
    /// # patchcord.yaml
    /// platform: {token: {env: SUPPORT_TOKEN}}
    /// ```
    "P0029" "literal-secret" LiteralSecret Error;

    /// A value asks for a call that the mapping does not have.
    ///
    /// Wrong:
    /// ```yaml
    /// calls:
    ///   token: {request: {url: "https://a.example/token"}}
    /// http: {auth: {bearer: {$call: tokn}}}
    /// ```
    /// Right:
    /// ```yaml
    /// calls:
    ///   token: {request: {url: "https://a.example/token"}}
    /// http: {auth: {bearer: {$call: token}}}
    /// ```
    "P0030" "unknown-call" UnknownCall Error;

    /// A call stands where none can be made.
    ///
    /// A webhook is verified, its events are told apart and the answer goes out without asking anybody; what a
    /// response means is decided from the response alone. Calls can give texts, attachments, and what is known of a
    /// contact but its id, and everything in requests.
    ///
    /// Wrong:
    /// ```yaml
    /// calls:
    ///   token: {request: {url: "https://a.example/token"}, response: {return: {$call: other}}}
    ///   other: {request: {url: "https://a.example/other"}}
    /// ```
    /// Right:
    /// ```yaml
    /// calls:
    ///   token:
    ///     steps:
    ///       - {id: first, request: {url: "https://a.example/token"}}
    ///       - {compute: {$call: other, code: "{{first.code}}"}}
    ///   other: {request: {url: "https://a.example/other", query: {code: "{{arg.code}}"}}}
    /// ```
    "P0031" "no-call-here" NoCallHere Error;

    /// A call needs its own value.
    ///
    /// Wrong:
    /// ```yaml
    /// calls:
    ///   token: {request: {url: "https://a.example/token", query: {old: {$call: token}}}}
    /// ```
    /// Right:
    /// ```yaml
    /// calls:
    ///   token: {request: {url: "https://a.example/token", query: {key: "{{config.key}}"}}}
    /// config: {key: {secret: true}}
    /// ```
    "P0032" "circular-call" CircularCall Error;
}

impl Code {
    /// What it means, in one sentence.
    pub fn summary(self) -> &'static str {
        self.comment().lines().next().unwrap_or_default().trim()
    }

    /// The page that explains it, in Markdown, with an example of what is wrong and what is right; the first
    /// line is the summary.
    pub fn explain(self) -> String {
        let mut page = String::new();
        for line in self.comment().lines() {
            page.push_str(line.strip_prefix(' ').unwrap_or(line));
            page.push('\n');
        }
        page
    }

    /// The kind with that code string or name, in any case.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str().eq_ignore_ascii_case(text) || code.name().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_from_one_and_names_are_unique() {
        for (at, code) in Code::ALL.iter().enumerate() {
            assert_eq!(code.as_str(), format!("P{:04}", at + 1));
            assert_eq!(Code::find(code.as_str()), Some(*code));
            assert_eq!(Code::find(code.name()), Some(*code));
        }
        assert_eq!(Code::find("p0001"), Some(Code::UnknownKey));
        assert_eq!(Code::find("nonsense"), None);
    }

    #[test]
    fn every_page_says_it_in_one_line_and_shows_wrong_and_right() {
        for code in Code::ALL {
            let page = code.explain();
            let first = page.lines().next().unwrap();
            assert_eq!(first, code.summary());
            assert!(first.ends_with('.') && first.len() < 100, "{code}: {first}");
            assert!(page.lines().any(|line| line == "```yaml"), "{code}");
            assert_eq!(page.matches("```yaml").count(), 2, "{code}");
            assert_eq!(page.matches("```").count(), 4, "{code}");
            assert!(page.contains("Wrong:") && page.contains("Right:"), "{code}");
        }
    }
}
