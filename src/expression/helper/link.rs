//! URLs and names of files.

use percent_encoding::percent_decode_str;

use super::Helper;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "basename url",
        (1, 1),
        "The last segment of a URL's path, decoded.",
        "{{basename 'https://x.io/a/b%20c.pdf?d=1'}}",
        "\"b c.pdf\"",
        |a| {
            let url = a.text(0)?;
            let path = url.split(['?', '#']).next().unwrap_or_default();
            let path = path
                .split_once("://")
                .map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
            let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            Some(Value::from(percent_decode_str(last).decode_utf8_lossy().into_owned()))
        },
    ),
    Helper::total(
        "ext mime",
        (1, 1),
        "The ending of a file of that MIME type, without a dot; null for a type that is not \
         common in messages.",
        "{{ext 'image/jpeg; charset=binary'}}",
        "\"jpg\"",
        |a| {
            let mime = a.text(0)?.split(';').next()?.trim().to_ascii_lowercase();
            TYPES.iter().find(|(_, of)| *of == mime).map(|(ending, _)| Value::text(ending))
        },
    ),
    Helper::total(
        "mime name",
        (1, 1),
        "The MIME type that the ending of a file's name or URL stands for; null for an ending \
         that is not common in messages.",
        "{{mime 'https://x.io/a/b.JPG?d=1'}}",
        "\"image/jpeg\"",
        |a| {
            let name = a.text(0)?;
            let (_, ending) = name.split(['?', '#']).next()?.rsplit_once('.')?;
            let ending = ending.to_ascii_lowercase();
            TYPES.iter().find(|(of, _)| *of == ending).map(|(_, mime)| Value::text(mime))
        },
    ),
    Helper::total(
        "host url",
        (1, 1),
        "The host of a URL.",
        "{{host 'https://api.x.io:8443/a'}}",
        "\"api.x.io\"",
        |a| url::Url::parse(&a.text(0)?).ok()?.host_str().map(Value::text),
    ),
    Helper::total(
        "is_url text",
        (1, 1),
        "Whether the text holds an http or https URL whose host has a dot.",
        "{{is_url 'see https://x.io/a'}}",
        "true",
        |a| {
            let text = a.text(0)?;
            let found = text.split_whitespace().any(|word| {
                let rest = word.split_once("https://").or_else(|| word.split_once("http://"));
                rest.is_some_and(|(_, rest)| {
                    rest.split(['/', '?', '#', ':'])
                        .next()
                        .is_some_and(|host| host.trim_matches('.').contains('.'))
                })
            });
            Some(found.into())
        },
    ),
];

/// Endings and MIME types that are common in messages; of several for one, the first is the one to write.
const TYPES: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpg", "image/jpg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("bmp", "image/bmp"),
    ("svg", "image/svg+xml"),
    ("tiff", "image/tiff"),
    ("tif", "image/tiff"),
    ("mp4", "video/mp4"),
    ("3gp", "video/3gpp"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
    ("mkv", "video/x-matroska"),
    ("avi", "video/x-msvideo"),
    ("mpeg", "video/mpeg"),
    ("mp3", "audio/mpeg"),
    ("mp3", "audio/mp3"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/opus"),
    ("m4a", "audio/mp4"),
    ("m4a", "audio/x-m4a"),
    ("aac", "audio/aac"),
    ("amr", "audio/amr"),
    ("wav", "audio/wav"),
    ("wav", "audio/x-wav"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("xml", "text/xml"),
    ("rtf", "application/rtf"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("bin", "application/octet-stream"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("ics", "text/calendar"),
    ("vcf", "text/vcard"),
    ("vcf", "text/x-vcard"),
];
