//! Any static site on loopback is crawled page for page: a small hostile one as Scrapy's LinkExtractor finds it (`data/golden.json`, made
//! by `data/linkextractor.py`), and a documentation package of many pages as an independent walk finds it.

mod support {
    pub mod files;
}

use scraper::{Html, Selector};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::files::{FileSite, Files, unescape};
use url::Url;
use weir_e2e::{Stand, run, weir};

/// What a crawl of a whole site came to.
struct Crawled {
    /// Titles of the pages that gave an item, by target.
    pages: BTreeMap<String, Option<String>>,
    stats: Value,
}

impl Crawled {
    fn count(&self, name: &str) -> usize {
        self.stats[name].as_u64().unwrap_or(0) as usize
    }
}

/// Follows every link of the site and gives one item a page.
fn crawl(site: &FileSite, start: &[String], rules: &str) -> anyhow::Result<Crawled> {
    let stand = Stand::new(1);
    let start: Vec<String> = start.iter().map(|path| format!("http://localhost:{}{path}", site.port())).collect();
    let spider = format!(
        "name = \"mirror\"\nallowed_domains = [\"localhost\"]\nstart = {start:?}\nstart_parse = \"page\"\n[[follow]]\nparse = \"page\"\n\
         follow = true\n{rules}\n[item.page]\nkey = \"url\"\n\
         fields = {{ url = {{ value = \"response.url\" }}, title = {{ css = \"title::text\" }} }}\n"
    );
    stand.write("mirror.toml", &spider);
    let mut command = stand.command(weir());
    command.args(["crawl", "mirror.toml", "-q", "--json", "-o", "items.jsonl"]);
    let output = run(&mut command, 0)?;
    let stats: Value = serde_json::from_slice(&output.stdout)?;
    let pages = stand.feed()?.into_iter().map(|(url, item)| (target(&url), item["title"].as_str().map(str::to_owned)));
    Ok(Crawled { pages: pages.collect(), stats: stats["stats"].clone() })
}

/// Path and query of a URL with its escapes resolved, so that one page has one name however it is escaped.
fn target(url: &str) -> String {
    let behind_host = |rest: &str| rest.find('/').map_or("/".to_owned(), |at| rest[at..].to_owned());
    let path = url.strip_prefix("http://").map_or(url.to_owned(), behind_host);
    let bytes = unescape(path.split('#').next().unwrap_or_default());
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text.strip_suffix('?').map_or(text.clone(), str::to_owned)
}

/// Names both sides of a difference.
fn same(what: &str, ours: &BTreeSet<String>, reference: &BTreeSet<String>) {
    let missing: Vec<_> = reference.difference(ours).collect();
    let surplus: Vec<_> = ours.difference(reference).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{what}: not found {missing:#?}\nfound beyond the reference {surplus:#?}"
    );
}

/// Where weir and Scrapy differ: what Scrapy asks for, and what weir asks for instead. Exactly these; a new one fails, and so does one
/// that is gone.
const DIFFERENCES: &[(&str, &[&str], &[&str])] = &[
    (
        "dot segments are resolved as a browser does, escaped ones too",
        &["/./r9.html", "404 /a/../r10.html"],
        &["/r9.html", "/r10.html"],
    ),
    (
        "an empty segment of a path stays, as in a browser",
        &["404 /:/x.html", "404 /a/b/double.html"],
        &["404 /://x.html", "404 /a//b/double.html"],
    ),
    ("links behind the end of the document count", &[], &["/m44.html", "/m45.html"]),
    (
        "the query of a UTF-16 page is sent in UTF-8, as a browser does",
        &["/oé.html?\0w\0i\0d\0e\0-\0b\0e", "/Привет.html?w\0i\0d\0e\0"],
        &["/oé.html?wide-be", "/Привет.html?wide"],
    ),
];

fn with_differences(mut reference: BTreeSet<String>) -> BTreeSet<String> {
    for (_, scrapys, ours) in DIFFERENCES {
        reference.retain(|path| !scrapys.contains(&path.as_str()));
        reference.extend(ours.iter().map(|path| (*path).to_owned()));
    }
    reference
}

#[test]
fn a_hostile_site_is_crawled_page_for_page_as_scrapys_link_extractor_finds_it() -> anyhow::Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let golden: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(data.join("golden.json"))?)?;
    let site = FileSite::serve(Files { root: data.join("site"), big: true })?;
    let crawled = crawl(&site, &["/index.html".to_owned()], "")?;
    let named =
        |status: u64, path: &str| if status == 200 { target(path) } else { format!("{status} {}", target(path)) };
    let reference: BTreeSet<String> =
        golden.iter().map(|(path, page)| named(page["status"].as_u64().unwrap_or(0), path)).collect();
    let gone: BTreeSet<String> =
        site.missing().iter().map(|path| named(404, path)).filter(|path| path != "404 /robots.txt").collect();
    let ours: BTreeSet<String> = crawled.pages.keys().chain(&gone).cloned().collect();
    same("pages", &ours, &with_differences(reference));
    assert_eq!(crawled.count("verdict/rejected/status"), gone.len(), "each 404 has its verdict: {:#}", crawled.stats);
    let titled = |path: &String| {
        Some((path.clone(), golden.iter().find(|(page, _)| target(page) == *path)?.1["title"].as_str()))
    };
    for (path, title) in crawled.pages.keys().filter_map(titled) {
        assert_eq!(crawled.pages[&path].as_deref(), title, "{path}: its title, in its charset");
    }
    Ok(())
}

/// What cargo doc made, or makes now.
fn documentation() -> anyhow::Result<PathBuf> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let made = scratch
        .parent()
        .map(|folder| folder.join("doc"))
        .filter(|folder| folder.join("weir_model/index.html").exists());
    if let Some(made) = made {
        return Ok(made);
    }
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args(["doc", "--quiet", "-p", "weir-model", "--no-deps", "--target-dir"]).arg(scratch.join("docs"));
    run(cargo.current_dir(weir_e2e::root()), 0)?;
    Ok(scratch.join("docs/doc"))
}

/// Targets that a walk with a browser's tree and URLs reaches: with an answer, and without one.
fn walk(files: &Files, start: &[String]) -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (anchors, bases) = (selector("a[href], area[href]"), selector("base[href]"));
    let origin = Url::parse("http://localhost:1/")?;
    let mut queue: VecDeque<Url> = start.iter().map(|path| origin.join(path)).collect::<Result<_, _>>()?;
    let mut seen: BTreeSet<String> = queue.iter().map(Url::to_string).collect();
    let (mut there, mut gone) = (BTreeSet::new(), BTreeSet::new());
    while let Some(url) = queue.pop_front() {
        let Some((kind, body)) = files.answer(&url[url::Position::BeforePath..], 1) else {
            gone.insert(target(url.as_str()));
            continue;
        };
        there.insert(target(url.as_str()));
        if !kind.starts_with("text/html") {
            continue;
        }
        let page = Html::parse_document(&String::from_utf8_lossy(&body));
        let href = |element: scraper::ElementRef<'_>| element.value().attr("href").map(str::to_owned);
        let base = page
            .select(&bases)
            .next()
            .and_then(href)
            .and_then(|base| url.join(&base).ok())
            .unwrap_or_else(|| url.clone());
        for mut link in page.select(&anchors).filter_map(href).filter_map(|link| base.join(&link).ok()) {
            link.set_fragment(None);
            if link.origin() == origin.origin() && seen.insert(link.to_string()) {
                queue.push_back(link);
            }
        }
    }
    Ok((there, gone))
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).expect("a selector of ours")
}

#[test]
fn a_documentation_package_is_crawled_page_for_page_as_a_browsers_tree_has_it() -> anyhow::Result<()> {
    let root = documentation()?;
    let mut start: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&root)? {
        let entry = entry?;
        if entry.path().join("index.html").exists() {
            start.push(format!("/{}/index.html", entry.file_name().to_string_lossy()));
        }
    }
    start.sort();
    let site = FileSite::serve(Files { root: root.clone(), big: false })?;
    let (there, gone) = walk(&Files { root, big: false }, &start)?;
    assert!(there.len() > 50, "a package worth the name: {} pages", there.len());
    let crawled = crawl(&site, &start, "deny_extensions = []")?;
    same("pages", &crawled.pages.keys().cloned().collect(), &there);
    assert_eq!(crawled.count("verdict/rejected/status"), gone.len(), "{gone:?}: {:#}", crawled.stats);
    println!("{} pages, {} links to nowhere", there.len(), gone.len());
    Ok(())
}
