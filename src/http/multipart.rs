//! The body of a form with files: `multipart/form-data` (RFC 7578).

use bytes::Bytes;

/// One part of a form.
pub struct Part<'a> {
    pub name: &'a str,
    pub filename: Option<&'a str>,
    pub content_type: Option<&'a str>,
    pub content: &'a [u8],
}

/// The body, with `boundary` between its parts, which none of them may hold.
pub fn body(parts: &[Part<'_>], boundary: &str) -> Bytes {
    let size: usize = parts.iter().map(|part| part.content.len() + part.name.len() + boundary.len() + 200).sum();
    let mut out = Vec::with_capacity(size + boundary.len() + 8);
    for part in parts {
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        put("--");
        put(boundary);
        put("\r\ncontent-disposition: form-data; name=\"");
        put(&quoted(part.name));
        put("\"");
        if let Some(filename) = part.filename {
            put("; filename=\"");
            put(&quoted(filename));
            put("\"");
        }
        if let Some(content_type) = part.content_type {
            put("\r\ncontent-type: ");
            put(&one_line(content_type));
        }
        put("\r\n\r\n");
        out.extend_from_slice(part.content);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Bytes::from(out)
}

/// Packed as `content-encoding: gzip` has it.
pub fn gzip(content: &[u8]) -> Bytes {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(content.len() / 2), flate2::Compression::default());
    // Into memory, which does not fail.
    let _ = encoder.write_all(content);
    Bytes::from(encoder.finish().unwrap_or_default())
}

/// As browsers write names (the HTML standard, "multipart form data"): what would end the line or the quotes is percent-encoded.
fn quoted(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// The type of a file, by the end of its name, where it is one of the common ones.
pub fn type_of(filename: &str) -> &'static str {
    let ending = filename.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "txt" | "log" => "text/plain",
        "csv" => "text/csv",
        "htm" | "html" => "text/html",
        "css" => "text/css",
        "js" => "text/javascript",
        "json" => "application/json",
        "xml" => "application/xml",
        "yaml" | "yml" => "application/yaml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_written_as_browsers_write_them() {
        let parts = [
            Part { name: "title", filename: None, content_type: None, content: "a \"car\"".as_bytes() },
            Part { name: "a\"b\r\n", filename: Some("née.png"), content_type: Some("image/png"), content: b"\x89PNG\r\n" },
        ];
        let expected = b"--X\r\ncontent-disposition: form-data; name=\"title\"\r\n\r\na \"car\"\r\n\
            --X\r\ncontent-disposition: form-data; name=\"a%22b%0D%0A\"; filename=\"n\xc3\xa9e.png\"\r\ncontent-type: image/png\r\n\r\n\
            \x89PNG\r\n\r\n--X--\r\n";
        assert_eq!(body(&parts, "X"), &expected[..]);
        assert_eq!(body(&[], "X"), "--X--\r\n");
    }

    #[test]
    fn files_have_the_types_of_their_names() {
        assert_eq!(
            ["a.JPG", "x.tar.gz", "noend", "a.b/c"].map(type_of),
            ["image/jpeg", "application/gzip", "application/octet-stream", "application/octet-stream"]
        );
    }
}
