//! File extensions of URLs: what a link extractor leaves out.

use std::borrow::Cow;

/// The extension of a URL's path, with its dot, in lower case.
pub(crate) fn extension(url: &str) -> Option<Cow<'_, str>> {
    let path = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let segment = &path[path.rfind('/').map_or(0, |at| at + 1)..];
    // Behind a semicolon are parameters of the segment, as Python's urllib.parse has it.
    let name = &segment[..segment.find(';').unwrap_or(segment.len())];
    let tail = &name[name.rfind('.')?..];
    Some(if tail.bytes().any(|b| b.is_ascii_uppercase()) { tail.to_ascii_lowercase().into() } else { tail.into() })
}

/// True for a URL that link extractors leave out: images, archives, documents and so on.
pub(crate) fn has_ignored_extension(url: &str) -> bool {
    extension(url).is_some_and(|tail| {
        IGNORED_EXTENSIONS.binary_search(&tail.as_ref()).is_ok() || (tail == ".gz" && url.contains(".tar.gz"))
    })
}

/// What Scrapy's link extractors leave out, sorted.
const IGNORED_EXTENSIONS: &[&str] = &[
    ".3gp", ".7z", ".7zip", ".aac", ".ai", ".aiff", ".apk", ".asf", ".asx", ".au", ".avi", ".bat", ".bin", ".bmp",
    ".bz2", ".cdr", ".cpl", ".css", ".dmg", ".doc", ".docb", ".docm", ".docx", ".dotm", ".dotx", ".drw", ".dxf",
    ".eps", ".exe", ".flv", ".gif", ".hta", ".ico", ".iso", ".jar", ".jpeg", ".jpg", ".js", ".m4a", ".m4v", ".mid",
    ".mng", ".mov", ".mp3", ".mp4", ".mpg", ".msi", ".msp", ".odg", ".odp", ".ods", ".odt", ".ogg", ".pct", ".pdf",
    ".png", ".potm", ".potx", ".pps", ".ppt", ".pptm", ".pptx", ".ps", ".psp", ".pst", ".py", ".qt", ".ra", ".rar",
    ".rb", ".rm", ".rss", ".sh", ".svg", ".swf", ".tar", ".tif", ".tiff", ".wav", ".webm", ".webp", ".wma", ".wmv",
    ".xls", ".xlsm", ".xlsx", ".xltm", ".xltx", ".xz", ".zip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_is_of_the_path_s_last_segment() {
        assert_eq!(extension("http://a.com/x.tar.GZ?b=.html").as_deref(), Some(".gz"));
        assert_eq!(extension("http://a.com/x"), None);
        assert_eq!(extension("http://a.com/e.html;x.png").as_deref(), Some(".html"));
        assert_eq!(extension("http://a.com/d;e/x.png").as_deref(), Some(".png"));
        assert!(has_ignored_extension("http://a.com/x.tar.gz") && !has_ignored_extension("http://a.com/x.gz"));
        assert!(has_ignored_extension("http://a.com/A.JPG#x") && !has_ignored_extension("http://a.com/a.html?b.jpg"));
        assert!(IGNORED_EXTENSIONS.is_sorted());
    }
}
