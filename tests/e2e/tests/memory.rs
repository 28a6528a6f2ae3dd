//! What a crawl costs: memory of large pages and of a whole crawl, and the processor time of one that waits.
//!
//! Measured from outside, by what the kernel says of the process; site and judge are in this process and do not count. `WEIR_BIN`
//! names another binary to measure than the one that the tests are built with: the release build needs a little less of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use weir_e2e::server::{Answer, Server};
use weir_e2e::{Killed, Stand, compare, example, expected, start, until, weir};

const MIB: u64 = 1 << 20;

/// The most memory that the process had so far, in bytes; nothing when it is gone.
fn peak_bytes(child: &Killed) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.0.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Runs to the end; gives the peak of resident memory, looked at all the time (it never falls, so only the last moments escape).
#[allow(clippy::disallowed_methods, reason = "a test that watches another process needs a clock")]
fn peak_of(command: &mut std::process::Command) -> anyhow::Result<u64> {
    let mut child = start(command);
    let mut peak = 0;
    let began = Instant::now();
    let status = loop {
        peak = peak_bytes(&child).map_or(peak, |bytes| bytes.max(peak));
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(300), "it does not end");
        std::thread::park_timeout(Duration::from_millis(2));
    };
    anyhow::ensure!(status.code() == Some(0), "it ended with {status}");
    anyhow::ensure!(peak > 0, "the kernel says nothing of its memory");
    Ok(peak)
}

/// A page of 5 MB: thousands of listings in markup as dense as the practice site's, so that its tree is large, too.
fn large_page(stand: &Stand) -> Vec<u8> {
    let listings: String = stand.site.portal().iter().take(30).map(|listing| {
        format!(
            "<li itemscope itemtype=\"http://schema.org/Product\"><a itemprop=\"url\" href=\"property.html\"><h3 itemprop=\"name\">{}</h3></a>\
             <span itemprop=\"price\">{}</span><p itemprop=\"description\">{}</p></li>\n",
            listing.title, listing.price, listing.description
        )
    }).collect();
    let mut page = String::from("<!DOCTYPE html>\n<html><head><title>large</title></head><body><h1>large</h1><ul>\n");
    while page.len() < 5_000_000 {
        page.push_str(&listings);
    }
    page.into_bytes()
}

#[test]
fn a_thousand_pages_of_5_mb_at_concurrency_100_stay_under_250_mb() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let page: Arc<[u8]> = large_page(&stand).into();
    let bytes = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&bytes);
    let server = Server::start(move |heard| {
        if heard.path == "/robots.txt" {
            return Answer::missing();
        }
        sent.fetch_add(page.len(), Ordering::Relaxed);
        Answer { body: Arc::clone(&page), ..Answer::page("") }
    });
    stand.write(
        "large.toml",
        &format!(
            "name = \"large\"\nstart = \"{}/{{000..999}}\"\nstart_parse = \"page\"\n[item.page]\nkey = \"url\"\n[item.page.fields]\n\
             url = {{ value = \"response.url\" }}\ntitle = {{ css = \"h1::text\" }}\n",
            server.base()
        ),
    );
    let mut command = stand.command(weir());
    command.args(["crawl", "large.toml", "-q", "-o", "items.jsonl", "--state", "state", "-s", "concurrency=100"]);
    let peak = peak_of(&mut command)?;
    let items = stand.feed()?;
    assert!(items.len() == 1000 && items.values().all(|item| item["title"] == "large"), "{} items", items.len());
    assert!(bytes.load(Ordering::Relaxed) >= 5_000_000_000, "five gigabytes were sent");
    eprintln!("1,000 pages of 5 MB: {} MiB at most, {} connections", peak / MIB, server.connections());
    assert!(server.connections() >= 100, "a hundred at once, not {}", server.connections());
    assert!(peak < 250_000_000, "{} MiB at most, expected under 250 MB", peak / MIB);
    Ok(())
}

#[test]
fn the_whole_crawl_stays_under_150_mb() -> anyhow::Result<()> {
    let stand = Stand::new(300);
    let peak = peak_of(&mut stand.crawl(example("properties.toml")))?;
    compare(&stand.feed()?, &expected(&stand.site, &stand.base()))?;
    eprintln!("300 index pages, 9,000 listings: {} MiB at most", peak / MIB);
    assert!(peak < 150_000_000, "{} MiB at most, expected under 150 MB", peak / MIB);
    Ok(())
}

/// Processor time of the process so far, user and system; the kernel tells it in hundredths of a second.
fn processor_time(child: &Killed) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.0.id()))?;
    // Behind the name, which is in brackets and may hold anything: the state is field 3, user and system time are 14 and 15.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(10 * ticks))
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test that watches another process needs a clock")]
fn a_crawl_that_waits_for_its_law_uses_under_one_percent_of_a_core() -> anyhow::Result<()> {
    let stand = Stand::new(20);
    stand.write("law.toml", "[default]\nhits = 1\nwindow = \"3s\"\nmoderated = true\n");
    let mut command = stand.crawl(example("properties-next.toml"));
    let mut child = start(command.args(["--policy", "law.toml"]));
    let asked = || stand.site.log().len();
    until("the first page", || asked() >= 2);
    let (began, before, first) = (Instant::now(), processor_time(&child)?, asked());
    until("three more pages", || asked() >= first + 3);
    let (took, used) = (began.elapsed(), processor_time(&child)? - before);
    assert!(child.0.try_wait()?.is_none(), "it goes on");
    assert!(took > Duration::from_secs(6), "a page every three seconds: {took:?}");
    let percent = 100.0 * used.as_secs_f64() / took.as_secs_f64();
    eprintln!("{used:?} of processor time in {took:?}: {percent:.3} %");
    assert!(percent < 1.0, "{percent:.2} % of a core, expected under 1 %");
    Ok(())
}
