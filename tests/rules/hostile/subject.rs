//! What is attacked: every mapping and every variant of one, with tests whose payloads are a beginning.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use patchcord::call::ScriptedAnswer;
use patchcord::load::Library;
use patchcord::plan::{ContactIdKind, Plan};
use patchcord::rehearsal::{self, Stage, read_tests, scripted, stage_of};
use patchcord::sandbox::platform::{Channel, IdType, rules};
use patchcord::spec::{MappingTests, TestCase};
use serde_json::Value;

use crate::program::root;

/// What is shipped.
pub fn shipped() -> &'static [Subject] {
    static SHIPPED: OnceLock<Vec<Subject>> = OnceLock::new();
    SHIPPED.get_or_init(|| subjects(&["mappings", "src/sandbox"]))
}

/// What proves the constructs of the language.
pub fn constructs() -> Vec<Subject> {
    subjects(&["tests/fixtures/mappings"])
}

/// 2100-01-01: the recorded payloads are younger than the clock of a rehearsal, and that they lie ahead of it says
/// nothing about the mapping; what lies beyond this does.
const LATER: i64 = 4_102_444_800_000;

/// A mapping or a variant of one.
pub struct Subject {
    pub name: String,
    pub plan: Plan,
    /// The same without proofs: what can't be signed here, since only the provider has the key, comes in all the same.
    pub open: Plan,
    tests: Arc<MappingTests>,
    /// The mapping in whose file it is.
    family: String,
}

/// All mappings in these folders, and their variants.
fn subjects(folders: &[&str]) -> Vec<Subject> {
    let paths: Vec<_> = folders.iter().map(|path| root().join(path)).collect();
    let open = plans(&paths).into_iter().map(|(_, _, mut plan, _)| {
        plan.webhooks.iter_mut().for_each(|webhook| webhook.verify.clear());
        plan
    });
    plans(&paths)
        .into_iter()
        .zip(open)
        .map(|((name, family, plan, tests), open)| Subject { name, plan, open, tests, family })
        .collect()
}

/// Each plan with its name, the name of its file's mapping and the file's tests.
fn plans(paths: &[PathBuf]) -> Vec<(String, String, Plan, Arc<MappingTests>)> {
    let mut library = Library::read(paths).unwrap();
    let mut found = Vec::new();
    for mut mapping in library.mappings.clone() {
        let tests = patchcord::load::test_file_of(&mapping.path);
        let tests = Arc::new(read_tests(&tests, &mapping, &mut library).unwrap());
        mapping.trees.clear();
        let family = mapping.name.unwrap();
        let own = (family.clone(), mapping.plan);
        for (name, plan) in std::iter::once(own).chain(mapping.variants) {
            found.push((name.to_string(), family.to_string(), plan.unwrap(), tests.clone()));
        }
    }
    drop(library);
    found
        .into_iter()
        .map(|(name, family, plan, tests)| (name, family, Arc::into_inner(plan).unwrap(), tests))
        .collect()
}

impl Subject {
    /// The tests that are its own, or those of its family where it has none of that sort.
    pub fn cases(&self, sort: impl Fn(&TestCase) -> bool) -> Vec<&TestCase> {
        let of = |wanted: &str| -> Vec<&TestCase> {
            let name = |case: &TestCase| {
                case.mapping.as_ref().map_or(self.family.clone(), |name| name.value.to_string())
            };
            self.tests.tests.iter().filter(|case| sort(case) && name(case) == wanted).collect()
        };
        let own = of(&self.name);
        if own.is_empty() { of(&self.family) } else { own }
    }

    /// The stage of a test.
    pub fn stage<'p>(&self, plan: &'p Plan, case: &TestCase) -> Stage<'p> {
        stage_of(plan, self.tests.channel.as_ref(), case).0
    }
}

/// The provider's answers in a test.
pub fn answers(case: &TestCase) -> Vec<ScriptedAnswer> {
    scripted(&case.provider).unwrap_or_default()
}

/// What stands for the store in a test.
pub fn kept(case: &TestCase) -> rehearsal::Kept {
    let given = case.store.as_ref().map(|raw| raw.0.to_value()).unwrap_or_default();
    rehearsal::Kept::of(&given).unwrap()
}

/// What is wrong with what came of something: the word for it, the answer, what the platform is told, and what the
/// provider is asked.
pub fn problems(
    outcome: &Value,
    plan: &Plan,
    verdicts: &[&str],
    key: &str,
    contact: Option<&str>,
) -> Vec<String> {
    let mut found = Vec::new();
    let verdict = outcome[key].as_str().unwrap_or_default();
    if !verdicts.contains(&verdict) {
        found.push(format!("`{verdict}` is no {key}"));
    }
    if let Some(status) = outcome["reply"]["status"].as_i64()
        && !(200..600).contains(&status)
    {
        found.push(format!("the answer has the status {status}"));
    }
    let channel = Channel {
        id_type: if plan.contact_id == ContactIdKind::Phone { IdType::Phone } else { IdType::Custom },
        statuses: ["sent", "delivered", "read", "failed"].map(String::from).into(),
        ..Channel::default()
    };
    for request in list(&outcome["platform_requests"]) {
        let mut body = request["body"].clone();
        // Whom the platform named itself is called what the platform called it, whatever that is.
        if contact.is_some_and(|contact| body["contactId"] == contact) {
            body["contactId"] = if channel.id_type == IdType::Phone { "+60123456789" } else { "1" }.into();
        }
        if let Err(problems) = rules::check(&body, &channel, LATER) {
            found.extend(problems);
        }
    }
    let requests = list(&outcome["requests"]).iter().chain(list(&outcome["calls"]));
    found.extend(requests.flat_map(request_problems));
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What no HTTP client should be asked to send.
fn request_problems(request: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let url = request["url"].as_str().unwrap_or_default();
    if !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        found.push(format!("`{url}` is asked"));
    }
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        if value.as_str().is_none_or(|value| value.contains(['\r', '\n', '\0'])) {
            found.push(format!("the header `{name}` is {value}"));
        }
    }
    let json =
        request["headers"]["content-type"].as_str().is_some_and(|kind| kind.starts_with("application/json"));
    let body = request["body"].as_str().unwrap_or_default();
    if json && !body.is_empty() && serde_json::from_str::<Value>(body).is_err() {
        found.push("the body is no JSON".into());
    }
    found
}

/// As JSON.
pub fn json(value: &patchcord::expression::Value) -> Value {
    serde_json::to_value(value).unwrap()
}
