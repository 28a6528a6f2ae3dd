//! Fields: every source, every step, the order of things, types, notes.

mod common;

use common::{counters, extract, field, json_page, load, one_field, page, value_of};
use serde_json::json;
use weir_model::Value;

fn text(value: &str) -> Value {
    Value::Str(value.into())
}

fn texts(values: &[&str]) -> Value {
    Value::List(values.iter().map(|value| text(value)).collect())
}

#[test]
fn every_step_does_what_its_name_says() {
    for (steps, input, expected) in [
        (r#"["trim"]"#, "\u{a0} a b \n", "a b"),
        (r#""trim""#, " one step needs no list ", "one step needs no list"),
        (r#"["lower"]"#, "ÀB", "àb"),
        (r#"["upper"]"#, "straße", "STRASSE"),
        (r#"["title_case"]"#, "they're ÉLAN 3rd", "They'Re Élan 3Rd"),
        (r#"["capitalize"]"#, "hELLO World", "Hello world"),
        (r#"["collapse_whitespace"]"#, " a \n  b ", "a b"),
        (r#"["absolute_url"]"#, "../x y?q=1#f", "http://h.test/x%20y?q=1#f"),
        (r#"["decode_entities"]"#, "a &amp;amp; b &amp;lt;c&gt; &amp;pound;5", "a & b <c> £5"),
        (r#"["decimal_comma"]"#, "1.234,50", "1234.50"),
        (r#"[{ strip_chars = "£ *" }]"#, "** £5 £6*", "5 £6"),
        (r#"[{ remove = "," }]"#, "1,234,567", "1234567"),
        (r#"[{ remove = ["£", "pw"] }]"#, "£334.39pw", "334.39"),
        (r#"[{ replace = ["a", "b"] }]"#, "banana", "bbnbnb"),
        (r#"[{ replace = [["a", "b"], ["b", "c"]] }]"#, "ab", "cc"),
        (r#"[{ regex = '\d+' }]"#, "a1b22", "1"),
        (r#"[{ regex_replace = ['(\d+)-(\d+)', '\2/\1 $'] }]"#, "10-20", "20/10 $"),
        (r#"[{ prefix = "+44 " }, { suffix = "!" }]"#, "20", "+44 20!"),
        (r#"[{ prefix = "${town}: " }]"#, "x", "Leeds: x"),
        (r#"[{ remove_prefix = ["Mr ", "Ms "] }]"#, "Ms Mr X", "Mr X"),
        (r#"[{ remove_suffix = " Ltd" }]"#, "A Ltd", "A"),
        (r#"[{ split = "," }, { nth = 1 }, "trim"]"#, "a, b ,c", "b"),
        (r#"[{ split = "," }, { nth = -1 }]"#, "a,b,c", "c"),
        (r#"[{ default = "none" }]"#, "x", "x"),
        (r#"["trim", { default = "none" }]"#, " ", "none"),
        (r#"[{ lookup = { M = "Monday" } }]"#, "M", "Monday"),
        (r#"[{ lookup = { M = "Monday" }, default = "${value}?" }]"#, "T", "T?"),
        (r#"[{ slice = [1, -1] }]"#, "(äb)", "äb"),
        (r#"[{ slice = [-3] }]"#, "abcdef", "def"),
        (r#"[{ truncate = 3 }]"#, "äöüß", "äöü"),
        (r#"[{ split = " " }, { keep = '^\d' }]"#, "a 1 2", "1"),
        (r#"[{ split = " " }, { drop = '^[a1]' }]"#, "a 1 2", "2"),
        (r#"[{ template = "${value}/${town}/${value:04}" }]"#, "7", "7/Leeds/0007"),
        (r#"[{ query = "id" }]"#, "/x?a=1&amp;id=a%20b#c", "a b"),
        (r#"[{ json = "$.a[1]" }]"#, r#"{"a": [1, "two"]}"#, "two"),
        (r#"[{ split = "," }, "reverse"]"#, "a,b", "b"),
    ] {
        let html = format!("<p>{input}</p>");
        let definition = format!("{{ xpath = '//p/text()', map = {steps} }}");
        assert_eq!(value_of(&definition, &html), text(expected), "{steps}");
    }
}

#[test]
fn strip_tags_takes_the_tags_of_an_element() {
    assert_eq!(value_of("{ css = 'p', map = ['strip_tags'] }", "<p>a <b>b</b></p>"), text("a b"));
}

#[test]
fn steps_that_make_several_values_are_seen_by_many_and_join() {
    let html = "<p>a, b ,a</p>";
    assert_eq!(
        value_of("{ css = 'p::text', map = [{ split = ',' }, 'trim', 'unique'], many = true }", html),
        texts(&["a", "b"])
    );
    assert_eq!(value_of("{ css = 'p::text', map = [{ split = ',' }, 'trim'], join = '|' }", html), text("a|b|a"));
}

#[test]
fn regex_gives_every_match_and_its_groups_if_any() {
    let html = "<p>Order 12 of 7: 3x4</p>";
    assert_eq!(value_of(r"{ css = 'p::text', regex = '\d+', many = true }", html), texts(&["12", "7", "3", "4"]));
    assert_eq!(value_of(r"{ css = 'p::text', regex = '(\d)x(\d)', many = true }", html), texts(&["3", "4"]));
    assert_eq!(value_of(r"{ css = 'p::text', regex = '(?P<extract>\d)x\d', many = true }", html), texts(&["3"]));
    assert_eq!(value_of(r"{ css = 'p::text', regex = 'y' }", html), Value::Null);
}

#[test]
fn first_value_that_is_not_empty_is_taken() {
    assert_eq!(value_of("{ css = 'p::text', map = ['trim'] }", "<p> </p><p>b</p><p>c</p>"), text("b"));
    assert_eq!(value_of("{ css = 'p::text', map = ['trim'] }", "<p> </p>"), Value::Null);
    assert_eq!(value_of("{ css = 'p::text', map = ['trim'], many = true }", "<b></b>"), Value::Null);
}

#[test]
fn types_convert_and_what_does_not_is_null_and_counted() {
    for (definition, html, expected) in [
        ("{ css = 'p::text', type = 'int' }", "<p> 42 </p>", Value::Int(42)),
        ("{ css = 'p::text', type = 'float' }", "<p>1e3</p>", Value::Float(1000.0)),
        ("{ css = 'p::text', type = 'bool' }", "<p>yes</p>", Value::Bool(true)),
        ("{ css = 'p::text', type = 'date', format = '%d/%m/%Y' }", "<p>21/11/2025</p>", text("2025-11-21")),
        ("{ css = 'p::text', type = 'datetime' }", "<p>2025-11-21T00:00:00Z</p>", Value::Datetime(1_763_683_200_000)),
        ("{ css = 'p::text', type = 'geo_point' }", "<p>51.5,-0.1</p>", Value::Geo { lat: 51.5, lon: -0.1 }),
        ("{ css = 'p::text', type = 'json' }", "<p>[1]</p>", Value::Json(Box::new(json!([1])))),
        (
            "{ css = 'p::text', type = 'int', many = true }",
            "<p>1</p><p>x</p><p>2</p>",
            Value::List(vec![Value::Int(1), Value::Int(2)]),
        ),
    ] {
        assert_eq!(value_of(definition, html), expected, "{definition}");
    }
    let spider = one_field("{ css = 'p::text', type = 'int', many = true }");
    let out = extract(&spider, &page("http://h.test/", "<p>1</p><p>x</p><p>y</p>", 0));
    assert_eq!(counters(&out), [("x/f/not_an_int".to_owned(), 2)]);
    assert_eq!(&*out.notes[0].example, "x");
}

#[test]
fn context_values_have_their_own_types() {
    for (definition, expected) in [
        ("{ value = 'response.url' }", text("http://h.test/a/b.html?id=7")),
        ("{ value = 'response.status' }", Value::Int(200)),
        ("{ value = 'response.status', type = 'str' }", text("200")),
        ("{ value = 'now' }", Value::Datetime(1_700_000_000_123)),
        ("{ value = 'now', type = 'str' }", text("2023-11-14T22:13:20.123Z")),
        ("{ value = 'now', type = 'date' }", text("2023-11-14")),
        ("{ value = 'spider' }", text("t")),
        ("{ value = 'job' }", text("7")),
        ("{ value = 'server' }", text("this-machine")),
        ("{ value = 'args.town' }", text("Leeds")),
        ("{ value = 'args.town', map = ['upper'] }", text("LEEDS")),
    ] {
        assert_eq!(value_of(definition, ""), expected, "{definition}");
    }
}

#[test]
fn fields_that_differ_from_fetch_to_fetch_are_volatile_by_themselves() {
    for (definition, volatile) in [
        ("{ value = 'now' }", true),
        ("{ value = 'server' }", true),
        ("{ value = 'now', type = 'date' }", true),
        ("{ from = [{ css = 'p' }, { value = 'now' }] }", true),
        ("{ css = 'p', volatile = true }", true),
        ("{ value = 'response.url' }", false),
        ("{ css = 'p' }", false),
    ] {
        assert_eq!(one_field(definition).schemas()[0].fields[0].volatile, volatile, "{definition}");
    }
}

#[test]
fn literals_have_the_type_in_which_they_are_written() {
    for (definition, expected) in [
        ("{ const = 'GB' }", text("GB")),
        ("{ const = '${town}!' }", text("Leeds!")),
        ("{ const = 5 }", Value::Int(5)),
        ("{ const = 1.5 }", Value::Float(1.5)),
        ("{ const = true }", Value::Bool(true)),
        ("{ const = 2025-11-21 }", text("2025-11-21")),
        ("{ const = '5', type = 'int' }", Value::Int(5)),
        ("{ const = ['a', 'b'], many = true }", texts(&["a", "b"])),
        ("{ const = { a = 1 } }", Value::Json(Box::new(json!({"a": 1})))),
        ("{ const = 'x', map = ['upper'] }", text("X")),
    ] {
        assert_eq!(value_of(definition, ""), expected, "{definition}");
    }
}

#[test]
fn url_source_gives_the_groups_of_the_first_match() {
    assert_eq!(value_of(r"{ url = 'id=(\d+)', type = 'int' }", ""), Value::Int(7));
    assert_eq!(value_of(r"{ url = '[a-z]+\.html' }", ""), text("b.html"));
    assert_eq!(value_of(r"{ url = 'nothing' }", ""), Value::Null);
}

#[test]
fn from_takes_the_first_source_that_finds_something() {
    let definition =
        "{ from = [{ css = 'h1::text', map = ['trim'] }, { css = 'h2::text' }, { const = '?' }], map = ['upper'] }";
    assert_eq!(value_of(definition, "<h1> </h1><h2>b</h2>"), text("B"));
    assert_eq!(value_of(definition, "<h1>a</h1><h2>b</h2>"), text("A"));
    assert_eq!(value_of(definition, ""), text("?"));
}

#[test]
fn json_in_a_script_is_read_where_inside_says() {
    let html = r#"<script id="d">var x = 1; window.data = {"a": {"n": 3, "t": ["x", "y"]}}; more();</script>"#;
    let inside = r"inside = { css = 'script#d::text', regex = 'window\.data = (.*)' }";
    assert_eq!(value_of(&format!("{{ json = '$.a.n', {inside}, type = 'int' }}"), html), Value::Int(3));
    assert_eq!(value_of(&format!("{{ json = '$.a.t', {inside}, many = true }}"), html), texts(&["x", "y"]));
    assert_eq!(value_of(&format!("{{ json = '$.a.none', {inside} }}"), html), Value::Null);
    let spider = one_field(&format!("{{ json = '$.a', {inside} }}"));
    let out = extract(&spider, &page("http://h.test/", "<script id=d>window.data = {nope}</script>", 0));
    assert_eq!(counters(&out), [("inside/not_json".to_owned(), 1)]);
}

#[test]
fn json_values_keep_their_types() {
    let body = r#"{"n": 5, "f": 2.5, "s": "7", "b": true, "z": null, "l": [1, null, 2], "o": {"k": [1]}, "e": ""}"#;
    for (definition, expected) in [
        ("{ json = '$.n', type = 'int' }", Value::Int(5)),
        ("{ json = '$.n' }", text("5")),
        ("{ json = '$.s', type = 'int' }", Value::Int(7)),
        ("{ json = '$.f', type = 'float' }", Value::Float(2.5)),
        ("{ json = '$.b', type = 'bool' }", Value::Bool(true)),
        ("{ json = '$.z' }", Value::Null),
        ("{ json = '$.e' }", Value::Null),
        ("{ json = '$.l', type = 'int', many = true }", Value::List(vec![Value::Int(1), Value::Int(2)])),
        ("{ json = '$.l', type = 'int' }", Value::Int(1)),
        ("{ json = '$.l', join = '-' }", text("1-2")),
        ("{ json = '$.o', type = 'json' }", Value::Json(Box::new(json!({"k": [1]})))),
        ("{ json = '$.l', type = 'json' }", Value::Json(Box::new(json!([1, null, 2])))),
        ("{ json = '$.o' }", Value::Null),
        ("{ json = '$.n', map = [{ prefix = '#' }] }", text("#5")),
        ("{ json = '$..k[0]', type = 'int' }", Value::Int(1)),
    ] {
        let spider = one_field(definition);
        let out = extract(&spider, &json_page("http://h.test/api", body, 0));
        assert_eq!(out.items[0].values[0], expected, "{definition}");
    }
}

#[test]
fn required_and_empty_keys_reject_the_item_by_name() {
    let spider = load(
        "name = 't'\nstart = ['http://h.test/']\nstart_parse = 'x'\n[item.x]\nkey = ['a', 'b']\nscope = '//li'\n[item.x.fields]\n\
         a = { xpath = './@a' }\nb = { xpath = './@b', map = ['trim'] }\nc = { xpath = './text()', required = true }\n",
    );
    let html = "<li a=1 b=2>x</li><li a=1>x</li><li a=1 b=3></li><li b=4>x</li><li a=1 b=2>y</li>";
    let out = extract(&spider, &page("http://h.test/", html, 0));
    assert_eq!(out.items.len(), 2);
    assert_eq!(out.items[0].id, out.items[1].id);
    assert_ne!(out.items[0].hash, out.items[1].hash);
    assert_eq!(
        counters(&out),
        [("x/empty_key/b".to_owned(), 1), ("x/required/c".to_owned(), 1), ("x/empty_key/a".to_owned(), 1)]
    );
}

#[test]
fn key_values_are_not_confused_and_scope_of_the_key_counts() {
    let spider = |name: &str, scope: &str| {
        load(&format!(
            "name = '{name}'\nstart = ['http://h.test/']\nstart_parse = 'x'\n[item.x]\nkey = ['a', 'b']\nkey_scope = '{scope}'\n\
             [item.x.fields]\na = {{ css = 'i::text' }}\nb = {{ css = 'b::text' }}\n"
        ))
    };
    let id = |name: &str, scope: &str, html: &str| {
        extract(&spider(name, scope), &page("http://h.test/", html, 0)).items[0].id
    };
    let (one, other) = ("<i>ab</i><b>c</b>", "<i>a</i><b>bc</b>");
    assert_ne!(id("s", "spider", one), id("s", "spider", other));
    assert_ne!(id("s", "spider", one), id("t", "spider", one));
    assert_eq!(id("s", "global", one), id("t", "global", one));
    assert_ne!(id("s", "spider", one), id("s", "global", one));
}

#[test]
fn without_a_key_the_content_identifies_the_item() {
    let spider = load(
        "name = 't'\nstart = ['http://h.test/']\nstart_parse = 'x'\n[item.x.fields]\na = { css = 'i::text' }\nd = { value = 'now' }\n",
    );
    let id = |html: &str, us: u64| {
        let mut page = page("http://h.test/", html, 0);
        page.started_at_us = us;
        extract(&spider, &page).items[0].id
    };
    assert_eq!(id("<i>a</i>", 1), id("<i>a</i>", 2_000_000));
    assert_ne!(id("<i>a</i>", 1), id("<i>b</i>", 1));
}

#[test]
fn truncation_bad_urls_and_lookup_misses_are_counted() {
    let spider = load(
        "name = 't'\nstart = ['http://h.test/']\nstart_parse = 'x'\n[item.x.fields]\na = { css = 'i::text', map = [{ truncate = 2 }] }\n\
         b = { css = 'i::text', map = ['absolute_url'] }\nc = { css = 'i::text', map = [{ lookup = { a = 'b' } }] }\n",
    );
    let out = extract(&spider, &page("http://h.test/", "<i>http://[x</i>", 0));
    assert_eq!(field(&spider, &out.items[0], "a"), text("ht"));
    assert_eq!(field(&spider, &out.items[0], "b"), Value::Null);
    assert_eq!(
        counters(&out),
        [("x/a/truncated".to_owned(), 1), ("x/b/not_a_url".to_owned(), 1), ("x/c/not_in_lookup".to_owned(), 1)]
    );
}
