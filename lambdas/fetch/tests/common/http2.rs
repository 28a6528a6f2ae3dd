//! A server that speaks HTTP/2 over TLS and does with each request as a test says.

#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Request, Response};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use weir_fetch::{ByteBudget, FetchSettings, Fetcher, Guard};
use weir_model::Clock;

/// A certificate for a name, signed by itself, with the client's and the server's side of it.
pub fn pair(name: &str, protocols: &[&[u8]]) -> (Arc<rustls::ClientConfig>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let (certificate, key) =
        (CertificateDer::from(made.cert), PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()));
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a key");
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (Arc::new(client), TlsAcceptor::from(Arc::new(server)))
}

pub type Answering = SendResponse<Bytes>;

/// What an HTTP/2 server of these tests counts.
#[derive(Default)]
pub struct Counts {
    pub connections: Cell<usize>,
    pub open: Cell<usize>,
    pub open_max: Cell<usize>,
    pub seen: RefCell<Vec<String>>,
}

/// What becomes of a connection after a request.
pub enum Then {
    GoOn,
    GoAway,
    Break,
    /// Nothing is read or written until this is notified.
    Deaf(Rc<Notify>),
}

pub struct Http2Server {
    pub port: u16,
    pub counts: Rc<Counts>,
    pub client: Arc<rustls::ClientConfig>,
}

impl Http2Server {
    /// `each` gets every request in order, and says how the connection goes on.
    pub async fn start<F: Future<Output = ()> + 'static>(
        streams: u32,
        each: impl Fn(Request<h2::RecvStream>, Answering) -> (Then, F) + 'static,
    ) -> Http2Server {
        let (client, acceptor) = pair("localhost", &[b"h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (counts, each) = (Rc::new(Counts::default()), Rc::new(each));
        let told = Rc::clone(&counts);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Waiting for an acknowledgement is wall-clock time, in which the tests' own time would run away.
                stream.set_nodelay(true).expect("a socket option");
                told.connections.set(told.connections.get() + 1);
                let (acceptor, counts, each) = (acceptor.clone(), Rc::clone(&told), Rc::clone(&each));
                tokio::task::spawn_local(async move {
                    let stream = acceptor.accept(stream).await.expect("a handshake");
                    let mut connection = h2::server::Builder::new()
                        .max_concurrent_streams(streams)
                        // More than the kernel holds: who does not read, fills the connection.
                        .initial_window_size(64 << 20)
                        .initial_connection_window_size(64 << 20)
                        .handshake::<_, Bytes>(stream)
                        .await
                        .expect("a preface");
                    while let Some(Ok((request, answer))) = connection.accept().await {
                        counts.seen.borrow_mut().push(request.uri().to_string());
                        let (then, done) = each(request, answer);
                        let counts = Rc::clone(&counts);
                        counts.open.set(counts.open.get() + 1);
                        counts.open_max.set(counts.open_max.get().max(counts.open.get()));
                        tokio::task::spawn_local(async move {
                            done.await;
                            counts.open.set(counts.open.get() - 1);
                        });
                        match then {
                            Then::GoOn => {}
                            Then::GoAway => connection.graceful_shutdown(),
                            Then::Break => return,
                            Then::Deaf(until) => until.notified().await,
                        }
                    }
                });
            }
        });
        Http2Server { port, counts, client }
    }

    pub fn fetcher(&self, settings: FetchSettings, clock: Arc<dyn Clock>) -> Fetcher {
        let mut guard = Guard::new();
        guard.allow_host("localhost");
        Fetcher::with_tls(
            Arc::new(settings),
            Arc::new(guard),
            Arc::new(ByteBudget::new(64 << 20)),
            clock,
            Some(Arc::clone(&self.client)),
        )
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    pub fn seen(&self) -> usize {
        self.counts.seen.borrow().len()
    }
}

pub async fn answer(mut to: Answering, body: impl Into<Bytes>) {
    let mut stream = to.send_response(Response::new(()), false).expect("an open stream");
    let _ = stream.send_data(body.into(), true);
}
