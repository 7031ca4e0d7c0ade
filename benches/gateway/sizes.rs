//! A gateway without work: how long it takes to start, and how much memory it needs.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::installation::{Folder, Installation, MAPPINGS, channel};
use super::process::Process;
use super::scale::Scale;
use super::sink::Sink;

/// Two channels.
pub fn idle(scale: &Scale) {
    let (folder, sink) = (Folder::new(), Sink::start());
    Installation { sink: sink.address, platform_rate: "20/s", chats: 1, channels: 1 }.write(&folder);
    show("idle, 3 mappings, 2 channels", &Process::serve(&folder.0), scale.lasts);
}

/// Many mappings and channels: the shipped ones, and copies of them under other names, but for those with variants, whose
/// names would stand twice.
pub fn load(scale: &Scale) {
    let folder = Folder::new();
    let mut text = format!(
        "store: sqlite:{}/patchcord.db\n\
         mappings: [{}/mappings]\n\
         platform: {{token: {{env: BENCH_SECRET}}}}\n\
         channels:\n",
        folder.0.display(),
        folder.0.display()
    );
    let copies = folder.0.join("mappings");
    fs::create_dir(&copies).unwrap();
    let shipped = shipped();
    for (file, _) in &shipped {
        fs::copy(file, copies.join(file.file_name().unwrap())).unwrap();
    }
    let again = shipped.iter().filter(|(_, text)| !text.contains("\nvariants:")).cycle();
    let mappings = shipped.len().max(scale.mappings);
    for (index, (_, text)) in again.take(mappings - shipped.len()).enumerate() {
        let lines = text.lines().map(|line| {
            if line.starts_with("name: ") { format!("name: m{index}\n") } else { format!("{line}\n") }
        });
        fs::write(copies.join(format!("m{index}.yaml")), lines.collect::<String>()).unwrap();
    }
    for index in 0..scale.loaded_channels {
        let _ = write!(
            text,
            "{}",
            channel(index, "clicksend", "https://platform.example/custom/channel/webhook/")
        );
    }
    fs::write(folder.0.join("patchcord.yaml"), text).unwrap();
    let name = format!("{mappings} mappings, {} channels", scale.loaded_channels);
    show(&name, &Process::serve(&folder.0), scale.lasts);
}

/// The shipped mappings.
fn shipped() -> Vec<(PathBuf, String)> {
    let files = fs::read_dir(MAPPINGS).unwrap().map(|entry| entry.unwrap().path());
    let mappings = files.filter(|file| {
        let name = file.to_string_lossy();
        name.ends_with(".yaml") && !name.ends_with(".test.yaml")
    });
    let mut mappings: Vec<_> =
        mappings.map(|file| (file.clone(), fs::read_to_string(&file).unwrap())).collect();
    mappings.sort();
    mappings
}

/// Lets it do nothing for some time, and tells what that takes.
fn show(what: &str, process: &Process, idle: Duration) {
    std::thread::sleep(idle);
    let (resident, peak) = process.memory();
    println!(
        "{what}: ready after {:.3} s, {resident:.1} MiB resident, {peak:.1} at most\n",
        process.ready_after.as_secs_f64()
    );
}
