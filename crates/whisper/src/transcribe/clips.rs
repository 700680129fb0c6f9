//! Which parts of a recording are to be transcribed.

use std::ops::Range;

use crate::options::Compat;
use crate::{Error, Result};

/// The parts in frames of 10 ms, from their starts and ends in seconds, in turn. Nothing given is everything.
///
/// # Errors
/// Times that are negative or no numbers; with OpenAI's rules, times that go back.
pub(super) fn clips(seconds: &[f64], content_frames: usize, compat: Compat) -> Result<Vec<Range<usize>>> {
    let mut frames = seconds
        .iter()
        .map(|&time| to_frames(time))
        .collect::<Result<Vec<_>>>()?;
    if compat == Compat::OpenAi && !frames.is_sorted() {
        return Err(Error::Request(format!(
            "clip_timestamps: expected start,end,start,end,... in ascending order, found {seconds:?}"
        )));
    }
    if frames.is_empty() {
        frames.push(0);
    }
    if frames.len() % 2 == 1 {
        frames.push(content_frames);
    }
    let clip = |pair: &[usize]| pair[0]..pair[1].min(content_frames);
    Ok(frames.chunks_exact(2).map(clip).collect())
}

/// Whether [`clips`] takes these times, whatever the recording.
pub(crate) fn check_clips(seconds: &[f64], compat: Compat) -> Result<()> {
    clips(seconds, 0, compat).map(|_| ())
}

/// Rounds halves to even, as Python does.
fn to_frames(seconds: f64) -> Result<usize> {
    if !(0.0..1e9).contains(&seconds) {
        return Err(Error::Request(format!(
            "clip_timestamps: expected seconds from 0 on, found {seconds}"
        )));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie in 0..1e9 s")]
    let frames = (seconds * 100.0).round_ties_even() as usize;
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_parts_and_an_open_one_ends_with_the_recording() {
        let parts = |seconds: &[f64]| {
            let clips = clips(seconds, 1100, Compat::OpenAi).unwrap();
            clips.into_iter().map(|clip| (clip.start, clip.end)).collect::<Vec<_>>()
        };
        assert_eq!(parts(&[]), [(0, 1100)]);
        assert_eq!(parts(&[2.0]), [(200, 1100)]);
        assert_eq!(parts(&[0.0, 3.0, 8.0]), [(0, 300), (800, 1100)]);
        assert_eq!(parts(&[0.0, 3.0, 8.0, 99.0]), [(0, 300), (800, 1100)]);
        assert_eq!(parts(&[20.0]), [(2000, 1100)]); // past the end: nothing
        assert_eq!(parts(&[0.125, 0.135]), [(12, 14)]); // halves to even
    }

    #[test]
    fn times_that_cannot_be_are_refused() {
        for bad in [-0.1, f64::NAN, f64::INFINITY, 1e300] {
            for compat in [Compat::OpenAi, Compat::Mlx] {
                assert!(clips(&[bad], 1100, compat).is_err());
            }
        }
        assert!(clips(&[8.0, 11.0, 0.0, 3.0], 1100, Compat::OpenAi).is_err());
        assert_eq!(
            clips(&[8.0, 11.0, 0.0, 3.0], 1100, Compat::Mlx).unwrap(),
            [800..1100, 0..300]
        );
    }
}
