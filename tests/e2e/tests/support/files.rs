//! A folder as a web site on a free port, by the rules of `answer` in `data/linkextractor.py`.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The files.
#[derive(Clone)]
pub struct Files {
    /// The folder.
    pub root: PathBuf,
    /// Whether there is a `/big.html` of several MB, made while it is asked for.
    pub big: bool,
}

impl Files {
    /// Content type and body for path and query of a request, if there is such a file.
    pub fn answer(&self, target: &str, port: u16) -> Option<(String, Vec<u8>)> {
        let path = unescape(target.split('?').next().unwrap_or_default());
        if self.big && path == b"/big.html" {
            return Some(("text/html".to_owned(), big()));
        }
        if path.contains(&0) || path.split(|byte| *byte == b'/').any(|part| part == b"..") {
            return None;
        }
        let name: &[u8] = &path[path.iter().take_while(|byte| **byte == b'/').count()..];
        let mut file = self.root.join(std::ffi::OsStr::from_bytes(name));
        if name.is_empty() || name.ends_with(b"/") {
            file.push("index.html");
        }
        let body = std::fs::read(&file).ok()?;
        let name = file.file_name()?.to_string_lossy().into_owned();
        let charset = name.split('.').find_map(|part| part.strip_prefix("charset-"));
        let kind = match (name.rsplit('.').next(), charset) {
            (_, Some(charset)) => format!("text/html; charset={charset}"),
            (Some("js"), None) => "text/javascript".to_owned(),
            (Some("css"), None) => "text/css".to_owned(),
            _ => "text/html".to_owned(),
        };
        Some((kind, if self.big { replace(&body, b"{PORT}", port.to_string().as_bytes()) } else { body }))
    }
}

/// 40,000 links to fifty pages, and one to a page that only the end of this one knows.
fn big() -> Vec<u8> {
    let mut page = String::from("<title>Big</title>");
    for row in 0..40_000 {
        page.push_str(&format!("<p><a href=\"/folder/in.html?n={}\">{}</a></p>\n", row % 50, "filler ".repeat(12)));
    }
    page.push_str("<a href=\"/end-of-big.html\">end</a>");
    page.into_bytes()
}

fn replace(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Percent-escapes resolved.
pub fn unescape(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        let hex = behind.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

/// A served folder; it stops when it is dropped.
pub struct FileSite {
    port: u16,
    ends: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    missing: Arc<Mutex<Vec<String>>>,
    listening: Option<JoinHandle<()>>,
}

impl FileSite {
    /// Serves on a free port.
    pub fn serve(files: Files) -> std::io::Result<FileSite> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (ends, open, missing) = (Arc::default(), Arc::default(), Arc::default());
        let mut site = FileSite { port, ends, open, missing, listening: None };
        let (ends, open, missing) = (Arc::clone(&site.ends), Arc::clone(&site.open), Arc::clone(&site.missing));
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (files, missing) = (files.clone(), Arc::clone(&missing));
                open.lock().expect("no panic under the lock").extend(stream.try_clone().ok());
                // Ends with the connection, which ends with the crawl or with the site.
                std::thread::spawn(move || talk(&stream, &files, port, &missing));
            }
        });
        site.listening = Some(listening);
        Ok(site)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was asked for and is not there.
    pub fn missing(&self) -> Vec<String> {
        self.missing.lock().expect("no panic under the lock").clone()
    }
}

impl Drop for FileSite {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for stream in self.open.lock().expect("no panic under the lock").drain(..) {
            // Closed already is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// Answers the requests of one connection until it closes.
fn talk(stream: &TcpStream, files: &Files, port: u16, missing: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if lines.read_line(&mut request).ok()? == 0 {
            return None;
        }
        let mut header = String::new();
        while lines.read_line(&mut header).ok()? > 2 {
            header.clear();
        }
        let target = request.split(' ').nth(1)?;
        let (status, (kind, body)) = match files.answer(target, port) {
            Some(answer) => ("200 OK", answer),
            None => {
                missing.lock().expect("no panic under the lock").push(target.to_owned());
                ("404 Not Found", ("text/html".to_owned(), b"<a href=\"/never.html\">not here</a>".to_vec()))
            }
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        (&*stream).write_all(&[head.as_bytes(), &body].concat()).ok()?;
    }
}
