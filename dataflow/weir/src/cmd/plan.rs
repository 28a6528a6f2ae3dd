//! `weir plan`: what a crawl on AWS will cost and how long it will take. Reads a spider and a policy, asks nobody.

use crate::cmd::crawl::read_policy;
use crate::cmd::deployment::Which;
use crate::cmd::prices::{Tariff, bill_json, bill_text, dollars};
use crate::cmd::{self, Usage, numbers};
use crate::exit;
use clap::Args as ClapArgs;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use weir_cost::{Architecture, Bill, Fleet, Forecast, Law, Rates, Workload};
use weir_frontier::LawBook;
use weir_frontier::domain::registered_domain;
use weir_spider::Spider;

/// Start URLs that are looked at for their domains.
const STARTS_MAX: u64 = 1_000_000;

/// What a crawl on AWS will cost and how long it will take
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  weir plan shop.toml --pages 1000000\n  weir plan shops.toml --pages 1000000 --domains 1000 --latency 100 --page-bytes 2000\n  \
    weir plan shop.toml --pages 50000 --region eu-central-1 --prices prices.toml --json\n\n\
List prices without free tiers and taxes; sinks and geocoding providers are not in it. The arithmetic: docs/benchmarks.md, \"Cost\""
)]
pub struct Args {
    /// The spider file
    #[arg(value_name = "SPIDER.toml")]
    spider: PathBuf,
    /// Pages that it will fetch
    #[arg(long, value_name = "N", value_parser = numbers::count::<1, 1_000_000_000_000>)]
    pages: u64,
    /// Spider argument; may be repeated
    #[arg(short = 'a', value_name = "NAME=VALUE")]
    args: Vec<String>,
    /// Setting, ours or Scrapy's name; may be repeated
    #[arg(short = 's', value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Who may be asked how often, as for weir stage
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Domains with something to fetch all the time. Default: those of the start URLs
    #[arg(long, value_name = "N", value_parser = numbers::count::<1, 1_000_000_000>)]
    domains: Option<u64>,
    /// From a request to its answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = numbers::count::<0, 60_000>)]
    latency: u64,
    /// Bytes of a page
    #[arg(long, value_name = "N", default_value_t = 31_000, value_parser = numbers::count::<0, 100_000_000>)]
    page_bytes: u64,
    /// Region whose prices are taken. Default: the deployment's, AWS_REGION, or us-east-1
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// What functions and stages are built for: arm64 or x86_64
    #[arg(long, value_name = "NAME", default_value = "arm64")]
    architecture: String,
    /// A function's memory
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = numbers::count::<128, 10_240>)]
    memory: u64,
    /// Functions at once, as deployed (FunctionConcurrency)
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = numbers::count::<1, 1_000>)]
    functions: u64,
    /// Stages
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = numbers::count::<1, 64>)]
    stages: u64,
    /// One's own prices, in the form of infra/prices.toml
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    let pairs = cmd::arguments(&args.args)?;
    let spider = cmd::load_spider(&args.spider, &pairs)?;
    let settings = cmd::settings(&args.spider, &spider, &args.settings)?;
    let policy = read_policy(args.policy.as_deref(), settings.profile)?;
    let architecture = Architecture::parse(&args.architecture)
        .ok_or_else(|| Usage(format!("--architecture {}: expected arm64 or x86_64", args.architecture)))?;
    let deployed = match &args.region {
        Some(region) => Some(region.clone()),
        None => Which { stack: None, deployment: None }.find()?.map(|deployment| deployment.region),
    };
    let tariff = Tariff::find(args.prices.as_deref(), deployed)?;
    let sites = Sites::of(&spider, &policy)?;
    let work = Workload {
        pages: args.pages,
        domains: args.domains.unwrap_or(sites.domains),
        law: sites.law,
        latency_ms: args.latency as f64,
        page_bytes: args.page_bytes as f64,
    };
    let fleet = Fleet {
        memory_mb: args.memory as f64,
        functions_max: args.functions as f64,
        stages: args.stages as f64,
        domain_concurrency: f64::from(settings.concurrency_per_domain),
        ..Fleet::default()
    };
    let forecast = fleet.forecast(&work, &Rates::default());
    let bill = Bill::of(&forecast.usage, &tariff.prices, architecture);
    if args.json {
        let document = serde_json::json!({
            "spider": spider.name(),
            "pages": work.pages,
            "domains": work.domains,
            "blacklisted": sites.blacklisted,
            "law": work.law.map(|law| serde_json::json!({ "hits": law.hits, "window_ms": law.window_ms })),
            "latency_ms": work.latency_ms,
            "page_bytes": work.page_bytes,
            "region": tariff.region,
            "architecture": architecture.as_str(),
            "prices_date": tariff.date,
            "dollars": bill_json(&bill),
            "dollars_a_million_pages": bill.total() * 1e6 / work.pages as f64,
            "forecast": forecast,
        });
        crate::out::line!("{document}");
    } else {
        crate::out::text!("{}", text(&spider, &work, &sites, &tariff, architecture, &forecast, &bill));
    }
    Ok(exit::FINISHED)
}

/// What the spider's start URLs say of domains and laws.
struct Sites {
    domains: u64,
    blacklisted: u64,
    /// When their laws differ, the one under which all of them together are as fast.
    law: Option<Law>,
    differ: bool,
}

impl Sites {
    fn of(spider: &Spider, laws: &dyn LawBook) -> Result<Sites, Usage> {
        let (mut domains, mut blacklisted) = (BTreeSet::new(), BTreeSet::new());
        let starts = spider.start_urls();
        for start in (0..starts.len().min(STARTS_MAX)).filter_map(|at| starts.get(at)) {
            let host = weir_driver::fetching::host_of(&start.url).to_ascii_lowercase();
            let known = if laws.blacklisted(&host) { &mut blacklisted } else { &mut domains };
            let domain = registered_domain(&host);
            if !known.contains(domain) {
                known.insert(domain.to_owned());
            }
        }
        if domains.is_empty() && !blacklisted.is_empty() {
            let names: Vec<String> = blacklisted.into_iter().collect();
            return Err(Usage(format!("nothing would be fetched: the policy blacklists {}", names.join(", "))));
        }
        let limits: Vec<_> = domains.iter().map(|domain| laws.limits(domain)).collect();
        let limited: Vec<_> = limits.iter().flatten().collect();
        let differ = limits.windows(2).any(|pair| pair[0] != pair[1]);
        let law = match limited.first() {
            Some(first) if !differ => Some(Law { hits: first.hits, window_ms: first.window_us as f64 / 1000.0 }),
            Some(_) => {
                let pace: f64 = limited.iter().map(|law| f64::from(law.hits) * 1000.0 / law.window_us as f64).sum();
                Some(Law { hits: 1, window_ms: limited.len() as f64 / pace })
            }
            None => None,
        };
        Ok(Sites { domains: domains.len().max(1) as u64, blacklisted: blacklisted.len() as u64, law, differ })
    }
}

fn text(
    spider: &Spider,
    work: &Workload,
    sites: &Sites,
    tariff: &Tariff,
    architecture: Architecture,
    forecast: &Forecast,
    bill: &Bill,
) -> String {
    let mut out = String::new();
    let law = match work.law {
        None => "without a law".to_owned(),
        Some(_) if sites.differ => "under laws that differ".to_owned(),
        Some(law) => format!("{} requests in {} each", law.hits, span(law.window_ms / 1000.0)),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "plan of spider {:?}: {} pages of {} bytes, {} domain{}, {law}, answers after {} ms",
        spider.name(),
        work.pages,
        work.page_bytes,
        work.domains,
        if work.domains == 1 { "" } else { "s" },
        work.latency_ms
    );
    let (region, date) = (&tariff.region, &tariff.date);
    let _ = writeln!(
        out,
        "list prices of {region}, {}, as of {date}, without free tiers and taxes\n",
        architecture.as_str()
    );
    out.push_str(&bill_text(bill));
    let million = bill.total() * 1e6 / work.pages as f64;
    let _ = writeln!(out, "  {:<38} {:>12}\n", "a million pages", dollars(million));
    let _ = writeln!(
        out,
        "time: {}, at {:.4} pages a second; what holds it back: {}",
        span(forecast.seconds),
        forecast.pages_a_second,
        forecast.bound.as_str()
    );
    let _ = writeln!(out, "most of the cost: {}", bill.dominant().as_str());
    let _ = writeln!(
        out,
        "a message: {:.1} requests, {:.0} ms of a function, {:.0} of them waiting for slots and sites; {:.2} functions at once",
        forecast.message_releases, forecast.message_ms, forecast.waiting_ms, forecast.functions
    );
    if sites.blacklisted > 0 {
        let _ = writeln!(out, "not crawled: {} blacklisted domains among the start URLs", sites.blacklisted);
    }
    let _ = writeln!(
        out,
        "not in it: sinks, geocoding providers, what a deployment costs while nothing is crawled (docs/deploy.md)"
    );
    out
}

/// A time for a person.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_frontier::policy::Policy;

    fn sites(starts: &str, policy: &str) -> Result<Sites, Usage> {
        let text = format!("name = \"s\"\nstart = [{starts}]\n[[follow]]\ncss = \"a\"\n");
        let spider = Spider::load("s.toml", &text, &[]).expect("a spider");
        Sites::of(&spider, &Policy::parse(policy, "policy.toml").expect("a policy"))
    }

    #[test]
    fn domains_and_their_law_come_from_start_urls_and_policy() {
        let found = sites("\"http://a.example.com/{0..99}\", \"http://b.example.com/\", \"http://other.example/\"", "")
            .expect("sites");
        assert_eq!(found.domains, 2, "subdomains are one domain");
        assert_eq!(found.law, Some(Law { hits: 60, window_ms: 60_000.0 }));
        let policy = "[domains.\"other.example\"]\nhits = 180\nwindow = \"60s\"\n";
        let found = sites("\"http://a.example.com/\", \"http://other.example/\"", policy).expect("sites");
        let law = found.law.expect("a law");
        assert!(found.differ && (f64::from(law.hits) / law.window_ms - 2.0 / 1000.0).abs() < 1e-9, "{law:?}");
        let policy = "blacklist = [\"other.example\"]";
        let found = sites("\"http://a.example.com/\", \"http://other.example/\"", policy).expect("sites");
        assert_eq!((found.domains, found.blacklisted), (1, 1));
        let error = sites("\"http://other.example/\"", policy).err().expect("nothing is left").to_string();
        assert!(error.contains("blacklists other.example"), "{error}");
        assert_eq!(sites("\"http://localhost:9312/\"", "").expect("sites").law, None);
    }
}
