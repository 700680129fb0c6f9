//! The forms of a transcript: each is a head, what each segment adds as it is found, and a tail.

mod cues;
mod json;
mod python;
mod subtitles;
mod tables;
mod text;
mod time;

use whisper::transcript::{Segment, Transcript};

use cues::{Cue, Cues};

pub(crate) use cues::Layout;
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

    /// The whole text.
    pub(crate) fn render(self, layout: Layout, transcript: &Transcript, model: &ModelUsed) -> String {
        let mut writer = Writer::new(self, layout);
        let mut text = String::from(writer.head());
        for segment in &transcript.segments {
            text += &writer.segment(segment);
        }
        text + &writer.tail(transcript, model)
    }
}

/// Writes a transcript in one form, segment by segment as they are found.
pub(crate) struct Writer {
    format: Format,
    cues: Cues,
    n_cues: usize,
}

impl Writer {
    pub(crate) fn new(format: Format, layout: Layout) -> Writer {
        Writer {
            format,
            cues: Cues::new(layout),
            n_cues: 0,
        }
    }

    /// What stands before the first segment.
    pub(crate) fn head(&self) -> &'static str {
        match self.format {
            Format::Txt | Format::Srt | Format::Json => "",
            Format::Vtt => subtitles::VTT_HEAD,
            Format::Tsv => tables::TSV_HEAD,
            Format::Lrc => tables::LRC_HEAD,
            Format::Csv => tables::CSV_HEAD,
        }
    }

    /// What the next segment adds; a cue may wait for the words of another.
    pub(crate) fn segment(&mut self, segment: &Segment) -> String {
        match self.format {
            Format::Txt => text::txt(segment),
            Format::Vtt | Format::Srt => {
                let complete = self.cues.segment(segment);
                self.cues(&complete)
            }
            Format::Tsv => tables::tsv(segment),
            Format::Json => String::new(),
            Format::Lrc => tables::lrc(segment),
            Format::Csv => tables::csv(segment),
        }
    }

    /// What stands after the last segment: for json, everything.
    pub(crate) fn tail(&mut self, transcript: &Transcript, model: &ModelUsed) -> String {
        match self.format {
            Format::Json => json::document(transcript, model),
            Format::Vtt | Format::Srt => {
                let last = self.cues.finish();
                self.cues(&last)
            }
            Format::Txt | Format::Tsv | Format::Lrc | Format::Csv => String::new(),
        }
    }

    fn cues(&mut self, cues: &[Cue]) -> String {
        let mut text = String::new();
        for cue in cues {
            self.n_cues += 1;
            text += &match self.format {
                Format::Srt => subtitles::srt(self.n_cues, cue),
                _ => subtitles::vtt(cue),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests;
