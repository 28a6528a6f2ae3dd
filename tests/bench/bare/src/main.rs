//! The ceiling: reqwest and scraper in a loop, a set for duplicates, a file; `--fetch-only` leaves out all but fetching.
//! `bench-bare [--fetch-only=LISTINGS] BASE PAGES OUT`.

mod fields;

use fields::{Fields, join};
use futures_util::stream::{FuturesUnordered, StreamExt};
use scraper::{Html, Selector};
use std::collections::{HashSet, VecDeque};
use std::io::Write;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AT_ONCE: usize = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // Without looking into pages it has to be told how many listings there are.
    let listings: Option<usize> = arguments
        .first()
        .and_then(|first| first.strip_prefix("--fetch-only="))
        .map(|count| count.parse().expect("a number of listings"));
    if listings.is_some() {
        arguments.remove(0);
    }
    let [base, pages, out] = arguments.as_slice() else { panic!("bench-bare [--fetch-only=LISTINGS] BASE PAGES OUT") };
    let pages: usize = pages.parse().expect("a number of index pages");
    let indexes = (0..pages).map(|page| format!("{base}/properties/index_{page:05}.html"));
    let client = reqwest::Client::builder().user_agent("bench").no_proxy().build().expect("a client");
    let mut file = std::io::BufWriter::new(std::fs::File::create(out).expect("the output"));
    let mut queue: VecDeque<String> = indexes.collect();
    if let Some(listings) = listings {
        queue.extend((0..listings).map(|number| format!("{base}/properties/property_{number:06}.html")));
    }
    let mut seen: HashSet<String> = queue.iter().cloned().collect();
    let (fields, links) = (Fields::new(), Selector::parse(r#"[itemprop="url"], [class*="next"] [href]"#).expect("a selector"));
    let mut flying = FuturesUnordered::new();
    let mut count = 0u64;
    loop {
        while flying.len() < AT_ONCE
            && let Some(url) = queue.pop_front()
        {
            let asked = client.get(&url).send();
            flying.push(async move {
                let body = asked.await?.error_for_status()?.bytes().await?;
                Ok::<_, reqwest::Error>((url, body))
            });
        }
        let Some(done) = flying.next().await else { break };
        let (url, body) = done.expect("a page");
        count += 1;
        if listings.is_some() {
            continue;
        }
        let text = std::str::from_utf8(&body).expect("the site writes UTF-8");
        if url.contains("/property_") {
            serde_json::to_writer(&mut file, &fields.extract(&url, text)).expect("written");
            file.write_all(b"\n").expect("written");
        } else {
            for link in Html::parse_document(text).select(&links).filter_map(|element| element.attr("href")) {
                let link = join(&url, link);
                if seen.insert(link.clone()) {
                    queue.push_back(link);
                }
            }
        }
    }
    file.flush().expect("written");
    println!("{count} pages");
}
