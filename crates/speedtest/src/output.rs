//! The forms of a transcript: each is a head, a piece for each segment as it is found, and a tail.

mod json;
mod python;
mod subtitles;
mod tables;
mod text;
mod time;

use whisper::transcript::{Segment, Transcript};

pub(crate) use json::{ModelUsed, Weights};

/// A form in which a transcript is written. txt, vtt, srt, tsv and json are mlx_whisper's to the byte, but that json is
/// always valid and says at its end what the model was; lrc and csv are whisper.cpp's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Txt,
    Vtt,
    Srt,
    Tsv,
    Json,
    Lrc,
    Csv,
}

impl Format {
    pub(crate) const ALL: [Format; 7] = [
        Format::Txt,
        Format::Vtt,
        Format::Srt,
        Format::Tsv,
        Format::Json,
        Format::Lrc,
        Format::Csv,
    ];

    /// What follows the dot in a file's name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Format::Txt => "txt",
            Format::Vtt => "vtt",
            Format::Srt => "srt",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::Lrc => "lrc",
            Format::Csv => "csv",
        }
    }

    /// What stands before the first segment.
    pub(crate) fn head(self) -> &'static str {
        match self {
            Format::Txt | Format::Srt | Format::Json => "",
            Format::Vtt => subtitles::VTT_HEAD,
            Format::Tsv => tables::TSV_HEAD,
            Format::Lrc => tables::LRC_HEAD,
            Format::Csv => tables::CSV_HEAD,
        }
    }

    /// A segment, the `index`th from 0.
    pub(crate) fn segment(self, index: usize, segment: &Segment) -> String {
        match self {
            Format::Txt => text::txt(segment),
            Format::Vtt => subtitles::vtt(segment),
            Format::Srt => subtitles::srt(index, segment),
            Format::Tsv => tables::tsv(segment),
            Format::Json => String::new(),
            Format::Lrc => tables::lrc(segment),
            Format::Csv => tables::csv(segment),
        }
    }

    /// What stands after the last segment: for json, everything.
    pub(crate) fn tail(self, transcript: &Transcript, model: &ModelUsed) -> String {
        match self {
            Format::Json => json::document(transcript, model),
            _ => String::new(),
        }
    }

    /// The whole text.
    pub(crate) fn render(self, transcript: &Transcript, model: &ModelUsed) -> String {
        let mut text = String::from(self.head());
        for (index, segment) in transcript.segments.iter().enumerate() {
            text += &self.segment(index, segment);
        }
        text + &self.tail(transcript, model)
    }
}

#[cfg(test)]
mod tests;
