//! What can be asked about words.

use std::num::NonZeroUsize;

use clap::{ArgAction, Args};

use crate::cli::values::{Limit, Maybe, boolean, limit, optional};
use crate::output::Layout;

/// When words are said, and how subtitles are made of them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Words")]
pub(crate) struct WordArgs {
    /// Find out when each word is said: in json, and for the cues of srt and vtt; segments then begin and end with their words
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean, hide_default_value = true)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) word_timestamps: bool,
    /// Marks that belong to the word after them
    #[arg(long, value_name = "MARKS", default_value = "\"'“¿([{-", allow_hyphen_values = true)]
    pub(crate) prepend_punctuations: String,
    /// Marks that belong to the word before them
    #[arg(
        long,
        value_name = "MARKS",
        default_value = "\"'.。,，!！?？:：”)]}、",
        allow_hyphen_values = true
    )]
    pub(crate) append_punctuations: String,
    /// Leave out silence that is longer, where the words beside it look made up
    #[arg(long, value_name = "SECONDS", value_parser = optional)]
    pub(crate) hallucination_silence_threshold: Option<Maybe>,
    /// Underline each word while it is said (srt, vtt)
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean, hide_default_value = true)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    highlight_words: bool,
    /// The most characters of a line (srt, vtt)
    #[arg(long, value_name = "N", value_parser = limit)]
    max_line_width: Option<Limit>,
    /// The most lines of a cue (srt, vtt), with --max-line-width
    #[arg(long, value_name = "N", value_parser = limit)]
    max_line_count: Option<Limit>,
    /// The most words of a cue (srt, vtt), without --max-line-width
    #[arg(long, value_name = "N", value_parser = limit)]
    max_words_per_line: Option<Limit>,
}

impl WordArgs {
    /// How subtitles are laid out.
    pub(crate) fn layout(&self) -> Layout {
        let number = |limit: Option<Limit>| limit.and_then(|limit| limit.0).map(NonZeroUsize::get);
        Layout {
            max_line_width: number(self.max_line_width),
            max_line_count: number(self.max_line_count),
            max_words_per_line: number(self.max_words_per_line),
            highlight_words: self.highlight_words,
        }
    }

    /// An option that means nothing without the times of words.
    pub(crate) fn problem(&self) -> Option<String> {
        let layout = self.layout();
        let asked = [
            ("--highlight-words", layout.highlight_words),
            ("--max-line-width", layout.max_line_width.is_some()),
            ("--max-line-count", layout.max_line_count.is_some()),
            ("--max-words-per-line", layout.max_words_per_line.is_some()),
        ];
        let (name, _) = asked.into_iter().find(|(_, asked)| *asked && !self.word_timestamps)?;
        Some(format!("{name} lays out words: add --word-timestamps"))
    }

    /// What the user would otherwise believe to have.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let layout = self.layout();
        let mut warnings = Vec::new();
        if !self.word_timestamps && matches!(self.hallucination_silence_threshold, Some(Maybe(Some(_)))) {
            warnings.push("--hallucination-silence-threshold has no effect without --word-timestamps".to_owned());
        }
        if layout.max_line_count.is_some() && layout.max_line_width.is_none() {
            warnings.push("--max-line-count has no effect without --max-line-width".to_owned());
        }
        if layout.max_words_per_line.is_some() && layout.max_line_width.is_some() {
            warnings.push("--max-words-per-line has no effect with --max-line-width".to_owned());
        }
        warnings
    }
}
