//! `patchcord serve`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};

use super::{Folder, Process, http, patchcord, until_done};

/// A gateway that can be stopped and started again, always at the same address.
pub struct Gateway {
    process: Option<Process>,
    secrets: Vec<(String, String)>,
    config: PathBuf,
    log: PathBuf,
    port: u16,
    /// Where it listens, without a slash at its end.
    pub url: String,
}

impl Gateway {
    /// One that is not running yet. Its installation is given later, since it may name the gateway's own URL.
    pub fn new(folder: &Folder) -> Self {
        let port = free_port();
        Self {
            process: None,
            secrets: Vec::new(),
            config: folder.path("patchcord.yaml"),
            log: folder.path("gateway.log"),
            port,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Writes the installation, and sets the environment variables that it refers to.
    pub fn configure(&mut self, installation: &str, secrets: &[(&str, &str)]) {
        std::fs::write(&self.config, installation).unwrap();
        self.secrets = secrets.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    }

    /// Starts it and waits until it is ready.
    pub fn start(&mut self) {
        let command = self.command();
        self.start_with(command);
    }

    /// The same with a command that ends in [`Gateway::command`].
    pub fn start_with(&mut self, command: Command) {
        self.launch(command);
        self.ready();
    }

    /// The same without waiting.
    pub fn launch(&mut self, mut command: Command) {
        self.process = Some(Process::start(&mut command, &self.log));
    }

    /// Waits until it is ready.
    pub fn ready(&mut self) {
        let url = format!("{}/readyz", self.url);
        let process = self.process.as_mut().expect("the gateway runs");
        until_done("the gateway is ready", 20, || {
            assert!(process.ended().is_none(), "the gateway ended:\n{}", process.printed());
            match http::exchange("GET", &url, &[], b"") {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
                Err(error) => Err(error.to_string()),
            }
        });
    }

    /// `patchcord serve`, ready to be started.
    pub fn command(&self) -> Command {
        let mut command = patchcord();
        command.args(["serve", "--config"]).arg(&self.config);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        command.env("PATCHCORD_LOG", "info,patchcord=info").env("NO_COLOR", "1");
        command.envs(self.secrets.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.take().expect("the gateway runs").kill();
    }

    /// `kill -TERM`, without waiting for what follows.
    pub fn terminate(&self) {
        self.process.as_ref().expect("the gateway runs").terminate();
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("the gateway runs").signal(name);
    }

    /// Waits for the end that [`Gateway::terminate`] asked for.
    pub fn ended(&mut self, seconds: u64) -> ExitStatus {
        self.process.take().expect("the gateway runs").wait(seconds)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// The API Base URL of a channel.
    pub fn base_url(&self, channel: &str) -> String {
        format!("{}/channels/{channel}", self.url)
    }

    /// Its installation file.
    pub fn config(&self) -> &Path {
        &self.config
    }
}

/// A port that nobody listens on, from below the range that the system takes the ports of clients from: a client
/// could otherwise sit on it while the gateway is down.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = u16::try_from(std::process::id() % 97).unwrap() * 100;
    loop {
        let port = 20_000 + (base + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
