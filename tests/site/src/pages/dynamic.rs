//! Log-ins: a plain form, one with a hidden one-time field, and three listings behind them. The user is `user`, the
//! password `pass`. A session ends after as many gated pages as the site was started with.

use super::Visit;
use crate::portal::{PER_PAGE, listing_page_name, mix, push_number};
use crate::reply::{HTML, Reply};
use crate::request::form_value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Sessions and one-time fields that are remembered, each; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Gate {
    views_max: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seed: u64,
    issued: u64,
    nonces: Remembered,
    sessions: Remembered,
}

/// Tokens with a count, oldest first.
#[derive(Debug, Default)]
struct Remembered {
    counts: BTreeMap<u64, u32>,
    order: VecDeque<u64>,
}

impl Remembered {
    fn insert(&mut self, token: u64, count: u32) {
        if self.order.len() == REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
        self.counts.insert(token, count);
        self.order.push_back(token);
    }

    /// Takes one from a token's count; `false` when there is none.
    fn spend(&mut self, token: Option<&str>) -> bool {
        let token = token.and_then(|text| u64::from_str_radix(text, 16).ok());
        match token.and_then(|token| self.counts.get_mut(&token)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

impl State {
    fn token(&mut self) -> u64 {
        self.issued += 1;
        mix(self.seed ^ mix(self.issued))
    }
}

impl Gate {
    pub fn new(seed: u64, views_max: u32) -> Gate {
        let state =
            State { seed: mix(seed), issued: 0, nonces: Remembered::default(), sessions: Remembered::default() };
        Gate { views_max, state: Mutex::new(state) }
    }

    pub fn answer(&self, visit: &Visit<'_>, rest: &str, page: &mut String) -> Reply {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let post = visit.request.method == "POST";
        match (rest, post) {
            ("", false) => form(page, "/dynamic/login", None),
            ("nonce", false) => {
                let nonce = state.token();
                state.nonces.insert(nonce, 1);
                form(page, "/dynamic/nonce-login", Some(nonce))
            }
            ("login" | "nonce-login", true) => {
                let sent = std::str::from_utf8(visit.request.body).unwrap_or("");
                let fresh = rest == "login" || state.nonces.spend(form_value(sent, "nonce").as_deref());
                let known = form_value(sent, "user").as_deref() == Some("user")
                    && form_value(sent, "pass").as_deref() == Some("pass");
                if !(fresh && known) {
                    return Reply::redirect(page, 302, "/dynamic/error");
                }
                let session = state.token();
                state.sessions.insert(session, self.views_max);
                Reply::redirect(page, 302, "/dynamic/gated")
                    .with("set-cookie", &format!("session={session:016x}; Path=/; HttpOnly"))
            }
            ("login" | "nonce-login", false) => Reply::status(page, 405).with("allow", "POST"),
            ("gated", false) if state.sessions.spend(visit.request.cookie("session")) => gated(visit, page),
            ("gated", false) => Reply::redirect(page, 302, "/dynamic/error"),
            ("error", false) => {
                page.push_str("<!DOCTYPE html>\n<html><body><h1>Please log in</h1><a href=\"/dynamic\">Log in</a></body></html>\n");
                Reply::page(HTML)
            }
            _ => Reply::status(page, 404),
        }
    }
}

fn form(page: &mut String, action: &str, nonce: Option<u64>) -> Reply {
    page.push_str("<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>\n<form method=\"post\" action=\"");
    page.push_str(action);
    page.push_str("\">\n  <label>User <input type=\"text\" name=\"user\" value=\"\"></label>\n  <label>Password <input type=\"password\" name=\"pass\" value=\"\"></label>\n");
    if let Some(nonce) = nonce {
        page.push_str(&format!("  <input type=\"hidden\" name=\"nonce\" value=\"{nonce:016x}\">\n"));
    }
    page.push_str("  <input type=\"submit\" value=\"Log in\">\n</form>\n</body></html>\n");
    Reply::page(HTML)
}

/// The three listings behind the log-in: the first of the first three index pages.
fn gated(visit: &Visit<'_>, page: &mut String) -> Reply {
    page.push_str("<!DOCTYPE html>\n<html><head><title>For members</title></head><body>\n<ul>\n");
    for number in (0..3).map(|nth| nth * PER_PAGE).filter(|number| *number < visit.portal.listings()) {
        page.push_str("  <li><a itemprop=\"url\" href=\"/properties/");
        listing_page_name(page, number);
        page.push_str("\">listing ");
        push_number(page, number as u64, 1);
        page.push_str("</a></li>\n");
    }
    page.push_str("</ul>\n</body></html>\n");
    Reply::page(HTML)
}
