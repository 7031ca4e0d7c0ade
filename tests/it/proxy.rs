//! Behind a reverse proxy: whose address counts; and answers that have no body.

use serde_json::json;

use crate::support::{Setup, among_others, http, say};

#[test]
fn the_caller_is_who_a_trusted_proxy_says_it_is() {
    let _turn = among_others();
    let server = "trusted_proxies: [127.0.0.0/8],";
    for (server, forwarded, expected) in [
        (server, "198.51.100.7", 204),
        (server, "198.51.100.7, 198.51.100.8", 401),
        (server, "198.51.100.8, 198.51.100.7", 204),
        ("", "198.51.100.7", 401),
    ] {
        let town = Setup { server, mapping: Some("proxy"), ..Setup::default() }.start();
        let url = format!("{}/events", town.base_url());
        let event = json!({"id": "1", "from": "ann", "text": "hi"});
        let answer = http::post_json(&url, &[("x-forwarded-for", forwarded)], &event);
        say(format!("`{server}` and `{forwarded}`: {}", answer.status));
        assert_eq!(answer.status, expected);
        if expected == 204 {
            assert_eq!((answer.header("content-length"), answer.header("content-type")), ("", ""));
            assert!(answer.body.is_empty());
        }
    }
}
