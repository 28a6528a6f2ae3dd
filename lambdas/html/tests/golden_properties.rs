//! Whatever the expression and whatever the page: compiling and evaluating end, without a panic, within the budget; and
//! what is found is in document order, each once.

#![allow(clippy::unwrap_used)] // A test helper that fails is a failed test.

use std::borrow::Cow;

use proptest::prelude::*;
use weir_html::Parser;
use weir_html::select::{BudgetExceeded, Evaluator, Hit, Limits, Program, Value};

/// Words that expressions are made of, so that random ones are often right.
const WORDS: &[&str] = &[
    "//",
    "/",
    "a",
    "p",
    "*",
    "@",
    "@id",
    "@class",
    "[",
    "]",
    "(",
    ")",
    "text()",
    "node()",
    "comment()",
    ".",
    "..",
    "|",
    "=",
    "!=",
    "<",
    ">=",
    " and ",
    " or ",
    " mod ",
    " div ",
    "-",
    "+",
    "*",
    "1",
    "2",
    "0.5",
    "'x'",
    "\"a b\"",
    "last()",
    "position()",
    "count(",
    "string(",
    "contains(",
    "not(",
    "normalize-space(",
    "concat(",
    ",",
    "substring(",
    "translate(",
    "sum(",
    "id(",
    "name()",
    "has-class('a')",
    "re:test(., 'a')",
    "re:match(",
    "set:distinct(",
    "ancestor::",
    "ancestor-or-self::",
    "attribute::",
    "child::",
    "descendant::",
    "descendant-or-self::",
    "following::",
    "following-sibling::",
    "namespace::",
    "parent::",
    "preceding::",
    "preceding-sibling::",
    "self::",
    "$v",
    "é",
];

const CSS_WORDS: &[&str] = &[
    "a",
    "p",
    "*",
    ".a",
    "#x",
    "[id]",
    "[class~=a]",
    "[a='b']",
    ">",
    "+",
    "~",
    " ",
    ",",
    ":not(",
    ":is(",
    ":has(",
    ")",
    ":nth-child(2n+1)",
    ":first-child",
    ":empty",
    "::text",
    "::attr(id)",
    ":contains('x')",
    ":scope",
    "\\41 ",
    "'",
    "|",
    ":",
];

const XML_WORDS: &[&str] = &[
    "<a>",
    "</a>",
    "<b x='1'>",
    "<p:c p:d=\"2\"/>",
    "<d xmlns:p='u:p' xmlns=\"u:d\">",
    "</d>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?pi x",
    "?>",
    "<!DOCTYPE a [",
    "]>",
    "&lt;",
    "&#65;",
    "&",
    "<",
    ">",
    "é",
    "\r\n",
    "text",
    "'",
    "=",
    " ",
    "/>",
    "xmlns=''",
];

const TAGS: &[&str] = &[
    "<p>",
    "<a id=x href='?a&amp;b'>",
    "</a>",
    "</p>",
    "<div class='a b'>",
    "</div>",
    "<ul><li>",
    "</li>",
    "</ul>",
    "text",
    "&amp;",
    "<!-- c -->",
    "<br>",
    "<table><tr><td>",
    "</table>",
    "<b class=\"x\ty\">",
    "</b>",
    " ",
    "\r\n",
    "é",
    "<script>a<b</script>",
    "<p id=x>",
];

fn joined(words: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(words), 0..most).prop_map(|words| words.concat())
}

/// A right expression: a path of any axes and tests, with predicates that are right too.
fn path() -> impl Strategy<Value = String> {
    let axis = proptest::sample::select(vec![
        "ancestor::",
        "ancestor-or-self::",
        "attribute::",
        "child::",
        "descendant::",
        "descendant-or-self::",
        "following::",
        "following-sibling::",
        "namespace::",
        "parent::",
        "preceding::",
        "preceding-sibling::",
        "self::",
        "",
        "@",
    ]);
    let test = proptest::sample::select(vec!["*", "node()", "text()", "p", "a", "li", "id", "class", "comment()"]);
    let predicate = proptest::sample::select(vec![
        "",
        "",
        "",
        "[1]",
        "[2]",
        "[last()]",
        "[position() < 3]",
        "[@id]",
        "[@class='a b']",
        "[.//p]",
        "[text()]",
        "[. = 'x']",
        "[not(@id)][1]",
        "[count(*) > 1]",
        "[contains(., 'e')][last()]",
        "[position() mod 2 = 1]",
        "[../p]",
        "[1][1]",
        "[has-class('a')]",
    ]);
    let step = (proptest::sample::select(vec!["/", "//"]), axis, test, predicate)
        .prop_map(|(slash, axis, test, predicate)| format!("{slash}{axis}{test}{predicate}"));
    proptest::collection::vec(step, 1..5).prop_map(|steps| steps.concat())
}

fn evaluate(program: &Program, html: &str, limits: Limits) -> Result<(), TestCaseError> {
    let mut parser = Parser::new(weir_html::Limits::default());
    let tree = parser.parse(html).unwrap();
    let mut evaluator = Evaluator::new(limits);
    for context in [Hit::document(), Hit::root(tree)] {
        if let Ok(Value::Nodes(hits)) = evaluator.evaluate(program, tree, context) {
            prop_assert!(hits.windows(2).all(|pair| pair[0] < pair[1]), "{hits:?}");
        }
        let mut out: Vec<Cow<'_, str>> = Vec::new();
        if evaluator.strings(program, tree, context, &mut out).is_err() {
            prop_assert!(out.is_empty(), "an evaluation that was ended leaves nothing");
        }
    }
    Ok(())
}

/// A path evaluated by hand, one axis after the other over all nodes: slow, and nothing like the evaluator.
mod naive {
    use weir_html::{NodeId, Tree};

    pub fn is_ancestor(tree: Tree<'_>, above: NodeId, below: NodeId) -> bool {
        above < below && below.0 < tree.end(above)
    }

    pub fn related(tree: Tree<'_>, axis: &str, from: NodeId, to: NodeId) -> bool {
        match axis {
            "ancestor" => is_ancestor(tree, to, from),
            "ancestor-or-self" => to == from || is_ancestor(tree, to, from),
            "child" => tree.parent(to) == Some(from),
            "descendant" => is_ancestor(tree, from, to),
            "descendant-or-self" => to == from || is_ancestor(tree, from, to),
            "following" => to > from && !is_ancestor(tree, from, to),
            "following-sibling" => to > from && tree.parent(to) == tree.parent(from) && tree.parent(to).is_some(),
            "parent" => tree.parent(from) == Some(to),
            "preceding" => to < from && !is_ancestor(tree, to, from),
            "preceding-sibling" => to < from && tree.parent(to) == tree.parent(from) && tree.parent(to).is_some(),
            _ => to == from,
        }
    }
}

const NODE_AXES: [&str; 11] = [
    "ancestor",
    "ancestor-or-self",
    "child",
    "descendant",
    "descendant-or-self",
    "following",
    "following-sibling",
    "parent",
    "preceding",
    "preceding-sibling",
    "self",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn compiling_any_string_ends_without_a_panic(text in ".{0,60}") {
        for result in [Program::xpath(&text), Program::css(&text)] {
            if let Err(error) = result {
                prop_assert!(error.offset <= text.len().max(1), "{error}");
                prop_assert!(!error.message.is_empty());
            }
        }
    }

    #[test]
    fn compiling_and_evaluating_words_ends_without_a_panic(expr in joined(WORDS, 14), css in joined(CSS_WORDS, 8), html in joined(TAGS, 30)) {
        for program in [Program::xpath(&expr), Program::css(&css)].into_iter().flatten() {
            evaluate(&program, &html, Limits::default())?;
        }
    }

    #[test]
    fn any_xml_becomes_a_tree_that_can_be_asked_and_written(xml in joined(XML_WORDS, 30), expr in path()) {
        let mut parser = Parser::new(weir_html::Limits::default());
        let tree = parser.parse_xml(&xml).unwrap();
        let program = Program::xpath(&expr).unwrap();
        let mut out = Vec::new();
        let mut evaluator = Evaluator::default();
        evaluator.strings(&program, tree, Hit::root(tree), &mut out).unwrap();
        // What is written is read again as the same elements.
        let mut again = Parser::new(weir_html::Limits::default());
        let mut html = String::new();
        weir_html::select::serialize(tree, Hit::root(tree), &mut html);
        let count = Program::xpath("count(//*)").unwrap();
        let twin = again.parse_xml(&html).unwrap();
        prop_assert_eq!(
            evaluator.evaluate(&count, tree, Hit::root(tree)).unwrap(),
            evaluator.evaluate(&count, twin, Hit::root(twin)).unwrap(),
            "{} became {}", xml, html
        );
    }

    #[test]
    fn results_of_right_paths_are_sorted_and_unique(expr in path(), html in joined(TAGS, 40)) {
        let program = Program::xpath(&expr);
        prop_assert!(program.is_ok(), "{expr}: {:?}", program.err());
        evaluate(&program.unwrap(), &html, Limits::default())?;
    }

    #[test]
    fn any_small_budget_ends_evaluation_in_order(expr in path(), html in joined(TAGS, 40), steps_max in 0u64..200) {
        evaluate(&Program::xpath(&expr).unwrap(), &html, Limits { steps_max, ..Limits::default() })?;
    }

    #[test]
    fn two_steps_along_any_axes_find_what_a_search_of_all_nodes_finds(
        first in proptest::sample::select(&NODE_AXES[..]),
        second in proptest::sample::select(&NODE_AXES[..]),
        html in joined(TAGS, 30),
    ) {
        let mut parser = Parser::new(weir_html::Limits::default());
        let tree = parser.parse(&html).unwrap();
        let program = Program::xpath(&format!("//p/{first}::node()/{second}::*")).unwrap();
        let mut got = Vec::new();
        Evaluator::default().nodes(&program, tree, Hit::document(), &mut got).unwrap();
        let all = || (0..tree.len()).map(weir_html::NodeId);
        let is_p = |node| tree.kind(node) == weir_html::Kind::Element && tree.name_text(tree.name_id(node)) == "p";
        let wanted: Vec<Hit> = all()
            .filter(|&to| tree.kind(to) == weir_html::Kind::Element)
            .filter(|&to| all().any(|middle| {
                naive::related(tree, second, middle, to) && all().any(|p| is_p(p) && naive::related(tree, first, p, middle))
            }))
            .map(Hit::of)
            .collect();
        prop_assert_eq!(got, wanted);
    }

    #[test]
    fn counting_below_a_parent_equals_counting_child_by_child(n in 1u32..4, html in joined(TAGS, 40)) {
        // `//p[n]` is fused; with the axes written out it is not.
        let mut parser = Parser::new(weir_html::Limits::default());
        let tree = parser.parse(&html).unwrap();
        let mut evaluator = Evaluator::default();
        for predicate in ["", "[@id]", "[. != '']"] {
            let fused = Program::xpath(&format!("//p{predicate}[{n}]")).unwrap();
            let plain = Program::xpath(&format!("/descendant-or-self::node()[true()]/child::p{predicate}[{n}]")).unwrap();
            let a = evaluator.evaluate(&fused, tree, Hit::document()).unwrap();
            let b = evaluator.evaluate(&plain, tree, Hit::document()).unwrap();
            prop_assert_eq!(a, b);
        }
    }
}

#[test]
fn hostile_expressions_over_hostile_pages_are_stopped_by_name() {
    let deep = "<div>".repeat(1500) + &"<p>x".repeat(3000);
    let mut parser = Parser::new(weir_html::Limits::default());
    let tree = parser.parse(&deep).unwrap();
    let mut evaluator = Evaluator::new(Limits { steps_max: 2_000_000, text_bytes_max: 1 << 20, ..Limits::default() });
    for expr in [
        "//*[count(//*[count(//*) > 1]) > 1]",
        "//*[preceding::*[following::*[preceding::*[. = 'never']]]]",
        "count(//*/ancestor::*/descendant::*/preceding::*[.='y'])",
        "//*[contains(., 'never')]",
        "//*[re:test(., concat('a', position()))]",
        "concat(string(/), string(/), string(/), string(/), //*[. = concat(string(/), 'x')])",
    ] {
        let program = Program::xpath(expr).unwrap();
        let result = evaluator.evaluate(&program, tree, Hit::root(tree));
        assert!(
            matches!(result, Err(BudgetExceeded::Steps { .. } | BudgetExceeded::Text { .. })),
            "{expr}: {result:?}"
        );
    }
    // And the evaluator is as good as new.
    let count = evaluator.evaluate(&Program::xpath("count(//p)").unwrap(), tree, Hit::root(tree));
    assert_eq!(count, Ok(Value::Number(3000.0)));
}

#[test]
fn deep_and_long_expressions_are_refused_or_run_on_a_small_stack() {
    let run = || {
        let page = "<p>a</p>".repeat(10);
        let mut parser = Parser::new(weir_html::Limits::default());
        let tree = parser.parse(&page).unwrap();
        let mut evaluator = Evaluator::default();
        let nested = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
        let predicates = |n: usize| format!("{}p{}", "*[".repeat(n), "]".repeat(n));
        let calls = |n: usize| format!("{}1{}", "not(".repeat(n), ")".repeat(n));
        let is = |n: usize| format!("{}p{}", ":is(".repeat(n), ")".repeat(n));
        for n in [1, 40, 47, 100, 10_000] {
            for expr in
                [nested(n), predicates(n), calls(n), "1+".repeat(n) + "1", "-".repeat(n) + "1", "p/".repeat(n) + "p"]
            {
                if let Ok(program) = Program::xpath(&expr) {
                    evaluator.evaluate(&program, tree, Hit::root(tree)).unwrap();
                }
            }
            for selector in [is(n), ".a".repeat(n), "p ".repeat(n), ":not(".repeat(n), ":has(".repeat(n)] {
                if let Ok(program) = Program::css(&selector) {
                    evaluator.evaluate(&program, tree, Hit::root(tree)).unwrap();
                }
            }
        }
        let conditions = "@a='x' or ".repeat(3000) + "true()";
        let program = Program::xpath(&format!("count(//p[{conditions}])")).unwrap();
        assert_eq!(evaluator.evaluate(&program, tree, Hit::root(tree)), Ok(Value::Number(10.0)));
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn mistakes_are_named_with_their_place_and_a_hint() {
    for (expr, offset, said) in [
        ("//a[@href='x]", 10, "not closed"),
        ("//a[", 4, "ends too early"),
        ("//a[contians(., 'x')]", 4, "did you mean contains()?"),
        ("//a[lower-case(.) = 'x']", 4, "translate"),
        ("//a/string()", 4, "string(path)"),
        ("//a[. == 'x']", 7, "single `=`"),
        ("//a[b && c]", 6, "write `and`"),
        ("folowing::a", 0, "did you mean following::?"),
        ("svg:rect", 0, "not declared"),
        ("count('a')", 6, "node set"),
        ("count()", 0, "0 arguments"),
        ("position()", 0, "outside a predicate"),
        ("//a[$n]", 4, "no value is given for $n"),
        ("re:test(., '(?=a)')", 0, "look-around"),
        ("a b", 2, "unexpected"),
    ] {
        let error = Program::xpath(expr).unwrap_err();
        assert_eq!(error.offset, offset, "{expr}: {error}");
        assert!(error.to_string().contains(said), "{expr}: {error}");
    }
}

#[test]
fn every_nth_row_of_a_long_table_is_found_within_the_budget() {
    let rows = 20_000;
    let page = "<table>".to_string() + &"<tr><td>a<td>b</tr> ".repeat(rows) + "</table>";
    let mut parser = Parser::new(weir_html::Limits::default());
    let tree = parser.parse(&page).unwrap();
    let mut evaluator = Evaluator::default();
    for (css, found) in [
        ("tr:nth-child(odd)", rows / 2),
        ("tr:nth-child(4n+1)", rows / 4),
        ("tr:nth-last-child(-n+3)", 3),
        ("tr:nth-of-type(3n)", rows / 3),
        ("tr:nth-last-of-type(2n)", rows / 2),
        ("tr:first-child, tr:last-child", 2),
        ("*:nth-child(2)", rows + 1),
    ] {
        let mut out = Vec::new();
        evaluator.nodes(&Program::css(css).unwrap(), tree, Hit::root(tree), &mut out).unwrap();
        assert_eq!(out.len(), found, "{css}");
    }
}
