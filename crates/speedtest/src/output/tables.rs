//! A row a segment: start, end and text.

use super::text::{one_line, stripped};
use super::time::milliseconds;
use whisper::transcript::Segment;

pub(super) const TSV_HEAD: &str = "start\tend\ttext\n";
pub(super) const CSV_HEAD: &str = "start,end,text\n";
pub(super) const LRC_HEAD: &str = "[by:whisper-speedtest]\n";

/// Milliseconds, between tabs.
pub(super) fn tsv(segment: &Segment) -> String {
    let (start, end) = (milliseconds(segment.start), milliseconds(segment.end));
    format!("{start}\t{end}\t{}\n", one_line(segment).replace('\t', " "))
}

/// Milliseconds, between commas; the text always quoted (RFC 4180).
pub(super) fn csv(segment: &Segment) -> String {
    let (start, end) = (milliseconds(segment.start), milliseconds(segment.end));
    format!("{start},{end},\"{}\"\n", stripped(segment).replace('"', "\"\""))
}

/// The start in minutes, seconds and hundredths, and the text.
pub(super) fn lrc(segment: &Segment) -> String {
    let start = milliseconds(segment.start);
    let (minutes, seconds, hundredths) = (start / 60_000, start / 1000 % 60, start / 10 % 100);
    format!("[{minutes:02}:{seconds:02}.{hundredths:02}]{}\n", one_line(segment))
}
