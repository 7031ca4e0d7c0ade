//! The headers of a file that is passed on. Invariant: whatever a contact sent, a browser shows it at most as a
//! picture, sound or film, and runs nothing of it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::call::Download;

/// What RFC 8187 leaves as it is, or less.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
/// Of the provider's headers, those that are about the file.
const PASSED_ON: [&str; 6] =
    ["accept-ranges", "content-encoding", "content-length", "content-range", "etag", "last-modified"];
/// Types that a browser could run, under another name that it only saves.
const ACTIVE: [&str; 6] = ["html", "xhtml", "javascript", "ecmascript", "/xml", "+xml"];
/// The longest name of a file, in characters.
const LONGEST_NAME: usize = 150;

/// The headers of a file whose MIME type and name may be known, and which may be kept for so many seconds.
pub(super) fn headers(
    download: &Download,
    mime: Option<&str>,
    name: Option<&str>,
    keep: i64,
) -> Vec<(&'static str, String)> {
    let mut known = [mime, download.header("content-type")].into_iter().flatten().map(str::trim);
    let mime = known.find(|mime| is_mime(mime)).unwrap_or("application/octet-stream").to_ascii_lowercase();
    let bare = mime.split(';').next().unwrap_or_default().trim();
    let active = ACTIVE.iter().any(|word| bare.contains(word));
    let shown = !active && ["image/", "audio/", "video/"].iter().any(|kind| bare.starts_with(kind));
    let vector = bare == "image/svg+xml";
    let mut headers = vec![
        ("content-type", if active && !vector { "application/octet-stream".into() } else { mime.clone() }),
        ("content-disposition", disposition(if shown { "inline" } else { "attachment" }, name)),
        ("x-content-type-options", "nosniff".into()),
        ("content-security-policy", "sandbox; default-src 'none'".into()),
        ("cache-control", format!("private, max-age={}", keep.max(0))),
    ];
    for known in PASSED_ON {
        headers.extend(download.header(known).map(|value| (known, value.to_string())));
    }
    headers
}

/// Whether a text is a MIME type, as far as a header must be able to hold it.
fn is_mime(text: &str) -> bool {
    text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty())
        && text.len() < 128
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn disposition(kind: &str, name: Option<&str>) -> String {
    let clean = |c: &char| !c.is_control() && !matches!(c, '/' | '\\');
    let name: String = name.unwrap_or_default().chars().filter(clean).take(LONGEST_NAME).collect();
    if name.is_empty() {
        return kind.into();
    }
    let ascii: String =
        name.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '%') { c } else { '_' }).collect();
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, PLAIN))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn made(
        provider: &[(&str, &str)],
        mime: Option<&str>,
        name: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let headers = provider.iter().map(|(name, value)| ((*name).into(), (*value).to_string())).collect();
        let body = futures_util::stream::empty().boxed();
        headers_of(&Download { status: 200, headers, body }, mime, name)
    }

    fn headers_of(
        download: &Download,
        mime: Option<&str>,
        name: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        headers(download, mime, name, 60)
    }

    fn of<'h>(headers: &'h [(&'static str, String)], name: &str) -> &'h str {
        headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    #[test]
    fn nothing_that_a_browser_could_run_is_shown_by_it() {
        for mime in ["text/html", "application/xhtml+xml", "text/xml; charset=utf-8", "text/javascript"] {
            let headers = made(&[("content-type", mime)], None, None);
            assert_eq!(of(&headers, "content-type"), "application/octet-stream", "{mime}");
            assert_eq!(of(&headers, "content-disposition"), "attachment", "{mime}");
        }
        let headers = made(&[], Some("image/svg+xml"), None);
        assert_eq!(of(&headers, "content-disposition"), "attachment");
        assert!(of(&headers, "content-security-policy").starts_with("sandbox"));
        assert_eq!(of(&headers, "x-content-type-options"), "nosniff");
    }

    #[test]
    fn the_type_that_the_webhook_told_counts_more_than_the_server_s() {
        let headers = made(&[("content-type", "application/octet-stream")], Some("image/png"), None);
        assert_eq!(
            (of(&headers, "content-type"), of(&headers, "content-disposition")),
            ("image/png", "inline")
        );
        let headers = made(&[("content-type", "video/mp4")], Some("bad\r\nx: y"), None);
        assert_eq!(of(&headers, "content-type"), "video/mp4");
        assert_eq!(of(&made(&[], None, None), "content-type"), "application/octet-stream");
    }

    #[test]
    fn a_name_can_t_break_out_of_its_header() {
        let headers = made(&[], Some("application/pdf"), Some("Rechnung \"ü\"\r\n/../a.pdf"));
        assert_eq!(
            of(&headers, "content-disposition"),
            "attachment; filename=\"Rechnung ___..a.pdf\"; filename*=UTF-8''Rechnung%20%22%C3%BC%22..a.pdf"
        );
    }

    #[test]
    fn only_what_is_about_the_file_is_passed_on() {
        let provider =
            [("content-length", "5"), ("set-cookie", "a=b"), ("etag", "\"1\""), ("location", "https://x")];
        let headers = made(&provider, None, None);
        assert_eq!((of(&headers, "content-length"), of(&headers, "etag")), ("5", "\"1\""));
        assert_eq!((of(&headers, "set-cookie"), of(&headers, "location")), ("", ""));
    }
}
