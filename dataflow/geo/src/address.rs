//! Addresses as people write them, and the form under which they are one address.
//!
//! Decides which spellings are the same: those that differ in case, width, compatibility forms, punctuation, symbols and white
//! space. Knows nothing of streets or languages: no abbreviation is expanded, no accent dropped. Invariants: normalising is
//! idempotent, and keeps every letter, mark and digit (up to case folding and NFKC) in its order, so addresses that differ in one
//! of them are never merged.

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizer, DecomposingNormalizer};
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Slots that addresses are partitioned into, as domains and items are.
pub const SLOTS: u8 = 64;

/// Rounds in which a text comes to rest. Two do for every text that is known; more would be a mistake of ours.
const ROUNDS_MAX: usize = 4;

/// An address in the form under which it is looked up, cached and exchanged. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NormalisedAddress(Arc<str>);

impl NormalisedAddress {
    /// The text: lower-case words of letters, marks and digits with one space between them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when the address had neither letter nor digit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The slot that owns the address: the exchange key of geocoding, 0 to 63.
    #[must_use]
    pub fn slot(&self) -> u8 {
        (xxh3_64(self.0.as_bytes()) % u64::from(SLOTS)) as u8
    }

    /// An address that a record or a cache says was normalised before.
    pub(crate) fn known(text: &str) -> NormalisedAddress {
        NormalisedAddress(text.into())
    }
}

impl fmt::Debug for NormalisedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for NormalisedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The form under which an address is one address: NFKC, full case folding, everything that is no letter, mark or number
/// collapsed into single spaces. Numbers that NFKC would glue to their neighbours (`5²`, `1½`) stay words of their own.
#[must_use]
pub fn normalise(address: &str) -> NormalisedAddress {
    if address.is_ascii() {
        return NormalisedAddress(ascii(address).into());
    }
    let mut text = round(address);
    for _ in 1..ROUNDS_MAX {
        if is_at_rest(&text) {
            break;
        }
        let again = round(&text);
        if again == text {
            break;
        }
        text = again;
    }
    NormalisedAddress(text.into())
}

/// Whether another round cannot change what a round has made. Below the combining marks nothing is left to fold, to decompose or,
/// where something was taken out, to compose.
fn is_at_rest(text: &str) -> bool {
    text.chars().all(|c| c < '\u{300}')
}

fn ascii(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    let mut is_apart = false;
    for byte in address.bytes() {
        if byte.is_ascii_alphanumeric() {
            if is_apart && !out.is_empty() {
                out.push(' ');
            }
            is_apart = false;
            out.push(byte.to_ascii_lowercase() as char);
        } else {
            is_apart = true;
        }
    }
    out
}

/// Appends what is kept; anything else is one space between what is kept.
fn push(out: &mut String, kept: Option<char>) {
    match kept {
        Some(kept) => out.push(kept),
        None if out.is_empty() || out.ends_with(' ') => {}
        None => out.push(' '),
    }
}

/// One round: Unicode's compatibility caseless match (D146), then only what matters.
fn round(address: &str) -> String {
    let category = CodePointMapData::<GeneralCategory>::new();
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let mut apart = String::with_capacity(address.len() + 8);
    for c in address.chars().filter(|c| !ignorable.contains(*c)) {
        if category.get(c) == GeneralCategory::OtherNumber {
            apart.extend([' ', c, ' ']);
        } else {
            apart.push(c);
        }
    }
    let folder = CaseMapper::new();
    let once = DecomposingNormalizer::new_nfkd()
        .normalize(&folder.fold_string(&DecomposingNormalizer::new_nfd().normalize(&apart)))
        .into_owned();
    let folded = ComposingNormalizer::new_nfkc().normalize(&folder.fold_string(&once)).into_owned();
    let mut out = String::with_capacity(folded.len());
    for c in folded.chars().filter(|c| !ignorable.contains(*c)) {
        push(&mut out, matters(category.get(c)).then_some(c));
    }
    out.truncate(out.trim_end().len());
    out
}

/// Letters, marks and numbers; also what is private or not yet assigned, since it may be a letter.
fn matters(category: GeneralCategory) -> bool {
    GeneralCategoryGroup::Letter.contains(category)
        || GeneralCategoryGroup::Mark.contains(category)
        || GeneralCategoryGroup::Number.contains(category)
        || matches!(category, GeneralCategory::PrivateUse | GeneralCategory::Unassigned)
}

/// What a provider is asked: the address as it was written, without control characters, white space collapsed. Commas stay, since
/// they help providers.
#[must_use]
pub(crate) fn as_asked(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for word in address.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(address: &str) -> String {
        normalise(address).as_str().to_owned()
    }

    #[test]
    fn spellings_of_one_address_are_one() {
        for (one, other) in [
            ("Ashford, London", "  ASHFORD ,london. "),
            ("Straße 5", "STRASSE 5"),
            ("Ｓｔ．　Ｊｏｈｎ’ｓ Wood", "st john s wood"),
            ("Cafe\u{301} 1", "CAFÉ-1"),
            ("Αθήνας", "ΑΘΉΝΑΣ"),
            ("12\u{200b}3 High\u{ad} Street", "123 high street"),
            ("1½ Mill Lane", "1 1/2 Mill Lane"),
            ("🏠 12 High St", "12 high st"),
            ("ﬁnchley", "Finchley"),
        ] {
            assert_eq!(normal(one), normal(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn a_letter_or_a_digit_more_is_another_address() {
        for (one, other) in [
            ("12 3 High Street", "123 High Street"),
            ("5² Row", "52 Row"),
            ("11/2 Row", "1½ Row 2"),
            ("Cafe 1", "Café 1"),
            ("Ashford", "Ashfort"),
            ("1 ١", "1"),
        ] {
            assert_ne!(normal(one), normal(other), "{one:?} and {other:?}");
        }
        assert_ne!(normal("1½"), normal("11/2"), "NFKC alone would merge them");
    }

    #[test]
    fn nothing_to_look_up_is_empty() {
        for address in ["", "  ", ", - .", "\u{200b}", "—…"] {
            assert!(normalise(address).is_empty(), "{address:?}");
        }
    }

    #[test]
    fn a_provider_is_asked_what_was_written() {
        assert_eq!(as_asked("  Ashford,\r\n\tLondon\u{7} "), "Ashford, London");
    }

    /// Letters and digits of many scripts, what is between them, and anything at all.
    fn address() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[A-Za-z0-9ÀÉßſŉİıǅΣςŸ가힣北京３Ａ١४\u{301}\u{345}\u{1f80}]{1,6}",
            3 => "[ ,.;:/'\"’—_()\u{a0}\u{3000}\u{200b}\u{ad}\t#+|-]{1,3}",
            1 => "\\PC{1,4}",
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn normalising_twice_is_normalising_once(address in address()) {
            let once = normal(&address);
            prop_assert_eq!(normal(&once), once);
        }

        #[test]
        fn case_does_not_matter(address in address(), words in "[A-Za-z0-9ÀÉßſŉǅΣςŸŴ가北３Ａ\u{1f80} ,]{0,24}") {
            // Unicode defines caseless equality on decomposed text, in which nothing invisible keeps marks from their order.
            let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
            let visible: String = address.chars().filter(|c| !ignorable.contains(*c)).collect();
            let apart = DecomposingNormalizer::new_nfd().normalize(&visible).into_owned();
            prop_assert_eq!(normal(&CaseMapper::new().fold_string(&apart)), normal(&address));
            prop_assert_eq!(normal(&words.to_uppercase()), normal(&words));
        }

        #[test]
        fn width_does_not_matter(address in "[!-~ ]{0,24}") {
            let wide: String = address
                .chars()
                .map(|c| if c == ' ' { '\u{3000}' } else { char::from_u32(c as u32 + 0xfee0).unwrap() })
                .collect();
            prop_assert_eq!(normal(&wide), normal(&address));
        }

        #[test]
        fn punctuation_and_space_do_not_matter(
            words in prop::collection::vec("[a-z0-9é北ß]{1,5}", 0..6),
            between in prop::collection::vec("[ ,.;:/'’—_(){}\u{a0}\u{3000}\t\r\n#|-]{1,4}", 7),
        ) {
            let mut written = between[0].clone();
            for (word, gap) in words.iter().zip(&between[1..]) {
                written.push_str(word);
                written.push_str(gap);
            }
            prop_assert_eq!(normal(&written), normal(&words.join(" ")));
        }

        #[test]
        fn every_letter_mark_and_digit_is_kept(address in address()) {
            let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
            // The same folding with nothing collapsed, written down a second time.
            let nfkc = |text: &str| ComposingNormalizer::new_nfkc().normalize(text).into_owned();
            let nfkd = |text: &str| DecomposingNormalizer::new_nfkd().normalize(text).into_owned();
            let fold = |text: &str| CaseMapper::new().fold_string(text).into_owned();
            let bare = |text: &str| -> String {
                let visible: String = text.chars().filter(|c| !ignorable.contains(*c)).collect();
                let folded = nfkc(&fold(&nfkd(&fold(&nfkd(&visible)))));
                let kept: String = folded
                    .chars()
                    .filter(|c| matters(CodePointMapData::<GeneralCategory>::new().get(*c)) && !ignorable.contains(*c))
                    .collect();
                // Marks may be ordered anew when what stood between them is gone.
                let mut kept: Vec<char> = nfkd(&kept).chars().collect();
                kept.sort_unstable();
                kept.into_iter().collect()
            };
            prop_assert_eq!(bare(&normal(&address)), bare(&address));
        }

        #[test]
        fn one_letter_or_digit_changed_is_another_address(
            words in "[a-z0-9]{1,8}( [a-z0-9]{1,8}){0,3}", at in any::<prop::sample::Index>(), other in "[a-z0-9]",
        ) {
            let at = at.index(words.len());
            let mut changed = words.clone();
            changed.replace_range(at..=at, &other);
            prop_assert_eq!(changed == words, normal(&changed) == normal(&words));
        }
    }
}
