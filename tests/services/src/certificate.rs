//! A certificate for a server of a test: for `localhost` and 127.0.0.1, vouched for by itself alone.

use anyhow::{Context, Result};
use base64::Engine;
use std::path::{Path, PathBuf};

/// Two PEM files, removed with their value.
#[derive(Debug)]
pub struct Certificate {
    folder: tempfile::TempDir,
}

impl Certificate {
    /// Makes one.
    ///
    /// # Errors
    /// When no folder can be made or written.
    pub fn new() -> Result<Certificate> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let made = made.context("a certificate")?;
        let certificate = Certificate { folder: tempfile::tempdir()? };
        write(&certificate.file(), "CERTIFICATE", made.cert.der())?;
        write(&certificate.key(), "PRIVATE KEY", &made.signing_key.serialize_der())?;
        Ok(certificate)
    }

    /// The certificate, also as the authority that vouches for it.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}

fn write(path: &Path, label: &str, der: &[u8]) -> Result<()> {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"));
    std::fs::write(path, pem).with_context(|| path.display().to_string())
}
