//! Addresses, as far as a client of the Hub needs them: http and https, redirects, and who may see the token.

use std::fmt;

use crate::error::{Error, Result, printable};
use ureq::http::Uri;

/// An `http` or `https` address.
///
/// Displayed without query: a signed link's secret stands there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// Scheme, host and port, lower case, the port written only where it is not the usual one.
    origin: String,
    /// Begins with `/`.
    path: String,
    /// Without `?`.
    query: Option<String>,
}

impl Url {
    /// An absolute address.
    pub(crate) fn parse(text: &str) -> Result<Url> {
        // The text may be a signed link, or hold a password: no more of it is shown than is surely neither.
        let public = text.split(['?', '#']).next().unwrap_or_default();
        let shown = || {
            if public.contains('@') {
                "(not shown)".to_owned()
            } else {
                printable(public)
            }
        };
        let fail = |reason| Error::Name {
            what: "address",
            value: shown(),
            reason,
        };
        let uri: Uri = text.parse().map_err(|_| fail("it is no http or https address"))?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
            return Err(fail("it is no http or https address"));
        };
        if authority.as_str().contains('@') {
            return Err(fail("no user and no password in an address: set HF_TOKEN"));
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err(fail("it has no host"));
        }
        let port = match (scheme, authority.port_u16()) {
            ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        Ok(Url {
            origin: format!("{scheme}://{host}{port}"),
            path: path.to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }

    /// What a `Location` or a `Link` means that came from here: absolute, or relative with or without a host.
    pub(crate) fn join(&self, location: &str) -> Result<Url> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = self.origin.split(':').next().unwrap_or_default();
        if location.starts_with("//") {
            Url::parse(&format!("{scheme}:{location}"))
        } else if location.starts_with('/') {
            Url::parse(&format!("{}{location}", self.origin))
        } else if location
            .split(['/', '?'])
            .next()
            .is_some_and(|start| start.contains(':'))
        {
            Url::parse(location)
        } else if location.is_empty() || location.starts_with('?') {
            Url::parse(&format!("{}{}{location}", self.origin, self.path))
        } else {
            let folder = &self.path[..=self.path.rfind('/').unwrap_or(0)];
            Url::parse(&format!("{}{folder}{location}", self.origin))
        }
    }

    /// An address below this one: `path` is encoded already and begins with `/`.
    pub(crate) fn below(&self, path: &str) -> Url {
        Url {
            origin: self.origin.clone(),
            path: format!("{}{path}", self.path.trim_end_matches('/')),
            query: None,
        }
    }

    pub(crate) fn with_query(mut self, query: &str) -> Url {
        self.query = Some(query.to_owned());
        self
    }

    /// Same scheme, host and port: the only ones that may see what is meant for the other.
    pub(crate) fn same_origin(&self, other: &Url) -> bool {
        self.origin == other.origin
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// The whole address, for the request line only.
    pub(crate) fn full(&self) -> String {
        match &self.query {
            Some(query) => format!("{}{}?{query}", self.origin, self.path),
            None => format!("{}{}", self.origin, self.path),
        }
    }
}

/// Percent-encodes all but letters, digits and `-_.~`, and keeps `/` where it divides folders.
pub(crate) fn encode(text: &str, keep_slash: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b'/' if keep_slash => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&format!("{}{}", self.origin, self.path)))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined() {
        let base = Url::parse("https://Hub.co:443/a/b?x=1").unwrap();
        for (location, full) in [
            ("https://cdn.co/x?Signature=s", "https://cdn.co/x?Signature=s"),
            ("//cdn.co/x", "https://cdn.co/x"),
            ("/y?q=1#f", "https://hub.co/y?q=1"),
            ("c", "https://hub.co/a/c"),
            ("?z", "https://hub.co/a/b?z"),
            ("c/d:e", "https://hub.co/a/c/d:e"),
        ] {
            assert_eq!(base.join(location).unwrap().full(), full, "{location}");
        }
        for bad in [
            "file:///etc/passwd",
            "ftp://x/y",
            "https://user:pw@x/",
            "javascript:x",
            "https://",
            "http:// x/",
            "https:///x",
        ] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_may_see_the_token() {
        let url = |text| Url::parse(text).unwrap();
        assert!(url("https://hub.co/a").same_origin(&url("https://HUB.co:443/b")));
        for other in [
            "http://hub.co/",
            "https://hub.co.evil.com/",
            "https://hub.co:8443/",
            "https://evil.com/hub.co",
        ] {
            assert!(!url("https://hub.co/").same_origin(&url(other)), "{other}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let url = Url::parse("https://cdn.co/x?Signature=secret").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://cdn.co/x https://cdn.co/x");
        let error = Url::parse("https://user:secret@hub.co/").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        let error = Url::parse("nonsense?Signature=secret").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn encoded() {
        assert_eq!(encode("a b#c?d%e.txt", true), "a%20b%23c%3Fd%25e.txt");
        assert_eq!(encode("ü/x", true), "%C3%BC/x");
        assert_eq!(encode("refs/pr/1", false), "refs%2Fpr%2F1");
    }
}
