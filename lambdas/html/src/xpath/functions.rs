//! The function library: names, numbers of arguments, types. What the functions do is in `call` and its neighbours.

use super::ast::Type;

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Anything: converted as XPath 1.0 says.
    Any,
    /// Node sets only.
    Nodes,
    /// String literals or string-valued expressions only (parsel's `has-class`).
    Texts,
}

macro_rules! functions {
    ($($variant:ident $name:literal $min:literal ..= $max:expr, $arguments:ident -> $result:ident;)*) => {
        /// A function of the core library, of EXSLT's `re:` and `set:`, or parsel's `has-class`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Function { $($variant),* }

        impl Function {
            pub(crate) const ALL: &'static [Function] = &[$(Function::$variant),*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Function::$variant => $name),* }
            }

            /// Fewest and most arguments.
            pub(crate) fn arity(self) -> (usize, usize) {
                match self { $(Function::$variant => ($min, $max)),* }
            }

            pub(crate) fn arguments(self) -> Arguments {
                match self { $(Function::$variant => Arguments::$arguments),* }
            }

            pub(crate) fn result(self) -> Type {
                match self { $(Function::$variant => Type::$result),* }
            }
        }
    };
}

const MANY: usize = usize::MAX;

functions! {
    Last "last" 0..=0, Any -> Number;
    Position "position" 0..=0, Any -> Number;
    Count "count" 1..=1, Nodes -> Number;
    Id "id" 1..=1, Any -> Nodes;
    LocalName "local-name" 0..=1, Nodes -> Text;
    NamespaceUri "namespace-uri" 0..=1, Nodes -> Text;
    Name "name" 0..=1, Nodes -> Text;
    Text "string" 0..=1, Any -> Text;
    Concat "concat" 2..=MANY, Any -> Text;
    StartsWith "starts-with" 2..=2, Any -> Boolean;
    Contains "contains" 2..=2, Any -> Boolean;
    SubstringBefore "substring-before" 2..=2, Any -> Text;
    SubstringAfter "substring-after" 2..=2, Any -> Text;
    Substring "substring" 2..=3, Any -> Text;
    StringLength "string-length" 0..=1, Any -> Number;
    NormalizeSpace "normalize-space" 0..=1, Any -> Text;
    Translate "translate" 3..=3, Any -> Text;
    Boolean "boolean" 1..=1, Any -> Boolean;
    Not "not" 1..=1, Any -> Boolean;
    True "true" 0..=0, Any -> Boolean;
    False "false" 0..=0, Any -> Boolean;
    Lang "lang" 1..=1, Any -> Boolean;
    Number "number" 0..=1, Any -> Number;
    Sum "sum" 1..=1, Nodes -> Number;
    Floor "floor" 1..=1, Any -> Number;
    Ceiling "ceiling" 1..=1, Any -> Number;
    Round "round" 1..=1, Any -> Number;
    HasClass "has-class" 1..=MANY, Texts -> Boolean;
    ReTest "re:test" 2..=3, Any -> Boolean;
    ReMatch "re:match" 2..=3, Any -> Nodes;
    ReReplace "re:replace" 4..=4, Any -> Text;
    SetDifference "set:difference" 2..=2, Nodes -> Nodes;
    SetIntersection "set:intersection" 2..=2, Nodes -> Nodes;
    SetDistinct "set:distinct" 1..=1, Nodes -> Nodes;
    SetHasSameNode "set:has-same-node" 2..=2, Nodes -> Boolean;
    SetLeading "set:leading" 2..=2, Nodes -> Nodes;
    SetTrailing "set:trailing" 2..=2, Nodes -> Nodes;
}

impl Function {
    pub(crate) fn named(name: &str) -> Option<Function> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }
}

/// Advice for functions that later XPath versions have and XPath 1.0 lacks.
pub(crate) fn advice(name: &str) -> Option<&'static str> {
    Some(match name {
        "lower-case" | "upper-case" => "XPath 1.0 has no case functions: use translate(., 'ABC...', 'abc...')",
        "ends-with" => "XPath 1.0 has no ends-with(): use re:test(., 'suffix$')",
        "matches" => "use re:test(string, pattern, flags)",
        "replace" => "use re:replace(string, pattern, flags, replacement)",
        "string-join" | "tokenize" => "select the nodes and join or split them in the spider's `join` or `map`",
        "abs" | "max" | "min" | "avg" => "XPath 1.0 has count(), sum(), floor(), ceiling() and round() only",
        "exists" => "use boolean(nodes), or the nodes themselves as a predicate",
        "empty" => "use not(nodes)",
        "text" | "node" | "comment" => "a node test takes no argument: write text(), node() or comment()",
        _ => return None,
    })
}
