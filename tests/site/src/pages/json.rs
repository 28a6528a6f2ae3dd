//! JSON as the site writes it, and the page that shows a request as it arrived.

use super::Visit;
use crate::reply::{JSON, Reply};

/// Appends a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `/echo`: method, target, host, headers in order, and body.
pub(super) fn echo(visit: &Visit<'_>, page: &mut String) -> Reply {
    let request = visit.request;
    for (name, value) in
        [("{\"method\": ", request.method), (", \"target\": ", request.target), (", \"host\": ", request.host)]
    {
        page.push_str(name);
        push_string(page, value);
    }
    page.push_str(", \"headers\": [");
    for (at, header) in request.headers.iter().enumerate() {
        page.push_str(if at > 0 { ", [" } else { "[" });
        push_string(page, &header.name.to_ascii_lowercase());
        page.push_str(", ");
        push_string(page, &String::from_utf8_lossy(header.value));
        page.push(']');
    }
    page.push_str("], \"body\": ");
    push_string(page, &String::from_utf8_lossy(request.body));
    page.push_str("}\n");
    Reply::page(JSON)
}
