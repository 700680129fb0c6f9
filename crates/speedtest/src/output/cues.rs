//! Cues of subtitles: a segment each, or laid out word by word.
//!
//! Source: `SubtitlesWriter` in `utils.py` of openai/whisper.

use whisper::transcript::{Segment, Word};

use super::text::stripped;
use super::time::milliseconds;

/// How words are laid out in cues. It says nothing to segments without words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The most characters of a line.
    pub(crate) max_line_width: Option<usize>,
    /// The most lines of a cue. With a width too, cues are cut by these alone and at pauses, not at segments.
    pub(crate) max_line_count: Option<usize>,
    /// The most words of a cue, where there is no width.
    pub(crate) max_words_per_line: Option<usize>,
    /// A cue for each word, with that word underlined.
    pub(crate) highlight_words: bool,
}

/// What is shown, and when, in seconds.
#[derive(Debug, PartialEq)]
pub(super) struct Cue {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) text: String,
}

/// Lays out segments as they come.
#[derive(Debug)]
pub(super) struct Cues {
    layout: Layout,
    /// The words of the cue that grows, each with the space or line break before it.
    growing: Vec<Word>,
    /// Characters of its last line.
    line_len: usize,
    line_count: usize,
    /// Where the last word has begun.
    last_start: Option<f64>,
}

impl Cues {
    pub(super) fn new(layout: Layout) -> Cues {
        Cues {
            layout,
            growing: Vec::new(),
            line_len: 0,
            line_count: 1,
            last_start: None,
        }
    }

    /// The cues that this segment completes.
    pub(super) fn segment(&mut self, segment: &Segment) -> Vec<Cue> {
        let Some(words) = &segment.words else {
            return vec![Cue {
                start: segment.start,
                end: segment.end,
                text: uninterrupted(stripped(segment)),
            }];
        };
        let mut complete = Vec::new();
        let words_together = self.layout.max_words_per_line.unwrap_or(1000);
        for words in words.chunks(words_together) {
            for word in words {
                self.word(word, &mut complete);
            }
            if self.keeps_segments() {
                self.end(&mut complete);
            }
        }
        complete
    }

    /// The cue that is left.
    pub(super) fn finish(&mut self) -> Vec<Cue> {
        let mut last = Vec::new();
        self.end(&mut last);
        last
    }

    /// Whether a cue ends with its segment.
    fn keeps_segments(&self) -> bool {
        self.layout.max_line_count.is_none() || self.layout.max_line_width.is_none()
    }

    fn word(&mut self, word: &Word, complete: &mut Vec<Cue>) {
        const LONG_PAUSE: f64 = 3.0;
        let mut word = word.clone();
        let pause = word.start - self.last_start.unwrap_or(word.start);
        let pauses = pause > LONG_PAUSE && !self.keeps_segments();
        let width = word.word.chars().count();
        let fits = self.line_len + width <= self.layout.max_line_width.unwrap_or(1000);
        if self.line_len > 0 && fits && !pauses {
            self.line_len += width;
        } else {
            word.word = word.word.trim().to_owned();
            let is_full = |most| pauses || self.line_count >= most;
            if self.layout.max_line_count.is_some_and(is_full) {
                self.end(complete);
            } else if self.line_len > 0 {
                self.line_count += 1;
                word.word.insert(0, '\n');
            }
            self.line_len = word.word.trim().chars().count();
        }
        self.last_start = Some(word.start);
        self.growing.push(word);
    }

    /// Ends the cue that grows, if it has words.
    fn end(&mut self, complete: &mut Vec<Cue>) {
        let words = std::mem::take(&mut self.growing);
        let ([first, ..], [.., last]) = (&words[..], &words[..]) else {
            return;
        };
        (self.line_len, self.line_count) = (0, 1);
        if self.layout.highlight_words {
            highlighted(&words, complete);
        } else {
            complete.push(Cue {
                start: first.start,
                end: last.end,
                text: uninterrupted(&joined(&words)),
            });
        }
    }
}

fn joined(words: &[Word]) -> String {
    words.iter().map(|word| word.word.as_str()).collect()
}

/// The words of a cue, one after the other underlined, and between them none.
fn highlighted(words: &[Word], complete: &mut Vec<Cue>) {
    let mut until = words[0].start;
    for (index, word) in words.iter().enumerate() {
        if milliseconds(until) != milliseconds(word.start) {
            complete.push(Cue {
                start: until,
                end: word.start,
                text: uninterrupted(&joined(words)),
            });
        }
        let said = word.word.trim_start();
        let (space, (before, after)) = (
            &word.word[..word.word.len() - said.len()],
            (joined(&words[..index]), joined(&words[index + 1..])),
        );
        complete.push(Cue {
            start: word.start,
            end: word.end,
            text: uninterrupted(&format!("{before}{space}<u>{said}</u>{after}")),
        });
        until = word.end;
    }
}

/// The text without what would end a cue: an arrow, an empty line.
fn uninterrupted(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join("\n").replace("-->", "->")
}
