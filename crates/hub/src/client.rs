//! The Hub over HTTP: three kinds of GET, redirects followed by hand, the token shown to nobody but its server.

mod retry;
mod url;

use std::io::Read;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::HeaderMap;
use ureq::{Agent, Body};

pub use retry::Patience;
use retry::asked_pause;
pub(crate) use retry::{Attempts, Failure};
pub(crate) use url::Url;
use url::encode;

use crate::cancel::Cancel;
use crate::env::Token;
use crate::error::{Error, Result, printable};
use crate::event::Event;
use crate::name::{Commit, FilePath, RepoId, Revision};
use crate::settings::Settings;
use crate::tree::{Entry, Tree};

const MAX_JSON: u64 = 32 << 20; // bytes of one answer
const MAX_PAGES: usize = 1000; // of a listing
const MAX_HOPS: usize = 10;

/// A connection to one Hub. That one exists means that the network may be used.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    endpoint: Url,
    token: Option<Token>,
    patience: Patience,
}

/// An answer whose body has not been read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Who answered, after all redirects.
    pub(crate) url: Url,
    /// Content that the Hub announced on the way, which storage behind a redirect does not know.
    pub(crate) linked_etag: Option<String>,
}

impl Client {
    /// The one place where network code comes to life.
    ///
    /// # Errors
    /// [`Error::Offline`] where the settings forbid it, and an endpoint that is no address.
    pub(crate) fn new(settings: &Settings, what: &str) -> Result<Client> {
        if settings.offline {
            return Err(Error::Offline { what: what.to_owned() });
        }
        let patience = settings.patience.clone();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("whisper-speedtest/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.read))
            .timeout_per_write(Some(patience.read));
        if !settings.proxies {
            config = config.proxy(None);
        }
        let endpoint = Url::parse(&settings.endpoint)?;
        Ok(Client {
            agent: config.build().into(),
            endpoint,
            token: settings.token.clone(),
            patience,
        })
    }

    /// Ends all requests now, from any thread.
    pub(crate) fn shutdown(&self) {
        self.agent.clone().shutdown();
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// The commit that a revision stands for now.
    pub(crate) fn resolve(&self, repo: &RepoId, revision: &Revision, watch: &mut Watch) -> Result<Commit> {
        #[derive(Deserialize)]
        struct Info {
            sha: String,
        }
        if let Some(commit) = revision.commit() {
            return Ok(commit);
        }
        let url = self.endpoint.below(&format!(
            "/api/models/{repo}/revision/{}",
            encode(revision.as_str(), false)
        ));
        let (info, _): (Info, _) = self.json(
            &url,
            &Subject {
                repo,
                revision: revision.as_str(),
                path: None,
            },
            watch,
        )?;
        info.sha.parse().map_err(|_| self.surprise(&url, "a commit", &info.sha))
    }

    /// All files of a commit.
    pub(crate) fn tree(&self, repo: &RepoId, commit: &Commit, watch: &mut Watch) -> Result<Tree> {
        #[derive(Deserialize)]
        struct Lfs {
            oid: String,
            size: u64,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Item {
            r#type: String,
            path: String,
            #[serde(default)]
            size: u64,
            #[serde(default)]
            oid: String,
            lfs: Option<Lfs>,
            xet_hash: Option<String>,
        }
        let subject = Subject {
            repo,
            revision: commit.as_str(),
            path: None,
        };
        let mut url = self
            .endpoint
            .below(&format!("/api/models/{repo}/tree/{commit}"))
            .with_query("recursive=true");
        let mut tree = Tree::default();
        for _ in 0..MAX_PAGES {
            let (items, next): (Vec<Item>, _) = self.json(&url, &subject, watch)?;
            for item in items.into_iter().filter(|item| item.r#type == "file") {
                let path: FilePath = item
                    .path
                    .parse()
                    .map_err(|_| self.surprise(&url, "the path of a file", &item.path))?;
                let lfs = item.lfs.as_ref().map(|lfs| (lfs.oid.as_str(), lfs.size));
                let entry = Entry::new(item.size, &item.oid, lfs, item.xet_hash.as_deref())
                    .map_err(|_| self.surprise(&url, "the hash of a file", lfs.map_or(&item.oid, |(oid, _)| oid)))?;
                tree.insert(path, entry);
            }
            match next {
                // A listing comes from the Hub itself: another server has no say in what a repository holds.
                Some(next) if next.same_origin(&self.endpoint) => url = next,
                Some(next) => return Err(self.surprise(&url, "a next page from the same server", &next.to_string())),
                None => return Ok(tree),
            }
        }
        Err(self.surprise(&url, "a listing that ends", "more than 1000 pages"))
    }

    /// Where a file's content is asked for first.
    pub(crate) fn file_url(&self, repo: &RepoId, commit: &Commit, path: &FilePath) -> Url {
        self.endpoint
            .below(&format!("/{repo}/resolve/{commit}/{}", encode(path.as_str(), true)))
    }

    /// One GET and the redirects behind it; any status of 200 to 299 is an answer, the rest a failure.
    ///
    /// The token goes to the endpoint's own scheme, host and port only. A redirect never leads from https to http.
    pub(crate) fn get(&self, url: &Url, range: Option<&str>, subject: &Subject<'_>) -> Result<Answer, Failure> {
        let mut url = url.clone();
        let mut linked_etag = None;
        for _ in 0..=MAX_HOPS {
            let mut request = self.agent.get(url.full());
            if let Some(range) = range {
                request = request.header("Range", range);
            }
            if let Some(token) = self.token.as_ref().filter(|_| url.same_origin(&self.endpoint)) {
                request = request.header("Authorization", format!("Bearer {}", token.secret()));
            }
            let response = request.call().map_err(|error| self.transport_error(&url, error))?;
            let (parts, body) = response.into_parts();
            let status = parts.status.as_u16();
            if url.same_origin(&self.endpoint)
                && let Some(etag) = header(&parts.headers, "x-linked-etag")
            {
                linked_etag = Some(etag.trim_start_matches("W/").trim_matches('"').to_owned());
            }
            match status {
                200..=299 => {
                    return Ok(Answer {
                        status,
                        headers: parts.headers,
                        body,
                        url,
                        linked_etag,
                    });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let location = header(&parts.headers, "location");
                    url = self.follow(&url, location)?;
                    finish(body);
                }
                _ => return Err(self.refusal(&url, status, &parts.headers, body, subject)),
            }
        }
        Err(self
            .surprise(&url, "at most 10 redirects", "more: they go in a circle")
            .into())
    }

    /// Where a redirect leads.
    fn follow(&self, from: &Url, location: Option<&str>) -> Result<Url> {
        let location = location.ok_or_else(|| self.surprise(from, "a redirect with an address", "none"))?;
        let next = from
            .join(location)
            .map_err(|_| self.surprise(from, "a redirect to an address", "something else"))?;
        if self.endpoint.is_encrypted() && !next.is_encrypted() {
            return Err(self.surprise(from, "a redirect to https", &next.to_string()));
        }
        Ok(next)
    }

    /// A JSON answer and the page after it, asked for again as patience allows.
    fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        subject: &Subject<'_>,
        watch: &mut Watch,
    ) -> Result<(T, Option<Url>)> {
        let mut attempts = Attempts::new(&self.patience);
        loop {
            let failure = match self.json_once(url, subject) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            watch.cancel.check()?;
            let reason = failure.error.to_string();
            let after = attempts.after(failure)?;
            (watch.events)(Event::Retrying { reason, after });
            watch.cancel.sleep(after)?;
        }
    }

    fn json_once<T: DeserializeOwned>(&self, url: &Url, subject: &Subject<'_>) -> Result<(T, Option<Url>), Failure> {
        let mut answer = self.get(url, None, subject)?;
        let mut bytes = Vec::new();
        answer
            .body
            .as_reader()
            .take(MAX_JSON + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreachable(&answer.url, &error.to_string()))?;
        if bytes.len() as u64 > MAX_JSON {
            return Err(self.surprise(&answer.url, "at most 32 MiB", "more").into());
        }
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            let page = bytes.trim_ascii_start().starts_with(b"<");
            let found = if page {
                "a web page (a login page of this network?)".to_owned()
            } else {
                error.to_string()
            };
            self.surprise(&answer.url, "the Hub's JSON", &found)
        })?;
        let next = header(&answer.headers, "link")
            .and_then(next_page)
            .map(|next| answer.url.join(next))
            .transpose()?;
        Ok((value, next))
    }

    /// An error status in the user's words. The Hub says which error it is in `X-Error-Code`.
    fn refusal(&self, url: &Url, status: u16, headers: &HeaderMap, body: Body, subject: &Subject<'_>) -> Failure {
        let Subject { repo, revision, path } = *subject;
        let endpoint = self.endpoint.to_string().trim_end_matches('/').to_owned();
        let from_hub = url.same_origin(&self.endpoint);
        let code = header(headers, "x-error-code").filter(|_| from_hub).unwrap_or_default();
        let (repo, revision) = (repo.to_string(), printable(revision));
        let error = match (status, code, path) {
            (_, "GatedRepo", _) => Error::Gated { repo, endpoint },
            (_, "RepoNotFound", _) => Error::NoRepository { repo, endpoint },
            (_, "RevisionNotFound", _) => Error::NoRevision { repo, revision },
            (_, "EntryNotFound", Some(path)) => Error::NoFile {
                repo,
                path: path.to_string(),
            },
            (401, ..) if from_hub => Error::NoRepository { repo, endpoint },
            (404, "", None) if from_hub => Error::NoRepository { repo, endpoint },
            (404, "", Some(path)) if from_hub => Error::NoFile {
                repo,
                path: path.to_string(),
            },
            _ => {
                let told = header(headers, "x-error-message").map(str::to_owned);
                let message = self.without_token(&told.unwrap_or_else(|| error_text(body)));
                Error::Status {
                    address: url.to_string(),
                    status,
                    message,
                }
            }
        };
        let pause = asked_pause(
            header(headers, "retry-after"),
            header(headers, "ratelimit"),
            SystemTime::now(),
        );
        // Storage refuses signed links that have expired; the Hub gives out new ones.
        let again = error.is_outage() || !from_hub;
        Failure { error, pause, again }
    }

    /// What went wrong below HTTP. The library's own words may repeat an address with its query, so they are used only where they do not.
    fn transport_error(&self, url: &Url, error: ureq::Error) -> Error {
        match error {
            ureq::Error::Io(error) => unreachable(url, &error.to_string()),
            ureq::Error::Timeout(_) => unreachable(url, "it took too long"),
            ureq::Error::HostNotFound => unreachable(url, "no such host"),
            ureq::Error::ConnectionFailed => unreachable(url, "no connection"),
            ureq::Error::ConnectProxyFailed(_) => unreachable(url, "the proxy did not connect"),
            ureq::Error::InvalidProxyUrl => unreachable(url, "the proxy's address is not valid"),
            ureq::Error::Tls(reason) => unreachable(url, reason),
            ureq::Error::Rustls(error) => unreachable(url, &error.to_string()),
            ureq::Error::LargeResponseHeader(..) => self.surprise(url, "short headers", "too many"),
            ureq::Error::Protocol(error) => self.surprise(url, "HTTP", &error.to_string()),
            _ => self.surprise(url, "HTTP", "something else"),
        }
    }

    pub(crate) fn surprise(&self, url: &Url, expected: &str, found: &str) -> Error {
        Error::Answer {
            address: url.to_string(),
            expected: expected.to_owned(),
            found: self.without_token(found),
        }
    }

    /// A server's words, printable, and without the token: some repeat what they refuse.
    fn without_token(&self, text: &str) -> String {
        match &self.token {
            Some(token) => printable(&text.replace(token.secret(), "(token)")),
            None => printable(text),
        }
    }
}

/// What a request is about, for its errors.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) repo: &'a RepoId,
    pub(crate) revision: &'a str,
    pub(crate) path: Option<&'a FilePath>,
}

/// Who is told, and who may stop it.
pub(crate) struct Watch<'a> {
    pub(crate) cancel: &'a Cancel,
    pub(crate) events: &'a mut dyn FnMut(Event),
}

/// Reads the few words of a redirect, so that the connection can be used again.
fn finish(mut body: Body) {
    if body.content_length().is_some_and(|len| len <= 16 << 10) {
        let _ = body.as_reader().read_to_end(&mut Vec::new());
    }
}

pub(crate) fn unreachable(url: &Url, reason: &str) -> Error {
    Error::Unreachable {
        address: url.to_string(),
        reason: printable(reason),
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The address in `Link: <ADDRESS>; rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (address, relation) = part.trim().strip_prefix('<')?.split_once('>')?;
        relation.contains("rel=\"next\"").then_some(address)
    })
}

/// The message in the body of an error: `{"error": "…"}`, or nothing.
fn error_text(mut body: Body) -> String {
    #[derive(Deserialize)]
    struct Told {
        error: String,
    }
    let mut bytes = Vec::new();
    let _ = body.as_reader().take(4096).read_to_end(&mut bytes);
    serde_json::from_slice(&bytes).map_or_else(|_| String::new(), |Told { error }| error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain http only where the user named it.
    #[test]
    fn no_way_down_to_http() {
        let follow = |endpoint: &str, location: &str| {
            let client = Client::new(&Settings::new(endpoint), "x").unwrap();
            client.follow(&client.endpoint, Some(location)).map(|url| url.full())
        };
        assert_eq!(
            follow("https://hub.co", "https://cdn.co/x?S=1").unwrap(),
            "https://cdn.co/x?S=1"
        );
        assert!(follow("https://hub.co", "http://hub.co/x").is_err());
        assert!(follow("https://hub.co", "http://127.0.0.1/x").is_err());
        assert!(follow("http://mirror.local", "http://cdn.local/x").is_ok());
    }

    #[test]
    fn endpoints() {
        for bad in ["", "hub.co", "ftp://hub.co", "https://user:pw@hub.co", "https://"] {
            assert!(Client::new(&Settings::new(bad), "x").is_err(), "{bad}");
        }
        let offline = Settings {
            offline: true,
            ..Settings::new("https://hub.co")
        };
        assert!(matches!(Client::new(&offline, "x"), Err(Error::Offline { .. })));
    }

    #[test]
    fn pages() {
        assert_eq!(
            next_page("<https://h/a?cursor=x>; rel=\"next\""),
            Some("https://h/a?cursor=x")
        );
        assert_eq!(next_page("<a>; rel=\"prev\", <b>; rel=\"next\""), Some("b"));
        assert_eq!(next_page("nonsense"), None);
    }
}
