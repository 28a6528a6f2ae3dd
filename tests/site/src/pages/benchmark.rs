//! The benchmark of the book: index pages that link details, details that hold items, an API; how many, how large and how
//! slow is said by knobs in the path, before or after `/benchmark`.

use super::{Visit, json};
use crate::knobs::Bench;
use crate::portal::push_number;
use crate::reply::{HTML, JSON, Reply};
use crate::request::form_value;

pub(super) fn answer(visit: &Visit<'_>, rest: &str, page: &mut String) -> Reply {
    let mut knobs = visit.knobs;
    let mut name = rest;
    while let Some((segment, tail)) = name.split_once('/') {
        if knobs.turn(segment).is_none() {
            return Reply::status(page, 404);
        }
        name = tail;
    }
    let bench = knobs.bench;
    let number = |key: &str| form_value(visit.query, key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    let own_wait = match name {
        "index" => {
            index(page, &bench, number("p"));
            bench.index_wait
        }
        "detail" => {
            detail(page, &bench, number("id0"));
            bench.detail_wait
        }
        "api" => {
            let form = std::str::from_utf8(visit.request.body).unwrap_or("");
            let text = form_value(form, "text").or_else(|| form_value(visit.query, "text")).unwrap_or_default();
            page.push_str("{\"translation\": ");
            json::push_string(page, &format!("api-t-{text}"));
            page.push('}');
            bench.api_wait
        }
        _ => return Reply::status(page, 404),
    };
    Reply::page(if name == "api" { JSON } else { HTML }).after(own_wait.unwrap_or(bench.wait))
}

fn index(page: &mut String, bench: &Bench, number: u64) {
    let worth = bench.details_per_index * bench.items_per_detail;
    let pages = bench.total_items.div_ceil(worth);
    if !(1..=pages).contains(&number) {
        return;
    }
    page.push_str("<ul>\n");
    for nth in 0..bench.details_per_index {
        let first = (number - 1) * worth + nth * bench.items_per_detail + 1;
        if first > bench.total_items {
            break;
        }
        let last = (first + bench.items_per_detail - 1).min(bench.total_items);
        page.push_str("<li><a class=\"item\" href=\"detail?id0=");
        push_number(page, first, 1);
        page.push_str("\">item ");
        push_number(page, first, 1);
        if last > first {
            page.push('-');
            push_number(page, last, 1);
        }
        page.push_str("</a></li>\n");
    }
    page.push_str("</ul>\n");
    for next in number + 1..=(number + bench.index_ahead).min(pages) {
        page.push_str("<a class=\"nav\" href=\"index?p=");
        push_number(page, next, 1);
        page.push_str("\">next</a>\n");
    }
}

fn detail(page: &mut String, bench: &Bench, first: u64) {
    page.push_str("<ul>\n");
    for id in first..first.saturating_add(bench.items_per_detail).min(bench.total_items + 1) {
        page.push_str("<li><h3>I'm ");
        push_number(page, id, 1);
        page.push_str("</h3><div class=\"info\">useful info for id: ");
        push_number(page, id, 1);
        page.push_str("</div></li>\n");
    }
    page.push_str("</ul>\n<!--");
    page.extend(std::iter::repeat_n('i', bench.detail_extra_bytes));
    page.push_str("-->\n");
}
