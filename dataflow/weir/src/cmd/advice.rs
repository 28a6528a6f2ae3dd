//! What a person can do about how a crawl went: said beside its closing stats.

use crate::cmd::crawl::file_of;
use std::io::ErrorKind;
use std::path::PathBuf;
use weir_connector::split_required;
use weir_driver::CrawlError;

/// Counters that a setting or a line of the spider file is behind, with what to do.
const ADVICE: [(&str, &str); 3] = [
    (
        "verdict/rejected/offsite_redirect",
        "redirects led out of allowed_domains and were not followed: -L debug names them; a host that belongs to the site goes into allowed_domains of the spider file",
    ),
    (
        "verdict/rejected/too_many_redirects",
        "chains of redirects were loops or longer than redirect.max (REDIRECT_MAX_TIMES) allows: -L debug names them",
    ),
    (
        "verdict/dead_lettered/too_large",
        "answers were larger than fetch.body_bytes_max (DOWNLOAD_MAXSIZE) or fetch.wire_bytes_max allow: weir dead-letters list names them; with -s fetch.body_bytes_max=100MiB weir dead-letters replay lets them enter again",
    ),
];

/// What the stats of a crawl call for, a sentence each.
pub fn of_stats(stats: &[(String, u64)]) -> Vec<String> {
    let count = |name: &str| stats.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
    let told = |(name, what): &(&str, &str)| (count(name) > 0).then(|| format!("{} {what}", count(name)));
    ADVICE.iter().filter_map(told).collect()
}

/// Where the items of feeds are whose job has not ended.
pub fn of_unfinished_feeds(outputs: &[String]) -> Vec<String> {
    let part = |output: &String| {
        let (url, _) = split_required(output).ok()?;
        let mut part = file_of(&url)?.into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        part.is_file().then(|| format!("-o {output}: what it has so far is in {}", part.display()))
    };
    outputs.iter().filter_map(part).collect()
}

/// True when the state directory may not be written to: another one has to be named, nothing went wrong.
pub fn is_forbidden(error: &CrawlError) -> bool {
    use std::error::Error as _;
    let CrawlError::Store(error) = error else { return false };
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem))
}
