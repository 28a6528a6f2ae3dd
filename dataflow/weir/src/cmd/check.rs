//! `weir check`: a spider's contracts, each a page fetched and compared with what the file promises.

use crate::cmd;
use crate::exit;
use clap::Args as ClapArgs;
use std::path::PathBuf;
use weir_driver::fetching::{Fetched, fetch_pages};
use weir_model::{Report, Value};
use weir_spider::{Bounds, Contract, Spider};

/// Run a spider's contracts
#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  weir check examples/properties.toml -a base=http://localhost:9312\n\nExit codes: 0 all hold, 2 usage or spider, 4 a contract fails"
)]
pub struct Args {
    /// The spider file
    #[arg(value_name = "SPIDER.toml")]
    spider: PathBuf,
    /// Spider argument; may be repeated
    #[arg(short = 'a', value_name = "NAME=VALUE")]
    args: Vec<String>,
    /// Setting; may be repeated
    #[arg(short = 's', value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    let spider = cmd::load_spider(&args.spider, &cmd::arguments(&args.args)?)?;
    let settings = cmd::settings(&args.spider, &spider, &args.settings)?;
    if spider.contracts().is_empty() {
        return Err(cmd::Usage(format!("{}: no [[contract]] to check", args.spider.display())).into());
    }
    let pages = spider.contracts().iter().map(|contract| (contract.url.clone(), contract.target)).collect();
    let (fetched, seconds) = fetch_pages(&spider, &settings, pages)?;
    let mut failed = 0;
    for (contract, fetched) in spider.contracts().iter().zip(&fetched) {
        let problems = problems(&spider, contract, fetched);
        if problems.is_empty() {
            crate::out::line!("ok    {}", contract.url);
        } else {
            failed += 1;
            crate::out::line!("FAIL  {}", contract.url);
            for problem in problems {
                crate::out::line!("      {problem}");
            }
        }
    }
    let count = spider.contracts().len();
    crate::out::line!("Ran {count} contract{} in {seconds:.3} s", if count == 1 { "" } else { "s" });
    crate::out::line!("{}", if failed == 0 { "OK".to_owned() } else { format!("FAILED ({failed} of {count})") });
    Ok(if failed == 0 { exit::FINISHED } else { exit::FAILED })
}

fn problems(spider: &Spider, contract: &Contract, fetched: &Fetched) -> Vec<String> {
    let report = match fetched {
        Fetched::Page(report) => report,
        Fetched::Nothing(reason) => return vec![format!("the page was not fetched: {reason}")],
    };
    let mut problems = Vec::new();
    check_count(&mut problems, "items", contract.items, report.items.len());
    check_count(&mut problems, "requests", contract.requests, report.links.len());
    for name in &contract.scrapes {
        check_field(&mut problems, spider, report, name);
    }
    problems
}

fn check_count(problems: &mut Vec<String>, what: &str, bounds: Option<Bounds>, found: usize) {
    let Some(bounds) = bounds else { return };
    if !bounds.hold(u32::try_from(found).unwrap_or(u32::MAX)) {
        let what = if found == 1 { what.trim_end_matches('s') } else { what };
        problems.push(format!("{found} {what}, expected {bounds}"));
    }
}

fn check_field(problems: &mut Vec<String>, spider: &Spider, report: &Report, name: &str) {
    for item in &report.items {
        let schema = &spider.schemas()[usize::from(item.schema)];
        let value = schema.position(name).map(|at| &item.values[at]);
        // A field that is computed later (a geocode) is there, but empty: only others can be missing.
        if value.is_none_or(Value::is_null) {
            problems.push(format!("{name:?} field is missing"));
            return;
        }
    }
}
