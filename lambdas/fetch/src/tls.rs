//! TLS by rustls and ring, certificates verified by the platform's roots. Built when the first https URL comes, once a process.

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::Verifier;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

static PLATFORM: OnceLock<Result<TlsConnector, String>> = OnceLock::new();

/// TLS with the platform's roots, or with a given configuration.
#[derive(Clone)]
pub(crate) struct Tls {
    given: Option<TlsConnector>,
}

impl Tls {
    /// The platform's roots, or a configuration with other roots (tests).
    pub fn new(given: Option<Arc<ClientConfig>>) -> Tls {
        Tls { given: given.map(|config| TlsConnector::from(with_protocols(config))) }
    }

    fn connector(&self) -> Result<&TlsConnector, String> {
        match &self.given {
            Some(given) => Ok(given),
            None => PLATFORM.get_or_init(platform).as_ref().map_err(Clone::clone),
        }
    }

    /// Shakes hands; the flag says that HTTP/2 was agreed on.
    pub async fn wrap(&self, host: &str, stream: TcpStream) -> Result<(TlsStream<TcpStream>, bool), String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name for TLS"))?;
        let stream = self.connector()?.connect(name, stream).await.map_err(|error| error.to_string())?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, h2))
    }
}

fn platform() -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider)).map_err(|error| error.to_string())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(with_protocols(Arc::new(config))))
}

/// Offers HTTP/2 and HTTP/1.1, unless the configuration says what to offer.
fn with_protocols(mut config: Arc<ClientConfig>) -> Arc<ClientConfig> {
    if config.alpn_protocols.is_empty() {
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    config
}
