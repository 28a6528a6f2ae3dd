//! The charset of a feed: UTF-8 unless asked otherwise, by the names that Python and the web use.

use encoding_rs::Encoding;

/// What becomes of a character that the charset lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnmappable {
    /// The item is refused.
    #[default]
    Refuse,
    /// `&#629;`
    XmlCharRef,
    /// `?`
    Replace,
    /// Nothing.
    Ignore,
}

impl OnUnmappable {
    /// By Python's names: `strict`, `xmlcharrefreplace`, `replace`, `ignore`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<OnUnmappable> {
        Some(match name {
            "strict" => OnUnmappable::Refuse,
            "xmlcharrefreplace" => OnUnmappable::XmlCharRef,
            "replace" => OnUnmappable::Replace,
            "ignore" => OnUnmappable::Ignore,
            _ => return None,
        })
    }
}

/// A charset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    #[default]
    Utf8,
    /// ISO 8859-1 proper: the first 256 characters of Unicode (the web's label means windows-1252, Python's does not).
    Latin1,
    /// The first 128.
    Ascii,
    /// Another.
    Other(&'static Encoding),
}

impl Charset {
    /// By name; `None` when unknown.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Charset> {
        let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase();
        Some(match plain.as_str() {
            "utf8" | "u8" => Charset::Utf8,
            "latin" | "latin1" | "iso88591" | "l1" => Charset::Latin1,
            "ascii" | "usascii" => Charset::Ascii,
            _ => {
                let encoding = Encoding::for_label(name.trim().as_bytes())?;
                // These have no encoder of their own: Python writes them, we would write UTF-8.
                if encoding.output_encoding() != encoding {
                    return None;
                }
                Charset::Other(encoding)
            }
        })
    }

    /// Text of this charset; what is none becomes U+FFFD.
    pub(crate) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Charset::Utf8 | Charset::Ascii => String::from_utf8_lossy(bytes).into_owned(),
            Charset::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Charset::Other(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        }
    }

    /// Turns UTF-8 into this charset, behind what is in `out`; `Err` is the character that it lacks when that refuses the text.
    ///
    /// # Panics
    /// When `text` is not UTF-8.
    pub fn encode(self, text: &[u8], unmappable: OnUnmappable, out: &mut Vec<u8>) -> Result<(), char> {
        if self == Charset::Utf8 {
            out.extend_from_slice(text);
            return Ok(());
        }
        let text = std::str::from_utf8(text).expect("exporters write UTF-8");
        for c in text.chars() {
            let known = match self {
                Charset::Utf8 => unreachable!("returned above"),
                Charset::Latin1 => u8::try_from(u32::from(c)).ok().map(|byte| out.push(byte)),
                Charset::Ascii => c.is_ascii().then(|| out.push(c as u8)),
                Charset::Other(encoding) => {
                    let mut buffer = [0; 4];
                    let (bytes, _, unknown) = encoding.encode(c.encode_utf8(&mut buffer));
                    (!unknown).then(|| out.extend_from_slice(&bytes))
                }
            };
            if known.is_none() {
                match unmappable {
                    OnUnmappable::Refuse => return Err(c),
                    OnUnmappable::XmlCharRef => out.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes()),
                    OnUnmappable::Replace => out.push(b'?'),
                    OnUnmappable::Ignore => {}
                }
            }
        }
        Ok(())
    }
}
