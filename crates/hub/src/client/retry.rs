//! When to ask again, and when to give up.

use std::time::{Duration, SystemTime};

use crate::error::Error;

/// How patient to be with a network.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For a connection to be made.
    pub connect: Duration,
    /// For the next bytes of an answer; also the time over which a transfer must bring [`Patience::MIN_BYTES`].
    pub read: Duration,
    /// Attempts in a row without progress before giving up.
    pub attempts: u32,
    /// Pause after the first failure; each next one is twice as long, up to 16 s.
    pub pause: Duration,
    /// The longest pause that a server may ask for.
    pub longest_pause: Duration,
}

impl Patience {
    /// A transfer that brings less than this within [`Patience::read`] counts as stalled.
    pub const MIN_BYTES: u64 = 4096;
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            attempts: 6,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(300),
        }
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// How long the server wants to be left alone.
    pub(crate) pause: Option<Duration>,
    /// Whether another attempt could go better.
    pub(crate) again: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            again: error.is_outage(),
            error,
            pause: None,
        }
    }
}

/// Failures since something last went well.
pub(crate) struct Attempts<'a> {
    patience: &'a Patience,
    failed: u32,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(patience: &'a Patience) -> Attempts<'a> {
        Attempts { patience, failed: 0 }
    }

    /// Bytes arrived: start counting anew.
    pub(crate) fn progress(&mut self) {
        self.failed = 0;
    }

    /// How long to wait before the next attempt; the error if there is to be none.
    pub(crate) fn after(
        &mut self,
        Failure {
            error,
            pause: asked,
            again,
        }: Failure,
    ) -> Result<Duration, Error> {
        self.failed += 1;
        if self.failed >= self.patience.attempts || !again {
            return Err(error);
        }
        let own = self
            .patience
            .pause
            .saturating_mul(1 << (self.failed - 1).min(5))
            .min(Duration::from_secs(16));
        match asked {
            Some(asked) if asked > self.patience.longest_pause => Err(error),
            Some(asked) => Ok(asked.max(own)),
            None => Ok(own),
        }
    }
}

/// The pause that a server asks for: `Retry-After` in seconds or as a date, or the Hub's `RateLimit: "api";r=0;t=SECONDS`.
pub(crate) fn asked_pause(retry_after: Option<&str>, rate_limit: Option<&str>, now: SystemTime) -> Option<Duration> {
    if let Some(text) = retry_after.map(str::trim) {
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        if let Ok(date) = httpdate::parse_http_date(text) {
            return Some(date.duration_since(now).unwrap_or_default());
        }
    }
    let mut remaining = None;
    let mut reset = None;
    for part in rate_limit?.split(';').map(str::trim) {
        match part.split_once('=') {
            Some(("r", n)) => remaining = n.parse::<u64>().ok(),
            Some(("t", n)) => reset = n.parse().ok(),
            _ => {}
        }
    }
    (remaining == Some(0)).then_some(Duration::from_secs(reset?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_that_servers_ask_for() {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 10:00:00 GMT").unwrap();
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(asked_pause(Some("7"), None, now), seconds(7));
        assert_eq!(
            asked_pause(Some("Sun, 22 Nov 2026 10:00:09 GMT"), None, now),
            seconds(9)
        );
        assert_eq!(
            asked_pause(Some("Sun, 22 Nov 2026 09:00:00 GMT"), None, now),
            seconds(0)
        );
        assert_eq!(asked_pause(None, Some("\"api\";r=0;t=12"), now), seconds(12));
        assert_eq!(asked_pause(None, Some("\"api\";r=5;t=12"), now), None);
        for nonsense in ["", "-1", "soon", "99999999999999999999999"] {
            assert_eq!(asked_pause(Some(nonsense), None, now), None, "{nonsense}");
        }
    }

    #[test]
    fn gives_up() {
        let outage = |pause| {
            let error = Error::Unreachable {
                address: "x".into(),
                reason: "y".into(),
            };
            Failure { pause, ..error.into() }
        };
        let patience = Patience {
            attempts: 3,
            pause: Duration::from_millis(1),
            ..Patience::default()
        };
        let mut attempts = Attempts::new(&patience);
        assert_eq!(attempts.after(outage(None)).unwrap(), Duration::from_millis(1));
        assert_eq!(attempts.after(outage(None)).unwrap(), Duration::from_millis(2));
        attempts.progress();
        let asked = |seconds| outage(Some(Duration::from_secs(seconds)));
        assert_eq!(attempts.after(asked(3)).unwrap(), Duration::from_secs(3));
        assert!(attempts.after(asked(1_000_000)).is_err());
        assert!(Attempts::new(&patience).after(Error::Cancelled.into()).is_err());
    }
}
