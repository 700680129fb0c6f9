//! A Hub on 127.0.0.1 with its storage on a second port, and faults on request. Needs nothing but the standard library and the hashes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

pub(crate) const MB: usize = 1 << 20;

/// The server; gone when dropped.
pub(crate) struct FakeHub {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

/// What a request looked like and how it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Asked of the storage rather than of the Hub.
    pub(crate) storage: bool,
    pub(crate) target: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) status: u16,
}

/// What goes wrong: for requests whose target contains `on`, after the first `skip`, `times` times.
#[derive(Clone, Default)]
pub(crate) struct Rule {
    pub(crate) on: String,
    pub(crate) skip: usize,
    /// `None`: for ever.
    pub(crate) times: Option<usize>,
    pub(crate) fault: Fault,
}

/// One answer's faults. The default is a good answer.
#[derive(Clone, Default)]
pub(crate) struct Fault {
    /// This status, `body` and `headers` instead of the answer.
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, String)>,
    /// Instead of the content.
    pub(crate) body: Option<Vec<u8>>,
    /// Headers that are left out.
    pub(crate) drop: Vec<&'static str>,
    /// Nothing is answered, for this long.
    pub(crate) hang: Option<Duration>,
    /// The connection is reset instead of answered.
    pub(crate) reset: bool,
    /// The connection ends after this many bytes of the body.
    pub(crate) close_after: Option<usize>,
    /// Nothing more comes after this many bytes of the body, for 30 s.
    pub(crate) stall_after: Option<usize>,
    /// This byte of the content is flipped.
    pub(crate) corrupt: Option<usize>,
    /// `Content-Length` as given; empty for none.
    pub(crate) length: Option<String>,
    pub(crate) chunked: bool,
    pub(crate) ignore_range: bool,
    /// `Content-Range` as given.
    pub(crate) content_range: Option<String>,
    /// Bytes a second.
    pub(crate) rate: Option<u64>,
}

#[derive(Clone)]
struct File {
    data: Arc<Vec<u8>>,
    lfs: bool,
    etag: String,
    /// The name in the storage, whatever the listing says.
    key: String,
    size: u64,
}

#[derive(Clone, Default)]
struct Repo {
    /// Branches and tags.
    refs: BTreeMap<String, String>,
    commits: BTreeMap<String, BTreeMap<String, File>>,
}

struct Shared {
    hub: u16,
    storage: u16,
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    repos: BTreeMap<String, Repo>,
    storage: BTreeMap<String, Arc<Vec<u8>>>,
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    page: usize,
    small_by_redirect: bool,
}

/// The commit that [`FakeHub::repo`] makes.
pub(crate) const COMMIT: &str = "111111111111111111111111111111111111111a";

pub(crate) fn git_sha(data: &[u8]) -> String {
    hex(&Sha1::new()
        .chain_update(format!("blob {}\0", data.len()))
        .chain_update(data)
        .finalize())
}

pub(crate) fn sha256(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// Bytes that do not repeat.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out.extend(x.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// A file of the safetensors format, of exactly `len` bytes.
pub(crate) fn safetensors(len: usize, seed: u64) -> Vec<u8> {
    let header = |data: usize| format!("{{\"a\":{{\"dtype\":\"U8\",\"shape\":[{data}],\"data_offsets\":[0,{data}]}}}}");
    let mut header_len = 8 * header(len).len().div_ceil(8);
    header_len = header_len.max(80);
    let data = len - 8 - header_len;
    let mut out = (header_len as u64).to_le_bytes().to_vec();
    out.extend(format!("{:<header_len$}", header(data)).bytes());
    out.extend(noise(data, seed));
    out
}

impl FakeHub {
    pub(crate) fn start() -> FakeHub {
        FakeHub::start_at(0)
    }

    pub(crate) fn start_at(port: u16) -> FakeHub {
        let hub = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let storage = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            hub: hub.local_addr().unwrap().port(),
            storage: storage.local_addr().unwrap().port(),
            stop: AtomicBool::new(false),
            state: Mutex::default(),
        });
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let shared = shared.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if shared.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let shared = shared.clone();
                    thread::spawn(move || serve(&shared, &stream, is_storage));
                }
            });
        }
        FakeHub {
            port: shared.hub,
            shared,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// A repository with one commit, [`COMMIT`], on `main`: path, content, whether in large-file storage.
    pub(crate) fn repo(&self, name: &str, files: &[(&str, Vec<u8>, bool)]) {
        self.commit(name, "main", COMMIT, files);
    }

    pub(crate) fn commit(&self, name: &str, reference: &str, commit: &str, files: &[(&str, Vec<u8>, bool)]) {
        let mut state = self.state();
        let mut tree = BTreeMap::new();
        for (path, data, lfs) in files {
            let data = Arc::new(data.clone());
            let etag = if *lfs { sha256(&data) } else { git_sha(&data) };
            if *lfs {
                state.storage.insert(etag.clone(), data.clone());
            }
            let size = data.len() as u64;
            tree.insert(
                (*path).to_owned(),
                File {
                    data,
                    lfs: *lfs,
                    key: etag.clone(),
                    etag,
                    size,
                },
            );
        }
        let repo = state.repos.entry(name.to_owned()).or_default();
        repo.refs.insert(reference.to_owned(), commit.to_owned());
        repo.commits.insert(commit.to_owned(), tree);
    }

    /// The usual model: a config, weights of `len` bytes in large-file storage, and two files that no model needs.
    pub(crate) fn model(&self, name: &str, len: usize) -> Vec<u8> {
        let weights = safetensors(len, 1);
        self.repo(
            name,
            &[
                ("config.json", CONFIG.to_vec(), false),
                ("README.md", b"# model\n".to_vec(), false),
                (".gitattributes", b"*.safetensors filter=lfs\n".to_vec(), false),
                ("weights.safetensors", weights.clone(), true),
            ],
        );
        weights
    }

    /// What a listing says of a file, whatever its content.
    pub(crate) fn lie(&self, name: &str, path: &str, etag: Option<&str>, size: Option<u64>) {
        let mut state = self.state();
        for tree in state.repos.get_mut(name).unwrap().commits.values_mut() {
            let file = tree.get_mut(path).unwrap();
            file.etag = etag.map_or(file.etag.clone(), str::to_owned);
            file.size = size.unwrap_or(file.size);
        }
    }

    /// Listings in pages of this many files.
    pub(crate) fn page(&self, files: usize) {
        self.state().page = files;
    }

    /// Small files come by a redirect to the Hub itself, as since 2025.
    pub(crate) fn small_by_redirect(&self) {
        self.state().small_by_redirect = true;
    }

    pub(crate) fn rule(&self, on: &str, times: impl Into<Option<usize>>, fault: Fault) {
        self.state().rules.push(Rule {
            on: on.to_owned(),
            skip: 0,
            times: times.into(),
            fault,
        });
    }

    pub(crate) fn rule_after(&self, on: &str, skip: usize, times: impl Into<Option<usize>>, fault: Fault) {
        self.state().rules.push(Rule {
            on: on.to_owned(),
            skip,
            times: times.into(),
            fault,
        });
    }

    pub(crate) fn clear_rules(&self) {
        self.state().rules.clear();
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    pub(crate) fn forget(&self) {
        self.state().seen.clear();
    }

    /// Requests whose target contains `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.state()
            .seen
            .iter()
            .filter(|seen| seen.target.contains(part))
            .count()
    }
}

pub(crate) const CONFIG: &[u8] = b"{\"n_mels\": 80, \"n_vocab\": 51865}";

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for port in [self.shared.hub, self.shared.storage] {
            let _ = TcpStream::connect(("127.0.0.1", port));
        }
    }
}

struct Request {
    target: String,
    head: bool,
    range: Option<String>,
    authorization: Option<String>,
}

/// An answer before faults.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Arc<Vec<u8>>,
}

fn serve(shared: &Shared, stream: &TcpStream, storage: bool) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let fault = shared.fault(&request.target, storage);
        if let Some(time) = fault.hang {
            shared.note(&request, storage, 0);
            pause(shared, time);
            break;
        }
        if fault.reset {
            shared.note(&request, storage, 0);
            break; // unread bytes or not, the client sees an end without an answer
        }
        let answer = match fault.status {
            Some(status) => Answer {
                status,
                headers: vec![],
                body: Arc::new(fault.body.clone().unwrap_or_default()),
            },
            None => shared.answer(&request, storage),
        };
        if !respond(shared, stream, &request, storage, answer, &fault) {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn pause(shared: &Shared, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end && !shared.stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut parts = line.split(' ');
    let head = parts.next()? == "HEAD";
    let target = parts.next()?.to_owned();
    let mut request = Request {
        target,
        head,
        range: None,
        authorization: None,
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            return Some(request);
        }
        if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = Some(value.to_owned()),
                "authorization" => request.authorization = Some(value.to_owned()),
                _ => {}
            }
        }
    }
}

/// `false` where the connection must end.
fn respond(
    shared: &Shared,
    mut stream: &TcpStream,
    request: &Request,
    storage: bool,
    answer: Answer,
    fault: &Fault,
) -> bool {
    let Answer {
        mut status,
        mut headers,
        body: full,
    } = answer;
    let full = match (&fault.body, fault.corrupt) {
        (Some(body), _) => Arc::new(body.clone()),
        (None, Some(at)) if status == 200 => {
            let mut bytes = full.to_vec();
            bytes[at] ^= 0xff;
            Arc::new(bytes)
        }
        _ => full,
    };
    let (mut begin, mut end) = (0, full.len());
    if status == 200
        && !fault.ignore_range
        && let Some(range) = request.range.as_deref().and_then(|range| range.strip_prefix("bytes="))
    {
        let (a, b) = range.split_once('-').unwrap();
        begin = a.parse().unwrap();
        if begin >= full.len() {
            (status, begin, end) = (416, 0, 0);
        } else {
            end = b.parse().map_or(full.len(), |b: usize| (b + 1).min(full.len()));
            status = 206;
            headers.push((
                "Content-Range".into(),
                format!("bytes {begin}-{}/{}", end - 1, full.len()),
            ));
        }
    }
    if let Some(range) = &fault.content_range {
        headers.retain(|(name, _)| name != "Content-Range");
        headers.push(("Content-Range".into(), range.clone()));
    }
    let body = &full[begin..end];
    headers.retain(|(name, _)| !fault.drop.contains(&name.as_str()));
    headers.extend(fault.headers.iter().cloned());
    let length = fault.length.clone().unwrap_or_else(|| body.len().to_string());
    let mut close = fault.close_after.is_some() || fault.length.is_some();
    let mut text = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in &headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if fault.chunked {
        text.push_str("Transfer-Encoding: chunked\r\n");
    } else if length.is_empty() {
        text.push_str("Connection: close\r\n");
        close = true;
    } else {
        let _ = write!(text, "Content-Length: {length}\r\n");
    }
    text.push_str("\r\n");
    shared.note(request, storage, status);
    if stream.write_all(text.as_bytes()).is_err() {
        return false;
    }
    if request.head {
        return !close;
    }
    let limit = fault.close_after.unwrap_or(usize::MAX).min(body.len());
    let step = fault
        .rate
        .map_or(MB / 4, |rate| usize::try_from(rate / 50).unwrap().clamp(1, MB / 4));
    let start = Instant::now();
    let mut sent = 0;
    while sent < limit {
        if let Some(at) = fault.stall_after
            && sent >= at
        {
            pause(shared, Duration::from_secs(30));
            return false;
        }
        let mut n = step.min(limit - sent);
        if let Some(at) = fault.stall_after {
            n = n.min((at - sent).max(1));
        }
        let piece = &body[sent..sent + n];
        let written = if fault.chunked {
            stream
                .write_all(format!("{n:x}\r\n").as_bytes())
                .and_then(|()| stream.write_all(piece))
                .and_then(|()| stream.write_all(b"\r\n"))
        } else {
            stream.write_all(piece)
        };
        if written.is_err() || shared.stop.load(Ordering::Relaxed) {
            return false;
        }
        sent += n;
        if let Some(rate) = fault.rate {
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    if fault.chunked && limit == body.len() && stream.write_all(b"0\r\n\r\n").is_err() {
        return false;
    }
    !close
}

impl Shared {
    fn fault(&self, target: &str, storage: bool) -> Fault {
        let mut state = self.state.lock().unwrap();
        for rule in &mut state.rules {
            let matches = match rule.on.strip_prefix("storage:") {
                Some(on) => storage && target.contains(on),
                None => !storage && target.contains(&rule.on),
            };
            if !matches || rule.times == Some(0) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times = rule.times.map(|times| times - 1);
            return rule.fault.clone();
        }
        Fault::default()
    }

    fn note(&self, request: &Request, storage: bool, status: u16) {
        let Request {
            target,
            range,
            authorization,
            ..
        } = request;
        let (target, range, authorization) = (target.clone(), range.clone(), authorization.clone());
        self.state.lock().unwrap().seen.push(Seen {
            storage,
            target,
            range,
            authorization,
            status,
        });
    }

    fn answer(&self, request: &Request, storage: bool) -> Answer {
        let state = self.state.lock().unwrap();
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let path = decode(path);
        if storage {
            let found = path.strip_prefix("/cdn/").and_then(|etag| state.storage.get(etag));
            let headers = vec![
                ("ETag".into(), "\"storage\"".into()),
                ("Accept-Ranges".into(), "bytes".into()),
            ];
            return match found {
                Some(body) => Answer {
                    status: 200,
                    headers,
                    body: body.clone(),
                },
                None => error(404, "", "no such object"),
            };
        }
        if let Some(rest) = path.strip_prefix("/api/resolve-cache/models/") {
            let (name, rest) = split_repo(rest, &state);
            let (commit, file) = rest.split_once('/').unwrap();
            let file = &state.repos[&name].commits[commit][file];
            return Answer {
                status: 200,
                headers: vec![("ETag".into(), format!("\"{}\"", file.etag))],
                body: file.data.clone(),
            };
        }
        if let Some(rest) = path.strip_prefix("/api/models/") {
            let (name, rest) = split_repo(rest, &state);
            let Some(repo) = state.repos.get(&name) else {
                return error(404, "RepoNotFound", "Repository not found");
            };
            let (kind, revision) = rest.split_once('/').unwrap_or(("revision", "main"));
            let Some(commit) = commit_of(repo, revision) else {
                return error(404, "RevisionNotFound", "Invalid rev id");
            };
            if kind == "revision" {
                return json(
                    vec![],
                    &format!("{{\"id\":\"{name}\",\"sha\":\"{commit}\",\"private\":false}}"),
                );
            }
            let items: Vec<String> = repo.commits[&commit]
                .iter()
                .map(|(path, file)| item(path, file))
                .collect();
            let from: usize = query
                .split('&')
                .find_map(|p| p.strip_prefix("cursor="))
                .map_or(0, |n| n.parse().unwrap());
            let page = if state.page == 0 { items.len() } else { state.page };
            let to = (from + page).min(items.len());
            let next = format!(
                "<http://127.0.0.1:{}/api/models/{name}/tree/{commit}?recursive=true&cursor={to}>; rel=\"next\"",
                self.hub
            );
            let headers = if to < items.len() {
                vec![("Link".into(), next)]
            } else {
                vec![]
            };
            return json(
                headers,
                &format!(
                    "[{{\"type\":\"directory\",\"oid\":\"x\",\"size\":0,\"path\":\"d\"}}{}]",
                    items[from..to]
                        .iter()
                        .map(|item| format!(",{item}"))
                        .collect::<String>()
                ),
            );
        }
        let (name, rest) = split_repo(&path[1..], &state);
        let Some(repo) = state.repos.get(&name) else {
            return error(404, "RepoNotFound", "Repository not found");
        };
        let Some((revision, path)) = rest.strip_prefix("resolve/").and_then(|rest| rest.split_once('/')) else {
            return error(404, "", "no route");
        };
        let Some(commit) = commit_of(repo, revision) else {
            return error(404, "RevisionNotFound", "Invalid rev id");
        };
        let Some(file) = repo.commits[&commit].get(path) else {
            return error(404, "EntryNotFound", "Entry not found");
        };
        let etag = format!("\"{}\"", file.etag);
        let mut headers = vec![
            ("X-Repo-Commit".to_owned(), commit.clone()),
            ("Accept-Ranges".to_owned(), "bytes".to_owned()),
        ];
        if file.lfs {
            let key = &file.key;
            headers.push(("X-Linked-Etag".into(), etag));
            headers.push(("X-Linked-Size".into(), file.size.to_string()));
            headers.push(("ETag".into(), "\"redirect-etag\"".into()));
            headers.push((
                "Location".into(),
                format!("http://127.0.0.1:{}/cdn/{key}?Expires=1&Signature=SECRET", self.storage),
            ));
            return Answer {
                status: 302,
                headers,
                body: Arc::new(b"Found. Redirecting".to_vec()),
            };
        }
        if state.small_by_redirect {
            let to = format!("/api/resolve-cache/models/{name}/{commit}/{}?etag=x", encode(path));
            headers.push(("Location".into(), to));
            return Answer {
                status: 307,
                headers,
                body: Arc::new(b"Temporary Redirect".to_vec()),
            };
        }
        headers.push(("ETag".into(), etag));
        Answer {
            status: 200,
            headers,
            body: file.data.clone(),
        }
    }
}

fn commit_of(repo: &Repo, revision: &str) -> Option<String> {
    repo.refs
        .get(revision)
        .cloned()
        .or_else(|| repo.commits.contains_key(revision).then(|| revision.to_owned()))
}

/// `ORG/NAME/REST` or, for old repositories, `NAME/REST`.
fn split_repo(path: &str, state: &State) -> (String, String) {
    let mut parts = path.splitn(3, '/');
    let (first, second, rest) = (
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
    );
    if state.repos.contains_key(first) {
        let rest = if rest.is_empty() {
            second.to_owned()
        } else {
            format!("{second}/{rest}")
        };
        return (first.to_owned(), rest);
    }
    (format!("{first}/{second}"), rest.to_owned())
}

fn item(path: &str, file: &File) -> String {
    let path = path
        .replace('\\', "\\\\")
        .replace('\0', "\\u0000")
        .replace('\u{1b}', "\\u001b");
    let size = file.size;
    if file.lfs {
        let pointer = git_sha(
            format!(
                "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {size}\n",
                file.etag
            )
            .as_bytes(),
        );
        let etag = &file.etag;
        format!(
            "{{\"type\":\"file\",\"oid\":\"{pointer}\",\"size\":{size},\"path\":\"{path}\",\"lfs\":{{\"oid\":\"{etag}\",\"size\":{size},\"pointerSize\":134}}}}"
        )
    } else {
        format!(
            "{{\"type\":\"file\",\"oid\":\"{}\",\"size\":{size},\"path\":\"{path}\"}}",
            file.etag
        )
    }
}

fn json(headers: Vec<(String, String)>, body: &str) -> Answer {
    let mut headers = headers;
    headers.push(("Content-Type".into(), "application/json".into()));
    Answer {
        status: 200,
        headers,
        body: Arc::new(body.as_bytes().to_vec()),
    }
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let headers = vec![
        ("X-Error-Code".into(), code.into()),
        ("X-Error-Message".into(), message.into()),
    ];
    let headers = if code.is_empty() { vec![] } else { headers };
    Answer {
        status,
        headers,
        body: Arc::new(format!("{{\"error\":\"{message}\"}}").into_bytes()),
    }
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'/' => out.push(byte.into()),
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A server that counts connections and answers none: whoever calls it has failed.
pub(crate) struct Tripwire {
    pub(crate) url: String,
    touched: Arc<AtomicBool>,
}

impl Tripwire {
    pub(crate) fn start() -> Tripwire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let touched = Arc::new(AtomicBool::new(false));
        let flag = touched.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                flag.store(true, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 1]);
            }
        });
        Tripwire { url, touched }
    }

    pub(crate) fn touched(&self) -> bool {
        self.touched.load(Ordering::SeqCst)
    }
}
