//! `patchcord sandbox --once`.

use crate::support::{among_others, patchcord, say};

#[test]
fn the_sandbox_makes_its_round_trip_and_ends() {
    let _turn = among_others();
    let output = patchcord().args(["sandbox", "--once"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.lines().filter(|line| line.contains(" ms")).for_each(|line| say(line.trim()));
    assert_eq!(output.status.code(), Some(0), "{printed}");
    for words in [
        "contact -> provider -> gateway -> IS-Messenger",
        "agent -> IS-Messenger -> gateway -> provider",
        "at IS-Messenger after",
        "at the provider after",
        "delivered after",
        "read after",
        "The round trip is good.",
    ] {
        assert!(printed.contains(words), "`{words}` is not in:\n{printed}");
    }
    let folder = printed.split("kept in ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert!(!std::path::Path::new(folder).exists(), "{folder} is left behind");
}
