//! What of a sink's URL may be shown, and kept in a state: nothing that is a secret, and everything else. Pure.

/// Schemes whose URLs name an account: a lone word before the `@` is no secret there. Elsewhere (web pages, buckets, Redis, what is
/// unknown) it is often a token or a password.
const NAME_ACCOUNTS: [&str; 5] = ["mysql", "mariadb", "ftp", "elasticsearch", "opensearch"];

/// What stands in the place of a secret.
const STARS: &str = "***";

/// A URL as it may be shown: passwords, accounts with them, and parameters that sound secret are starred. The name of a variable or file
/// that holds a secret is none.
#[must_use]
pub fn redact(url: &str) -> String {
    let (before, rest) = url.split_once("://").map_or(("", url), |(scheme, _)| url.split_at(scheme.len() + 3));
    let (account, place) = if before.is_empty() { (None, rest) } else { split_account(rest) };
    let family = before.split(['+', ':']).next().unwrap_or_default();
    let (head, query) = place.split_once('?').map_or((place, None), |(head, query)| (head, Some(query)));
    let mut out = before.to_owned();
    match account {
        Some(account) if !account.contains(':') && NAME_ACCOUNTS.contains(&family) => out.push_str(account),
        Some(_) => out.push_str(STARS),
        None => {}
    }
    if account.is_some() {
        out.push('@');
    }
    out.push_str(head);
    if let Some(query) = query {
        let shown = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={STARS}"),
            _ => pair.to_owned(),
        });
        out.push('?');
        out.push_str(&shown.collect::<Vec<_>>().join("&"));
    }
    out
}

/// True when something of the URL was starred: it cannot be used again as it is shown.
#[must_use]
pub fn is_starred(shown: &str) -> bool {
    shown.contains("://***@") || shown.contains("=***")
}

fn is_secret(parameter: &str) -> bool {
    let name = parameter.to_ascii_lowercase();
    let sounds =
        ["pass", "secret", "token", "key", "auth", "credential", "signature"].iter().any(|word| name.contains(word));
    sounds && !name.ends_with("_env") && !name.ends_with("_file")
}

/// What stands before the `@` of a server, and what comes behind it.
pub(crate) fn split_account(rest: &str) -> (Option<&str>, &str) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let at = authority.rfind('@').or_else(|| {
        // A password with a slash or question mark in it that nobody encoded: no URL, but still a secret.
        let (_, port) = authority.split_once(':').filter(|_| !authority.starts_with('['))?;
        rest.rfind('@').filter(|_| !port.bytes().all(|b| b.is_ascii_digit()))
    });
    at.map_or((None, rest), |at| (Some(&rest[..at]), &rest[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_show() {
        for (url, shown) in [
            ("mysql://u:p@w@h:3306/db?password=x&a=b", "mysql://***@h:3306/db?password=***&a=b"),
            ("mysql://u:p/w@h/db", "mysql://***@h/db"),
            ("mysql://u:p?w@h/db?a=b", "mysql://***@h/db?a=b"),
            ("redis://:p@h/0", "redis://***@h/0"),
            // A lone word: a token of a web service, an old way to write Redis' password, a key of S3.
            ("https://token@h/a", "https://***@h/a"),
            ("redis://geheim@h/0", "redis://***@h/0"),
            ("s3://AKIA@bucket/k", "s3://***@bucket/k"),
            ("unknown://geheim@h/0", "unknown://***@h/0"),
        ] {
            assert_eq!(redact(url), shown);
            assert!(is_starred(shown), "{shown}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for url in [
            "items.jsonl",
            "mysql://me@h:3306/db/t?history=price",
            "ftp://me@h/%(name)s.jsonl?password_file=/run/pw",
            "elasticsearch+https://me@h/t?api_key_env=KEY&password_env=PW",
            "redis://h/0?prefix=a:",
            "elasticsearch://[::1]:9200/t",
            "http://h:80/@me",
        ] {
            assert_eq!(redact(url), url);
            assert!(!is_starred(url), "{url}");
        }
    }
}
