//! One connection: made when it is needed, thrown away when it is in doubt.

use crate::error::{self, Meaning};
use crate::place::RedisPlace;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, Value as Answer,
};
use weir_connector::{ErrorClass, Secret, SinkError};

pub(crate) struct Link {
    pub place: RedisPlace,
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Link {
    pub fn new(place: RedisPlace, password: &Secret) -> Result<Link, SinkError> {
        let mut account = RedisConnectionInfo::default().set_skip_set_lib_name();
        if !place.user.is_empty() {
            account = account.set_username(&place.user);
        }
        if !password.0.is_empty() {
            account = account.set_password(&password.0);
        }
        let made = client(&place, account);
        let client = made.map_err(|why| {
            SinkError::new(
                ErrorClass::Configuration,
                format!("cannot connect: {why}"),
                place.shown.clone(),
                "a server's address and, with TLS, a readable file of roots",
                "Correct the URL or tls_ca=",
            )
        })?;
        Ok(Link { place, client, connection: None })
    }

    /// Runs a pipeline and gives an answer a command, the server's errors among them; the connection is thrown away when it failed as
    /// such. One that was idle and turns out to be dead is replaced once: every request of ours may be repeated.
    pub async fn run(&mut self, action: &str, pipe: &mut Pipeline) -> Result<Vec<Answer>, SinkError> {
        pipe.ignore_errors();
        let was_idle = self.connection.is_some();
        let mut result = self.once(action, pipe).await?;
        if was_idle && result.as_ref().is_err_and(|error| error::meaning(error) == Meaning::Lost && !error.is_timeout())
        {
            result = self.once(action, pipe).await?;
        }
        result.map_err(|error| error::sink_error(action, &self.place.shown, &error))
    }

    /// Runs a pipeline none of whose commands may fail.
    pub async fn all<T: FromRedisValue>(&mut self, action: &str, mut pipe: Pipeline) -> Result<Vec<T>, SinkError> {
        let answers = self.run(action, &mut pipe).await?;
        let read = |answer: Answer| answer.extract_error().and_then(|answer| Ok(redis::from_redis_value(answer)?));
        let read: RedisResult<Vec<T>> = answers.into_iter().map(read).collect();
        read.map_err(|error| error::sink_error(action, &self.place.shown, &error))
    }

    /// Runs a single command.
    pub async fn ask<T: FromRedisValue>(&mut self, action: &str, command: Cmd) -> Result<T, SinkError> {
        let mut pipe = redis::pipe();
        pipe.add_command(command);
        let answer = self.all(action, pipe).await?.pop();
        let broken = || error::by_meaning(action, &self.place.shown, Meaning::Broken, "", "no answer to a command");
        answer.ok_or_else(broken)
    }

    /// The outer error is of the connection's making.
    async fn once(&mut self, action: &str, pipe: &Pipeline) -> Result<RedisResult<Vec<Answer>>, SinkError> {
        if self.connection.is_none() {
            self.connection = Some(self.connect(action).await?);
        }
        let connection = self.connection.as_mut().expect("made above");
        let result = pipe.query_async(connection).await;
        if result.as_ref().is_err_and(|error| error::meaning(error) == Meaning::Lost) {
            self.connection = None;
        }
        Ok(result)
    }

    async fn connect(&self, action: &str) -> Result<MultiplexedConnection, SinkError> {
        let shown = &self.place.shown;
        let told = |error: RedisError| error::sink_error(action, shown, &error);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.place.connect_timeout))
            .set_response_timeout(Some(self.place.timeout));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(told)?;
        let database = self.place.database;
        // Not by the client, which loses the server's code.
        if database != 0 {
            let selected: RedisResult<()> = redis::cmd("SELECT").arg(database).query_async(&mut connection).await;
            selected.map_err(|error| match error.code() {
                Some("ERR") => error::no_database(database, shown, &error),
                _ => told(error),
            })?;
        }
        Ok(connection)
    }
}

fn client(place: &RedisPlace, account: RedisConnectionInfo) -> Result<Client, String> {
    let (host, port) = (place.host.clone(), place.port);
    let address = if place.tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let info = address.into_connection_info().map_err(|error| error.to_string())?.set_redis_settings(account);
    let made = match &place.tls_ca {
        None => Client::open(info),
        Some(path) => {
            let roots = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(roots) })
        }
    };
    made.map_err(|error| error.to_string())
}
