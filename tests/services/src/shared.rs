//! One server of a kind for all tests of a process, where starting it costs more than sharing it.
//!
//! Statics are never dropped: the guard of [`Service`] ends the server when the process ends. Whoever shares a server
//! shares its data: tests name their own index, table, prefix or queue, and do not kill it.

use crate::{Kind, Service};
use anyhow::Result;
use std::sync::OnceLock;

impl Service {
    /// The Redis of this process.
    ///
    /// # Errors
    /// As [`Service::redis`], for every caller the same. So for all shared kinds.
    pub fn shared_redis() -> Result<&'static Self> {
        static SERVICE: OnceLock<Result<Service, String>> = OnceLock::new();
        shared(&SERVICE, Kind::Redis)
    }

    /// The MariaDB of this process.
    ///
    /// # Errors
    /// As [`Service::shared_redis`].
    pub fn shared_mariadb() -> Result<&'static Self> {
        static SERVICE: OnceLock<Result<Service, String>> = OnceLock::new();
        shared(&SERVICE, Kind::MariaDb)
    }

    /// The Elasticsearch node of this process: it takes 5 to 20 s to start.
    ///
    /// # Errors
    /// As [`Service::shared_redis`].
    pub fn shared_elasticsearch() -> Result<&'static Self> {
        static SERVICE: OnceLock<Result<Service, String>> = OnceLock::new();
        shared(&SERVICE, Kind::Elasticsearch)
    }

    /// The FTP server of this process.
    ///
    /// # Errors
    /// As [`Service::shared_redis`].
    pub fn shared_ftp() -> Result<&'static Self> {
        static SERVICE: OnceLock<Result<Service, String>> = OnceLock::new();
        shared(&SERVICE, Kind::Ftp)
    }

    /// The AWS emulator of this process.
    ///
    /// # Errors
    /// As [`Service::shared_redis`].
    pub fn shared_aws() -> Result<&'static Self> {
        static SERVICE: OnceLock<Result<Service, String>> = OnceLock::new();
        shared(&SERVICE, Kind::Aws)
    }
}

fn shared(cell: &'static OnceLock<Result<Service, String>>, kind: Kind) -> Result<&'static Service> {
    cell.get_or_init(|| Service::start(kind).map_err(|problem| format!("{problem:#}")))
        .as_ref()
        .map_err(|problem| anyhow::anyhow!("{problem}"))
}
