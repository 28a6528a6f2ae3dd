//! The peer `spider`: it follows every link of the portal; pages are extracted with `scraper` as they arrive.
//! `bench-spider-rs BASE PAGES OUT`.

#[path = "../../bare/src/fields.rs"]
mod fields;

use fields::Fields;
use spider::website::Website;
use std::io::Write;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, base, pages, out] = arguments.as_slice() else { panic!("bench-spider-rs BASE PAGES OUT") };
    let pages: usize = pages.parse().expect("a number of index pages");
    let mut website = Website::new(&format!("{base}/properties/index_00000.html"));
    website
        .with_respect_robots_txt(true)
        .with_delay(0)
        .with_depth(0)
        .with_concurrency_limit(Some(64))
        .with_whitelist_url(Some(vec!["/properties/index_".into(), "/properties/property_".into()]))
        .with_user_agent(Some("bench"));
    // All index pages are known from the start, as to the others.
    website.set_extra_links(
        (0..pages).map(|page| format!("{base}/properties/index_{page:05}.html").as_str().into()).collect(),
    );
    // The channel drops what its reader is late for: it holds the whole site.
    let mut arriving = website.subscribe((pages * 31 + 1).next_power_of_two());
    let mut file = std::io::BufWriter::new(std::fs::File::create(out).expect("the output"));
    let reader = tokio::spawn(async move {
        let fields = Fields::new();
        let mut count = 0u64;
        while let Ok(page) = arriving.recv().await {
            count += 1;
            if page.get_url().contains("/property_") {
                let item = fields.extract(page.get_url(), &page.get_html());
                serde_json::to_writer(&mut file, &item).expect("written");
                file.write_all(b"\n").expect("written");
            }
        }
        file.flush().expect("written");
        count
    });
    website.crawl().await;
    website.unsubscribe();
    drop(website);
    println!("{} pages", reader.await.expect("the reader"));
}
