//! Text cut into words as search servers cut it: Unicode's word breaks (UAX #29) for letters, digits and what joins them. Pure.
//!
//! Letters of scripts without spaces (Han, Hiragana) are a word each. Capitals do not count.

/// Whether `text` has all of `wanted` as whole words.
pub(crate) fn has_all(text: &str, wanted: &[String]) -> bool {
    let words = words(text);
    wanted.iter().all(|word| words.contains(word))
}

/// The words, in small letters.
pub(crate) fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, c) in chars.iter().copied().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let joins = || before.zip(chars.get(at + 1).copied()).is_some_and(|(before, after)| joins(before, c, after));
        if is_alone(c) {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            words.push(c.to_string());
        } else if is_letter(c) || is_digit(c) || c == '_' || is_mark(c) || (!word.is_empty() && joins()) {
            word.extend(c.to_lowercase());
        } else {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    // A line under nothing is no word.
    words.retain(|word| word.chars().any(char::is_alphanumeric));
    words
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !is_alone(c)
}

/// Digits proper: halves, squares and numbers in circles divide words.
fn is_digit(c: char) -> bool {
    let is_other = matches!(c, '²' | '³' | '¹' | '¼'..='¾' | '\u{2070}'..='\u{2089}' | '\u{2150}'..='\u{215f}' | '\u{2460}'..='\u{249b}' | '\u{24ea}'..='\u{24ff}' | '\u{2776}'..='\u{2793}');
    c.is_numeric() && !is_other
}

/// Accents that follow their letter.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200d}' | '\u{ad}')
}

/// Ideographs and Hiragana.
fn is_alone(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// `don't`, `e.g`, `3.5`, `1,000`.
fn joins(before: char, c: char, after: char) -> bool {
    let letters = is_letter(before) && is_letter(after);
    let digits = is_digit(before) && is_digit(after);
    match c {
        '\'' | '.' | '\u{2018}' | '\u{2019}' | '\u{2024}' | '\u{ff07}' | '\u{ff0e}' => letters || digits,
        ':' | '\u{b7}' | '\u{387}' | '\u{2027}' | '\u{ff1a}' => letters,
        ',' | ';' | '\u{37e}' | '\u{589}' | '\u{60c}' | '\u{ff0c}' | '\u{ff1b}' => digits,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_a_search_server_makes_of_text() {
        // As `POST _analyze {"analyzer": "standard"}` of Elasticsearch 8.15 gives them.
        for (text, expected) in [
            ("Two-bed flat, St. John's Wood", "two bed flat st john's wood"),
            ("£1,250.50pw near 3.5m", "1,250.50pw near 3.5m"),
            ("GRÖßE Straße", "größe straße"),
            ("snake_case e.g. x", "snake_case e.g x"),
            ("東京 flat", "東 京 flat"),
            ("6½ by 7 m²", "6 by 7 m"),
            ("a:b 12:30 don’t カタカナ ひら Ⅳ ① 한국", "a:b 12 30 don’t カタカナ ひ ら ⅳ 한국"),
            ("... - ", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
        assert!(has_all("A garden, two beds", &words("beds GARDEN")));
        assert!(!has_all("gardens", &words("garden")));
    }
}
