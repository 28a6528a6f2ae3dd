//! The keys of the spider file: one table for the loader, its hints and the JSON Schema, so that they cannot differ.

/// What a key's value looks like; `schema` knows the JSON Schema of each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Text,
    Texts,
    Integer(i64, i64),
    Boolean,
    Any,
    Choice(&'static [&'static str]),
    /// A table of strings.
    TextTable,
    /// `[args]`.
    Args,
    /// Any table.
    Table,
    /// Start URLs.
    Starts,
    /// `[[follow]]`.
    Follows,
    /// `[item.NAME]`.
    Items,
    /// `[item.NAME.fields]`.
    Fields,
    /// `[[hook]]`.
    Hooks,
    /// `[[contract]]`.
    Contracts,
    /// A scope: a string or a table with one selector.
    Scope,
    /// A selector table: where a JSON document is found in a page.
    Inside,
    /// `[item.NAME.compute.NAME]`.
    Computations,
    /// `map`.
    Map,
    /// `from`.
    Sources,
    /// `carry` of a rule.
    Carry,
    /// A string or a table (sent as JSON).
    Body,
    /// A number or `{ min, max }`.
    Bounds,
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub doc: &'static str,
}

/// A key that is planned.
#[derive(Debug)]
pub(crate) struct Later {
    pub name: &'static str,
    pub comes_with: &'static str,
}

/// The keys of one kind of table.
#[derive(Debug)]
pub(crate) struct Language {
    pub what: &'static str,
    pub keys: &'static [Key],
    pub later: &'static [Later],
    /// What users of other tools write, and what to write here.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl Language {
    pub fn key_list(&self) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name).collect();
        format!("one of {}", names.join(", "))
    }
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc }
}

const fn later(name: &'static str, comes_with: &'static str) -> Later {
    Later { name, comes_with }
}

const STRUCTURED: &str = "structured data (JSON-LD, microdata, meta)";
const CEL: &str = "conditions and computed values (CEL)";
const SITEMAPS: &str = "sitemaps";
const LOGINS: &str = "log-ins and sessions";

pub(crate) static SPIDER: Language = Language {
    what: "a spider",
    keys: &[
        key("name", Shape::Text, "The spider's name: letters, digits, `_` and `-`. Part of the identity of its items."),
        key("description", Shape::Text, "What it crawls, for people."),
        key(
            "allowed_domains",
            Shape::Texts,
            "Domains that may be crawled, with their subdomains. Left out: the hosts of the start URLs. `[\"*\"]`: any.",
        ),
        key(
            "start",
            Shape::Starts,
            "Start URLs; `${arg}`, ranges `{000..100}`, `{0..90..30}` and lists `{a,b}` are expanded.",
        ),
        key(
            "start_parse",
            Shape::Text,
            "Item type that start pages yield; without it they are only searched for links.",
        ),
        key("start_headers", Shape::TextTable, "Headers of the start requests."),
        key(
            "order",
            Shape::Choice(&["lifo", "fifo"]),
            "Which of a domain's queued requests of one priority goes first.",
        ),
        key("depth_max", Shape::Integer(0, 65_535), "Links followed from a start page at most."),
        key(
            "engine",
            Shape::Choice(&["lxml", "html5"]),
            "Whose tree selectors see: lxml's (as in Scrapy) or a browser's.",
        ),
        key("args", Shape::Args, "Arguments: a default, or `{ required = true }`."),
        key("settings", Shape::Table, "Settings of weir for this spider."),
        key("follow", Shape::Follows, "Rules that find links. The first rule that finds a link owns it."),
        key("item", Shape::Items, "Item types."),
        key("hook", Shape::Hooks, "What is dropped and changed of start requests, links and items, in this order."),
        key("contract", Shape::Contracts, "What a page must give; run by `weir check`."),
    ],
    later: &[
        later("extends", "vendor templates"),
        later("sitemap", SITEMAPS),
        later("login", LOGINS),
        later("session", LOGINS),
        later("csv", "spiders driven by a CSV of URLs and selectors"),
        later("stop", "stop conditions; in [settings] `stop.items` and its like work already"),
        later("let", CEL),
    ],
    aliases: &[
        ("start_urls", "`start = [...]`"),
        ("start_url", "`start = [...]`"),
        ("urls", "`start = [...]`"),
        ("rules", "`[[follow]]` tables"),
        ("rule", "`[[follow]]` tables"),
        ("items", "`[item.NAME]` tables"),
        ("contracts", "`[[contract]]` tables"),
        ("custom_settings", "`[settings]`"),
        ("arguments", "`[args]`"),
        ("hooks", "`[[hook]]` tables"),
        ("middlewares", "`[[hook]]` tables"),
        ("sitemap_urls", "`start = [...]` for now: sitemaps come later"),
    ],
};

pub(crate) static ARG: Language = Language {
    what: "an argument",
    keys: &[
        key("default", Shape::Any, "Its value when it is not given."),
        key("required", Shape::Boolean, "It must be given."),
        key("help", Shape::Text, "What it is, for people."),
    ],
    later: &[],
    aliases: &[],
};

pub(crate) static START: Language = Language {
    what: "a start URL",
    keys: &[
        key("url", Shape::Text, "The URL, with `${arg}`, ranges and lists."),
        key("method", Shape::Choice(METHODS), "HTTP method; POST when there is a body."),
        key("body", Shape::Body, "Body: a table is sent as JSON, a string as it is."),
        key("form", Shape::TextTable, "Body: a form."),
        key("headers", Shape::TextTable, "Headers."),
        key("carry", Shape::Table, "Constant values for the page."),
        key("priority", Shape::Integer(-32_768, 32_767), "Higher goes first."),
    ],
    later: &[later("parse", "start URLs with rules of their own; `start_parse` is for all")],
    aliases: &[],
};

pub(crate) const METHODS: &[&str] = &["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"];

pub(crate) static FOLLOW: Language = Language {
    what: "a [[follow]] rule",
    keys: &[
        key("xpath", Shape::Text, "XPath of URLs, or of elements whose links are taken."),
        key("css", Shape::Text, "CSS selector of URLs (`::attr(href)`), or of elements whose links are taken."),
        key("json", Shape::Text, "JSON path of URLs or values in a JSON answer."),
        key(
            "inside",
            Shape::Inside,
            "Where in the page the JSON document of `json` is: a selector of a script's text.",
        ),
        key("scope", Shape::Scope, "Once for each of these; the other selectors are relative to it."),
        key("regex", Shape::Text, "Applied to each found value: every match, its groups if any."),
        key("map", Shape::Map, "Steps applied to each found value."),
        key("allow", Shape::Texts, "Regexes of which one must match in the absolute URL."),
        key("deny", Shape::Texts, "Regexes of which none may match in the absolute URL."),
        key(
            "deny_extensions",
            Shape::Texts,
            "File extensions not to follow. Default: those of images, archives and so on when links of elements are taken.",
        ),
        key("parse", Shape::Text, "Item type that the page yields."),
        key("follow", Shape::Boolean, "Whether the page is searched for links. Default: true without `parse`."),
        key("priority", Shape::Integer(-32_768, 32_767), "Higher goes first."),
        key(
            "url",
            Shape::Text,
            "URL template: `${value}`, `${value:06}`, `${value:encode}`, `${carry.NAME}`, `${arg}`.",
        ),
        key("method", Shape::Choice(METHODS), "HTTP method; POST when there is a body."),
        key("body", Shape::Body, "Body template: a table is sent as JSON, a string as it is."),
        key("form", Shape::TextTable, "Body template: a form."),
        key("headers", Shape::TextTable, "Header templates."),
        key("carry", Shape::Carry, "Values for the page: a source, or the name of a context value."),
    ],
    later: &[
        later("spider", "links that go to another spider"),
        later("sitemap", SITEMAPS),
        later("jsonld", STRUCTURED),
        later("microdata", STRUCTURED),
        later("meta", STRUCTURED),
    ],
    aliases: &[
        ("callback", "`parse = \"ITEM\"`"),
        ("item", "`parse = \"ITEM\"`"),
        ("restrict_xpaths", "`xpath`: a selector of elements takes the links in them"),
        ("restrict_css", "`css`: a selector of elements takes the links in them"),
        ("cb_kwargs", "`carry`"),
        ("meta", "`carry`"),
        ("process_value", "`map`"),
        ("when", "a [[hook]] with on = \"link\""),
        ("unless", "a [[hook]] with on = \"link\" and drop = true"),
        ("drop_when", "a [[hook]] with on = \"link\" and drop = true"),
    ],
};

/// Keys of a source with its clean-up: shared by fields, carried values and the entries of `from`.
macro_rules! source_keys {
    () => {
        [
            key("xpath", Shape::Text, "XPath."),
            key("css", Shape::Text, "CSS selector with `::text` or `::attr(NAME)`."),
            key(
                "json",
                Shape::Text,
                "JSON path (RFC 9535) in a JSON answer; in a scope it begins at the scope's object.",
            ),
            key(
                "inside",
                Shape::Inside,
                "Where in the page the JSON document of `json` is: a selector of a script's text.",
            ),
            key("url", Shape::Text, "Regex on the page's URL: the first match, its groups if any."),
            key("carry", Shape::Text, "A value carried from the page before."),
            key(
                "value",
                Shape::Text,
                "A context value: response.url, response.status, now, spider, job, server, args.NAME.",
            ),
            key("const", Shape::Any, "A literal."),
            key("from", Shape::Sources, "Several sources: the first that finds something."),
            key("regex", Shape::Text, "Every match, its groups if any."),
            key("map", Shape::Map, "Steps applied to each value."),
        ]
    };
}

const SOURCE_LATER: &[Later] =
    &[later("jsonld", STRUCTURED), later("microdata", STRUCTURED), later("meta", STRUCTURED), later("expr", CEL)];

const SOURCE_ALIASES: &[(&str, &str)] = &[
    ("re", "`regex`"),
    ("path", "`json`"),
    ("selector", "`xpath` or `css`"),
    ("literal", "`const`"),
    ("processors", "`map`"),
    ("input_processor", "`map`"),
    ("output_processor", "`many`, `join`, or nothing for the first value"),
    ("list", "`many = true`"),
    ("optional", "nothing: fields are optional unless `required = true`"),
];

const SOURCE_KEYS: [Key; 11] = source_keys!();

pub(crate) static SOURCE: Language =
    Language { what: "a source", keys: &SOURCE_KEYS, later: SOURCE_LATER, aliases: SOURCE_ALIASES };

const CARRIED_KEYS: [Key; 15] = {
    let [a, b, c, d, e, f, g, h, i, j, k] = source_keys!();
    [
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
        j,
        k,
        key("many", Shape::Boolean, "All values as a list."),
        key("join", Shape::Text, "All values joined with this."),
        key("type", Shape::Choice(TYPES), "Type of the value."),
        key("format", Shape::Text, "How a `date` or `datetime` is written, as strptime has it."),
    ]
};

pub(crate) static CARRIED: Language =
    Language { what: "a carried value", keys: &CARRIED_KEYS, later: SOURCE_LATER, aliases: SOURCE_ALIASES };

pub(crate) const TYPES: &[&str] = &["str", "int", "float", "bool", "datetime", "date", "geo_point", "json"];

pub(crate) static FIELD: Language = Language {
    what: "a field",
    keys: &{
        let [a, b, c, d, e, f, g, h, i, j, k] = source_keys!();
        [
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            j,
            k,
            key("geocode", Shape::Text, "The field whose address is geocoded."),
            key("compute", Shape::Text, "The computation of this item that fills the field."),
            key("many", Shape::Boolean, "All values as a list."),
            key("join", Shape::Text, "All values joined with this."),
            key("type", Shape::Choice(TYPES), "Type of the value."),
            key("format", Shape::Text, "How a `date` or `datetime` is written, as strptime has it."),
            key("required", Shape::Boolean, "An item without it is rejected."),
            key("volatile", Shape::Boolean, "Left out of the content hash: a change of it is no change of the item."),
        ]
    },
    later: SOURCE_LATER,
    aliases: SOURCE_ALIASES,
};

pub(crate) static ITEM: Language = Language {
    what: "an item",
    keys: &[
        key("key", Shape::Texts, "Fields that identify an item across crawls; without it the content does."),
        key("key_scope", Shape::Choice(&["spider", "global"]), "Whether the spider's name is part of the identity."),
        key("scope", Shape::Scope, "Many items from one page: an XPath, a CSS selector or a JSON path to an array."),
        key("fields", Shape::Fields, "The fields, in the order of columns."),
        key("compute", Shape::Computations, "What fills `compute` fields: programs and functions, in this order."),
    ],
    later: &[later("jsonld", STRUCTURED), later("microdata", STRUCTURED)],
    aliases: &[("field", "`[item.NAME.fields]`"), ("drop_when", "a [[hook]] with on = \"item\" and drop = true")],
};

pub(crate) static COMPUTATION: Language = Language {
    what: "a computation",
    keys: &[
        key(
            "command",
            Shape::Texts,
            "A program and its arguments: a line in, a line out. Started only where the operator allows it (--allow-commands).",
        ),
        key("function", Shape::Text, "A function that the program around weir has registered under this name."),
        key("send", Shape::Texts, "Fields that it gets. Default: all that are known by then."),
        key("format", Shape::Choice(FORMATS), "Of the lines: `json` (default), or `text` of one field for one field."),
        key("timeout", Shape::Text, "How long an answer may take, such as `5s` (the default)."),
        key("startup", Shape::Text, "How much longer the first answer of a program may take. Default: `30s`."),
        key("pool", Shape::Integer(1, 64), "Programs, or threads, at most. Default: 1."),
        key(
            "ahead",
            Shape::Integer(1, 1_000),
            "Lines that a program may have before it answers the first. Default: 1.",
        ),
    ],
    later: &[],
    aliases: &[
        ("cmd", "`command = [\"program\", \"argument\"]`"),
        ("program", "`command = [\"program\", \"argument\"]`"),
        ("args", "`command = [\"program\", \"argument\"]`"),
        ("fields", "`compute = \"NAME\"` in the fields that it fills, and `send` for what it gets"),
        ("input", "`send`"),
        ("processes", "`pool`"),
        ("threads", "`pool`"),
    ],
};

pub(crate) const FORMATS: &[&str] = &["json", "text"];

pub(crate) static SELECTOR: Language = Language {
    what: "a selector",
    keys: &[
        key("xpath", Shape::Text, "XPath."),
        key("css", Shape::Text, "CSS selector."),
        key("json", Shape::Text, "JSON path."),
        key("inside", Shape::Inside, "Where in the page the JSON document of `json` is."),
    ],
    later: SOURCE_LATER,
    aliases: SOURCE_ALIASES,
};

pub(crate) static INSIDE: Language = Language {
    what: "`inside`",
    keys: &[
        key("xpath", Shape::Text, "XPath of the text that holds JSON."),
        key("css", Shape::Text, "CSS selector of the text that holds JSON."),
        key("regex", Shape::Text, "What of the text is JSON: the first match, its first group if any."),
    ],
    later: &[],
    aliases: SOURCE_ALIASES,
};

pub(crate) static HOOK: Language = Language {
    what: "a [[hook]]",
    keys: &[
        key(
            "on",
            Shape::Choice(&["start", "link", "item"]),
            "What passes it: start requests, links of pages, or items.",
        ),
        key("name", Shape::Text, "Its name in counters. Default: its number."),
        key("item", Shape::Text, "On items: their type; needed when there are several."),
        key(
            "when",
            Shape::Text,
            "A condition in CEL, such as `price > 300.0 && !title.contains(\"sold\")`. Default: always.",
        ),
        key("drop", Shape::Boolean, "It goes no further; counted as `hook/NAME/dropped`."),
        key("priority", Shape::Integer(-32_768, 32_767), "On requests: their priority."),
        key("carry", Shape::Table, "On requests: constant values for the page."),
        key("set", Shape::Table, "On items: constant values of fields."),
    ],
    later: &[],
    aliases: &[("if", "`when`"), ("condition", "`when`"), ("drop_when", "`when` and `drop = true`")],
};

pub(crate) static CONTRACT: Language = Language {
    what: "a [[contract]]",
    keys: &[
        key("url", Shape::Text, "The page to fetch; `${arg}` is replaced."),
        key("parse", Shape::Text, "The item type that its rule names; needed when there are several."),
        key("items", Shape::Bounds, "How many items."),
        key("requests", Shape::Bounds, "How many links."),
        key("scrapes", Shape::Texts, "Fields that every item must have."),
    ],
    later: &[later("carry", "contracts with carried values")],
    aliases: &[("returns", "`items = N` or `requests = N`"), ("fields", "`scrapes`"), ("scrape", "`scrapes`")],
};

pub(crate) static BOUNDS: Language = Language {
    what: "a bound",
    keys: &[
        key("min", Shape::Integer(0, 1_000_000), "At least."),
        key("max", Shape::Integer(0, 1_000_000), "At most."),
    ],
    later: &[],
    aliases: &[],
};
