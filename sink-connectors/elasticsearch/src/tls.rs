//! TLS by rustls and ring; certificates verified by the system's roots, and by those of a PEM file when one is named.

use crate::place::Tls;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// The connector; `None` without TLS.
pub(crate) fn connector(tls: &Tls) -> Result<Option<TlsConnector>, String> {
    let Tls::On { roots } = tls else { return Ok(None) };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let config = match roots {
        None => {
            let verifier = Verifier::new(provider).map_err(|error| error.to_string())?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        // Named roots alone count: a private authority is trusted for its own servers, nobody else for them.
        Some(path) => {
            let unreadable = |error: &dyn std::fmt::Display| format!("tls_ca={}: {error}", path.display());
            let mut store = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                store.add(certificate).map_err(|error| unreadable(&error))?;
            }
            if store.is_empty() {
                return Err(unreadable(&"no certificate in it"));
            }
            builder.with_root_certificates(store).with_no_client_auth()
        }
    };
    Ok(Some(TlsConnector::from(Arc::new(config))))
}
