//! `robots.jsonl` and `robots_real.jsonl`: what Google's parser and Protego say of made-up and of real files.

use super::Checker;
use crate::case::{Case, Checked, base64_decode};
use serde_json::{Value, json};
use weir_frontier::robots::{Robots, TimeOfDay, valid_agent_token};

/// Both files.
pub struct RobotsFile;

impl Checker for RobotsFile {
    fn check(&mut self, case: &Case) -> Checked {
        if case.text("op") == "valid_agent_token" {
            return Checked::compare(case.field("valid"), json!(valid_agent_token(case.text("agent"))));
        }
        let bytes = match case.field("robots_b64").as_str() {
            Some(text) => base64_decode(text).unwrap_or_default(),
            None => case.text("robots").as_bytes().to_vec(),
        };
        let robots = Robots::parse(&bytes);
        let agent = case.text("agent");
        match case.text("op") {
            "allowed" => Checked::compare(case.field("allowed"), json!(robots.allowed(agent, case.text("url")))),
            "crawl_delay" => Checked::compare(case.field("crawl_delay"), delay(&robots, agent)),
            "request_rate" => Checked::compare(case.field("request_rate"), request_rate(&robots, agent)),
            "visit_time" => {
                let got = robots.visit_time(agent).map(|(from, to)| json!([time(from), time(to)]));
                Checked::compare(case.field("visit_time"), got.unwrap_or(Value::Null))
            }
            "sitemaps" => Checked::compare(case.field("sitemaps"), json!(robots.sitemaps().collect::<Vec<_>>())),
            "preferred_host" => Checked::compare(case.field("host"), json!(robots.preferred_host())),
            "real_file" => real_file(case, &robots),
            _ => Checked::Differs(json!({ "error": "the runner does not know this operation" })),
        }
    }
}

fn delay(robots: &Robots, agent: &str) -> Value {
    robots.crawl_delay(agent).map_or(Value::Null, |delay| json!(delay.as_secs_f64()))
}

fn time(time: TimeOfDay) -> String {
    format!("{:02}:{:02}:00", time.hour, time.minute)
}

fn request_rate(robots: &Robots, agent: &str) -> Value {
    let Some(rate) = robots.request_rate(agent) else { return Value::Null };
    let (start, end) = rate.period.map_or(("None".into(), "None".into()), |(from, to)| (time(from), time(to)));
    json!({ "requests": rate.requests, "seconds": rate.seconds, "start": start, "end": end })
}

/// All checks on which the two parsers agree, the delays and the sitemaps.
fn real_file(case: &Case, robots: &Robots) -> Checked {
    let mut wrong = Vec::new();
    for check in case.field("checks").as_array().into_iter().flatten() {
        let (Some(agent), Some(url)) = (check["agent"].as_str(), check["url"].as_str()) else { continue };
        if let Some(expected) = check["allowed"].as_bool() {
            let got = robots.allowed(agent, url);
            if got != expected {
                wrong.push(json!({ "agent": agent, "url": url, "allowed": got }));
            }
        }
    }
    for (agent, expected) in case.field("crawl_delay").as_object().into_iter().flatten() {
        let got = delay(robots, agent);
        if got != *expected {
            wrong.push(json!({ "agent": agent, "crawl_delay": got }));
        }
    }
    let sitemaps = json!(robots.sitemaps().collect::<Vec<_>>());
    if sitemaps != *case.field("sitemaps") {
        wrong.push(json!({ "sitemaps": sitemaps }));
    }
    if wrong.is_empty() { Checked::Same } else { Checked::Differs(json!(wrong)) }
}
