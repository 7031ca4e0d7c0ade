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
    Installation { sink: sink.address, platform_rate: "20/s", channels: 1 }.write(&folder);
    show("idle, 3 mappings, 2 channels", &Process::serve(&folder.0), scale.lasts);
}

/// Many mappings and channels: copies of the shipped ones under other names.
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
    for (index, source) in shipped().iter().cycle().take(scale.mappings).enumerate() {
        let source = fs::read_to_string(source).unwrap();
        let lines = source.lines().map(|line| {
            if line.starts_with("name: ") { format!("name: m{index}\n") } else { format!("{line}\n") }
        });
        fs::write(copies.join(format!("m{index}.yaml")), lines.collect::<String>()).unwrap();
    }
    fs::copy(format!("{MAPPINGS}/clicksend.yaml"), copies.join("clicksend.yaml")).unwrap();
    for index in 0..scale.loaded_channels {
        let _ = write!(
            text,
            "{}",
            channel(index, "clicksend", "https://platform.example/custom/channel/webhook/")
        );
    }
    fs::write(folder.0.join("patchcord.yaml"), text).unwrap();
    let name = format!("{} mappings, {} channels", scale.mappings + 1, scale.loaded_channels);
    show(&name, &Process::serve(&folder.0), scale.lasts);
}

/// The shipped mappings that may be there twice: those of one product, without variants that have names of their own.
fn shipped() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(MAPPINGS).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| {
        let name = file.to_string_lossy();
        let text = fs::read_to_string(file).unwrap();
        name.ends_with(".yaml") && !name.ends_with(".test.yaml") && !text.contains("\nvariants:")
    });
    files
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
