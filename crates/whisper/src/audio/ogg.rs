//! Whether an Ogg file is whole: its last page says that it is the last (RFC 3533, 6). No other place tells its length.

use std::io::{Read, Seek, SeekFrom};

/// The longest page there is: 27 bytes, 255 lengths, 255 times 255 bytes.
const MAX_PAGE: u64 = 27 + 255 + 255 * 255;

/// Flag in the header of a page: the last one of its stream.
const END_OF_STREAM: u8 = 4;

/// Whether the last page of the file ends a stream, and ends where the file does.
pub(super) fn is_finished<F: Read + Seek>(file: &mut F) -> bool {
    let mut tail = Vec::new();
    let length = file.seek(SeekFrom::End(0)).unwrap_or(0);
    let read = file
        .seek(SeekFrom::Start(length.saturating_sub(MAX_PAGE)))
        .and_then(|_| file.read_to_end(&mut tail));
    let pages = (0..tail.len()).rev().filter(|&at| tail[at..].starts_with(b"OggS\0"));
    read.is_ok() && pages.take(1).any(|at| ends_stream(&tail[at..]))
}

fn ends_stream(page: &[u8]) -> bool {
    let Some((header, rest)) = page.split_at_checked(27) else {
        return false;
    };
    let Some((lengths, body)) = rest.split_at_checked(usize::from(header[26])) else {
        return false;
    };
    let length: usize = lengths.iter().map(|&n| usize::from(n)).sum();
    header[5] & END_OF_STREAM != 0 && body.len() >= length
}
