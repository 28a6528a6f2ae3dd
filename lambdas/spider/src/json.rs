//! JSON paths (RFC 9535) and texts of JSON values.
//!
//! Decides that a path of names, indices and wildcards (most are) is walked directly; everything else is serde_json_path's.
//! Invariant: both give the same nodes in the same order (a test holds them against each other).

use serde_json::Value;
use serde_json_path::JsonPath;
use std::borrow::Cow;

/// Longest path and deepest nesting of brackets that is accepted: the parser behind is recursive.
const PATH_CHARS_MAX: usize = 2_000;
const PATH_NESTING_MAX: usize = 24;

/// A compiled path.
pub(crate) struct Path {
    steps: Option<Vec<Walk>>,
    full: JsonPath,
}

enum Walk {
    Name(Box<str>),
    Index(i64),
    All,
}

impl Path {
    /// Compiles a path; the error has a byte offset and a message.
    pub fn parse(text: &str) -> Result<Path, (usize, String)> {
        if text.len() > PATH_CHARS_MAX {
            return Err((0, format!("a JSON path has at most {PATH_CHARS_MAX} bytes")));
        }
        let mut nesting = 0usize;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'[' | b'(' | b'!' => nesting += 1,
                b']' | b')' => nesting = nesting.saturating_sub(1),
                _ => {}
            }
            if nesting > PATH_NESTING_MAX {
                return Err((at, format!("brackets nested more than {PATH_NESTING_MAX} deep")));
            }
        }
        if !text.starts_with('$') {
            return Err((0, "a JSON path begins with `$`".to_owned()));
        }
        let full = JsonPath::parse(text).map_err(|error| {
            let offset = text.char_indices().nth(error.position().saturating_sub(1)).map_or(text.len(), |(at, _)| at);
            let message = match error.message() {
                "parser error" => "it cannot be read from here on",
                message => message,
            };
            (offset, message.to_owned())
        })?;
        Ok(Path { steps: walk(text), full })
    }

    /// Appends the nodes that the path selects from `root`.
    pub fn query<'v>(&self, root: &'v Value, out: &mut Vec<&'v Value>) {
        match &self.steps {
            Some(steps) => descend(steps, root, out),
            None => out.extend(self.full.query(root).all()),
        }
    }
}

fn descend<'v>(steps: &[Walk], mut node: &'v Value, out: &mut Vec<&'v Value>) {
    for (at, step) in steps.iter().enumerate() {
        let next = match (step, node) {
            (Walk::Name(name), Value::Object(map)) => map.get(name.as_ref()),
            (Walk::Index(index), Value::Array(list)) => element(list, *index),
            (Walk::All, Value::Array(list)) => {
                list.iter().for_each(|child| descend(&steps[at + 1..], child, out));
                return;
            }
            (Walk::All, Value::Object(map)) => {
                map.values().for_each(|child| descend(&steps[at + 1..], child, out));
                return;
            }
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => return,
        }
    }
    out.push(node);
}

fn element(list: &[Value], index: i64) -> Option<&Value> {
    let at = if index < 0 {
        list.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    list.get(at)
}

/// The steps of a path that has only names, indices and wildcards; `None` for others.
fn walk(text: &str) -> Option<Vec<Walk>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('.') {
            if let Some(tail) = tail.strip_prefix('*') {
                steps.push(Walk::All);
                rest = tail;
                continue;
            }
            let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(tail.len());
            if end == 0 || tail.as_bytes()[0].is_ascii_digit() {
                return None;
            }
            steps.push(Walk::Name(tail[..end].into()));
            rest = &tail[end..];
        } else {
            let tail = rest.strip_prefix('[')?;
            let end = tail.find(']')?;
            let inner = &tail[..end];
            let name = |quote: char| inner.strip_prefix(quote)?.strip_suffix(quote);
            if inner == "*" {
                steps.push(Walk::All);
            } else if let Some(name) = name('\'').or_else(|| name('"')) {
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- .:@/".contains(&b)) {
                    return None;
                }
                steps.push(Walk::Name(name.into()));
            } else {
                steps.push(Walk::Index(inner.parse().ok().filter(|n: &i64| n.to_string() == inner)?));
            }
            rest = &tail[end + 1..];
        }
    }
    Some(steps)
}

/// The text of a JSON value: strings as they are, numbers and booleans as JSON has them, lists and objects as compact JSON;
/// null has none.
pub(crate) fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        other => Some(Cow::Owned(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn both(path: &str, root: &Value) -> (Vec<Value>, Vec<Value>) {
        let path = Path::parse(path).unwrap();
        let mut fast = Vec::new();
        path.query(root, &mut fast);
        let full: Vec<Value> = path.full.query(root).iter().map(|v| (*v).clone()).collect();
        (fast.into_iter().cloned().collect(), full)
    }

    #[test]
    fn direct_walk_equals_the_full_engine_on_simple_paths() {
        let root = json!({"a": [{"b": 1}, {"b": [2, 3]}, {"c": null}], "x-y": {"b": 5}, "b": {"b": 7}});
        for path in [
            "$",
            "$.a",
            "$.a[0].b",
            "$.a[-1]",
            "$.a[-9]",
            "$.a[9]",
            "$.a[*].b",
            "$.*.b",
            "$['x-y'].b",
            "$[\"a\"][1].b[*]",
            "$.none.b",
            "$.a.b",
        ] {
            assert!(Path::parse(path).unwrap().steps.is_some(), "{path} is walked directly");
            let (fast, full) = both(path, &root);
            assert_eq!(fast, full, "{path}");
        }
    }

    #[test]
    fn filters_slices_and_descendants_are_understood() {
        let root = json!({"a": [{"b": 1, "k": "x"}, {"b": 2, "k": "y"}]});
        for (path, expected) in [
            ("$..b", json!([1, 2])),
            ("$.a[?@.b > 1].k", json!(["y"])),
            ("$.a[0:1].k", json!(["x"])),
            ("$.a[?@.k == 'x']", json!([{"b": 1, "k": "x"}])),
        ] {
            assert_eq!(json!(both(path, &root).0), expected, "{path}");
        }
    }

    #[test]
    fn deeply_nested_path_is_refused_instead_of_overflowing_the_stack() {
        let path = format!("$[?{}@.a{}]", "(".repeat(5_000), ")".repeat(5_000));
        assert!(Path::parse(&path).is_err());
        let path = format!("$[?{}@.a{}]", "(".repeat(900), ")".repeat(900));
        assert!(Path::parse(&path).is_err());
    }

    proptest! {
        #[test]
        fn no_path_text_panics(text in "\\$[\\[\\]().*?@'\"a-c0-9 ,:<>=!&|-]{0,30}") {
            if let Ok(path) = Path::parse(&text) {
                let root = json!({"a": [{"b": 1}, {"b": [2, 3]}, {"c": null}], "b": {"b": 7}});
                let mut fast = Vec::new();
                path.query(&root, &mut fast);
                let full: Vec<&Value> = path.full.query(&root).all();
                prop_assert_eq!(fast, full);
            }
        }
    }
}
