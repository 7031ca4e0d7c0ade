//! What the system lets the gateway open at the same time.

use std::process::Command;

use crate::support::{Setup, Town, among_others, http, say};

/// A gateway that a shell starts after it has set limits.
fn limited(limits: &str) -> Town {
    let mut town = Setup::default().prepare();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")]);
    let command = town.gateway.command();
    shell.arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    town.gateway.start_with(shell);
    town
}

/// The gateway's soft and hard limit of open files.
fn limits(town: &Town) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", town.gateway.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let _turn = among_others();
    let town = limited("ulimit -S -n 200; ulimit -H -n 2000");
    say(format!("soft and hard: {:?}", limits(&town)));
    assert_eq!(limits(&town), (2000, 2000));
}

#[test]
fn connections_beyond_the_limit_of_open_files_are_told_to_come_back() {
    let _turn = among_others();
    let town = limited("ulimit -n 200");
    let address = town.gateway.url.trim_start_matches("http://");
    // Of 200 files a quarter, and at least 64, are for everything else.
    let idle: Vec<_> = (0..136).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let answer = http::get(&format!("{}/healthz", town.gateway.url));
    say(format!("beyond {} of 10000 connections: {}", idle.len(), answer.status));
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    let log = std::fs::read_to_string(town.folder.path("gateway.log")).unwrap();
    assert!(log.contains("leaves room for fewer connections than `server.connections`"), "{log}");
    assert!(!log.contains("could not be accepted"), "{log}");
}
