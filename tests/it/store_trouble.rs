//! A disk that is full, or does not take what is written: callers are told to come back, and nothing that was
//! accepted is lost.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Folder, Process, Setup, TOKEN, Town, among_others, http, say, until};

/// A small file system in memory; taken away when it is dropped.
struct SmallDisk {
    path: PathBuf,
    _folder: Folder,
}

impl SmallDisk {
    /// None where mounting is not allowed.
    fn mount(kilobytes: u32) -> Option<Self> {
        let folder = Folder::new();
        let path = folder.path("disk");
        std::fs::create_dir_all(&path).unwrap();
        let size = format!("size={kilobytes}k");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        done.is_ok_and(|output| output.status.success()).then_some(Self { path, _folder: folder })
    }

    /// Mounts it again with another option.
    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.path).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// One text of 2 kB from the platform; the answer of the gateway.
fn message(town: &Town, number: u32) -> http::Answer {
    let text = format!("c1-{number:06} {}", "x".repeat(2000));
    let body = json!({"contactId": "+60123456789", "message": {"type": "text", "text": text}});
    let bearer = format!("Bearer {TOKEN}");
    http::post_json(&format!("{}/message", town.base_url()), &[("authorization", &bearer)], &body)
}

/// A message of a contact.
fn webhook(number: u32) -> Value {
    let (id, text) = (format!("in-trouble-{number}"), "y".repeat(2000));
    json!({"event": "message", "id": id, "from": "+60123456780", "text": text, "time": 1_767_323_045_000_u64})
}

/// Hands over messages until the gateway can't take one; the numbers of those that it took, and its refusal.
fn fill(town: &Town) -> (Vec<String>, http::Answer) {
    let mut taken = Vec::new();
    for number in 0..20_000 {
        let answer = message(town, number);
        if answer.status != 200 {
            return (taken, answer);
        }
        taken.push(answer.json()["mId"].as_str().unwrap().to_owned());
    }
    panic!("the disk is never full");
}

/// The disk is in trouble until `heal`; checks what callers are told, that it goes on, and that nothing is lost.
fn survives(what: &str, town: &Town, heal: impl FnOnce()) {
    let (taken, refused) = fill(town);
    // A webhook may still find room where a message did not; the first that does not is told so.
    let noted =
        (0..1000).find(|number| town.webhook(&webhook(*number)) == 503).expect("webhooks are refused");
    let [alive, ready] =
        ["healthz", "readyz"].map(|path| http::get(&format!("{}/{path}", town.gateway.url)).status);
    say(format!(
        "{what}: {} accepted, then {} with Retry-After {}: {}; {noted} more webhooks, then 503; /healthz {alive}, /readyz {ready}",
        taken.len(),
        refused.status,
        refused.header("retry-after"),
        refused.error()
    ));
    assert_eq!((refused.status, alive), (503, 200));
    let seconds: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds));
    heal();
    let again = until("messages are accepted again", 20, || {
        Some(message(town, 30_000)).filter(|answer| answer.status == 200)
    });
    until("webhooks too", 20, || (town.webhook(&webhook(noted)) == 200).then_some(()));
    let last = again.json()["mId"].as_str().unwrap().to_owned();
    // Each message has three parts of at most 1000 characters.
    until("the last one leaves", 60, || (town.provider.received(&last).len() == 3).then_some(()));
    for number in 0..=noted {
        town.platform.first(&format!("in-trouble-{number}\""));
    }
    let arrived: Vec<_> = town.provider.received("reference");
    let ids = arrived.iter().filter_map(|one| one["json"]["reference"].as_str());
    let times = ids.fold(std::collections::BTreeMap::<&str, u32>::new(), |mut times, id| {
        *times.entry(id).or_default() += 1;
        times
    });
    let lost = taken.iter().filter(|id| times.get(id.as_str()).is_none_or(|times| *times < 3)).count();
    let repeated = times.values().filter(|times| **times > 3).count();
    let order = &town.provider.stats()["order"];
    say(format!(
        "{what}: after the disk works again {} of {} accepted messages have arrived, {repeated} of them with a part sent twice, out of order {}",
        taken.len() - lost,
        taken.len(),
        order["out_of_order"]
    ));
    assert_eq!(lost, 0);
    assert_eq!(order["out_of_order"], 0);
    assert!(
        times.keys().all(|id| *id == last || taken.iter().any(|taken| taken == id)),
        "what was refused was not sent"
    );
}

/// Nothing but the disk slows it down.
fn fast() -> Setup {
    Setup {
        limits: "{rate: unlimited, in_flight: 4}",
        platform_rate: "unlimited",
        platform_limit: 0,
        ..Setup::default()
    }
}

/// Takes everything without receipts.
fn without_receipts(town: &Town) {
    let answer: Value = json!({"answers": [], "default": {"json": {"id": "{{id}}", "status": "queued"}}});
    town.provider.script(&answer);
}

/// A disk of that size gets full.
fn gets_full(what: &str, kilobytes: u32) {
    let _turn = among_others();
    let Some(disk) = SmallDisk::mount(kilobytes) else {
        say("SKIPPED: this needs the right to mount a file system (root)");
        return;
    };
    let store = Some(format!("sqlite:{}", disk.path.join("patchcord.db").display()));
    let town = Setup { store, ..fast() }.start();
    without_receipts(&town);
    survives(what, &town, || disk.remount("size=200000k"));
}

#[test]
fn a_full_disk_refuses_politely_and_loses_nothing() {
    gets_full("full disk without room for a log", 3000);
}

#[test]
fn a_disk_that_gets_full_behind_the_log_refuses_politely_and_loses_nothing() {
    gets_full("full disk behind the log", 22_000);
}

#[test]
fn a_store_that_can_t_be_written_is_told_at_the_start() {
    let _turn = among_others();
    let Some(disk) = SmallDisk::mount(3000) else {
        say("SKIPPED: this needs the right to mount a file system (root)");
        return;
    };
    let store = Some(format!("sqlite:{}", disk.path.join("patchcord.db").display()));
    let town = Setup { store, ..fast() }.prepare();
    disk.remount("ro");
    let mut process = Process::start(&mut town.gateway.command(), &town.folder.path("read-only.log"));
    let ended = process.wait(20);
    say(format!("{ended}: {}", process.printed().trim()));
    assert_eq!(ended.code(), Some(2));
    assert!(process.printed().contains("Read-only file system"));
}

#[test]
fn a_disk_that_takes_no_more_writes_refuses_politely_and_loses_nothing() {
    let _turn = among_others();
    let mut town = fast().prepare();
    // Writes beyond this size fail; the limit can be lifted from outside.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -S -f 4000; exec \"$0\" \"$@\""]);
    let command = town.gateway.command();
    limited.arg(command.get_program()).args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    town.gateway.start_with(limited);
    without_receipts(&town);
    let id = town.gateway.id().to_string();
    survives("failing writes", &town, || {
        let lifted = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:"]).status();
        assert!(lifted.expect("the `prlimit` tool is needed").success());
    });
}
