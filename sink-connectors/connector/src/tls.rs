//! Whether a failed connection failed by its TLS: a certificate that nobody vouches for does not get better by waiting.

use std::error::Error;
use std::io;
use std::sync::Arc;

/// True when there is an error of TLS itself among an error's causes: certificate, name, protocol.
#[must_use]
pub fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // Clients wrap causes: shared, or in an error of input and output, which does not count what it holds as its cause.
        let error = match error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
            Some(shared) => &**shared as &(dyn Error + 'static),
            None => error,
        };
        if error.is::<rustls::Error>() {
            return true;
        }
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map(|held| held as &(dyn Error + 'static)).or_else(|| error.source());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_tls_is_found_wherever_a_client_has_put_it() {
        let tls = || rustls::Error::HandshakeNotComplete;
        let held = io::Error::other(tls());
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(io::Error::other(tls()));
        assert!(is_of_tls(&tls()) && is_of_tls(&held) && is_of_tls(&shared));
        assert!(is_of_tls(&io::Error::other(io::Error::other(tls()))));
        assert!(!is_of_tls(&io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert!(!is_of_tls(&io::Error::other("a word about certificates")));
    }
}
