//! What we cannot decode, an installed `ffmpeg` may: it writes WAVE to a pipe, which is read like any other.
//!
//! It gets one local file and no network (`-protocol_whitelist file,pipe`), is never asked through a terminal
//! (`-nostdin`), and is killed when it stands still, writes too much, or is not needed any more.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::track::Track;
use super::wave;

/// It may think so long before it writes anything more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes it may write: two days of 48 kHz stereo.
const MAX_OUTPUT: u64 = 64 << 30;

/// What is shown of its complaints.
const MAX_COMPLAINT: u64 = 300;

/// Formats that are no part of this program, by their first bytes (a place, then what is there).
const KNOWN: [(usize, &[u8], &str); 14] = [
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (ASF)"),
    (0, b"\x0b\x77", "Dolby AC-3"),
    (28, b"Speex   ", "Speex"),
    (0, b"#!AMR", "AMR"),
    (0, b"FLV\x01", "Flash video"),
    (0, b".RMF", "RealMedia"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "True Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"DSD ", "DSD"),
    (0, b"RIFX", "big-endian WAVE"),
    (0, b"\x00\x00\x01\xba", "an MPEG program stream"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
];

/// The name of the format that begins with `head`, if it is one that ffmpeg knows and we do not.
pub(super) fn recognises(head: &[u8]) -> Option<&'static str> {
    let transport_stream = head.first() == Some(&0x47) && head.get(188) == Some(&0x47);
    let found = KNOWN
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    found
        .map(|(_, _, name)| *name)
        .or(transport_stream.then_some("an MPEG transport stream"))
}

/// The `wanted`-th audio track of a file, from 0, decoded by `program`. `what` names the format for a person.
pub(super) fn open(program: &OsStr, path: &Path, wanted: usize, what: &str) -> Result<Track, String> {
    let mut child = Command::new(program)
        .args(arguments(path, wanted))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|fault| {
            format!("it is {what}, which needs ffmpeg, and ffmpeg cannot be started ({fault}): install it")
        })?;
    let (blocks, received) = sync_channel(16);
    let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("ffmpeg cannot be started".to_owned());
    };
    thread::spawn(move || pump(output, &blocks));
    let complaint = thread::spawn(move || read_complaint(errors));
    let output = Output {
        child,
        complaint: Some(complaint),
        blocks: Mutex::new(received),
        block: Vec::new(),
        at: 0,
    };
    wave::open(Box::new(output.take(MAX_OUTPUT)))
        .map_err(|fault| format!("it is {what}, and ffmpeg fails on it: {fault}"))
}

fn arguments(path: &Path, wanted: usize) -> Vec<OsString> {
    let mut input = OsString::from("file:");
    input.push(path);
    let track = format!("0:a:{wanted}");
    let before = ["-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-i"].map(OsString::from);
    let after = [
        "-map",
        &track,
        "-vn",
        "-sn",
        "-dn",
        "-c:a",
        "pcm_f32le",
        "-f",
        "wav",
        "pipe:1",
    ]
    .map(OsString::from);
    before.into_iter().chain([input]).chain(after).collect()
}

/// Moves what it writes into the channel, so that the reader can stop waiting.
fn pump(mut output: impl Read, blocks: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = vec![0; 64 * 1024];
        let sent = match output.read(&mut block) {
            Ok(0) => return,
            Ok(n) => {
                block.truncate(n);
                blocks.send(Ok(block))
            }
            Err(fault) => blocks.send(Err(fault)),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The beginning of what it writes to standard error; the rest is read too, so that it never waits for us.
fn read_complaint(mut errors: impl Read) -> String {
    let mut text = Vec::new();
    let _ = errors.by_ref().take(MAX_COMPLAINT).read_to_end(&mut text);
    let _ = io::copy(&mut errors, &mut io::sink());
    String::from_utf8_lossy(&text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Standard output of a running ffmpeg, which ends with it.
struct Output {
    child: Child,
    complaint: Option<thread::JoinHandle<String>>,
    /// The mutex makes it `Sync`; nobody else has it.
    blocks: Mutex<Receiver<io::Result<Vec<u8>>>>,
    block: Vec<u8>,
    at: usize,
}

impl Read for Output {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let blocks = self
                .blocks
                .get_mut()
                .map_err(|_| io::Error::other("a thread has failed"))?;
            match blocks.recv_timeout(PATIENCE) {
                Ok(block) => (self.block, self.at) = (block?, 0),
                Err(RecvTimeoutError::Disconnected) => return self.end(),
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = PATIENCE.as_secs();
                    return Err(io::Error::other(format!(
                        "it wrote nothing for {seconds} s and was stopped"
                    )));
                }
            }
        }
        let n = bytes.len().min(self.block.len() - self.at);
        bytes[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl Output {
    /// Its output has ended: well, or with a complaint.
    fn end(&mut self) -> io::Result<usize> {
        let status = self.child.wait()?;
        let complaint = self
            .complaint
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        if status.success() {
            Ok(0)
        } else {
            Err(io::Error::other(format!("{status}: {}", complaint.trim())))
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
