//! TLS by rustls and ring, certificates verified by the platform's roots. Built when the first https URL comes.

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt;
use std::cell::OnceCell;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One thread's TLS.
pub(crate) struct Tls {
    given: Option<Arc<ClientConfig>>,
    connector: OnceCell<Result<TlsConnector, String>>,
}

impl Tls {
    /// The platform's roots, or a configuration with other roots (tests).
    pub fn new(given: Option<Arc<ClientConfig>>) -> Tls {
        Tls { given, connector: OnceCell::new() }
    }

    fn connector(&self) -> Result<&TlsConnector, String> {
        let made = self.connector.get_or_init(|| {
            if let Some(config) = &self.given {
                return Ok(TlsConnector::from(Arc::clone(config)));
            }
            // Fails only when a provider is installed already, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut config = ClientConfig::with_platform_verifier().map_err(|error| error.to_string())?;
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(TlsConnector::from(Arc::new(config)))
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// Shakes hands; the flag says that HTTP/2 was agreed on.
    pub async fn wrap(&self, host: &str, stream: TcpStream) -> Result<(TlsStream<TcpStream>, bool), String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|_| format!("{host} is no name for TLS"))?;
        let stream = self.connector()?.connect(name, stream).await.map_err(|error| error.to_string())?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, h2))
    }
}
