//! The page of values: prose from `values.md`, with the tables of scopes, operators and tests filled in.

use std::fmt::Write as _;

use super::{cell, code};
use crate::expression::{Form, OPERATORS, SAMPLE, Scope, TESTS};

/// The page.
pub(super) fn page() -> String {
    include_str!("values.md")
        .replace("<!-- scopes -->\n", &scopes())
        .replace("<!-- sample -->", SAMPLE)
        .replace("<!-- operators -->\n", &forms(OPERATORS))
        .replace("<!-- tests -->\n", &forms(TESTS))
}

fn scopes() -> String {
    let mut text = String::from("| name | what it is | members |\n|---|---|---|\n");
    for scope in Scope::ALL {
        let members = scope.members().map_or_else(
            || "any".into(),
            |members| members.iter().map(|member| code(member)).collect::<Vec<_>>().join(" "),
        );
        let _ = writeln!(text, "| {} | {} | {members} |", code(scope.name()), cell(scope.about()));
    }
    text
}

fn forms(forms: &[Form]) -> String {
    let mut text = String::from("| key | beside it | gives | example |\n|---|---|---|---|\n");
    for form in forms {
        let with: Vec<_> = form.with.iter().map(|key| code(key)).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} → {} |",
            code(form.name),
            with.join(" "),
            cell(form.about),
            code(form.example),
            code(form.gives)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Scripted;
    use crate::compile;
    use crate::diagnostic::{self, Diagnostics, Sources};
    use crate::expression::Value;
    use crate::pipeline::{Incoming, Site, find_route, receive};
    use crate::plan::Plan;
    use crate::rehearsal::{Kept, NOW, Stage, message_of, send};
    use crate::yaml;

    fn compiled(text: &str) -> Plan {
        let (mut sources, mut out) = (Sources::new(), Diagnostics::new());
        let file = sources.add("example.yaml", text);
        let plan = yaml::parse(file, &sources, &mut out).and_then(|node| compile::mapping(&node, &mut out));
        plan.unwrap_or_else(|| panic!("{}", diagnostic::text(&out, &sources, false)))
    }

    /// The id of the event that a rule makes of the sample; none if it makes none.
    fn emitted(rule: &str) -> Option<String> {
        let text = format!(
            "patchcord: 1\nname: example\ncontact_id: phone\ntables: {{letters: {{a: alpha}}}}\nwebhooks:\n  \
             - route: POST receive\n    events:\n      - {{emit: event, {rule}}}\n"
        );
        let plan = compiled(&text);
        let (stage, _) = Stage::new(&plan, &Value::Null, NOW);
        let request = Incoming { body: SAMPLE.into(), ..Incoming::default() };
        let site = Site {
            plan: &plan,
            channel: Some(&stage.channel),
            deployment: &stage.channel.deployment,
            directory: &stage,
            world: &stage.world,
        };
        let received =
            receive(&site, find_route(&plan, false, "POST", "receive").unwrap(), &request, &mut None);
        received.events.first().map(|routed| routed.event.id.clone())
    }

    /// What a call gives: the body of a request that is made of it.
    fn called(example: &str) -> Value {
        let text = format!(
            "patchcord: 1\nname: example\ncontact_id: phone\ncalls: {{greeting: {{compute: 'hello {{{{arg.name}}}}'}}}}\n\
             send: {{steps: [{{request: {{url: 'https://provider.example/', json: {{value: {example}}}}}}}]}}\n"
        );
        let plan = compiled(&text);
        let (stage, _) = Stage::new(&plan, &Value::Null, NOW);
        let message = message_of(&Value::from_json(br#"{"contact_id":"c","text":"t"}"#).unwrap()).unwrap();
        let sent = send(&stage, &message, &Scripted::new(Vec::new()), &mut Kept::default());
        sent.get("requests").as_list().unwrap()[0].get("json").clone()
    }

    #[test]
    fn every_operator_gives_what_its_example_says() {
        for form in OPERATORS {
            if form.name == "$call" {
                assert_eq!(called(form.example).get("value").to_json().unwrap(), form.gives);
                continue;
            }
            let found = emitted(&format!("id: {{$json: {{$merge: [{{value: {}}}]}}}}", form.example));
            let expected = format!("{{\"value\":{}}}", form.gives);
            assert_eq!(found, Some(expected), "{}", form.example);
        }
    }

    #[test]
    fn every_test_gives_what_its_example_says() {
        for form in TESTS {
            let holds = emitted(&format!("id: x, when: {}", form.example)).is_some();
            assert_eq!(holds.to_string(), form.gives, "{}", form.example);
        }
    }
}
