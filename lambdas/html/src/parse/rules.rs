//! What the parser must know of a name. The values are in `table`, generated from what lxml does.

/// The rules of one name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Bit `1 << closes` of every start tag that closes this element when it is the innermost open one.
    pub closed_by: u32,
    /// The class of this name as a start tag; 0 closes nothing.
    pub closes: u8,
    /// An end tag never closes an element below one of a higher rank.
    pub rank: u8,
    /// How its content is read: see `raw`.
    pub raw: u8,
    /// Which of html, head and body a start tag of this name brings with it: see `implied`.
    pub implied: u8,
    /// Has no content and no end tag.
    pub void: bool,
    /// As an attribute without a value it counts as its own name.
    pub boolean: bool,
}

impl Rule {
    /// The rule of a name nobody knows.
    pub(crate) const PLAIN: Rule = Rule {
        closed_by: 0,
        closes: 0,
        rank: 0,
        raw: raw::PARSED,
        implied: implied::CONTENT,
        void: false,
        boolean: false,
    };
}

/// Values of `Rule::raw`.
pub(crate) mod raw {
    /// Tags, comments and references.
    pub(crate) const PARSED: u8 = 0;
    /// Text with references, up to the end tag.
    pub(crate) const TEXT_WITH_REFS: u8 = 1;
    /// Text as it stands, to the end of the page.
    pub(crate) const TO_THE_END: u8 = 3;
    /// Text as it stands, by the rules of scripts (`<!--`, `<script` within).
    pub(crate) const SCRIPT: u8 = 4;
}

/// Values of `Rule::implied`.
pub(crate) mod implied {
    /// Belongs into a body.
    pub(crate) const CONTENT: u8 = 0;
    /// `html`: needs nothing.
    pub(crate) const HTML: u8 = 1;
    /// `head`, `body`: need `html`.
    pub(crate) const HEAD_OR_BODY: u8 = 2;
    /// `title`, `meta` and so on: right below `html` they bring a head.
    pub(crate) const METADATA: u8 = 3;
    /// `frameset` and its like: bring no body.
    pub(crate) const FRAMES: u8 = 4;
}
