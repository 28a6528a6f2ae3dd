//! The spider file: compiled, then bytes in, items and links out.
//!
//! Decides what a spider file means. Pure: no clock, no I/O, no randomness; what a page is told of the outside (the time of
//! its fetch, the machine's name, the job) comes in with [`Page`]. Invariants: a [`Spider`] never changes after loading, so
//! threads share one; the same spider, page and time give the same items and links; no page and no spider text panics.
//!
//! # The language
//!
//! All keys, with all their forms (`docs/spider-file.md` is the reference, [`Spider::json_schema`] the schema):
//!
//! ```toml
//! name = "properties"                        # letters, digits, `_`, `-`; part of an item's identity
//! allowed_domains = ["localhost"]            # and their subdomains; left out: the hosts of the start URLs; ["*"]: any
//! start = [
//!   "${base}/properties/index_{00000..01666}.html",   # a range, zero-padded; {0..90..30} has a step; several multiply
//!   "${base}/areas/{london,leeds}.html",              # a list
//! ]
//! # start = [{ url = "${base}/api/search", method = "POST", body = { page = 1 } }]   # a start URL with more to say
//! start_parse = "property"                   # start pages yield items too; without it they are only searched
//! start_headers = { Accept = "text/html" }
//! order = "lifo"                             # or "fifo"
//! depth_max = 10
//! engine = "lxml"                            # or "html5"
//!
//! [args]
//! base = "http://localhost:9312"             # a default; -a base=... overrides it. `${base}` in URLs, headers, const
//! area = { required = true, help = "a town" }    # must be given
//!
//! [settings]                                 # weir's settings for this spider, see docs/settings
//! user_agent = "example-bot (+mailto:me@example.com)"
//!
//! [[follow]]                                 # horizontal: searched again (no `parse`)
//! xpath = '//*[contains(@class,"next")]//@href'
//!
//! [[follow]]                                 # vertical: yields items, not searched unless `follow = true`
//! xpath = '//*[@itemprop="url"]/@href'       # or css = "a.title::attr(href)"; a selector of elements takes the links in them
//! parse = "property"
//! priority = 1                               # higher goes first
//! allow = ['/properties/']                   # regexes, searched in the absolute URL; a string or a list
//! deny = 'print=1'
//!
//! [[follow]]                                 # no selector: every link of the page, as Scrapy's LinkExtractor() finds them
//! allow = '/archive/'
//!
//! [[follow]]                                 # a JSON answer leads to pages; values travel with the link
//! scope = "$[*]"                             # for each object of the array ...
//! json = "$.id"                              # ... its id is the value (relative to the object)
//! url = "${base}/properties/property_${value:06}.html"   # a template: ${value}, ${value:06} zero-padded, ${value:encode},
//!                                            # ${carry.NAME}, ${response.url}, arguments
//! carry = { title = { json = "$.title" }, listed_on = "response.url" }
//! parse = "property"
//!
//! [[follow]]                                 # a request with a body: POST unless `method` says otherwise
//! json = "$.next_page"
//! url = "${base}/api/search"
//! body = { page = "${value}", area = "${area}" } # a table is sent as JSON ("${value}" alone keeps its type), a string as it is
//! # form = { page = "${value}" }              # as a form
//! headers = { "X-Requested-With" = "XMLHttpRequest" }
//!
//! [item.property]
//! key = "url"                                # or ["agency", "reference"]; without it: the content
//! key_scope = "spider"                       # or "global": without the spider's name
//! # scope = '//li[@itemtype="http://schema.org/Product"]'    # many items from one page: an XPath ...
//! # scope = { css = "li.property" }          # ... or a CSS selector ...
//! # scope = "$.results"                      # ... or a JSON path to an array (a string that begins with `$`)
//! # within a scope use relative selectors ('.//h2/text()'); JSON paths begin at the object of the scope
//!
//! [item.property.fields]
//! title       = { xpath = '//*[@itemprop="name"][1]/text()', map = ["trim", "title_case"], required = true }
//! price       = { xpath = '//*[@itemprop="price"][1]/text()', regex = '[,.0-9]+', map = [{ remove = "," }], type = "float" }
//! description = { xpath = '//*[@itemprop="description"][1]/text()', map = ["trim"], join = " " }
//! image_urls  = { xpath = '//*[@itemprop="image"][1]/@src', map = ["absolute_url"], many = true }
//! address     = { css = "address::text", map = ["trim"] }
//! location    = { geocode = "address", type = "geo_point" }
//! score       = { compute = "scorer", type = "float" }
//! url         = { value = "response.url" }   # response.url, response.status, now, spider, job, server, args.NAME
//! date        = { value = "now" }            # volatile by itself
//! listed_as   = { carry = "title" }          # from the page before
//! reference   = { url = 'property_(\d+)', type = "int" }      # the page's URL: the first match, its groups if any
//! bedrooms    = { json = "$.details.bedrooms", type = "int" } # RFC 9535, in a JSON answer
//! state       = { json = "$.props.state", inside = { xpath = '//script[@id="__NEXT_DATA__"]/text()' } }
//! country     = { const = "GB" }
//! name        = { from = [{ css = "h1::text" }, { carry = "title" }, { const = "?" }], map = ["trim"] }   # the first that finds
//! listed_on   = { xpath = '//time/text()', type = "date", format = "%d/%m/%Y" }
//! views       = { css = ".views::text", type = "int", volatile = true }   # does not make the item a changed one
//!
//! [item.property.compute.scorer]             # fills the fields that name it; docs/computation.md
//! command = ["python3", "score.py"]          # a line in, a line out; only with --allow-commands
//! send = ["title", "price"]                  # default: all fields that are known by then
//! timeout = "5s"
//! pool = 2
//! # format = "text"                           # of one field, for one field; else JSON
//! # function = "scorer"                       # instead of a command: registered by the program around weir
//!
//! [[hook]]                                   # in this order; on start requests, links, items
//! on = "start"
//! when = 'url.contains("/old/") || index > 1000'     # CEL: == != < <= > >= in && || ! contains startsWith endsWith matches size has
//! drop = true
//!
//! [[hook]]
//! on = "link"
//! when = 'parse == "property" && !has(carry.title)'
//! priority = 10                              # or carry = { from = "hook" }
//!
//! [[hook]]
//! on = "item"
//! name = "cheap"                             # counted as hook/cheap/dropped
//! item = "property"                          # needed with several item types
//! when = 'price < 10.0'
//! drop = true                                # or set = { country = "IE" }
//!
//! [[contract]]
//! url = "${base}/properties/property_000000.html"
//! parse = "property"                         # needed with several item types
//! items = 1                                  # or { min = 1, max = 30 }
//! requests = 0                               # links found; or { min = .. }
//! scrapes = ["title", "price"]
//! ```
//!
//! `type`: `str` (default), `int`, `float`, `bool`, `datetime`, `date`, `geo_point`, `json`. A field's value is made in this
//! order: source, `regex` (every match; its groups if any), `map` on each, then `many` (all), `join`, or the first that is
//! not empty; then `type`.
//!
//! `map` takes names (`trim`, `lower`, `upper`, `title_case`, `capitalize`, `collapse_whitespace`, `absolute_url`,
//! `decode_entities`, `strip_tags`, `decimal_comma`, `unique`) and tables with one step each: `{ strip_chars = "£ " }`,
//! `{ remove = "," }` (or a list), `{ replace = ["a", "b"] }`, `{ regex = '\d+' }`, `{ regex_replace = ['\s+', " "] }`,
//! `{ prefix = ".." }`, `{ suffix = ".." }`, `{ remove_prefix = ".." }`, `{ remove_suffix = ".." }`, `{ split = "," }`,
//! `{ default = ".." }`, `{ lookup = { a = "b" }, default = ".." }`, `{ slice = [0, 10] }`, `{ truncate = 100 }`,
//! `{ nth = 0 }`, `{ keep = 'regex' }`, `{ drop = 'regex' }`, `{ template = "../${value}" }`, `{ query = "id" }`,
//! `{ json = "$.path" }`.

mod compiled;
mod computation;
mod condition;
mod context;
mod convert;
mod error;
mod extensions;
mod hook;
pub mod identity;
mod json;
mod links;
mod load;
mod run;
mod schema;
mod selector;
mod spider;
mod start;
mod steps;
mod target;
mod template;
mod text;

pub use compiled::Engine;
pub use computation::{Computation, LineFormat, Performer};
pub use error::{SpiderError, SpiderErrors, Unreadable};
pub use run::{ExtractLimits, Extraction, Extractor, Page};
pub use spider::{Bounds, Contract, Geocode, Order, Spider};
pub use start::{StartUrl, StartUrls};
pub use target::Target;
