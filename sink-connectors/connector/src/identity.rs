//! Which place a sink's name means. Pure.
//!
//! Names are URLs as they are shown, and say more than where things lie: who asks, and how. A state must know a place again whoever asks and
//! however, so it compares identities. Where two spellings of one place are not seen to be the same, items are written again, which changes
//! nothing; where two places were taken for one, their generations would tell.

use crate::shown::split_account;
use crate::url::ServerKind;
use std::path::{Component, Path, PathBuf};

/// The place, as text to compare: of a server the kind, host, port and path, and Redis' prefix; of a file its path. What goes elsewhere as
/// a feed keeps its name.
#[must_use]
pub fn identity(name: &str) -> String {
    if let Some(path) = name.strip_prefix("sqlite:") {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        return format!("sqlite:{}", cleaned(path.strip_prefix("//").unwrap_or(path)));
    }
    match name.split_once("://") {
        Some((scheme, rest)) => match ServerKind::from_scheme(scheme) {
            Some(kind) => server(kind, rest),
            None => name.to_owned(),
        },
        None => cleaned(name),
    }
}

/// True when a sink that is known as `before` lacks what `now`, another name of its place, asks for in rows that stand there already: the
/// history of a field, another life of keys.
#[must_use]
pub fn asks_for_more(before: &str, now: &str) -> bool {
    let fields = |name| option(name, "history").unwrap_or_default().split(',').filter(|field| !field.is_empty());
    let more_history = fields(now).any(|field| fields(before).all(|known| known != field));
    let life = option(now, "ttl");
    more_history || (life.is_some() && life != option(before, "ttl"))
}

fn server(kind: ServerKind, rest: &str) -> String {
    let (_, place) = split_account(rest);
    let head = place.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = head.find('/').map_or((head, ""), |at| head.split_at(at));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (host, Some(port)),
        _ => (authority, None),
    };
    let (family, usual) = match kind {
        ServerKind::Mysql => ("mysql", "3306"),
        ServerKind::Redis => ("redis", "6379"),
        ServerKind::Elasticsearch => ("elasticsearch", "9200"),
    };
    let path = match kind {
        ServerKind::Mysql => {
            path.split('/').filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect::<String>()
        }
        ServerKind::Redis => {
            let number = path.trim_matches('/');
            let prefix = option(place, "prefix").filter(|prefix| !matches!(*prefix, "weir:" | "weir%3A"));
            format!(
                "/{}{}",
                if number.is_empty() { "0" } else { number },
                prefix.map_or(String::new(), |prefix| format!("?prefix={prefix}"))
            )
        }
        ServerKind::Elasticsearch => {
            let (prefix, index) = path.rsplit_once('/').unwrap_or_default();
            format!("{}/{index}", prefix.trim_end_matches('/'))
        }
    };
    format!("{family}://{}:{}{path}", host.to_ascii_lowercase(), port.unwrap_or(usual))
}

/// The value of an option behind the `?`.
fn option<'a>(name: &'a str, option: &str) -> Option<&'a str> {
    let (_, query) = name.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == option)
        .map(|(_, value)| value)
        .next_back()
}

/// A path without `.` and doubled slashes. `..` stays: behind a link it leads elsewhere.
fn cleaned(path: &str) -> String {
    let parts = Path::new(path).components().filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_identity_whoever_asks_and_however() {
        for names in [
            &[
                "mysql://h/db/t",
                "mysql://***@h:3306/db/t?history=price&password_env=***",
                "mariadb://me@H/db/t/?add_columns=true&timeout=9s",
            ][..],
            &["redis://h", "rediss://***@h:6379/0/?ttl=30d&prefix=weir:", "redis://h/0?timeout=9s"],
            &["elasticsearch://h/t?new_fields=add", "opensearch+https://me@h:9200/t?bulk_bytes=1MB"],
            &["elasticsearch://[::1]/a/t", "elasticsearch://[::1]:9200/a//t"],
            &["sqlite:homes.db", "sqlite:./homes.db?new_columns=add", "sqlite:.//homes.db"],
            &["sqlite:/var/homes.db", "sqlite:///var/./homes.db"],
            &["out/items.jsonl", "./out//items.jsonl"],
        ] {
            for name in names {
                assert_eq!(identity(name), identity(names[0]), "{name}");
            }
        }
    }

    #[test]
    fn other_places_have_others() {
        let names = [
            "mysql://h/db",
            "mysql://h/db/t",
            "mysql://h:3307/db/t",
            "mysql://g/db/t",
            "redis://h/0",
            "redis://h/1",
            "redis://h/0?prefix=homes:",
            "elasticsearch://h/",
            "elasticsearch://h/t",
            "elasticsearch://h/a/t",
            "sqlite:homes.db",
            "sqlite:/homes.db",
            "sqlite:../homes.db",
            "homes.db",
            "s3://b/k.jsonl",
            "s3://b//k.jsonl",
            "ftp://h:21/k.jsonl",
        ];
        let identities: std::collections::BTreeSet<String> = names.iter().map(|name| identity(name)).collect();
        assert_eq!(identities.len(), names.len(), "{identities:?}");
    }

    #[test]
    fn a_field_whose_history_is_new_and_another_life_of_keys_ask_for_everything_again() {
        let more =
            |before: &str, now: &str| asks_for_more(&format!("mysql://h/d{before}"), &format!("mysql://h/d{now}"));
        assert!(more("", "?history=price") && more("?history=price", "?history=price,title"));
        assert!(!more("?history=price,title", "?history=title") && !more("", "?timeout=9s&add_columns=true"));
        assert!(
            more("", "?ttl=3d") && more("?ttl=3d", "?ttl=4d") && !more("?ttl=3d", "?ttl=3d") && !more("?ttl=3d", "")
        );
    }
}
