//! Whether a crawl waits for a sink: `required=false` behind a sink's URL. The connectors never see it. Pure.

use crate::{ErrorClass, SinkError, redact};

/// Takes the option off a URL. Without it a sink is required.
pub fn split_required(text: &str) -> Result<(String, bool), SinkError> {
    let (Some((head, query)), true) = (text.split_once('?'), text.contains(':')) else {
        return Ok((text.to_owned(), true));
    };
    let mut required = true;
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("required", "true")) => required = true,
            Some(("required", "false")) => required = false,
            Some(("required", other)) => {
                return Err(SinkError::new(
                    ErrorClass::Configuration,
                    format!("required={other}"),
                    format!("-o {}", redact(text)),
                    "required=true, or required=false for a sink that may be away",
                    "Correct or remove the option",
                ));
            }
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() { head.to_owned() } else { format!("{head}?{}", rest.join("&")) };
    Ok((url, required))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_taken_off_and_everything_else_left() {
        let split = |text: &str| split_required(text).map_err(|error| error.to_string());
        assert_eq!(split("redis://h/0?required=false"), Ok(("redis://h/0".to_owned(), false)));
        assert_eq!(
            split("redis://h/0?ttl=3d&required=false&prefix=a"),
            Ok(("redis://h/0?ttl=3d&prefix=a".to_owned(), false))
        );
        assert_eq!(split("redis://h/0?required=true"), Ok(("redis://h/0".to_owned(), true)));
        assert_eq!(split("items.jsonl"), Ok(("items.jsonl".to_owned(), true)));
        assert_eq!(split("what?.jsonl"), Ok(("what?.jsonl".to_owned(), true)));
        let error = split("redis://me:hunter2@h/0?required=no").expect_err("refused");
        assert!(error.contains("required=no") && !error.contains("hunter2"), "{error}");
    }
}
