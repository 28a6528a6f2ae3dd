//! CSS selectors, translated to XPath as parsel (with cssselect 1.6) translates them, and compiled by the same compiler: what
//! a selector finds, and in which order, follows from the XPath. `token` cuts, `parse` reads, `translate` writes.

mod parse;
mod pseudo;
mod selector;
mod token;
mod translate;

use crate::xpath::error::SelectorError;

/// Longest selector, in bytes.
const SELECTOR_BYTES_MAX: usize = 16 * 1024;

/// The XPath expression that a group of selectors means.
pub fn to_xpath(css: &str) -> Result<String, SelectorError> {
    if css.len() > SELECTOR_BYTES_MAX {
        let message = format!("the selector has {} bytes, at most {SELECTOR_BYTES_MAX} are read", css.len());
        return Err(SelectorError::new(SELECTOR_BYTES_MAX, message));
    }
    let group = parse::parse(css)?;
    let parts = group.iter().map(translate::selector).collect::<Result<Vec<_>, _>>()?;
    Ok(parts.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::to_xpath;

    #[test]
    fn selectors_mean_the_xpath_that_parsel_makes_of_them() {
        for (css, xpath) in [
            ("div", "descendant-or-self::div"),
            ("a::attr(href)", "descendant-or-self::a/@href"),
            ("div > p::text", "descendant-or-self::div/p/text()"),
            ("ul li", "descendant-or-self::ul/descendant::li"),
            ("div *::text", "descendant-or-self::div/descendant-or-self::text()"),
            ("#x", "descendant-or-self::*[@id = 'x']"),
            ("h1 + p", "descendant-or-self::h1/following-sibling::*[(self::p) and (position() = 1)]"),
            (
                "p:not(.a)",
                "descendant-or-self::p[not(@class and contains(@class, 'a') and contains(concat(' ', normalize-space(@class), ' '), ' a '))]",
            ),
            ("li:nth-child(2n+1)", "descendant-or-self::li[count(preceding-sibling::*) mod 2 = 0]"),
            ("a, b", "descendant-or-self::a | descendant-or-self::b"),
        ] {
            assert_eq!(to_xpath(css).unwrap(), xpath, "{css}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (css, offset, word) in [
            ("div >", 5, "selector"),
            ("a[href", 6, "operator"),
            ("p:frobnicate", 2, "frobnicate"),
            ("p::before", 3, "before"),
            ("a::text b", 8, "end"),
            ("a[b='x]", 4, "closed"),
            ("", 0, "selector"),
        ] {
            let error = to_xpath(css).unwrap_err();
            assert_eq!(error.offset, offset, "{css}: {error}");
            assert!(error.to_string().contains(word), "{css}: {error}");
        }
    }
}
