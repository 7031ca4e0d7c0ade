//! `dry-run --format json`: the contract that tools depend on, to the letter, and the same bytes every time.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Map, Value, json};

use crate::support::{Folder, hmac_sha1_base64, patchcord, say};

/// Runs `dry-run` twice, with JSON files as arguments; the output, which must not differ in a byte.
fn dry_run(mapping: &str, files: &[(&str, &Value)], more: &[&str]) -> Value {
    let folder = Folder::new();
    let run = || {
        let mut command = patchcord();
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["dry-run", mapping, "--format", "json"])
            .args(more);
        for (name, content) in files {
            command.arg(format!("--{name}")).arg(folder.write(&format!("{name}.json"), content.to_string()));
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let first = run();
    assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&run()), "two runs differ");
    serde_json::from_slice(&first).unwrap()
}

/// The object, which has these members, perhaps those, and no others.
fn object<'v>(what: &str, value: &'v Value, needed: &[&str], optional: &[&str]) -> &'v Map<String, Value> {
    let map = value.as_object().unwrap_or_else(|| panic!("{what} is no object: {value}"));
    let missing: Vec<_> = needed.iter().filter(|name| !map.contains_key(**name)).collect();
    let known = |name: &&String| needed.contains(&name.as_str()) || optional.contains(&name.as_str());
    let unknown: Vec<_> = map.keys().filter(|name| !known(name)).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{what}: missing {missing:?}, unknown {unknown:?}: {value}"
    );
    map
}

fn list<'v>(what: &str, value: &'v Value) -> &'v Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{what} is no list: {value}"))
}

fn texts(what: &str, map: &Value, names: &[&str]) {
    for name in names.iter().filter(|name| map.get(**name).is_some()) {
        assert!(map[*name].is_string(), "{what}.{name} is no text: {map}");
    }
}

fn one_of(what: &str, value: &Value, words: &[&str]) {
    assert!(value.as_str().is_some_and(|word| words.contains(&word)), "{what}: {value} is none of {words:?}");
}

fn check_headers(what: &str, headers: &Value) {
    for (name, value) in headers.as_object().unwrap_or_else(|| panic!("{what}: {headers}")) {
        assert!(value.is_string() && *name == name.to_lowercase(), "{what}: {headers}");
    }
}

/// Every value is a list of texts.
fn check_lists(what: &str, map: &Value) {
    for values in map.as_object().unwrap_or_else(|| panic!("{what}: {map}")).values() {
        assert!(list(what, values).iter().all(Value::is_string), "{what}: {map}");
    }
}

fn check_event(event: &Value) {
    let optional = ["text", "attachments", "location", "status", "error"];
    object("event", event, &["type", "id", "timestamp", "contact"], &optional);
    one_of(
        "type",
        &event["type"],
        &["message", "message_echo", "message_status", "opt_out", "contact", "event"],
    );
    texts("event", event, &["id", "text", "status"]);
    assert!(event["timestamp"].is_i64(), "{event}");
    assert!(event["contact"]["id"].is_string(), "{event}");
    for attachment in event.get("attachments").map_or(&Vec::new(), |all| list("attachments", all)) {
        object("attachment", attachment, &["type", "url"], &["mime", "name", "caption"]);
        texts("attachment", attachment, &["type", "url", "mime", "name", "caption"]);
    }
    if let Some(location) = event.get("location") {
        assert!(location["latitude"].is_f64() && location["longitude"].is_f64(), "{event}");
    }
    if let Some(error) = event.get("error") {
        object("error", error, &["code", "message"], &[]);
        texts("error", error, &["code", "message"]);
    }
}

fn check_platform_request(request: &Value) {
    object("platform request", request, &["url", "headers", "body"], &[]);
    texts("platform request", request, &["url"]);
    check_headers("platform request", &request["headers"]);
    let body = object("body", &request["body"], &["channelId", "contactId", "events"], &["contact"]);
    assert!(!list("events", &body["events"]).is_empty());
}

fn check_request(request: &Value) {
    let optional = ["body_base64", "json", "form", "multipart"];
    object("request", request, &["method", "url", "query", "headers", "body"], &optional);
    texts("request", request, &["method", "url", "body_base64"]);
    check_headers("request", &request["headers"]);
    check_lists("query", &request["query"]);
    if let Some(form) = request.get("form") {
        check_lists("form", form);
    }
    assert!(request["body"].is_string() || request["body"].is_null(), "{request}");
    assert!(!request["url"].as_str().unwrap().contains('?'), "the query stands apart: {request}");
}

/// Checks what `--receive` printed; the results.
fn received(output: &Value) -> Vec<Value> {
    object("output", output, &["results"], &[]);
    for result in list("results", &output["results"]) {
        object(
            "result",
            result,
            &["reply", "verdict", "reason", "events", "platform_requests", "calls"],
            &[],
        );
        object("reply", &result["reply"], &["status", "headers", "body"], &[]);
        assert!(result["reply"]["status"].is_u64() && result["reply"]["body"].is_string(), "{result}");
        check_headers("reply", &result["reply"]["headers"]);
        one_of("verdict", &result["verdict"], &["accepted", "ignored", "rejected", "replied"]);
        assert!(result["reason"].is_null() || result["reason"].is_string(), "{result}");
        list("events", &result["events"]).iter().for_each(check_event);
        list("platform_requests", &result["platform_requests"]).iter().for_each(check_platform_request);
        list("calls", &result["calls"]).iter().for_each(check_request);
    }
    output["results"].as_array().unwrap().clone()
}

/// Checks what `--send` printed.
fn sent(output: &Value) -> &Value {
    let members = ["requests", "outcome", "ids", "error", "retry_after", "platform_requests"];
    object("output", output, &members, &[]);
    list("requests", &output["requests"]).iter().for_each(check_request);
    one_of("outcome", &output["outcome"], &["sent", "failed", "retry", "throttled", "opt_out"]);
    assert!(list("ids", &output["ids"]).iter().all(Value::is_string), "{output}");
    if !output["error"].is_null() {
        object("error", &output["error"], &["code", "message"], &[]);
        texts("error", &output["error"], &["code", "message"]);
    }
    assert!(output["retry_after"].is_null() || output["retry_after"].is_number(), "{output}");
    list("platform_requests", &output["platform_requests"]).iter().for_each(check_platform_request);
    output
}

fn clicksend_message(id: &str) -> Value {
    let body = json!({"body": "hi ü", "from": "+61429912603", "timestamp": 1_775_012_927, "message_id": id});
    json!({"method": "POST", "url": "receive", "headers": {"Content-Type": "application/json"}, "body": body.to_string()})
}

#[test]
fn one_webhook() {
    let results = received(&dry_run("clicksend", &[("receive", &clicksend_message("A1"))], &[]));
    assert_eq!(
        results,
        [json!({
            "reply": {"status": 200, "headers": {"content-type": "application/json"}, "body": "{}"},
            "verdict": "accepted",
            "reason": null,
            "events": [{"type": "message", "id": "A1", "timestamp": 1_775_012_927_000_u64,
                "contact": {"id": "+61429912603"}, "text": "hi ü"}],
            "platform_requests": [{
                "url": "https://platform.example/custom/channel/webhook/",
                "headers": {"authorization": "Bearer stand-in-token", "content-type": "application/json"},
                "body": {"channelId": "stand-in-channel", "contactId": "+61429912603", "events": [{"type": "message",
                    "mId": "A1", "timestamp": 1_775_012_927_000_u64, "message": {"type": "text", "text": "hi ü"}}]},
            }],
            "calls": [],
        })]
    );
    say("every member as the contract says, byte-identical");
}

#[test]
fn several_webhooks_run_in_order_over_one_store() {
    let form = "message_id=A1&status_code=301&error_code=8&error_text=Unknown";
    let requests = json!([
        clicksend_message("A1"),
        clicksend_message("A1"),
        clicksend_message("A2"),
        {"method": "POST", "url": "https://gateway.example.com/channels/test/status?x=1", "body": form,
            "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"path": "status", "query": {"a": ["1", "2"]}, "body_base64": "bWVzc2FnZV9pZD1BMSZzdGF0dXNfY29kZT0yMDE=",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"method": "GET", "path": "receive"},
        {"method": "POST", "path": "nowhere"},
        {"method": "POST", "path": "receive", "body": "{", "headers": {"content-type": "application/json"}},
    ]);
    let results = received(&dry_run("clicksend", &[("receive", &requests)], &[]));
    let told: Vec<_> = results
        .iter()
        .map(|one| {
            (
                one["verdict"].as_str().unwrap(),
                one["reply"]["status"].as_u64().unwrap(),
                one["platform_requests"].as_array().unwrap().len(),
            )
        })
        .collect();
    say(format!("verdict, status, platform requests: {told:?}"));
    assert_eq!(
        told,
        [
            ("accepted", 200, 1),
            ("accepted", 200, 0),
            ("accepted", 200, 1),
            ("accepted", 200, 0),
            ("accepted", 200, 0),
            ("rejected", 405, 0),
            ("rejected", 404, 0),
            ("rejected", 400, 0),
        ]
    );
    assert_eq!(results[1]["reason"], "`A1` was received before");
    assert_eq!(results[3]["reason"], Value::Null, "a receipt without its message is nothing wrong");
    assert_eq!(
        (&results[3]["events"][0]["status"], &results[3]["events"][0]["error"]),
        (&json!("failed"), &json!({"code": "8", "message": "Unknown"}))
    );
    assert_eq!(results[4]["events"][0]["status"], "delivered");
}

#[test]
fn webhooks_are_verified_with_the_channel_s_values_at_the_given_time() {
    let channel = json!({"name": "shop", "channel_id": "ch-9", "public_url": "https://gw.example.org/",
        "config": {"account_sid": "AC1", "auth_token": "12345"}});
    let fields = [
        ("Body", "look"),
        ("From", "+14017122661"),
        ("MediaContentType0", "image/png"),
        ("MediaUrl0", "https://api.example/m0"),
        ("MessageSid", "SM1"),
        ("NumMedia", "1"),
    ];
    let over = fields
        .iter()
        .fold("https://gw.example.org/channels/shop/receive".to_owned(), |text, (name, value)| {
            text + name + value
        });
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = json!({"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": hmac_sha1_base64("12345", over.as_bytes())});
    let requests = json!([
        {"method": "POST", "url": "receive", "headers": headers, "body": body},
        {"method": "POST", "url": "receive", "headers": headers, "body": format!("{body}&More=1")},
    ]);
    let output = dry_run(
        "twilio",
        &[("receive", &requests), ("channel", &channel), ("provider", &json!([]))],
        &["--now", "2026-05-06T07:08:09Z"],
    );
    let results = received(&output);
    assert_eq!(results[1]["verdict"], "rejected");
    assert_eq!(
        results[0]["events"][0]["attachments"],
        json!([{"type": "image", "url": "https://api.example/m0", "mime": "image/png"}]),
        "no host that wants credentials"
    );
    assert_eq!(
        results[0]["events"][0]["timestamp"], 1_778_051_289_000_u64,
        "date -ud 2026-05-06T07:08:09Z +%s"
    );
    assert_eq!(results[0]["platform_requests"][0]["body"]["channelId"], "ch-9");
    say(format!(
        "signed by openssl over the channel's own URL: {}; with one more field: {}",
        results[0]["verdict"], results[1]["reason"]
    ));
}

#[test]
fn a_message_as_the_platform_hands_it_over_and_in_the_canonical_form() {
    let channel = json!({"config": {"username": "ada", "api_key": "k", "sender": "+61422222222"}});
    let provider = json!([{"method": "POST", "url": "https://rest.clicksend.com/*", "status": 200, "times": 2,
        "json": {"data": {"messages": [{"message_id": "B1", "status": "SUCCESS"}]}}}]);
    let text = format!("{} {}", "a".repeat(500), "b".repeat(500));
    let body = json!({"contactId": "+61411111111", "message": {"type": "text", "text": text}});
    let canonical = json!({"contact_id": "+61411111111", "text": text});
    let run = |message: &Value| {
        dry_run("clicksend", &[("send", message), ("channel", &channel), ("provider", &provider)], &[])
    };
    let output = run(&body);
    assert_eq!(output, run(&canonical), "two ways to say the same");
    sent(&output);
    let request = |text: String| {
        let json = json!({"messages": [{"to": "+61411111111", "from": "+61422222222", "body": text, "source": "patchcord"}]});
        json!({"method": "POST", "url": "https://rest.clicksend.com/v3/sms/send", "query": {},
            "headers": {"content-type": "application/json", "authorization": "Basic YWRhOms="},
            "body": json.to_string(), "json": json})
    };
    assert_eq!(output["requests"], json!([request("a".repeat(500)), request("b".repeat(500))]));
    assert_eq!((&output["outcome"], &output["ids"]), (&json!("sent"), &json!(["B1", "B1"])));
    assert_eq!(
        (&output["error"], &output["retry_after"], &output["platform_requests"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    say("two parts, two requests, the same from both forms, byte-identical");
}

#[test]
fn every_outcome() {
    let text = json!({"contactId": "+14017122661", "message": {"type": "text", "text": "hi"}, "id": "my-id"});
    let run = |mapping: &str, provider: Value| {
        let output = dry_run(mapping, &[("send", &text), ("provider", &provider)], &[]);
        say(format!(
            "{mapping}: {} {} retry_after {}",
            output["outcome"], output["error"], output["retry_after"]
        ));
        sent(&output).clone()
    };
    let output = run(
        "twilio",
        json!([{"url": "*", "status": 400, "json": {"code": 21610, "message": "Unsubscribed"}}]),
    );
    assert_eq!(
        (&output["outcome"], &output["error"]),
        (&json!("opt_out"), &json!({"code": "21610", "message": "Unsubscribed"}))
    );
    assert_eq!(output["requests"][0]["form"]["Body"], json!(["hi"]));
    let status = &output["platform_requests"][0]["body"]["events"][0];
    assert_eq!((&status["mId"], &status["status"]["value"]), (&json!("my-id"), &json!("failed")));

    let output = run(
        "telegram",
        json!([{"url": "*", "status": 429, "json": {"ok": false, "error_code": 429,
        "description": "Too Many Requests", "parameters": {"retry_after": 7}}}]),
    );
    assert_eq!((&output["outcome"], &output["retry_after"]), (&json!("throttled"), &json!(7)));
    assert_eq!(output["platform_requests"], json!([]), "nothing is final");

    let output = run(
        "whatsapp",
        json!([{"url": "*", "status": 503, "headers": {"Retry-After": "3"}, "body": "oops"}]),
    );
    assert_eq!((&output["outcome"], &output["retry_after"]), (&json!("throttled"), &json!(3)));
    let output = run("whatsapp", json!([{"url": "*", "status": 503, "body": "oops"}]));
    assert_eq!((&output["outcome"], &output["retry_after"]), (&json!("retry"), &Value::Null));

    let output = run(
        "clicksend",
        json!([{"url": "*", "status": 200, "json": {"data": {"messages": [{"status": "INVALID_RECIPIENT"}]}}}]),
    );
    assert_eq!(
        (&output["outcome"], &output["error"]["code"]),
        (&json!("failed"), &json!("INVALID_RECIPIENT"))
    );
    assert_eq!(output["platform_requests"][0]["body"]["events"][0]["status"]["value"], "failed");

    let output = run(
        "telegram",
        json!([{"url": "*", "json": {"ok": true, "result": {"message_id": 5, "chat": {"id": 1}}}}]),
    );
    assert_eq!((&output["outcome"], &output["ids"]), (&json!("sent"), &json!(["1_5"])));

    let output = run("telegram", json!([{"url": "https://elsewhere.example/*", "status": 200}]));
    assert_eq!((&output["outcome"], &output["error"]["code"]), (&json!("retry"), &json!("unmatched")));
}

#[test]
fn attachments_answers_and_places_in_the_canonical_form() {
    let channel = json!({"config": {"token": "T", "webhook_secret": "s"}});
    let message = json!({"contact_id": "1", "text": "Well?", "id": "own",
        "attachments": [{"type": "image", "url": "https://x.example/a.png", "mime": "image/png", "name": "a.png", "caption": "c"}],
        "location": {"latitude": 3.1, "longitude": 101.6},
        "quick_replies": [{"title": "Yes"}, {"title": "Page", "url": "https://x.example"}], "locale": "en"});
    let output = dry_run(
        "telegram",
        &[
            ("send", &message),
            ("channel", &channel),
            (
                "provider",
                &json!([{"url": "*", "times": 9, "json": {"ok": true, "result": {"message_id": 5, "chat": {"id": 1}}}}]),
            ),
        ],
        &[],
    );
    sent(&output);
    let urls: Vec<_> = output["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["url"].as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    say(format!("one message, {} requests: {urls:?}", urls.len()));
    assert_eq!((urls.len(), &output["outcome"]), (3, &json!("sent")));
}

#[test]
fn files_may_come_from_standard_input_and_mistakes_are_told() {
    let run = |arguments: &[&str], input: &str| {
        let mut child = patchcord()
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["dry-run"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, out, _) =
        run(&["clicksend", "--receive", "-", "--format", "json"], &clicksend_message("A1").to_string());
    assert_eq!((code, received(&serde_json::from_str(&out).unwrap()).len()), (0, 1));
    for (arguments, input, words) in [
        (&["clicksend", "--receive", "-"][..], "{", "standard input is not JSON"),
        (&["clicksend", "--send", "-"], r#"{"contact_id":"1"}"#, "says nothing"),
        (&["clicksend", "--send", "-"], r#"{"text":"1"}"#, "`contact_id` is missing"),
        (&["nobody", "--send", "-"], "{}", "nobody"),
        (&["clicksend", "--send", "-", "--now", "yesterday"], "{}", "yesterday"),
    ] {
        let (code, out, error) = run(arguments, input);
        say(format!("{arguments:?}: {code} {}", error.trim()));
        assert_eq!((code, out.as_str()), (2, ""), "{error}");
        assert!(error.contains(words), "{error}");
    }
}
