//! The line that a program gets of an item, and what its answer is to the item's fields.
//!
//! Decides the two formats. Knows no program. Invariant: a line that is sent has no line break in it.

use serde_json::Value as Json;
use weir_connector::text::{JsonStyle, put_string, put_value};
use weir_model::{Item, Value};
use weir_spider::{Computation, LineFormat, Spider, identity};
use weir_stage::Made;

/// What is wrong with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is no answer at all: what the program says may not fit what it was asked any more.
    NoAnswer(String),
    /// The program says that it cannot.
    Refused(String),
}

/// A counter below `compute/NAME/`, or a whole name when it has a slash; and its example.
pub(super) type Note = (String, String);

/// The line of an item, with its end.
pub(super) fn line(spider: &Spider, computation: &Computation, item: &Item) -> Vec<u8> {
    let mut out = Vec::new();
    let value = |at: &usize| item.values.get(*at).unwrap_or(&Value::Null);
    match computation.format {
        LineFormat::Text => {
            if let Some(Value::Str(text)) = computation.send.first().map(value) {
                // Whatever ends a line somewhere becomes a space.
                let broken =
                    |c: char| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
                out.extend_from_slice(text.replace(broken, " ").as_bytes());
            }
        }
        LineFormat::Json => {
            let fields = spider.schemas().get(computation.item).map_or(&[][..], |schema| &schema.fields);
            out.push(b'{');
            for (number, at) in computation.send.iter().enumerate() {
                if number > 0 {
                    out.extend_from_slice(b", ");
                }
                put_string(&mut out, fields.get(*at).map_or("", |field| &field.name), false);
                out.extend_from_slice(b": ");
                put_value(&mut out, value(at), JsonStyle::default(), 0);
            }
            out.push(b'}');
        }
    }
    out.push(b'\n');
    out
}

/// The values of an answer, in the order of the computation's fields.
pub(super) fn read(
    spider: &Spider,
    computation: &Computation,
    answer: &[u8],
    notes: &mut Vec<Note>,
) -> Result<Vec<Value>, Bad> {
    let text = str::from_utf8(answer)
        .map_err(|_| Bad::NoAnswer(format!("it answered no UTF-8: {}", short(&String::from_utf8_lossy(answer)))))?;
    let json = match computation.format {
        LineFormat::Text => None,
        LineFormat::Json => Some(
            serde_json::from_str::<Json>(text)
                .map_err(|error| Bad::NoAnswer(format!("it answered no JSON ({error}): {}", short(text))))?,
        ),
    };
    let fields = spider.schemas().get(computation.item).map_or(&[][..], |schema| &schema.fields);
    let name = |at: usize| fields.get(at).map_or("", |field| field.name.as_str());
    let members = match &json {
        Some(Json::Object(members)) => {
            let is_known = |key: &str| computation.fields.iter().any(|at| name(*at) == key);
            if let (Some(Json::String(why)), false) = (members.get("error"), is_known("error")) {
                return Err(Bad::Refused(short(why)));
            }
            // The only field may be an object itself.
            let is_value = computation.fields.len() == 1 && !members.keys().any(|key| is_known(key));
            let holds_objects = computation.fields.iter().any(|at| {
                let kind = fields.get(*at).map(|field| field.kind);
                matches!(kind, Some(weir_model::FieldKind::Json | weir_model::FieldKind::GeoPoint))
            });
            if is_value && holds_objects {
                None
            } else {
                let unknown = members.keys().filter(|key| !is_known(key));
                notes.extend(unknown.map(|key| ("unknown_member".to_owned(), key.clone())));
                Some(members)
            }
        }
        Some(_) if computation.fields.len() > 1 => {
            return Err(Bad::NoAnswer(format!(
                "it answered no object, expected one with {}: {}",
                computation.fields.iter().map(|at| name(*at)).collect::<Vec<_>>().join(", "),
                short(text)
            )));
        }
        _ => None,
    };
    let mut values = Vec::with_capacity(computation.fields.len());
    for at in &computation.fields {
        let value = match (&json, members) {
            (None, _) => spider.read_text(computation.item, *at, text),
            (Some(_), Some(members)) => {
                spider.read_json(computation.item, *at, members.get(name(*at)).unwrap_or(&Json::Null))
            }
            (Some(json), None) => spider.read_json(computation.item, *at, json),
        };
        values.push(value.unwrap_or_else(|misfit| {
            notes.push((format!("{}/{}/{misfit}", computation.item_name, name(*at)), short(text)));
            Value::Null
        }));
    }
    Ok(values)
}

/// What the stage is told: values, and the item's content hash with them.
pub(super) fn made(spider: &Spider, computation: &Computation, item: &Item, values: Vec<Value>) -> Made {
    let mut all = item.values.clone();
    for (at, value) in computation.fields.iter().zip(&values) {
        if let Some(place) = all.get_mut(*at) {
            *place = value.clone();
        }
    }
    let schema = spider.schemas().get(usize::from(item.schema));
    let hash = schema.map_or(item.hash, |schema| identity::identity_of(schema, &all).1);
    Made { values, hash }
}

/// The beginning of a text, for a message.
pub(super) fn short(text: &str) -> String {
    const CHARACTERS: usize = 200;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{ItemId, JobId};

    fn spider(computed: &str, format: &str) -> Spider {
        let text = format!(
            "name = \"a\"\nstart = [\"http://a.test/\"]\nstart_parse = \"page\"\n[item.page]\nkey = \"url\"\n[item.page.fields]\nurl = {{ value = \
             \"response.url\" }}\nname = {{ css = \"h1\" }}\n{computed}\n[item.page.compute.c]\ncommand = [\"p\"]\n{format}\n"
        );
        Spider::load("a.toml", &text, &[]).expect("a spider")
    }

    fn item() -> Item {
        let values =
            vec![Value::Str("http://a.test/".into()), Value::Str("two\nlines \"£\"".into()), Value::Null, Value::Null];
        Item { job: JobId(1), schema: 0, id: ItemId(1), hash: 7, version: 1, values }
    }

    #[test]
    fn a_line_is_one_line_whatever_the_item_holds() {
        let json = spider("score = { compute = \"c\", type = \"float\" }", "");
        let computation = &json.computations()[0];
        let written = line(&json, computation, &item());
        assert_eq!(
            String::from_utf8_lossy(&written),
            "{\"url\": \"http://a.test/\", \"name\": \"two\\nlines \\\"£\\\"\"}\n"
        );
        let text = spider("score = { compute = \"c\" }", "send = \"name\"\nformat = \"text\"");
        assert_eq!(line(&text, &text.computations()[0], &item()), "two lines \"£\"\n".as_bytes());
    }

    #[test]
    fn answers_fill_fields_by_name_and_what_does_not_fit_is_counted() {
        let spider =
            spider("score = { compute = \"c\", type = \"float\" }\ntags = { compute = \"c\", many = true }", "");
        let computation = &spider.computations()[0];
        let mut notes = Vec::new();
        let mut read = |answer: &str| read(&spider, computation, answer.as_bytes(), &mut notes);
        let tags = Value::List(vec![Value::Str("x".into()), Value::Str("y".into())]);
        assert_eq!(read("{\"tags\": [\"x\", \"y\"], \"score\": 1.5}"), Ok(vec![Value::Float(1.5), tags]));
        assert_eq!(read("{\"score\": \"much\", \"other\": 1}"), Ok(vec![Value::Null, Value::Null]));
        assert_eq!(read("{\"error\": \"too old\"}"), Err(Bad::Refused("too old".into())));
        assert!(
            matches!(read("ready"), Err(Bad::NoAnswer(why)) if why.contains("no JSON") && why.ends_with(": ready"))
        );
        assert!(matches!(read("3"), Err(Bad::NoAnswer(why)) if why.contains("score, tags")));
        let meant = [("unknown_member", "other"), ("page/score/not_a_float", "{\"score\": \"much\", \"other\": 1}")];
        assert_eq!(notes, meant.map(|(name, example)| (name.to_owned(), example.to_owned())));
    }

    #[test]
    fn the_only_field_may_be_answered_by_its_value_alone() {
        let json = spider("score = { compute = \"c\", type = \"float\" }", "");
        let one = |spider: &Spider, answer: &str| {
            read(spider, &spider.computations()[0], answer.as_bytes(), &mut Vec::new()).expect("an answer").remove(0)
        };
        assert_eq!(one(&json, "2"), Value::Float(2.0));
        assert_eq!(one(&json, "{\"score\": 2}"), Value::Float(2.0));
        assert_eq!(one(&json, "null"), Value::Null);
        let place = spider("place = { compute = \"c\", type = \"geo_point\" }", "");
        assert_eq!(one(&place, "{\"lat\": 1, \"lon\": 2}"), Value::Geo { lat: 1.0, lon: 2.0 });
        let text = spider("score = { compute = \"c\", type = \"int\" }", "send = \"name\"\nformat = \"text\"");
        assert_eq!((one(&text, "12"), one(&text, "")), (Value::Int(12), Value::Null));
    }

    #[test]
    fn what_was_computed_is_content() {
        let spider = spider("score = { compute = \"c\", type = \"float\" }", "");
        let computation = &spider.computations()[0];
        let hash = |value: f64| made(&spider, computation, &item(), vec![Value::Float(value)]).hash;
        assert_eq!(hash(1.0), hash(1.0));
        assert_ne!(hash(1.0), hash(2.0));
    }
}
