//! How fast pages become trees: MB/s of ours, of ours with every text taken, and of scraper's parse, on a made listing
//! page of 31 kB and an item page of 1.8 kB. Rounds are interleaved; the ratio is the median of the rounds' ratios.
//!
//! `cargo run --release -p weir-html --example tree_speed [FILE...]` adds pages of your own.
#![allow(clippy::disallowed_methods)] // It measures time: that is its one purpose.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use weir_html::{AttrId, Limits, NodeId, Parser};

/// The allocator of the crawler; the other parser allocates much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut pages = vec![("listing".to_owned(), listing()), ("item".to_owned(), item())];
    for path in std::env::args().skip(1) {
        pages.push((path.clone(), String::from_utf8_lossy(&std::fs::read(path)?).into_owned()));
    }
    for (name, page) in &pages {
        measure(name, page);
    }
    Ok(())
}

fn measure(name: &str, page: &str) {
    let mut parser = Parser::new(Limits::default());
    let (mut parse, mut take, mut other) = (vec![], vec![], vec![]);
    for _ in 0..25 {
        parse.push(pace(page, || {
            black_box(parser.parse(page).map(|tree| tree.len()).ok());
        }));
        take.push(pace(page, || {
            black_box(parser.parse(page).map(take_all).ok());
        }));
        other.push(pace(page, || {
            black_box(scraper::Html::parse_document(page));
        }));
    }
    let mut ratios: Vec<f64> = parse.iter().zip(&other).map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    let best = |paces: &[f64]| paces.iter().copied().fold(0.0, f64::max);
    println!(
        "{name}: {} bytes, {} nodes; parse {:.0} MB/s ({:.0} pages/s), with all text and attributes taken {:.0} MB/s, scraper {:.1} MB/s; ratio {:.1} ({:.1}-{:.1})",
        page.len(),
        parser.parse(page).map_or(0, |tree| tree.len()),
        best(&parse) / 1e6,
        best(&parse) / page.len() as f64,
        best(&take) / 1e6,
        best(&other) / 1e6,
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1],
    );
}

/// Bytes a second over at least 20 ms.
fn pace(page: &str, mut once: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < Duration::from_millis(20) {
        for _ in 0..4 {
            once();
            rounds += 1;
        }
    }
    page.len() as f64 * f64::from(rounds) / start.elapsed().as_secs_f64()
}

fn take_all(tree: weir_html::Tree<'_>) -> usize {
    let mut bytes = 0;
    for node in (0..tree.len()).map(NodeId) {
        bytes += tree.text(node).len();
        for attr in tree.attrs(node).map(AttrId) {
            bytes += tree.attr_value(attr).len();
        }
    }
    bytes
}

/// 25 rows of six fields between a navigation, scripts and a footer, as shops write them.
fn listing() -> String {
    let mut page = head("Homes for sale in Harrogate | Page 3 of 67");
    page.push_str("<nav class=\"site-nav\" role=\"navigation\"><ul>\n");
    for i in 0..24 {
        let _ = writeln!(
            page,
            "  <li class=\"nav-item\"><a class=\"nav-link\" href=\"/section/{i}?from=nav&amp;pos={i}\">Section {i}</a></li>"
        );
    }
    page.push_str(
        "</ul></nav>\n<main id=\"content\" class=\"container\">\n<h1>Homes for sale</h1>\n<div class=\"results\">\n",
    );
    for i in 0..25 {
        let _ = write!(
            page,
            r#"  <article class="property-card" id="property_{i:06}" data-id="{i}" itemscope itemtype="https://schema.org/Residence">
    <a class="card-image" href="/properties/property_{i:06}.html"><img src="/images/i{i:02}.jpg" alt="Picture of home {i}" width="320" height="240" loading="lazy"></a>
    <div class="card-body">
      <h2 class="title"><a href="/properties/property_{i:06}.html" itemprop="url"><span itemprop="name">Semi-detached house, {i} Mill Lane</span></a></h2>
      <p class="price"><strong>&pound;{},500</strong> <small>guide price</small></p>
      <ul class="facts"><li class="beds">{} bedrooms</li><li class="baths">{} bathrooms</li><li class="area">{} m&sup2;</li></ul>
      <p class="address" itemprop="address">{i} Mill Lane, Harrogate HG1 {i}AB</p>
      <p class="summary">A well kept home with a south-facing garden, a garage and a view over the valley. Chain free.</p>
      <div class="actions"><a class="btn btn-primary" href="/contact?property={i}">Contact agent</a> <button type="button" class="btn" data-save="{i}">Save</button></div>
    </div>
  </article>
"#,
            200 + i * 7,
            1 + i % 5,
            1 + i % 3,
            60 + i * 3,
        );
    }
    page.push_str("</div>\n<a class=\"next\" rel=\"next\" href=\"/properties/index_00004.html\">Next</a>\n</main>\n");
    footer(&mut page);
    page
}

/// One home with its fields.
fn item() -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>12 Mill Lane</title>\n<link rel=\"stylesheet\" href=\"/s.css\"></head>\n<body>\n<h1 itemprop=\"name\">Semi-detached house, 12 Mill Lane</h1>\n<p class=\"price\" itemprop=\"price\">&pound;284,500</p>\n<table class=\"facts\">\n",
    );
    for (key, value) in [
        ("Bedrooms", "3"),
        ("Bathrooms", "2"),
        ("Area", "96 m&sup2;"),
        ("Built", "1934"),
        ("Tenure", "Freehold"),
        ("Council tax", "D"),
    ] {
        let _ = writeln!(page, "  <tr><th scope=\"row\">{key}</th><td class=\"value\">{value}</td></tr>");
    }
    page.push_str("</table>\n<div class=\"description\">\n");
    for i in 0..4 {
        let _ = writeln!(
            page,
            "  <p>Paragraph {i}: a well kept home with a south-facing garden, a garage and a view over the valley. Near schools &amp; shops.</p>"
        );
    }
    page.push_str("</div>\n<ul class=\"images\">\n");
    for i in 0..5 {
        let _ =
            writeln!(page, "  <li><a href=\"/images/i{i:02}.jpg\"><img src=\"/images/i{i:02}.jpg\" alt=\"\"></a></li>");
    }
    page.push_str("</ul>\n<p class=\"address\">12 Mill Lane, Harrogate</p>\n<a href=\"/properties/index_00000.html\">Back</a>\n</body></html>\n");
    page
}

fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"stylesheet\" href=\"/static/site.css\">\n<script>\n(function () {{ var q = window.q = window.q || []; q.push(['page', {{ a: 1 < 2, b: \"<b>\" }}]); for (var i = 0; i < 10; i++) {{ q.push(i); }} }})();\n</script>\n<style>.card {{ margin: 0 auto; }} .card > a {{ color: #333; }}</style>\n</head>\n<body class=\"listing page\">\n<!-- header -->\n"
    )
}

fn footer(page: &mut String) {
    page.push_str("<footer class=\"site-footer\"><div class=\"columns\">\n");
    for i in 0..24 {
        let _ = writeln!(
            page,
            "  <div class=\"column\"><a href=\"/about/{i}\">About {i}</a><br><span class=muted>since {}</span></div>",
            1980 + i
        );
    }
    page.push_str("</div><p>&copy; 2026 A Portal</p></footer>\n<script src=\"/static/app.js\" async></script>\n</body>\n</html>\n");
}
