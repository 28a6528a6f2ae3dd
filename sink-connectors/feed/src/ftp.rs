//! Feeds on an FTP server: uploaded as `NAME.part`, measured, then renamed, so that nobody ever reads half a file.
//!
//! A connection a call: servers close idle ones, and parts are minutes apart. The protocol knows no TLS here: name and password, and what
//! is in the feed, can be read on the way. The password comes from the environment or a file and is in no message.

use crate::remote::Remote;
use std::fs::File;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
use suppaftp::types::{FileType, Response};
use suppaftp::{FtpError, FtpStream, Mode};
use url::Url;
use weir_connector::{ErrorClass, SinkError, redact};

/// The variable of the password when the URL names none.
const PASSWORD_ENV: &str = "WEIR_FTP_PASSWORD";
const OPTIONS: &str = "password_env=NAME, password_file=PATH, timeout=60s";
const SHAPE: &str = "ftp://USER@HOST:PORT/PATH?password_env=NAME";

/// Where a server is and who asks.
#[derive(Clone, Debug)]
pub struct FtpServer {
    host: String,
    port: u16,
    user: String,
    password: Password,
    timeout: Duration,
    shown: String,
}

#[derive(Clone)]
enum Password {
    Given(String),
    Env(String),
    File(PathBuf),
    Usual,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Password::Given(_) => "Given(***)",
            Password::Env(name) => name,
            Password::File(_) => "File",
            Password::Usual => PASSWORD_ENV,
        })
    }
}

impl FtpServer {
    /// Reads `ftp://USER@HOST:PORT?OPTIONS`; without a user it is `anonymous`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<FtpServer, SinkError> {
        let wrong = |what: String, todo: &str| {
            SinkError::new(ErrorClass::Configuration, what, format!("-o {}", redact(text)), SHAPE, todo)
        };
        let url = Url::parse(text).map_err(|error| wrong(format!("not a URL ({error})"), "Correct the URL"))?;
        let decoded = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("no server named".to_owned(), "Name one"))?.to_owned();
        let port = url.port().unwrap_or(21);
        let user = if url.username().is_empty() { "anonymous".to_owned() } else { decoded(url.username()) };
        let mut server = FtpServer {
            shown: format!("ftp://{host}:{port}"),
            host,
            port,
            user,
            password: url.password().map_or(Password::Usual, |password| Password::Given(decoded(password))),
            timeout: Duration::from_secs(60),
        };
        for (name, value) in url.query_pairs() {
            match &*name {
                "password_env" => server.password = Password::Env(value.into_owned()),
                "password_file" => server.password = Password::File((&*value).into()),
                "timeout" => {
                    let seconds = value.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok());
                    server.timeout = seconds
                        .filter(|seconds| (1..=3600).contains(seconds))
                        .map(Duration::from_secs)
                        .ok_or_else(|| wrong(format!("timeout={value} is no time"), "Write for example timeout=60s"))?;
                }
                _ => return Err(wrong(format!("unknown option {name:?}"), &format!("Use one of {OPTIONS}"))),
            }
        }
        Ok(server)
    }

    /// The server as a place for feeds; `env` gives the environment's variables.
    ///
    /// # Errors
    /// A password that is named and not there.
    pub fn remote(self, env: impl Fn(&str) -> Option<String>) -> Result<FtpRemote, SinkError> {
        let missing = |what: String, todo: String| {
            SinkError::new(ErrorClass::Configuration, what, self.shown.clone(), "a password", todo)
        };
        let password = match &self.password {
            Password::Given(password) => password.clone(),
            Password::Usual => env(PASSWORD_ENV).unwrap_or_default(),
            Password::Env(name) => env(name).ok_or_else(|| {
                missing(format!("the variable {name} is not set"), format!("Set {name}, or correct password_env="))
            })?,
            Password::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| {
                    missing(
                        format!("cannot read the password from {} ({error})", path.display()),
                        "Correct password_file=, or the file's owner and mode".to_owned(),
                    )
                })?,
        };
        Ok(FtpRemote { server: self, password })
    }
}

/// Files on an FTP server.
pub struct FtpRemote {
    server: FtpServer,
    password: String,
}

impl FtpRemote {
    fn connect(&self) -> Result<FtpStream, SinkError> {
        let unreachable = |error: std::io::Error| {
            SinkError::new(
                ErrorClass::Transient,
                format!("the server cannot be reached ({error})"),
                self.server.shown.clone(),
                "an FTP server that answers",
                "Is it up, and are host and port right? It is tried again",
            )
        };
        let host = self.server.host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = (host, self.server.port).to_socket_addrs().map_err(unreachable)?.collect();
        let mut last = std::io::Error::other("no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.server.timeout) {
                Ok(stream) => return self.greet(stream, address),
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    fn greet(&self, stream: TcpStream, address: SocketAddr) -> Result<FtpStream, SinkError> {
        let timeout = self.server.timeout;
        let limit = move |stream: &TcpStream| {
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))
        };
        limit(&stream).map_err(|error| self.judge("set limits", "", &FtpError::ConnectionError(error)))?;
        let greeted = FtpStream::connect_with_stream(stream).map_err(|error| self.judge("greet", "", &error))?;
        let mut stream = greeted.passive_stream_builder(move |address| {
            let connected = TcpStream::connect_timeout(&address, timeout);
            connected.and_then(|stream| limit(&stream).map(|()| stream)).map_err(FtpError::ConnectionError)
        });
        if address.is_ipv6() {
            stream.set_mode(Mode::ExtendedPassive);
        }
        // An address inside a private network that the server names for the data is of no use outside.
        stream.set_passive_nat_workaround(true);
        stream.login(&self.server.user, &self.password).map_err(|error| self.judge("log in", "", &error))?;
        stream.transfer_type(FileType::Binary).map_err(|error| self.judge("set the type", "", &error))?;
        Ok(stream)
    }

    fn judge(&self, action: &str, name: &str, error: &FtpError) -> SinkError {
        let place = if name.is_empty() { self.server.shown.clone() } else { format!("{}/{name}", self.server.shown) };
        let (class, expected, todo) = match error {
            FtpError::ConnectionError(_) | FtpError::BadResponse => (
                ErrorClass::Transient,
                "a connection that lasts",
                "It is tried again; if it goes on, look at the server and the network",
            ),
            FtpError::UnexpectedResponse(Response { status, .. }) => match status.code() {
                430 | 530 | 332 | 532 => (
                    ErrorClass::Configuration,
                    "a user and password that the server takes",
                    "Correct the user in the URL, and WEIR_FTP_PASSWORD, password_env= or password_file=",
                ),
                550 | 553 => (
                    ErrorClass::Configuration,
                    "a folder that this user may write to",
                    "Correct the path, or the user's rights on the server",
                ),
                552 | 400..=499 => {
                    (ErrorClass::Transient, "a server with room and time", "It is tried again; make room there")
                }
                _ => (ErrorClass::Permanent, "an FTP server", "Is this the right server and port?"),
            },
            _ => (ErrorClass::Permanent, "an FTP server", "Is this the right server and port?"),
        };
        SinkError::new(class, format!("cannot {action}: {error}"), place, expected, todo)
    }

    fn upload(&self, stream: &mut FtpStream, part: &str, file: &Path) -> Result<u64, SinkError> {
        let mut source = File::open(file).map_err(|error| SinkError::io("open", file, &error))?;
        stream.put_file(part, &mut source).map_err(|error| self.judge("upload", part, &error))
    }
}

/// The server says that there is no such file, or that it may not be named so.
fn refused(error: &FtpError) -> bool {
    matches!(error, FtpError::UnexpectedResponse(response) if matches!(response.status.code(), 550 | 553 | 521))
}

impl Remote for FtpRemote {
    fn place(&self) -> String {
        self.server.shown.clone()
    }

    fn exists(&mut self, name: &str) -> Result<bool, SinkError> {
        let mut stream = self.connect()?;
        let found = match stream.size(name) {
            Ok(_) => Ok(true),
            Err(error) if refused(&error) => Ok(false),
            Err(error) => Err(self.judge("look at", name, &error)),
        };
        // The answer is there; a farewell that fails changes nothing.
        let _ = stream.quit();
        found
    }

    fn put(&mut self, name: &str, file: &Path) -> Result<(), SinkError> {
        let mut stream = self.connect()?;
        for (at, _) in name.match_indices('/').filter(|(at, _)| *at > 0) {
            // A folder that exists is refused like one that may not be made: the upload tells them apart.
            match stream.mkdir(&name[..at]) {
                Err(error) if !refused(&error) => return Err(self.judge("make the folder", &name[..at], &error)),
                _ => {}
            }
        }
        let part = format!("{name}.part");
        let sent = self.upload(&mut stream, &part, file)?;
        match stream.size(&part) {
            Ok(there) if there as u64 != sent => {
                return Err(SinkError::new(
                    ErrorClass::Transient,
                    format!("the server holds {there} of {sent} bytes"),
                    format!("{}/{part}", self.server.shown),
                    "the whole file",
                    "It is uploaded again",
                ));
            }
            Ok(_) => {}
            // A server need not be able to tell.
            Err(FtpError::UnexpectedResponse(response)) if matches!(response.status.code(), 500 | 502) => {}
            Err(error) => return Err(self.judge("measure", &part, &error)),
        }
        if let Err(error) = stream.rename(part.as_str(), name) {
            if !refused(&error) {
                return Err(self.judge("rename", &part, &error));
            }
            // Some servers do not replace a file by renaming.
            stream.rm(name).map_err(|error| self.judge("replace", name, &error))?;
            stream.rename(part.as_str(), name).map_err(|error| self.judge("rename", &part, &error))?;
        }
        let _ = stream.quit(); // as above
        Ok(())
    }

    fn get(&mut self, name: &str, to: &mut File) -> Result<(), SinkError> {
        let mut stream = self.connect()?;
        let copied = stream.retr(name, |source| std::io::copy(source, to).map_err(FtpError::ConnectionError));
        copied.map_err(|error| self.judge("read", name, &error))?;
        let _ = stream.quit(); // as above
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), SinkError> {
        let mut stream = self.connect()?;
        match stream.rm(name) {
            Err(error) if !refused(&error) => return Err(self.judge("remove", name, &error)),
            _ => {}
        }
        let _ = stream.quit(); // as above
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_server_and_a_password_never_shows() {
        let server = FtpServer::parse("ftp://me:hunter2@files.example:2121?timeout=5s").expect("a server");
        assert_eq!((&*server.host, server.port, &*server.user), ("files.example", 2121, "me"));
        assert!(!format!("{server:?}").contains("hunter2"), "{server:?}");
        let remote = server.remote(|_| None).map_err(|error| error.to_string()).expect("a remote");
        assert_eq!((&*remote.password, &*remote.place()), ("hunter2", "ftp://files.example:2121"));
        let by = |query: &str| {
            let server = FtpServer::parse(&format!("ftp://h{query}"))?;
            let env = |name: &str| matches!(name, "MINE" | "WEIR_FTP_PASSWORD").then(|| name.to_lowercase());
            server.remote(env).map(|remote| (remote.server.user, remote.password))
        };
        assert_eq!(by(""), Ok(("anonymous".into(), "weir_ftp_password".into())));
        assert_eq!(by("?password_env=MINE"), Ok(("anonymous".into(), "mine".into())));
        assert!(by("?password_env=OTHER").unwrap_err().to_string().contains("OTHER"));
        assert!(by("?password_file=/nowhere").unwrap_err().to_string().contains("/nowhere"));
        assert!(by("?passive=no").unwrap_err().to_string().contains("passive"));
        assert!(by("?timeout=5").unwrap_err().to_string().contains("60s"));
    }
}
