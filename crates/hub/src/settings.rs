//! How to reach a Hub, decided by the caller once.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Patience;
use crate::disk::{Disk, System};
use crate::env::{Env, Token};
use crate::error::Result;

/// Where models come from and how hard to try.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Hub's address. Plain `http` only if it says so itself.
    pub endpoint: String,
    /// Shown to the endpoint and nobody else.
    pub token: Option<Token>,
    /// No network at all.
    pub offline: bool,
    /// Whether `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` and their like count.
    pub proxies: bool,
    /// Timeouts and repetitions.
    pub patience: Patience,
    /// Connections and memory.
    pub flow: Flow,
    pub(crate) disk: Arc<dyn Disk>,
}

/// How many connections, and how much memory they may fill.
///
/// At most `files` times `window`, and once `wide_window`, is held: 16 + 32 MiB as set.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Files fetched at the same time.
    pub files: usize,
    /// Connections for one large file, where one is slow and the server can send ranges.
    pub connections: usize,
    /// A single connection this fast, in bytes a second, is left alone.
    pub fast_enough: u64,
    /// How long one connection is watched before others join it.
    pub observe: Duration,
    /// Bytes of a request when several connections share a file, and the least that makes it worth while is four of them.
    pub chunk: u64,
    /// Bytes in memory ahead of the disk, for a file with one connection.
    pub window: u64,
    /// The same with several connections; one file at a time.
    pub wide_window: u64,
}

impl Default for Flow {
    fn default() -> Flow {
        Flow {
            files: 4,
            connections: 4,
            fast_enough: 100 << 20,
            observe: Duration::from_millis(1500),
            chunk: 8 << 20,
            window: 4 << 20,
            wide_window: 32 << 20,
        }
    }
}

impl Settings {
    /// What the environment says.
    ///
    /// # Errors
    /// A token that cannot be one.
    pub fn from_env(env: &Env<'_>) -> Result<Settings> {
        Ok(Settings {
            token: env.token()?,
            offline: env.is_offline(),
            ..Settings::new(env.endpoint())
        })
    }

    /// This Hub, nobody's token, network allowed.
    pub fn new(endpoint: impl Into<String>) -> Settings {
        Settings {
            endpoint: endpoint.into(),
            token: None,
            offline: false,
            proxies: true,
            patience: Patience::default(),
            flow: Flow::default(),
            disk: Arc::new(System),
        }
    }
}
