//! Hosts: brackets, look-alike delimiters, international names.

use super::UrlError;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Characters that normalise (NFKC) to something with `/ ? # @ :` or `\` in it. A host with one of them would name another host
/// to a server that normalises it.
const LOOK_ALIKE_DELIMITERS: &[char] = &[
    '\u{2047}', '\u{2048}', '\u{2049}', '\u{2100}', '\u{2101}', '\u{2105}', '\u{2106}', '\u{2a74}', '\u{fe13}',
    '\u{fe16}', '\u{fe55}', '\u{fe56}', '\u{fe5f}', '\u{fe68}', '\u{fe6b}', '\u{ff03}', '\u{ff0f}', '\u{ff1a}',
    '\u{ff1f}', '\u{ff20}', '\u{ff3c}',
];

/// Refuses look-alike delimiters.
pub(super) fn check_delimiters(netloc: &str) -> Result<(), UrlError> {
    if netloc.is_ascii() {
        return Ok(());
    }
    // A backslash is looked for only where normalisation changes something (w3lib's order of checks).
    let backslash = netloc.contains('\\') && netloc.chars().any(|c| narrowed(c) != c);
    if backslash || netloc.contains(LOOK_ALIKE_DELIMITERS) {
        return Err(UrlError::Delimiter);
    }
    Ok(())
}

/// Refuses brackets around anything but an IPv6 address (or RFC 3986's `IPvFuture`), and text before or after them.
pub(super) fn check_brackets(netloc: &str) -> Result<(), UrlError> {
    let hostinfo = netloc.rsplit_once('@').map_or(netloc, |(_, hostinfo)| hostinfo);
    let name = match hostinfo.split_once('[') {
        Some((before, inner)) => {
            let (name, after) = inner.split_once(']').unwrap_or((inner, ""));
            if !before.is_empty() || !(after.is_empty() || after.starts_with(':')) {
                return Err(UrlError::Ipv6);
            }
            name
        }
        None => hostinfo.split_once(':').map_or(hostinfo, |(name, _)| name),
    };
    if name.starts_with(['v', 'V']) {
        return if is_ip_future(name) { Ok(()) } else { Err(UrlError::Ipv6) };
    }
    parse_ipv6(name).map(|_| ()).ok_or(UrlError::Ipv6)
}

fn is_ip_future(name: &str) -> bool {
    let Some((version, address)) = name.strip_prefix('v').and_then(|rest| rest.split_once('.')) else { return false };
    !version.is_empty()
        && version.bytes().all(|b| b.is_ascii_hexdigit())
        && !address.is_empty()
        && !address.contains('\n')
}

/// An IPv6 address and its zone.
fn parse_ipv6(text: &str) -> Option<(Ipv6Addr, Option<&str>)> {
    let (address, zone) = match text.split_once('%') {
        Some((_, zone)) if zone.is_empty() || zone.contains('%') => return None,
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    Some((address.parse().ok()?, zone))
}

/// The shortest form of RFC 5952, IPv4-mapped addresses in hexadecimal as the URL living standard writes them. `None`: no address.
pub(super) fn normalize_ipv6(text: &str) -> Option<String> {
    let (address, zone) = parse_ipv6(text)?;
    let mut out = write_ipv6(address);
    if let Some(zone) = zone {
        out.push('%');
        out.push_str(zone);
    }
    Some(out)
}

fn write_ipv6(address: Ipv6Addr) -> String {
    use std::fmt::Write;
    let groups = address.segments();
    let (mut run_start, mut run_length) = (0, 0);
    let mut at = 0;
    while at < 8 {
        let length = groups[at..].iter().take_while(|g| **g == 0).count();
        if length > run_length {
            (run_start, run_length) = (at, length);
        }
        at += length.max(1);
    }
    let mut out = String::with_capacity(39);
    let mut at = 0;
    while at < 8 {
        if run_length > 1 && at == run_start {
            out.push_str("::");
            at += run_length;
            continue;
        }
        if at > 0 && !out.ends_with(':') {
            out.push(':');
        }
        write!(out, "{:x}", groups[at]).expect("a String takes everything");
        at += 1;
    }
    out
}

/// The host in lower case (an address's zone as it is).
pub(super) fn lower(hostname: &str) -> String {
    match hostname.split_once('%') {
        Some((name, zone)) => format!("{}%{zone}", name.to_lowercase()),
        None => hostname.to_lowercase(),
    }
}

/// The host as w3lib writes it: ASCII as it is; otherwise by IDNA 2003, and unchanged where that refuses.
pub(super) fn idna_or_raw(hostname: &str) -> String {
    if hostname.is_ascii() { hostname.to_owned() } else { idna_2003(hostname).unwrap_or_else(|| hostname.to_owned()) }
}

fn idna_2003(hostname: &str) -> Option<String> {
    let narrow: String = hostname.chars().map(narrowed).collect();
    let mut out = String::with_capacity(narrow.len() + 16);
    let mut labels = narrow.split('.').peekable();
    while let Some(label) = labels.next() {
        if label.is_empty() && labels.peek().is_none() {
            break;
        }
        let start = out.len();
        if label.is_ascii() {
            out.push_str(label);
        } else {
            push_label(label, &mut out)?;
        }
        if !(1..=63).contains(&(out.len() - start)) {
            return None;
        }
        if labels.peek().is_some() {
            out.push('.');
        }
    }
    Some(out)
}

/// Full-width ASCII and the dots of IDNA 2003 as their plain characters.
fn narrowed(c: char) -> char {
    match c {
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => '.',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Appends an international label in ASCII. Before UTS 46 come the characters that IDNA 2003 maps away and UTS 46 keeps.
fn push_label(label: &str, out: &mut String) -> Option<()> {
    let mut mapped = String::with_capacity(label.len());
    for c in label.chars() {
        match c {
            '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{200b}'..='\u{200d}' | '\u{2060}' => {}
            '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => {}
            'ß' => mapped.push_str("ss"),
            'ς' => mapped.push('σ'),
            _ => mapped.push(c.to_ascii_lowercase()),
        }
    }
    if mapped.is_ascii() {
        out.push_str(&mapped);
        return Some(());
    }
    let uts46 = Uts46::new();
    let ascii = uts46.to_ascii(mapped.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore).ok()?;
    out.push_str(&ascii);
    Some(())
}

/// The host as browsers write it (URL living standard): percent-decoded, UTS 46, numbers read as IPv4 addresses, no forbidden
/// character; beyond that no empty label, and no dot at the end, so that one server has one name.
pub(super) fn for_fetch(hostname: &str, bracketed: bool) -> Result<String, UrlError> {
    if bracketed {
        let address: Ipv6Addr = hostname.parse().map_err(|_| UrlError::Ipv6)?;
        return Ok(format!("[{}]", write_ipv6(address)));
    }
    if hostname.is_empty() {
        return Err(UrlError::NoHost);
    }
    let name = match url::Host::parse(hostname).map_err(|_| UrlError::Host)? {
        url::Host::Ipv4(address) => return Ok(address.to_string()),
        url::Host::Ipv6(_) => return Err(UrlError::Ipv6),
        url::Host::Domain(name) => name,
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name.is_empty() || name.split('.').any(str::is_empty) {
        return Err(UrlError::Host);
    }
    // Without the dot at the end it may read as an address.
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    Ok(name.to_owned())
}
