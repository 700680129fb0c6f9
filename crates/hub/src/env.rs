//! What the environment says: where models lie, where to ask for them, with which token. Variables of huggingface_hub.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::error::{Error, Result, printable};
use crate::tree::read_small;

/// Reads variables: the process's own ([`Env::process`]), or a test's. Empty counts as not set.
pub struct Env<'a>(&'a dyn Fn(&str) -> Option<OsString>);

/// A secret that says who asks. Never printed, sent to one server only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Env<'static> {
    /// The variables of this process.
    pub fn process() -> Env<'static> {
        Env(&|name| env::var_os(name))
    }
}

impl<'a> Env<'a> {
    /// Variables from elsewhere.
    pub fn from(get: &'a dyn Fn(&str) -> Option<OsString>) -> Env<'a> {
        Env(get)
    }

    fn get(&self, name: &str) -> Option<OsString> {
        self.0(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?
            .into_string()
            .ok()
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn home(&self) -> Option<PathBuf> {
        self.get("HOME")
            .or_else(|| self.get("USERPROFILE"))
            .map(PathBuf::from)
            .or_else(env::home_dir)
    }

    fn expanded(&self, name: &str) -> Option<PathBuf> {
        let value = self.get(name)?;
        Some(match value.to_str() {
            Some(text) => self.expand(text),
            None => PathBuf::from(value),
        })
    }

    /// `~` at the start, `$NAME` and `${NAME}` anywhere; what is not set stays as it is written.
    fn expand(&self, text: &str) -> PathBuf {
        let mut out = OsString::new();
        let mut rest = text;
        if let Some(tail) = text
            .strip_prefix('~')
            .filter(|tail| tail.is_empty() || tail.starts_with(['/', '\\']))
            && let Some(home) = self.home()
        {
            out.push(home);
            rest = tail;
        }
        while let Some(at) = rest.find('$') {
            out.push(&rest[..at]);
            let after = &rest[at + 1..];
            let (name, end) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some((name, _)) => (name, name.len() + 2),
                None => {
                    let len = after
                        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                        .unwrap_or(after.len());
                    (&after[..len], len)
                }
            };
            match self.get(name).filter(|_| !name.is_empty()) {
                Some(value) => out.push(value),
                None => out.push(&rest[at..at + 1 + end]),
            }
            rest = &after[end..];
        }
        out.push(rest);
        PathBuf::from(out)
    }

    /// `$HF_HOME`, else `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface`, on every system.
    fn huggingface_home(&self) -> PathBuf {
        self.expanded("HF_HOME").unwrap_or_else(|| {
            let cache = self.expanded("XDG_CACHE_HOME");
            cache
                .unwrap_or_else(|| self.home().unwrap_or_default().join(".cache"))
                .join("huggingface")
        })
    }

    /// The cache that all programs share: `$HF_HUB_CACHE`, else `$HUGGINGFACE_HUB_CACHE`, else `hub` in the home of Hugging Face.
    pub fn huggingface_cache(&self) -> Cache {
        let named = self
            .expanded("HF_HUB_CACHE")
            .or_else(|| self.expanded("HUGGINGFACE_HUB_CACHE"));
        Cache::new(named.unwrap_or_else(|| self.huggingface_home().join("hub")))
    }

    /// This program's own cache: `$WHISPER_SPEEDTEST_MODELS`, else `./models` where it holds a `models--*` (as mac-whisper-speedtest
    /// leaves it), else a folder in the user's data.
    pub fn models_dir(&self, current_dir: &Path) -> PathBuf {
        if let Some(named) = self.expanded("WHISPER_SPEEDTEST_MODELS") {
            return named;
        }
        let local = current_dir.join("models");
        if !Cache::new(&local).repos().is_empty() {
            return local;
        }
        let home = || self.home().unwrap_or_default();
        let data = if cfg!(target_os = "macos") {
            home().join("Library/Application Support")
        } else if cfg!(windows) {
            self.get("LOCALAPPDATA")
                .map_or_else(|| home().join("AppData").join("Local"), PathBuf::from)
        } else {
            self.expanded("XDG_DATA_HOME")
                .unwrap_or_else(|| home().join(".local/share"))
        };
        data.join("whisper-speedtest").join("models")
    }

    /// Where models come from: `$HF_ENDPOINT`, else the Hub.
    pub fn endpoint(&self) -> String {
        self.text("HF_ENDPOINT")
            .unwrap_or_else(|| "https://huggingface.co".to_owned())
    }

    /// Whether `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` forbids the network.
    pub fn is_offline(&self) -> bool {
        ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .iter()
            .filter_map(|name| self.text(name))
            .any(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
    }

    /// `$HF_TOKEN`, else the file `$HF_TOKEN_PATH`, else the file `token` in the home of Hugging Face.
    ///
    /// # Errors
    /// Where a token holds what no header may: better said than sent.
    pub fn token(&self) -> Result<Option<Token>> {
        if let Some(token) = self.text("HF_TOKEN") {
            return Token::from("HF_TOKEN", &token).map(Some);
        }
        let path = self
            .expanded("HF_TOKEN_PATH")
            .unwrap_or_else(|| self.huggingface_home().join("token"));
        match read_small(&path, 4096)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
        {
            Some(token) if !token.trim().is_empty() => Token::from(&path.to_string_lossy(), &token).map(Some),
            _ => Ok(None),
        }
    }
}

impl Token {
    /// A token, without the white space around it.
    ///
    /// # Errors
    /// Where it could not stand in a header. The error does not show it.
    pub fn new(token: &str) -> Result<Token> {
        Token::from("given", token)
    }

    fn from(place: &str, token: &str) -> Result<Token> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let reason = "it is empty or holds white space or other characters that no token has";
            return Err(Error::Name {
                what: "token",
                value: format!("{} (not shown)", printable(place)),
                reason,
            });
        }
        Ok(Token(token.to_owned()))
    }

    #[cfg(feature = "network")]
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn with<T>(variables: &[(&str, &str)], ask: impl FnOnce(&Env) -> T) -> T {
        let get = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| OsString::from(value))
        };
        ask(&Env::from(&get))
    }

    #[test]
    fn where_the_shared_cache_is() {
        let cache = |variables: &[(&str, &str)]| with(variables, |env| env.huggingface_cache().root().to_path_buf());
        let home = ("HOME", "/h");
        assert_eq!(cache(&[home]), Path::new("/h/.cache/huggingface/hub"));
        assert_eq!(
            cache(&[home, ("XDG_CACHE_HOME", "/x")]),
            Path::new("/x/huggingface/hub")
        );
        assert_eq!(
            cache(&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/f")]),
            Path::new("/f/hub")
        );
        assert_eq!(
            cache(&[home, ("HF_HOME", "/f"), ("HUGGINGFACE_HUB_CACHE", "/g")]),
            Path::new("/g")
        );
        assert_eq!(
            cache(&[home, ("HUGGINGFACE_HUB_CACHE", "/g"), ("HF_HUB_CACHE", "/e")]),
            Path::new("/e")
        );
        assert_eq!(
            cache(&[home, ("HF_HUB_CACHE", ""), ("HF_HOME", "")]),
            Path::new("/h/.cache/huggingface/hub")
        );
        assert_eq!(cache(&[home, ("HF_HOME", "~/m")]), Path::new("/h/m/hub"));
        assert_eq!(
            cache(&[home, ("D", "/d"), ("HF_HUB_CACHE", "$D/x${D}/$NOPE")]),
            Path::new("/d/x/d/$NOPE")
        );
    }

    #[test]
    fn offline() {
        for value in ["1", "on", "Yes", "TRUE"] {
            assert!(with(&[("HF_HUB_OFFLINE", value)], |env| env.is_offline()), "{value}");
            assert!(
                with(&[("TRANSFORMERS_OFFLINE", value)], |env| env.is_offline()),
                "{value}"
            );
        }
        for value in ["", "0", "no", "2"] {
            assert!(!with(&[("HF_HUB_OFFLINE", value)], |env| env.is_offline()), "{value}");
        }
    }

    #[test]
    fn tokens() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "hf_file\n").unwrap();
        let path = file.to_str().unwrap();
        let home = dir.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| with(variables, |env| env.token()).unwrap();
        assert_eq!(
            token(&[("HF_TOKEN", " hf_env "), ("HF_TOKEN_PATH", path)]),
            Some(Token("hf_env".into()))
        );
        assert_eq!(token(&[("HF_TOKEN_PATH", path)]), Some(Token("hf_file".into())));
        assert_eq!(token(&[("HF_HOME", home)]), Some(Token("hf_file".into())));
        assert_eq!(token(&[("HF_HOME", "/nowhere")]), None);
        let bad = with(&[("HF_TOKEN", "secret\r\nX: y")], |env| env.token()).unwrap_err();
        assert!(bad.to_string().contains("HF_TOKEN"));
        assert!(!bad.to_string().contains("secret") && !format!("{bad:?}").contains("secret"));
        assert!(!format!("{:?}", Token("secret".into())).contains("secret"));
    }

    #[test]
    fn own_cache() {
        let dir = tempfile::tempdir().unwrap();
        let models = |variables: &[(&str, &str)]| with(variables, |env| env.models_dir(dir.path()));
        assert_eq!(
            models(&[("HOME", "/h"), ("WHISPER_SPEEDTEST_MODELS", "~/w")]),
            Path::new("/h/w")
        );
        if cfg!(target_os = "linux") {
            assert_eq!(
                models(&[("HOME", "/h")]),
                Path::new("/h/.local/share/whisper-speedtest/models")
            );
        }
        fs::create_dir_all(dir.path().join("models/models--a--b")).unwrap();
        assert_eq!(models(&[("HOME", "/h")]), dir.path().join("models"));
    }
}
