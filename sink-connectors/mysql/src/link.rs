//! One connection: made when it is needed, set up the same way each time, thrown away when it is in doubt.
//!
//! Invariants: utf8mb4 on the connection, strict mode, UTC; a wait for a lock ends before the batch's own time; what a lost
//! connection left running on the server is killed before the next one writes.

use crate::error;
use crate::place::{MysqlPlace, Tls};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, SslOpts};
use weir_connector::{ErrorClass, Secret, SinkError};

#[derive(Debug)]
pub(crate) struct Link {
    pub place: MysqlPlace,
    opts: Opts,
    conn: Option<Conn>,
    /// The server's number of a connection that was given up in mid-statement.
    stray: Option<u32>,
}

impl Link {
    pub fn new(place: MysqlPlace, password: &Secret) -> Link {
        let lock_wait_s = (place.timeout.as_secs() / 2).clamp(1, 10);
        let ssl = match &place.tls {
            Tls::Off => None,
            Tls::On { roots } => {
                let roots = roots.iter().map(|path| path.clone().into()).collect();
                Some(SslOpts::default().with_root_certs(roots))
            }
        };
        let opts = OptsBuilder::default()
            .ip_or_hostname(place.host.clone())
            .tcp_port(place.port)
            .user(Some(place.user.clone()))
            .pass(Some(password.0.clone()))
            .db_name(Some(place.database.clone()))
            .prefer_socket(false)
            .tcp_nodelay(true)
            .stmt_cache_size(64)
            .ssl_opts(ssl)
            .setup(vec![
                "SET NAMES utf8mb4".to_owned(),
                "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00', autocommit=1"
                    .to_owned(),
                format!("SET SESSION innodb_lock_wait_timeout={lock_wait_s}"),
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ".to_owned(),
            ]);
        Link { place, opts: opts.into(), conn: None, stray: None }
    }

    /// The connection; made when there is none.
    pub async fn conn(&mut self) -> Result<&mut Conn, SinkError> {
        if self.conn.is_none() {
            let shown = &self.place.shown;
            if let Tls::On { roots: Some(path) } = &self.place.tls
                && let Err(error) = std::fs::File::open(path)
            {
                // The client would say it as if the network had failed.
                return Err(SinkError::new(
                    ErrorClass::Configuration,
                    format!("cannot connect: {}: {error}", path.display()),
                    shown.clone(),
                    "a readable PEM file of roots",
                    "Correct tls_ca= in -o mysql://...",
                ));
            }
            let made = tokio::time::timeout(self.place.connect_timeout, Conn::new(self.opts.clone())).await;
            let mut conn = made
                .map_err(|_| error::timed_out("connect", shown, "connect_timeout"))?
                .map_err(|error| error::sink_error("connect", shown, &error))?;
            if let Some(stray) = self.stray.take() {
                // It may have ended by itself, or the account may not: then its locks go when the server notices.
                let kill = conn.query_drop(format!("KILL CONNECTION {stray}"));
                let _ = tokio::time::timeout(self.place.connect_timeout, kill).await;
            }
            self.conn = Some(conn);
        }
        Ok(self.conn.as_mut().expect("made above"))
    }

    /// Throws the connection away without waiting for the server: its transaction is rolled back.
    pub fn abandon(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.stray = Some(conn.id());
            // Within a runtime the client would say good-bye first, over a connection that may be stuck. Outside it closes the socket.
            let _ = std::thread::spawn(move || drop(conn)).join();
        }
    }

    /// Ends the connection in peace.
    pub async fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            // Everything is committed; a server that is gone needs no good-bye.
            let _ = tokio::time::timeout(self.place.connect_timeout, conn.disconnect()).await;
        }
    }
}
