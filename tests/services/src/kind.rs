//! The servers there are: what each is called, where its script is, which variable names a given one.

use std::path::{Path, PathBuf};

/// A server that tests can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Redis, on an append-only file: what it acknowledged survives a kill.
    Redis,
    /// MariaDB, which stands in for MySQL.
    MariaDb,
    /// One Elasticsearch node.
    Elasticsearch,
    /// An FTP server.
    Ftp,
    /// SQS, S3, DynamoDB, Lambda and CloudFormation. Its state survives [`crate::Service::stop`], not a kill.
    Aws,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Redis, Self::MariaDb, Self::Elasticsearch, Self::Ftp, Self::Aws];

    /// The name of its script in `infra/services`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::MariaDb => "mariadb",
            Self::Elasticsearch => "elasticsearch",
            Self::Ftp => "ftp",
            Self::Aws => "aws-local",
        }
    }

    /// The environment variable that names a server to use instead of starting one.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Redis => "WEIR_TEST_REDIS",
            Self::MariaDb => "WEIR_TEST_MYSQL",
            Self::Elasticsearch => "WEIR_TEST_ELASTICSEARCH",
            Self::Ftp => "WEIR_TEST_FTP",
            Self::Aws => "WEIR_TEST_AWS",
        }
    }

    /// The port of a given server's URL that names none.
    pub(crate) fn usual_port(self) -> u16 {
        match self {
            Self::Redis => 6379,
            Self::MariaDb => 3306,
            Self::Elasticsearch => 9200,
            Self::Ftp => 21,
            Self::Aws => 4566,
        }
    }

    pub(crate) fn script(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/services").join(self.name())
    }

    /// Options that every test wants.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &["--appendonly", "yes", "--appendfsync", "always"],
            _ => &[],
        }
    }
}
