//! Stopping and starting the gateway.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Process, Setup, TOKEN, alone, among_others, http, patchcord, say, until};

#[test]
fn what_is_queued_survives_sigterm_and_nothing_is_sent_twice() {
    let _turn = alone();
    let mut town = Setup::default().start();
    // A provider that takes its time: there is always something in flight.
    town.provider.script(
        &json!({"answers": [], "default": {"json": {"id": "{{id}}", "status": "queued"}, "delay": 0.4}}),
    );
    let burst = json!({"contacts": 30, "each": 4, "at_once": 30});
    let body = json!({"base_url": town.base_url(), "token": TOKEN, "burst": burst});
    assert_eq!(town.platform.post("broadcast", &body).json()["accepted"], 120);
    let mut stops = Vec::new();
    for sent in [20, 60] {
        until("some have left", 20, || (town.provider.count("/requests") >= sent).then_some(()));
        let began = Instant::now();
        town.gateway.terminate();
        assert!(town.gateway.ended(20).success(), "exit code 0");
        stops.push((town.provider.count("/requests"), began.elapsed().as_millis()));
        town.gateway.start();
    }
    until("the rest leaves", 30, || (town.provider.count("/order/distinct") == 120).then_some(()));
    let stats = town.provider.stats();
    say(format!(
        "stopped after {} and {} of 120 requests, within {} and {} ms; then: distinct {}, repeats {}, out of order {}, most in \
         any second across the restarts {}",
        stops[0].0,
        stops[1].0,
        stops[0].1,
        stops[1].1,
        stats["order"]["distinct"],
        stats["order"]["repeats"],
        stats["order"]["out_of_order"],
        stats["max_in_any_second"]
    ));
    assert_eq!(stats["requests"], 120, "requests in flight were finished and written down");
    for fault in ["out_of_order", "repeats", "missing"] {
        assert_eq!(stats["order"][fault], 0, "{}", stats["order"]);
    }
    assert!(stats["max_in_any_second"].as_u64().unwrap() <= 20);
    assert!(stops.iter().all(|(_, millis)| *millis < 2000), "{stops:?}");
}

#[test]
fn a_request_that_is_half_received_is_answered_before_the_end() {
    let _turn = among_others();
    let mut town = Setup::default().start();
    let body =
        json!({"contactId": "+60123456789", "message": {"type": "text", "text": "half way"}}).to_string();
    let bearer = format!("Bearer {TOKEN}");
    let url = format!("{}/message", town.base_url());
    // Only a request whose body the gateway has begun to read is half received: it says so.
    let headers = [("authorization", bearer.as_str()), ("expect", "100-continue")];
    let mut stream = http::open("POST", &url, &headers, body.len()).unwrap();
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(String::from_utf8_lossy(&go_on), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body.as_bytes()[..20]).unwrap();
    town.gateway.terminate();
    until("no more connections are taken", 10, || std::net::TcpStream::connect(&town.gateway.url[7..]).err());
    stream.write_all(&body.as_bytes()[20..]).unwrap();
    let answer = http::read(stream).unwrap();
    assert!(town.gateway.ended(20).success());
    town.gateway.start();
    let seen = town.provider.first("half way");
    say(format!("answered {} after SIGTERM, sent as {}", answer.status, seen["json"]["reference"]));
    assert_eq!((answer.status, &answer.json()["mId"]), (200, &seen["json"]["reference"]));
}

#[test]
fn a_caller_who_never_finishes_keeps_no_outcome_from_being_written_down() {
    let _turn = among_others();
    let mut town = Setup { drain: "2s", ..Setup::default() }.start();
    let answer = json!({"json": {"id": "{{id}}", "status": "queued"}, "delay": 0.5});
    town.provider.script(&json!({"answers": [], "default": answer}));
    let bearer = format!("Bearer {TOKEN}");
    let url = format!("{}/message", town.base_url());
    let stream = http::open("POST", &url, &[("authorization", &bearer)], 1000).unwrap();
    let burst = json!({"contacts": 30, "each": 2, "at_once": 30});
    let body = json!({"base_url": town.base_url(), "token": TOKEN, "burst": burst});
    assert_eq!(town.platform.post("broadcast", &body).json()["accepted"], 60);
    until("some have left", 20, || (town.provider.count("/requests") >= 10).then_some(()));
    let began = Instant::now();
    town.gateway.terminate();
    let ended = town.gateway.ended(20);
    let took = began.elapsed();
    let sent = town.provider.count("/requests");
    drop(stream);
    town.gateway.start();
    until("the rest leaves", 20, || (town.provider.count("/order/distinct") == 60).then_some(()));
    let requests = town.provider.count("/requests");
    say(format!(
        "{ended} {:.2} s after SIGTERM, {sent} sent by then; in the end {requests} requests for 60 messages",
        took.as_secs_f64()
    ));
    assert!(ended.success() && took < Duration::from_secs(3));
    assert_eq!(requests, 60, "nothing was sent twice");
}

#[test]
fn a_second_process_on_the_same_store_is_refused() {
    let _turn = among_others();
    let town = Setup::default().start();
    let mut command = town.gateway.command();
    command.args(["--listen", "127.0.0.1:0"]);
    let mut second = crate::support::patchcord();
    second.args(["serve", "--config"]).arg(town.gateway.config()).args(["--listen", "127.0.0.1:0"]);
    second.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut process = Process::start(&mut second, &town.folder.path("second.log"));
    let ended = process.wait(20);
    let printed = process.printed();
    say(format!("{ended}: {}", printed.trim()));
    assert_eq!(ended.code(), Some(2));
    assert!(printed.contains("patchcord.db is in use by another process"), "{printed}");
    town.send("+60123456789", "the first goes on");
    town.provider.first("the first goes on");
}

#[test]
fn a_missing_secret_is_named_and_nothing_starts() {
    let _turn = among_others();
    let town = Setup::default().prepare();
    let mut command = town.gateway.command();
    command.env_remove("KEY");
    let mut process = Process::start(&mut command, &town.folder.path("missing.log"));
    let ended = process.wait(20);
    let printed = process.printed();
    say(format!("{ended}: {}", printed.lines().next().unwrap_or_default()));
    assert_eq!(ended.code(), Some(2));
    assert!(printed.contains("the environment variable `KEY` is not set"), "{printed}");
    assert_eq!(printed.matches("error[").count(), 1, "one cause, one error:\n{printed}");
}

#[test]
fn without_a_public_url_it_is_the_address_that_is_listened_on() {
    let _turn = among_others();
    let town = Setup::default().start();
    let log = std::fs::read_to_string(town.folder.path("gateway.log")).unwrap();
    say(log.lines().next().unwrap_or_default());
    assert!(log.contains(&format!("public_url=\"{}\"", town.gateway.url)), "{log}");
}

#[test]
fn what_the_provider_may_have_taken_is_held_until_an_operator_decides() {
    let _turn = among_others();
    let setup = Setup { retry: "{in_doubt: hold}", limits: "{timeout: 60s}", ..Setup::default() };
    let mut town = setup.start();
    town.provider.script(
        &json!({"answers": [{"times": 1, "json": {"id": "{{id}}", "status": "queued"}, "delay": 30}], "default": {"json": {"id": "{{id}}", "status": "queued"}}}),
    );
    let first = town.send("+60123456789", "taken, but nobody knows");
    until("it is on its way", 10, || (town.provider.count("/requests") >= 1).then_some(()));
    town.gateway.kill();
    town.gateway.start();
    town.send("+60123456789", "and then");
    until("the next one goes", 10, || (town.provider.count("/requests") >= 2).then_some(()));
    let held = until("it is held", 10, || {
        let mut command = patchcord();
        command.args(["messages", "list", "--state", "held", "--format", "json", "--config"]);
        let shown = command.arg(town.gateway.config()).output().unwrap();
        let list: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
        list["messages"].as_array().unwrap().first().cloned()
    });
    say(format!("held: {}", held["reason"]));
    assert_eq!(held["message_id"], first.as_str());
    assert_eq!(town.provider.count("/requests"), 2, "it was not sent again");
}
