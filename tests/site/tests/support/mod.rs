//! A small HTTP client for the tests: it shows bytes as they came, which no library would.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and fails where it stands")]

use std::io::{Read, Write};
use std::net::TcpStream;
use weir_site::{Site, SiteHandle, SiteOptions};

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub fn site(listings: usize) -> SiteHandle {
    Site::spawn(SiteOptions::with_listings(listings)).unwrap()
}

/// A connection that stays open between requests.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn to(site: &SiteHandle) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", site.port())).unwrap();
        // A test that waits for what never comes fails instead of hanging.
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.get_with(path, "Host: localhost\r\n")
    }

    pub fn get_with(&mut self, path: &str, headers: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\n{headers}\r\n"));
        self.answer()
    }

    pub fn post(&mut self, path: &str, form: &str) -> Answer {
        let length = form.len();
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{form}"));
        self.answer()
    }

    /// The next answer, as its `content-length` says.
    pub fn answer(&mut self) -> Answer {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(self.buffer[..at].to_vec()).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let mut answer = Answer { status, head, body: Vec::new() };
                let length: usize = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
                while self.buffer.len() < at + 4 + length {
                    assert!(self.fill() > 0, "closed in the middle of {}", answer.head);
                }
                answer.body = self.buffer[at + 4..at + 4 + length].to_vec();
                self.buffer.drain(..at + 4 + length);
                return answer;
            }
            assert!(self.fill() > 0, "closed without an answer");
        }
    }

    /// All bytes until the connection ends; `None` when it was reset.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        let read = self.stream.read_to_end(&mut self.buffer);
        read.ok().map(|_| std::mem::take(&mut self.buffer))
    }

    /// Reads some bytes; returns how many are there now.
    pub fn take(&mut self, at_least: usize) -> Vec<u8> {
        while self.buffer.len() < at_least {
            assert!(self.fill() > 0, "closed");
        }
        std::mem::take(&mut self.buffer)
    }

    fn fill(&mut self) -> usize {
        let mut block = [0; 64 << 10];
        let read = self.stream.read(&mut block).unwrap();
        self.buffer.extend_from_slice(&block[..read]);
        read
    }
}
