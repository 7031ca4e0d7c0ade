//! Files that the platform can't fetch from the provider: it fetches them from the gateway, more than once, in
//! parts, and without credentials.

use std::io::Read as _;
use std::time::Duration;

use patchcord::media::{Keys, Token};
use patchcord::message::Source;
use serde_json::json;

use crate::support::{
    BIG, Database, FILES_TOKEN, Files, Folder, Gateway, Platform, SMALL, among_others, http, say, until,
};

const KEY: &str = "a-key-for-media-urls";

const MAPPING: &str = r#"
patchcord: 1
name: files
docs: https://example.com
contact_id: custom
config: {url: {required: true}, token: {required: true, secret: true}}
http: {base: "{{config.url}}/", auth: {bearer: "{{config.token}}"}}
verify:
  - equal: ["{{request.query.word}}", open]
calls:
  file:
    request: {url: "links/{{arg.id}}"}
    response: {return: $.url}
    cache: {ttl: 1h}
fetch: {auth: inherit, only_hosts: [127.0.0.1], max: 60MB}
webhooks:
  - route: POST receive
    decode: json
    events:
      - emit: message
        id: $.id
        contact: {id: someone}
        attachments: [{url: {$first: [$.url, {$call: file, id: $.file}]}, mime: $.mime, name: $.name}]
"#;

struct Place {
    folder: Folder,
    platform: Platform,
    gateway: Gateway,
    files: Files,
}

fn place(installation: &str) -> Place {
    let folder = Folder::new();
    let platform = Platform::start(&["ch-1:t:custom"], 0, &folder);
    let files = Files::start();
    let mut gateway = Gateway::new(&folder);
    folder.write("mappings/files.yaml", MAPPING);
    let (webhook_url, url, public_url) = (platform.webhook_url(), &files.url, &gateway.url);
    let installation = format!(
        r#"
public_url: {public_url}
{installation}
channels:
  c:
    mapping: files
    platform: {{webhook_url: "{webhook_url}", channel_id: ch-1, token: {{env: TOKEN}}}}
    config: {{url: "{url}", token: {{env: FILES}}}}
"#
    );
    gateway.configure(&installation, &[("TOKEN", "t"), ("FILES", FILES_TOKEN), ("MEDIA_KEY", KEY)]);
    gateway.start();
    Place { folder, platform, gateway, files }
}

const KEPT_KEY: &str = "network: {allow_private: true}";
const GIVEN_KEY: &str = "network: {allow_private: true}\nmedia: {key: {env: MEDIA_KEY}}";

impl Place {
    /// A message with a file; gives the URL that the platform gets for it.
    fn file(&self, id: &str, file: &serde_json::Value) -> String {
        let mut event = file.clone();
        event["id"] = id.into();
        let url = format!("{}/receive?word=open", self.gateway.base_url("c"));
        assert_eq!(http::post_json(&url, &[], &event).status, 200);
        let seen = self.platform.first(id);
        seen["json"]["events"][0]["message"]["attachment"]["url"].as_str().unwrap().to_owned()
    }

    /// The URL of a token of our own making.
    fn url(&self, key: &str, token: &Token) -> String {
        format!("{}/media/{}", self.gateway.url, Keys::new(key.into(), []).sign(token))
    }

    fn token(&self, path: &str) -> Token {
        Token {
            channel: "c".into(),
            source: Source::Url { url: format!("{}{path}", self.files.url) },
            mime: None,
            name: None,
            expires_at: 4_102_444_800_000,
        }
    }
}

fn get(url: &str, headers: &[(&str, &str)]) -> http::Answer {
    http::exchange("GET", url, headers, b"").unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// The head of the answer to HEAD, in lower case.
fn head(url: &str) -> String {
    let mut text = String::new();
    http::open("HEAD", url, &[], 0).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.ends_with("\r\n\r\n"), "a body: {text}");
    text.to_lowercase()
}

#[test]
fn the_platform_fetches_a_file_without_credentials_whole_in_parts_and_its_head() {
    let _turn = among_others();
    let mut place = place(KEPT_KEY);
    let url = place.file("m1", &json!({"file": "f1", "name": "päge.html"}));
    assert!(url.starts_with(&format!("{}/media/", place.gateway.url)), "{url}");
    assert!(place.files.seen("/").is_empty(), "nothing is fetched before somebody asks");

    let head = head(&url);
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains(&format!("content-length: {}", SMALL.len())), "{head}");
    let whole = get(&url, &[]);
    assert_eq!((whole.status, whole.text().as_str()), (200, SMALL));
    let part = get(&url, &[("range", "bytes=8-17"), ("if-range", "\"1\"")]);
    assert_eq!((part.status, part.text().as_str()), (206, "0123456789"));
    assert_eq!(part.header("content-range"), format!("bytes 8-17/{}", SMALL.len()));
    // What a contact sent can't be run by a browser.
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert!(whole.header("content-security-policy").starts_with("sandbox"));
    assert_eq!(
        whole.header("content-disposition"),
        "attachment; filename=\"p_ge.html\"; filename*=UTF-8''p%C3%A4ge.html"
    );
    assert_eq!((whole.header("accept-ranges"), whole.header("set-cookie")), ("bytes", ""));
    let asked = place.files.seen("/linked");
    let methods: Vec<_> = asked.iter().map(|one| one.method.as_str()).collect();
    assert_eq!(methods, ["HEAD", "GET", "GET"]);
    assert_eq!((asked[2].header("range"), asked[2].header("if-range")), ("bytes=8-17", "\"1\""));
    assert_eq!(place.files.seen("/links").len(), 1, "the link is used again");

    // The provider's link expires long before the platform's URL does.
    place.files.expire_links();
    assert_eq!(get(&url, &[]).text(), SMALL);
    assert_eq!(place.files.seen("/links").len(), 2);

    // The key that the gateway made for itself outlives it.
    place.gateway.kill();
    place.gateway.start();
    assert_eq!(get(&url, &[]).text(), SMALL);
    let file = place.folder.path("gateway.log");
    let log = std::fs::read_to_string(file).unwrap();
    assert!(!log.contains(FILES_TOKEN) && !log.contains(url.rsplit('/').next().unwrap()), "{log}");
    say("HEAD, GET, a range, an expired link, a restart: the same bytes for the same URL");
}

#[test]
fn fifty_megabytes_pass_with_flat_memory() {
    let _turn = among_others();
    let place = place(KEPT_KEY);
    let url = place.file("m1", &json!({"url": format!("{}/big", place.files.url)}));
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", place.gateway.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().to_owned();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    let before = peak();
    let answer = get(&url, &[]);
    assert_eq!((answer.status, answer.body.len(), answer.header("content-type")), (200, BIG, "video/mp4"));
    assert!(answer.body.iter().all(|byte| *byte == 7));
    // A reader who pauses makes the gateway pause.
    let mut slow = http::open("GET", &url, &[], 0).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let mut first = [0; 1000];
    slow.read_exact(&mut first).unwrap();
    drop(slow);
    let grown = peak() - before;
    say(format!("50 MB passed on, and as much for a slow reader; peak memory grew by {grown} kB"));
    assert!(grown < 15_000, "{grown} kB");
}

#[test]
fn only_urls_of_the_gateway_s_own_making_are_good_and_not_for_ever() {
    let _turn = among_others();
    let place = place(GIVEN_KEY);
    let good = place.token("/file/1");
    assert_eq!(get(&place.url(KEY, &good), &[]).text(), SMALL);
    let status = |key: &str, token: &Token| get(&place.url(key, token), &[]).status;
    assert_eq!(status("another-key-of-anyone", &good), 403);
    assert_eq!(status(KEY, &Token { expires_at: 1_767_323_045_000, ..good.clone() }), 410);
    assert_eq!(status(KEY, &Token { channel: "nobody".into(), ..good.clone() }), 404);
    let url = place.url(KEY, &good);
    assert_eq!(get(&format!("{}AAAAAA", &url[..url.len() - 6]), &[]).status, 403);
    assert_eq!(get(&format!("{}/media/nonsense", place.gateway.url), &[]).status, 403);
    // What the provider refuses, or is too large.
    let fat = get(&place.url(KEY, &place.token("/fat")), &[]);
    assert_eq!((fat.status, fat.error().as_str()), (413, "this file is larger than 60000000 bytes"));
    assert!(head(&place.url(KEY, &place.token("/nohead/1"))).starts_with("http/1.1 200"));
    let asked: Vec<_> = place.files.seen("/nohead").into_iter().map(|one| one.method).collect();
    assert_eq!(asked, ["HEAD", "GET"]);
}

#[test]
fn credentials_stay_with_the_provider_s_hosts() {
    let _turn = among_others();
    let place = place(GIVEN_KEY);
    let other = Files::start();
    let elsewhere = other.url.replace("127.0.0.1", "localhost");
    place.files.lead_away(&format!("{elsewhere}/open/1"));
    assert_eq!(get(&place.url(KEY, &place.token("/away")), &[]).text(), SMALL);
    assert_eq!(other.seen("/open/1")[0].header("authorization"), "");
    assert_eq!(place.files.seen("/away")[0].header("authorization"), format!("Bearer {FILES_TOKEN}"));
    // Back at the provider's, but led there by another.
    other.lead_away(&format!("{}/file/of/another", place.files.url));
    place.files.lead_away(&format!("{elsewhere}/open/../away"));
    let answer = get(&place.url(KEY, &place.token("/away")), &[]);
    assert_eq!(answer.status, 502, "the other host wants the token, and does not get it");
    assert!(other.seen("/away").iter().all(|one| one.header("authorization").is_empty()));
    // In circles.
    place.files.lead_away("/away");
    assert_eq!(get(&place.url(KEY, &place.token("/away")), &[]).status, 502);
    // A file elsewhere is none of the gateway's business.
    let url = format!("{elsewhere}/open/2");
    assert_eq!(place.file("m1", &json!({"url": url})), url);
}

#[test]
fn private_addresses_are_out_of_reach_unless_allowed() {
    let _turn = among_others();
    let place = place("media: {key: {env: MEDIA_KEY}}");
    let localhost = Token {
        source: Source::Url { url: place.files.url.replace("127.0.0.1", "localhost") },
        ..place.token("")
    };
    for token in [place.token("/file/1"), localhost] {
        let answer = get(&place.url(KEY, &token), &[]);
        assert_eq!((answer.status, answer.error().as_str()), (502, "the provider does not give this file"));
    }
    assert!(place.files.seen("/").is_empty());
    until("the log tells why", 5, || {
        let log = std::fs::read_to_string(place.folder.path("gateway.log")).unwrap();
        log.contains("requests to private addresses are not allowed").then_some(())
    });
}

#[test]
fn a_file_s_url_is_good_on_every_node_and_what_one_node_took_is_known_to_all() {
    let _turn = among_others();
    let Some(database) = Database::new() else { return };
    let place = place(&format!("{KEPT_KEY}\nstore: \"{}\"", database.address()));
    let folder = Folder::new();
    folder.write("mappings/files.yaml", MAPPING);
    let mut other = Gateway::new(&folder);
    let installation = std::fs::read_to_string(place.gateway.config()).unwrap();
    other.configure(&installation, &[("TOKEN", "t"), ("FILES", FILES_TOKEN)]);
    other.start();
    let file = json!({"file": "f1", "name": "a.html"});
    let url = place.file("photo", &file);
    let elsewhere = url.replace(&place.gateway.url, &other.url);
    assert_ne!(url, elsewhere);
    assert_eq!((get(&url, &[]).text(), get(&elsewhere, &[]).text()), (SMALL.to_owned(), SMALL.to_owned()));
    // The same webhook to the other node is the same message.
    let again = json!({"id": "photo", "file": "f1", "name": "a.html"});
    let answer = http::post_json(&format!("{}/receive?word=open", other.base_url("c")), &[], &again);
    assert_eq!(answer.status, 200);
    place.file("last", &file);
    assert_eq!(place.platform.received("photo").len(), 1);
}
