//! The fields of examples/properties.toml with `scraper`, written by hand.

use scraper::{Html, Selector};
use serde_json::{Value, json};

pub struct Fields {
    title: Selector,
    price: Selector,
    description: Selector,
    address: Selector,
    image: Selector,
}

impl Fields {
    pub fn new() -> Fields {
        let css = |text| Selector::parse(text).expect("a selector");
        Fields {
            title: css(r#"[itemprop="name"]"#),
            price: css(r#"[itemprop="price"]"#),
            description: css(r#"[itemprop="description"]"#),
            address: css(r#"[itemtype="http://schema.org/Place"]"#),
            image: css(r#"[itemprop="image"]"#),
        }
    }

    pub fn extract(&self, url: &str, html: &str) -> Value {
        let page = Html::parse_document(html);
        let texts = |selector: &Selector| -> Vec<String> {
            let nodes = page.select(selector).flat_map(|element| element.children());
            nodes.filter_map(|node| Some(node.value().as_text()?.trim().to_owned())).collect()
        };
        let first = |selector| texts(selector).into_iter().find(|text| !text.is_empty());
        let price = first(&self.price).and_then(|text| {
            let figures: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
            figures.parse::<f64>().ok()
        });
        let images: Vec<String> =
            page.select(&self.image).filter_map(|element| element.attr("src")).map(|src| join(url, src)).collect();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        json!({
            "title": first(&self.title).map(|text| title_case(&text)),
            "price": price,
            "description": texts(&self.description).join(" "),
            "address": first(&self.address),
            "image_urls": images,
            "url": url,
            "date": now,
        })
    }
}

fn title_case(text: &str) -> String {
    let mut after_letter = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if after_letter { out.extend(c.to_lowercase()) } else { out.extend(c.to_uppercase()) }
        after_letter = c.is_alphabetic();
    }
    out
}

/// An absolute URL from the two forms of links that the site has.
pub fn join(base: &str, href: &str) -> String {
    let root = base.find("://").and_then(|at| base[at + 3..].find('/').map(|slash| at + 3 + slash)).unwrap_or(base.len());
    if href.starts_with('/') {
        return format!("{}{href}", &base[..root]);
    }
    let mut folder = &base[..base.rfind('/').unwrap_or(root)];
    let mut rest = href;
    while let Some(tail) = rest.strip_prefix("../") {
        folder = &folder[..folder.rfind('/').unwrap_or(root).max(root)];
        rest = tail;
    }
    format!("{folder}/{rest}")
}
