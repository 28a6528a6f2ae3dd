//! URLs: the safe form that is fetched, the canonical form that dedup compares, and what w3lib's users expect around them.
//!
//! Two layers. The operations ([`safe_url_string`], [`canonicalize_url`], [`url_query_cleaner`] ...) do exactly what w3lib 2.5 does,
//! option by option, on any string. The hot path ([`admit_form`]) is what the frontier asks of every link: an absolute http(s) URL
//! comes out in one pass as fetch form and canonical form, or with the reason why it cannot be crawled.
//!
//! It must not know the spider, the job or the network. Invariants: nothing panics on any string; the canonical form of an
//! admitted URL is `canonicalize_url` of its fetch form; the fast path and the general path give the same answer.

mod admit;
mod bytes;
mod canonical;
mod charset;
mod fast;
mod fingerprint;
mod host;
mod parameters;
mod safe;
mod split;

#[cfg(test)]
mod tests;

pub use admit::{Admitted, Scheme, Scratch, URL_BYTES_MAX, admit_form};
pub use canonical::{CanonicalOptions, canonicalize_url};
pub use charset::{Charset, Unencodable, decode_url_bytes};
pub use fingerprint::{FingerprintSeed, fingerprint};
pub use parameters::{
    QueryCleaner, add_or_replace_parameter, add_or_replace_parameters, is_url, url_query_cleaner, url_query_parameter,
};
pub use safe::{SafeOptions, safe_download_url, safe_url_string};
pub use split::unparse;

use thiserror::Error;

/// Why a string is no URL, or none that can be crawled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// No scheme: links are made absolute before they are offered.
    #[error("not absolute: expected http:// or https://")]
    Relative,
    /// Not http or https.
    #[error("scheme not supported: expected http or https")]
    Scheme,
    /// Nothing between `//` and the path.
    #[error("no host")]
    NoHost,
    /// Not a host name: a forbidden character, an empty label, or a name that IDNA refuses.
    #[error("not a host name")]
    Host,
    /// Brackets that do not hold an IPv6 address.
    #[error("not an IPv6 address")]
    Ipv6,
    /// A host with characters that only look like URL delimiters.
    #[error("host contains characters that normalise to URL delimiters")]
    Delimiter,
    /// Not a number from 0 to 65535.
    #[error("port is not a number from 0 to 65535")]
    Port,
    /// Longer than `URL_BYTES_MAX`.
    #[error("URL over {URL_BYTES_MAX} bytes")]
    TooLong,
    /// A character that the given charset cannot write.
    #[error("a character does not exist in the given charset")]
    Unencodable,
}

impl From<Unencodable> for UrlError {
    fn from(_: Unencodable) -> Self {
        UrlError::Unencodable
    }
}
