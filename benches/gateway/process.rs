//! A process that is measured, and what the system says about it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::http::Wire;

/// A child that is killed when it is dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// How long it took until it was ready.
    pub ready_after: Duration,
}

/// What a process has used since its start.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// Time on a core, in seconds.
    pub cpu: f64,
    /// Bytes that went to the disk.
    pub written: u64,
    /// Calls that wrote, to files and sockets.
    pub writes: u64,
}

impl Usage {
    /// What both have used.
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            written: self.written + other.written,
            writes: self.writes + other.writes,
        }
    }
}

impl Process {
    /// `patchcord serve`, ready.
    pub fn serve(folder: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchcord"));
        command.args(["serve", "--config"]).arg(folder.join("patchcord.yaml"));
        command.args(["--listen", &address.to_string()]).env("PATCHCORD_LOG", "error");
        Self::start(command, address, "/readyz", &folder.join(format!("gateway-{}.log", address.port())))
    }

    /// Starts a process that listens at `address`, and waits until it answers at `path`.
    pub fn start(mut command: Command, address: SocketAddr, path: &str, log: &Path) -> Self {
        let log_file = File::create(log).unwrap();
        command.env("BENCH_SECRET", super::installation::SECRET).stdin(Stdio::null());
        command.stdout(log_file.try_clone().unwrap()).stderr(log_file);
        let began = Instant::now();
        let mut process = Self { child: command.spawn().unwrap(), address, ready_after: Duration::ZERO };
        while !answers(address, path) {
            let ended = process.child.try_wait().unwrap();
            let log = || fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none(), "the process ended:\n{}", log());
            assert!(began.elapsed() < Duration::from_secs(60), "the process does not get ready:\n{}", log());
            std::thread::sleep(Duration::from_millis(2));
        }
        process.ready_after = began.elapsed();
        process
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let io = self.about("io");
        Usage {
            cpu: cpu(&self.about("stat")),
            written: value(&io, "write_bytes:"),
            writes: value(&io, "syscw:"),
        }
    }

    /// Its memory now, and the most that it had, in MiB.
    pub fn memory(&self) -> (f64, f64) {
        let status = self.about("status");
        let mebibytes = |name| value(&status, name) as f64 / 1024.0;
        (mebibytes("VmRSS:"), mebibytes("VmHWM:"))
    }

    /// How many files it has open.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    fn about(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time on a core, in seconds, that the processes of this name took so far.
pub fn cpu_of(name: &str) -> f64 {
    let stats = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        stat.contains(&format!("({name})")).then(|| cpu(&stat))
    });
    stats.sum()
}

/// The same of one process, by its `stat`.
fn cpu(stat: &str) -> f64 {
    // Behind the name, which is in brackets, the 12th and 13th are the times in its own code and in the system's.
    let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// The number behind a name in a list of lines.
fn value(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// An address that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn answers(address: SocketAddr, path: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Ok(mut wire) = Wire::connect(address).await else { return false };
        wire.ask(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes()).await == 200
    })
}
