//! What an installation comes to, read from a folder.

use super::*;

const MAPPING: &str = "
patchcord: 1
name: t
contact_id: custom
send:
  steps:
    - {each: parts, request: {url: 'https://x.io/send', json: {t: '{{part.text}}'}}, response: {id: $.id}}
";

fn read(installation: &str) -> Settings {
    let folder = crate::store::testing::Folder::new();
    let path = folder.path().parent().unwrap().to_path_buf();
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("t.yaml"), MAPPING).unwrap();
    std::fs::write(path.join("patchcord.yaml"), installation).unwrap();
    let (library, settings) = survey_installation(&path.join("patchcord.yaml"));
    let problems = crate::diagnostic::text(&library.problems, &library.sources, false);
    settings.unwrap_or_else(|| panic!("{problems}"))
}

#[test]
fn events_go_one_by_one_unless_the_channel_or_the_default_says_otherwise() {
    let channel = |name: &str, batch: &str| {
        format!(
            "  {name}: {{mapping: t, platform: {{channel_id: {name}, webhook_url: 'https://p.io', token: {{env: T}}{batch}}}}}\n"
        )
    };
    let channels = format!("channels:\n{}{}", channel("a", ""), channel("b", ", batch: 30"));
    let batches = |default: &str| {
        let settings = read(&format!("mappings: [t.yaml]\n{default}{channels}"));
        settings.channels.iter().map(|channel| channel.platform_batch).collect::<Vec<_>>()
    };
    assert_eq!(batches(""), [1, 30]);
    assert_eq!(batches("platform: {batch: 10}\n"), [10, 30]);
}
