//! The tutorial is true: its files are written, its commands are run, and what they print is what it says.
//!
//! In `docs/tutorial.md` a block with `file=PATH` is a file, one with `append=PATH` what is added to it, and a
//! `console` block is a session: a line that starts with `$ ` is a command, what follows is its output, in which
//! `…` stands for any text and a line of it alone for any lines. A command that ends with `&` runs until the end.
//! `PATCHCORD_UPDATE=1` writes what the commands print into the tutorial.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{root, scratch};

/// The addresses that the tutorial uses; in a test they are others, as these may be taken.
const ADDRESSES: &[&str] = &["127.0.0.1:8080", "127.0.0.1:8091", "127.0.0.1:8092"];
/// How long a command that looks for something may have to wait for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder in which the tutorial is followed.
struct Reader {
    folder: PathBuf,
    /// The tutorial's addresses with those of this run.
    addresses: Vec<(String, String)>,
    running: Vec<Child>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Reader {
    fn new() -> Self {
        let listeners: Vec<_> = ADDRESSES.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let free = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string());
        let addresses = ADDRESSES.iter().map(ToString::to_string).zip(free).collect();
        Self { folder: scratch("tutorial"), addresses, running: Vec::new() }
    }

    fn here(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_string(), |text, (theirs, ours)| text.replace(theirs, ours))
    }

    fn there(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_string(), |text, (theirs, ours)| text.replace(ours, theirs))
    }

    fn write(&self, path: &str, text: &str, append: bool) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = OpenOptions::new();
        let file = if append { options.append(true).open(&path) } else { File::create(&path) };
        file.unwrap().write_all(self.here(text).as_bytes()).unwrap();
    }

    fn shell(&self, command: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_patchcord")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(self.here(command)).current_dir(&self.folder);
        shell.env("PATH", path).env("NO_COLOR", "1").env_remove("PATCHCORD_CONFIG").stdin(Stdio::null());
        shell
    }

    /// Runs a command and gives what it prints, which should be what is expected.
    fn run(&mut self, command: &str, expected: &str) -> String {
        let began = Instant::now();
        let log = self.folder.join(format!("log-{}", self.running.len()));
        if let Some(command) = command.strip_suffix(" &") {
            let out = File::create(&log).unwrap();
            let mut shell = self.shell(&format!("exec env {command}"));
            self.running.push(shell.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap());
        }
        loop {
            let printed = if command.ends_with(" &") {
                fs::read_to_string(&log).unwrap()
            } else {
                let output = self.shell(&format!("{{ {command}\n}} 2>&1")).output().unwrap();
                String::from_utf8(output.stdout).unwrap()
            };
            let printed = self.there(&printed);
            // Messages cross in their own time; only what merely looks is run again.
            let looks = command.ends_with(" &") || command.contains("/_stand-in/received");
            if fits(expected, &printed) || !looks || began.elapsed() > PATIENCE {
                return printed;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Whether a text is as expected, where `…` stands for anything.
fn fits(expected: &str, printed: &str) -> bool {
    let expected: Vec<_> = expected.trim_end().lines().collect();
    let printed: Vec<_> = printed.trim_end().lines().map(str::trim_end).collect();
    lines_fit(&expected, &printed)
}

fn lines_fit(expected: &[&str], printed: &[&str]) -> bool {
    match (expected, printed) {
        ([], printed) => printed.is_empty(),
        (["…", rest @ ..], printed) => (0..=printed.len()).any(|skip| lines_fit(rest, &printed[skip..])),
        ([first, rest @ ..], [line, more @ ..]) => line_fits(first, line) && lines_fit(rest, more),
        (_, []) => false,
    }
}

fn line_fits(expected: &str, line: &str) -> bool {
    let mut pieces = expected.trim_end().split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let pieces: Vec<_> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// The commands of a session, each with its output. A command goes on behind a backslash.
fn commands(session: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in session.lines() {
        match found.last_mut() {
            Some((command, _)) if command.ends_with('\\') => command.extend(["\n", line]),
            _ if line.starts_with("$ ") => found.push((line[2..].to_string(), String::new())),
            Some((_, output)) => output.extend([line, "\n"]),
            None => panic!("a session starts with a command, not with `{line}`"),
        }
    }
    found
}

#[test]
fn every_file_is_taken_and_every_command_prints_what_the_tutorial_says() {
    let path = root().join("docs/tutorial.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut reader = Reader::new();
    let (mut made, mut wrong, mut count) = (String::new(), Vec::new(), 0);
    let mut rest = text.as_str();
    while let Some((before, block)) = rest.split_once("\n```") {
        let (info, block) = block.split_once('\n').unwrap();
        let (inner, behind) = block.split_once("\n```\n").unwrap();
        made.push_str(&format!("{before}\n```{info}\n"));
        let attribute = |name: &str| info.split(' ').find_map(|word| word.strip_prefix(name));
        if let Some(path) = attribute("file=") {
            reader.write(path, &format!("{inner}\n"), false);
        } else if let Some(path) = attribute("append=") {
            reader.write(path, &format!("{inner}\n"), true);
        }
        if info == "console" {
            let mut session = String::new();
            for (command, expected) in commands(inner) {
                count += 1;
                let printed = reader.run(&command, &expected);
                let good = fits(&expected, &printed);
                if !good {
                    wrong.push(format!("$ {command}\n--- expected\n{expected}--- printed\n{printed}"));
                }
                let shown = if good { expected } else { format!("{}\n", printed.trim_end()) };
                session.push_str(&format!("$ {command}\n{}", if shown == "\n" { "" } else { &shown }));
            }
            made.push_str(session.trim_end());
        } else {
            made.push_str(inner);
        }
        made.push_str("\n```");
        rest = behind;
        made.push('\n');
    }
    made.push_str(rest);
    if std::env::var_os("PATCHCORD_UPDATE").is_some() {
        fs::write(&path, made).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count >= 8, "only {count} commands were found");
}

#[test]
fn an_ellipsis_stands_for_any_text_and_alone_for_any_lines() {
    assert!(fits("a…c\n", "abc\n"));
    assert!(!fits("a…c\n", "ab\n"));
    assert!(fits("a\n…\nd", "a\nb\nc\nd\n"));
    assert!(!fits("a\n…\nd", "a\nb\nc\n"));
    assert!(!fits("", "a"));
}
