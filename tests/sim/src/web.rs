//! A small web as a pure function of its seed: domains, pages, links, items, redirects, errors, robots.txt, laws; and what a
//! crawl of it must come to.
//!
//! Everything whose fate depends on the order of the crawl is kept out, so that the expectation is exact: pages that redirect to
//! pages that redirect are linked from one place only, and there is no limit of depth.

use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use weir_frontier::{LawBook, Limits};
use weir_model::{Item, ItemId, JobId, Value};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const REDIRECTS_MAX: u8 = 5;
pub(crate) const OUTSIDE: &str = "http://outside.example/";

#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    Ok,
    NotFound,
    Redirect(String),
    /// Answers 500 this often, then as a page.
    Heals(u32),
    Broken,
    Silent,
    Unreadable,
}

#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub behaviour: Behaviour,
    pub links: Vec<String>,
    /// Key and content.
    pub items: Vec<(u64, u64)>,
}

#[derive(Clone, Debug)]
pub(crate) enum RobotsFile {
    Rules {
        body: String,
        crawl_delay_us: u64,
    },
    Missing,
    Broken,
    /// One 500, then these rules.
    HealsOnce(String),
    Redirect(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub robots: RobotsFile,
    pub law: Option<Limits>,
    /// Answers take up to this long.
    pub latency_us: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Web {
    /// By host.
    pub sites: BTreeMap<String, Site>,
    /// By URL.
    pub pages: BTreeMap<String, Page>,
    pub start: Vec<String>,
    pub obey_robots: bool,
}

/// What a complete crawl must come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub delivered: BTreeSet<String>,
    pub offered: u64,
    pub redirected: u64,
    pub not_found: u64,
    /// Retried to the end.
    pub dead: u64,
    pub unreadable: u64,
    pub forbidden: u64,
    pub too_many_redirects: u64,
    pub offsite: u64,
}

pub(crate) fn host_of(url: &str) -> &str {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    rest.split('/').next().unwrap_or(rest)
}

/// The registered domain of one of these hosts: its last two labels.
pub(crate) fn domain_of(url: &str) -> &str {
    let host = host_of(url);
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    dots.nth(1).map_or(host, |at| &host[at + 1..])
}

impl Web {
    pub fn new(seed: u64, pages: RangeInclusive<u64>) -> Web {
        let dice = &mut Dice::of(seed, "web");
        let mut hosts = Vec::new();
        for at in 0..dice.within(1..=6) {
            hosts.push(format!("d{at}.example"));
            if dice.percent(15) {
                hosts.push(format!("www.d{at}.example"));
            }
        }
        let obey_robots = dice.percent(90);
        let mut sites = BTreeMap::new();
        let mut laws: BTreeMap<String, Option<Limits>> = BTreeMap::new();
        for host in &hosts {
            let law = *laws.entry(domain_of(host).to_owned()).or_insert_with(|| law(dice));
            let latency_us = dice.pick(&[5_000, 50_000, 400_000, 2 * SECOND]);
            sites.insert(host.clone(), Site { robots: robots_file(dice, host, &hosts), law, latency_us });
        }
        let mut web = Web { sites, pages: BTreeMap::new(), start: Vec::new(), obey_robots };
        let count = dice.within(pages) as usize;
        web.grow(dice, &hosts, count);
        web
    }

    fn grow(&mut self, dice: &mut Dice, hosts: &[String], count: usize) {
        let folders = ["", "private/", "open/"];
        let urls: Vec<String> =
            (0..count).map(|at| format!("http://{}/{}p{at}", dice.pick(hosts), dice.pick(&folders))).collect();
        let keys = dice.within(1..=30);
        for (at, url) in urls.iter().enumerate() {
            let mut links = Vec::new();
            // A tree, so that most pages are found, and links across.
            links.extend([2 * at + 1, 2 * at + 2].into_iter().filter_map(|child| urls.get(child).cloned()));
            links.extend((0..dice.within(0..=4)).map(|_| dice.pick(&urls)));
            if dice.percent(10) {
                links.push(format!("{OUTSIDE}{}", dice.below(3)));
            }
            if dice.percent(5) {
                links.push(format!("{url}#part"));
            }
            if dice.percent(12) {
                links.push(self.chain(dice, at, hosts, &urls));
            }
            let items = (0..dice.pick(&[0, 0, 1, 1, 2, 5]))
                .map(|_| {
                    let key = dice.within(1..=keys);
                    // Some pages say the same of a key, most do not.
                    let content = if dice.percent(30) { key } else { xxh3_64(format!("{url} {key}").as_bytes()) };
                    (key, content)
                })
                .collect();
            let behaviour = match dice.within(0..=99) {
                0..=5 => Behaviour::NotFound,
                6..=13 => Behaviour::Heals(dice.within(1..=2) as u32),
                14..=15 => Behaviour::Broken,
                16..=17 => Behaviour::Silent,
                18..=19 => Behaviour::Unreadable,
                _ => Behaviour::Ok,
            };
            self.pages.insert(url.clone(), Page { behaviour, links, items });
        }
        self.start.push(urls[0].clone());
        self.start.extend((0..dice.within(0..=6)).map(|_| dice.pick(&urls)));
    }

    /// A chain of redirects from a new URL on, to a page or back into itself; returns where it begins.
    fn chain(&mut self, dice: &mut Dice, at: usize, hosts: &[String], urls: &[String]) -> String {
        let links: Vec<String> =
            (0..dice.within(1..=8)).map(|step| format!("http://{}/r{at}-{step}", dice.pick(hosts))).collect();
        let end = match dice.within(0..=3) {
            0 => links[dice.below(links.len())].clone(),
            _ => dice.pick(urls),
        };
        let targets = links[1..].iter().chain([&end]);
        for (url, target) in links.iter().zip(targets) {
            let behaviour = Behaviour::Redirect(target.clone());
            self.pages.insert(url.clone(), Page { behaviour, links: Vec::new(), items: Vec::new() });
        }
        links[0].clone()
    }

    /// Whether robots.txt allows it.
    pub fn allows(&self, url: &str) -> bool {
        !self.obey_robots || self.allows_at(url, host_of(url), 0)
    }

    fn allows_at(&self, url: &str, host: &str, redirects: u8) -> bool {
        let Some(site) = self.sites.get(host) else { return true };
        let path = &url["http://".len() + host_of(url).len()..];
        match &site.robots {
            RobotsFile::Rules { body, .. } | RobotsFile::HealsOnce(body) => {
                let forbidden = |line: &str| line.strip_prefix("Disallow: ").is_some_and(|rule| path.starts_with(rule));
                !body.lines().any(forbidden)
            }
            RobotsFile::Missing => true,
            RobotsFile::Broken => false,
            RobotsFile::Redirect(to) => redirects >= 5 || self.allows_at(url, host_of(to), redirects + 1),
        }
    }

    /// The origin whose answer counts for the rules of this host, behind its redirects.
    pub fn robots_host<'a>(&'a self, host: &'a str) -> &'a str {
        let mut host = host;
        for _ in 0..6 {
            match self.sites.get(host).map(|site| &site.robots) {
                Some(RobotsFile::Redirect(to)) => host = host_of(to),
                _ => break,
            }
        }
        host
    }

    /// True when some robots.txt redirects to another domain.
    pub fn robots_travel(&self) -> bool {
        self.obey_robots && self.sites.values().any(|site| matches!(site.robots, RobotsFile::Redirect(_)))
    }

    /// What a complete crawl must come to.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        let mut seen = BTreeSet::new();
        // URL, redirects followed to get there, first URL of the chain.
        let mut todo: Vec<(String, u8, String)> = Vec::new();
        let offer = |expected: &mut Expected, todo: &mut Vec<_>, url: &str, redirects: u8, first: &str| {
            expected.offered += 1;
            if url.starts_with(OUTSIDE) {
                expected.offsite += 1;
                return;
            }
            let url = url.split('#').next().unwrap_or(url);
            if redirects > 0 && (url == first || redirects > REDIRECTS_MAX) {
                expected.too_many_redirects += 1;
                return;
            }
            if seen.insert(url.to_owned()) {
                todo.push((url.to_owned(), redirects, if redirects > 0 { first } else { url }.to_owned()));
            }
        };
        let mut offer = offer;
        for url in &self.start {
            offer(&mut expected, &mut todo, url, 0, url);
        }
        while let Some((url, redirects, first)) = todo.pop() {
            let page = &self.pages[&url];
            if !self.allows(&url) {
                expected.forbidden += 1;
                continue;
            }
            match &page.behaviour {
                Behaviour::NotFound => expected.not_found += 1,
                Behaviour::Broken | Behaviour::Silent => expected.dead += 1,
                Behaviour::Unreadable => expected.unreadable += 1,
                Behaviour::Redirect(target) if *target == url => expected.too_many_redirects += 1,
                Behaviour::Redirect(target) => {
                    expected.redirected += 1;
                    offer(&mut expected, &mut todo, target, redirects + 1, &first);
                }
                Behaviour::Ok | Behaviour::Heals(_) => {
                    for link in &page.links {
                        offer(&mut expected, &mut todo, link, 0, link);
                    }
                    expected.delivered.insert(url);
                }
            }
        }
        expected
    }

    /// The items of a page, as a fetch that began at `version` finds them.
    pub fn items(&self, url: &str, job: JobId, version: u64) -> Vec<Item> {
        let page = &self.pages[url];
        let item = |(at, (key, content)): (usize, &(u64, u64))| Item {
            job,
            schema: 0,
            id: item_id(*key),
            hash: xxh3_64(&content.to_le_bytes()),
            version,
            values: vec![Value::Str(url.into()), Value::Int(at as i64), Value::Int(*key as i64)],
        };
        page.items.iter().enumerate().map(item).collect()
    }
}

pub(crate) fn item_id(key: u64) -> ItemId {
    ItemId(xxh3_128(&key.to_le_bytes()))
}

fn law(dice: &mut Dice) -> Option<Limits> {
    dice.percent(60).then(|| Limits {
        hits: dice.within(1..=5) as u32,
        window_us: dice.pick(&[SECOND / 2, SECOND, 3 * SECOND, 10 * SECOND]),
        moderated: dice.percent(50),
    })
}

fn robots_file(dice: &mut Dice, host: &str, hosts: &[String]) -> RobotsFile {
    let rules = "User-agent: *\nDisallow: /private/\n".to_owned();
    match dice.within(0..=99) {
        0..=29 => RobotsFile::Missing,
        30..=59 => RobotsFile::Rules { body: rules, crawl_delay_us: 0 },
        60..=74 => {
            let delay = dice.within(1..=3);
            RobotsFile::Rules { body: format!("{rules}Crawl-delay: {delay}\n"), crawl_delay_us: delay * SECOND }
        }
        75..=84 => RobotsFile::HealsOnce(rules),
        85..=92 => RobotsFile::Broken,
        // Only backwards in the list, so that robots.txt never run in circles.
        _ => match hosts.iter().take_while(|other| *other != host).last() {
            Some(other) => RobotsFile::Redirect(format!("http://{other}/robots.txt")),
            None => RobotsFile::Missing,
        },
    }
}

/// The laws of a web as the frontier reads them.
pub(crate) struct Laws(pub BTreeMap<String, Option<Limits>>);

impl LawBook for Laws {
    fn limits(&self, domain: &str) -> Option<Limits> {
        self.0.get(domain).copied().flatten()
    }

    fn blacklisted(&self, _host: &str) -> bool {
        false
    }
}
