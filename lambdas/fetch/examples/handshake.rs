//! What a TLS handshake costs the client: `cargo run --release --example handshake -p weir-fetch`. TLS 1.3, a chain of leaf, intermediate and
//! root, all keys on P-256, verified by WebPKI, in memory. Prints microseconds of the client's side alone, of first connections and resumed ones.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 2_000;

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params, KeyPair::generate().expect("a key"))
}

fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let (params, key) = authority("root.example");
    let root = CertifiedIssuer::self_signed(params, key).expect("a root");
    let (params, key) = authority("intermediate.example");
    let between = CertifiedIssuer::signed_by(params, key, &root).expect("an intermediate");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["site.example".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &between).expect("a leaf");
    let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone(), between.der().clone()];
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = "ring has them";
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let client = client.with_safe_default_protocol_versions().expect(versions).with_root_certificates(roots);
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect(versions);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let server = server.with_no_client_auth().with_single_cert(chain, key).expect("a chain");
    (Arc::new(client.with_no_client_auth()), Arc::new(server))
}

/// One handshake, and the ticket that the server sends behind it: gives the client's time.
fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Duration {
    let mut spent = Duration::ZERO;
    let begun = Instant::now();
    let name = ServerName::try_from("site.example").expect("a name");
    let mut client = ClientConnection::new(Arc::clone(client), name).expect("a client");
    spent += begun.elapsed();
    let mut server = ServerConnection::new(Arc::clone(server)).expect("a server");
    let (mut there, mut back) = (Vec::new(), Vec::new());
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        there.clear();
        let begun = Instant::now();
        while client.wants_write() {
            client.write_tls(&mut there).expect("in memory");
        }
        spent += begun.elapsed();
        let mut bytes = there.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).expect("in memory");
        }
        server.process_new_packets().expect("a client of ours");
        back.clear();
        while server.wants_write() {
            server.write_tls(&mut back).expect("in memory");
        }
        let begun = Instant::now();
        let mut bytes = back.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).expect("in memory");
        }
        client.process_new_packets().expect("a server of ours");
        spent += begun.elapsed();
    }
    spent
}

fn main() {
    let (client, server) = configs();
    let fresh = |client: &ClientConfig| {
        let mut client = client.clone();
        client.resumption = rustls::client::Resumption::disabled();
        Arc::new(client)
    };
    for (what, client) in [("first", fresh(&client)), ("resumed", client)] {
        let mut all: Vec<Duration> = (0..ROUNDS).map(|_| shake(&client, &server)).collect();
        all.sort_unstable();
        println!("{what}: median {} us", all[all.len() / 2].as_micros());
    }
}
