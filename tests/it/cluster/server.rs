//! A PostgreSQL server of the test's own, which can be restarted.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_postgres::Config;

use crate::support::Folder;

/// A server that ends with the test.
pub struct Server {
    programs: PathBuf,
    folder: Folder,
    port: u16,
}

impl Server {
    /// Starts one; none where PostgreSQL's programs are not installed, which may not be in CI.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "no programs of PostgreSQL to test with");
            eprintln!("SKIPPED: no programs of PostgreSQL to start a server with");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { programs, folder: Folder::new(), port };
        server.run("mkdir data; chown postgres data 2>/dev/null || true", false);
        server.run("$PROGRAMS/initdb --pgdata=$DATA --auth=trust --username=root --encoding=UTF8", true);
        server.run(&format!("{} start", server.control()), true);
        Some(server)
    }

    /// How to connect to it.
    pub fn config(&self) -> Config {
        format!("postgres://root@127.0.0.1:{}/postgres", self.port).parse().unwrap()
    }

    /// Ends it as if it crashed, and starts it again.
    pub fn restart(&self) {
        self.run(&format!("{} --mode=immediate restart", self.control()), true);
    }

    fn control(&self) -> String {
        let options = format!("-p {} -k $DATA", self.port);
        format!("$PROGRAMS/pg_ctl --pgdata=$DATA --wait --log=$DATA/log --options=\"{options}\"")
    }

    /// Runs a line of shell, as the user `postgres` where root may not.
    fn run(&self, line: &str, as_postgres: bool) {
        let data = self.folder.path("data");
        let line = line.replace("$PROGRAMS", &self.programs.display().to_string());
        let line = line.replace("$DATA", &data.display().to_string());
        let mut command = if as_postgres && is_root() {
            let mut command = Command::new("su");
            command.args(["postgres", "-s", "/bin/sh", "-c", &line]);
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-c", &line]);
            command
        };
        let folder = if as_postgres { Path::new("/") } else { data.parent().unwrap() };
        let output = command.current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run(&format!("{} --mode=immediate stop || true", self.control()), true);
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Where the newest version's programs are.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    programs.sort();
    programs.into_iter().rev().find(|programs| programs.join("initdb").exists())
}
