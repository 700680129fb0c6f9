//! What can be asked of `transcribe`.

mod words;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use crate::cli::ComputeArgs;
use crate::cli::values::{Batch, Limit, Maybe, Seconds, boolean, limit, optional, seconds};
use crate::model_names;
use crate::store::download::Sources;

pub(crate) use words::WordArgs;

const EXAMPLES: &str = "\
Examples:
  whisper-speedtest transcribe talk.mp3
  whisper-speedtest transcribe talk.mp3 --language German -f srt > talk.srt
  whisper-speedtest transcribe interviews/ -f all -o texts
  whisper-speedtest transcribe film.mkv --word-timestamps --max-line-width 42 --max-line-count 2 -f srt -o .
  whisper-speedtest transcribe lecture.mp3 --batch auto
  ffmpeg -i film.mkv -f wav - | whisper-speedtest transcribe -

Commands written for mlx_whisper and whisper work: options may have underscores, booleans may be True or False.";

/// Write down what is said in recordings
///
/// The text of one recording goes to standard output as it is recognised. With --output-dir files are written, and for
/// several recordings, too.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TranscribeArgs {
    /// Recordings; folders stand for the recordings in them, `-` for standard input
    #[arg(required = true, value_name = "AUDIO")]
    pub(crate) audio: Vec<PathBuf>,
    /// bundled, a name (tiny, base, small, medium, large, turbo, large-v2, large-v3, tiny.en, ...), a repository ORG/NAME, or a folder
    #[arg(short, long, value_name = "MODEL", default_value = model_names::DEFAULT)]
    pub(crate) model: String,
    /// The language spoken, as code or English name [default: detected]
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) language: Option<String>,
    /// Write what is said, or translate it into English
    #[arg(long, value_enum, default_value_t, value_name = "TASK")]
    pub(crate) task: Task,
    /// Show each window of 30 s the text before it; off, a mistake cannot spread
    #[arg(long, value_name = "BOOL", default_value = "true", value_parser = boolean)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) condition_on_previous_text: bool,
    /// Text before the first window: names, spelling, style
    #[arg(long, value_name = "TEXT")]
    pub(crate) initial_prompt: Option<String>,
    /// Show the initial prompt to every window
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean, hide_default_value = true)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) carry_initial_prompt: bool,
    /// Parts to transcribe, in seconds: start,end,start,end,...; the last end may be left out
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) clip_timestamps: Option<Seconds>,

    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) sound: SoundArgs,
    #[command(flatten)]
    pub(crate) decoding: DecodingArgs,
    #[command(flatten)]
    pub(crate) words: WordArgs,
    #[command(flatten)]
    pub(crate) foreign: ForeignArgs,

    /// Reproduce another program, its faults included
    #[arg(long, value_enum, value_name = "PROGRAM", help_heading = "Computing")]
    pub(crate) compat: Option<Compat>,
    #[command(flatten)]
    pub(crate) computing: ComputeArgs,
    /// Leave out pauses, cut the recording at them, and decode so many parts side by side, a number or auto: faster where
    /// it is long, but a part does not know the text before it. The number changes no text
    #[arg(long, value_name = "N", value_parser = Batch::parse, help_heading = "Computing")]
    pub(crate) batch: Option<Batch>,
    /// With --batch: transcribe what is no voice as well, as songs may be
    #[arg(long, requires = "batch", help_heading = "Computing")]
    pub(crate) keep_pauses: bool,

    /// Form of the text
    #[arg(
        short = 'f',
        long,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    pub(crate) output_format: OutputFormat,
    /// Write files NAME.FORMAT into this folder [default: the current one for several recordings, with -f all,
    /// --output-name or --no-overwrite; else the text is printed]
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub(crate) output_dir: Option<PathBuf>,
    /// NAME of the files [default: that of the recording]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    pub(crate) output_name: Option<String>,
    /// Leave files that exist as they are, and their recordings aside
    #[arg(long, help_heading = "Output")]
    pub(crate) no_overwrite: bool,
}

/// What to hear of a recording.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sound")]
pub(crate) struct SoundArgs {
    /// The audio track to hear, from 1 [default: the first that has sound]
    #[arg(long, value_name = "N")]
    pub(crate) audio_track: Option<NonZeroUsize>,
    /// The channel to hear, from 1 [default: the mean of all]
    #[arg(long, value_name = "N")]
    pub(crate) channel: Option<NonZeroUsize>,
    /// Never run an installed ffmpeg, not even for what nothing here can decode
    #[arg(long)]
    pub(crate) no_ffmpeg: bool,
    /// Take a damaged recording as failed; its text is written all the same
    #[arg(long)]
    pub(crate) strict: bool,
}

/// How tokens are chosen.
#[derive(Args, Debug)]
#[command(next_help_heading = "Decoding")]
pub(crate) struct DecodingArgs {
    /// 0 takes the most probable tokens, more samples them
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub(crate) temperature: f64,
    /// Added to the temperature, up to 1, while a text fails the thresholds; None: no second try [default: 0.2; None with --compat mlx]
    #[arg(long, value_name = "T", value_parser = optional)]
    pub(crate) temperature_increment_on_fallback: Option<Maybe>,
    /// Samples drawn at a temperature above 0, of which the most probable wins
    #[arg(long, value_name = "N", default_value = "5", value_parser = limit)]
    pub(crate) best_of: Limit,
    /// Exponent 0 to 1 of the penalty for length when samples are compared [default: their means are compared]
    #[arg(long, value_name = "ALPHA", value_parser = optional)]
    pub(crate) length_penalty: Option<Maybe>,
    /// Seed of all sampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// A text that compresses better repeats itself, and is tried again
    #[arg(long, value_name = "RATIO", default_value = "2.4", value_parser = optional)]
    pub(crate) compression_ratio_threshold: Maybe,
    /// A text of lower mean log-probability is tried again
    #[arg(long, value_name = "LOGPROB", default_value = "-1.0", value_parser = optional, allow_hyphen_values = true)]
    pub(crate) logprob_threshold: Maybe,
    /// A window of improbable text is silent if nobody speaks with a higher probability
    #[arg(long, value_name = "P", default_value = "0.6", value_parser = optional)]
    pub(crate) no_speech_threshold: Maybe,
    /// Ids of tokens never to write; -1: symbols that are written but not spoken
    #[arg(
        long,
        value_name = "IDS",
        default_value = "-1",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(crate) suppress_tokens: Vec<String>,
    /// Ask for text without timestamps: one segment for each window of 30 s
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean, hide_default_value = true)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) without_timestamps: bool,
    /// The latest first timestamp of a window, in seconds; 0: any
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) max_initial_timestamp: f64,
    /// The most tokens of a window [default: half the context of the model, 224]
    #[arg(long, value_name = "N")]
    pub(crate) sample_len: Option<usize>,
}

/// Options of mlx_whisper and whisper that decide nothing here: commands that give them work.
#[derive(Args, Debug)]
pub(crate) struct ForeignArgs {
    /// `--compute` decides.
    #[arg(long, hide = true, value_name = "BOOL", value_parser = boolean)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    fp16: Option<bool>,
    #[arg(long, hide = true, value_name = "N", value_parser = optional)]
    beam_size: Option<Maybe>,
    /// Of beam search.
    #[arg(long, hide = true, value_name = "FACTOR", value_parser = optional)]
    patience: Option<Maybe>,
}

impl ForeignArgs {
    /// What the user would otherwise believe to have.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(Maybe(Some(size))) = self.beam_size.filter(|size| size.0 > Some(1.0)) {
            warnings.push(format!(
                "--beam-size {size}: there is no beam search here, the most probable token is taken"
            ));
        }
        warnings
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    #[default]
    Transcribe,
    Translate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compat {
    /// mlx_whisper 0.4.3, to the token at temperature 0
    Mlx,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// The text, a line each segment
    #[default]
    Txt,
    /// WebVTT subtitles
    Vtt,
    /// SubRip subtitles
    Srt,
    /// Start and end in milliseconds, and text, between tabs
    Tsv,
    /// Everything: segments, tokens, probabilities, and what the model really was
    Json,
    /// Lyrics with times
    Lrc,
    /// Start and end in milliseconds, and text, between commas
    Csv,
    /// A file of each
    All,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;
    use crate::cli::{Command, parse};
    use crate::output::Layout;

    fn transcribe(line: &str) -> TranscribeArgs {
        match parse(line.split_whitespace().map(OsString::from)).unwrap().command {
            Command::Transcribe(args) => *args,
            other => panic!("expected transcribe, found {other:?}"),
        }
    }

    #[test]
    fn the_examples_of_both_readmes_parse() {
        // mlx_whisper's README, then whisper's, with the program's name changed
        for line in [
            "p transcribe audio_file.mp3",
            "p transcribe audio_file.mp3 --model mlx-community/whisper-large-v3-turbo --output-name note -o .",
            "p transcribe - -f json",
            "p transcribe audio.flac audio.mp3 audio.wav --model turbo",
            "p transcribe japanese.wav --language Japanese",
            "p transcribe japanese.wav --model medium --language Japanese --task translate",
        ] {
            transcribe(line);
        }
    }

    #[test]
    fn words_are_asked_for_as_in_python() {
        let words = |line: &str| transcribe(&format!("p transcribe a.wav {line}")).words;
        let mlx = words("--word-timestamps True --highlight-words True --max-words-per-line 5");
        assert!(mlx.word_timestamps && mlx.layout().highlight_words && mlx.problem().is_none());
        assert_eq!(mlx.layout().max_words_per_line, Some(5));
        let openai = words("--word_timestamps True --max_line_width None --max_line_count 0 --prepend_punctuations -(");
        assert_eq!(openai.layout(), Layout::default());
        assert_eq!(openai.prepend_punctuations, "-(");
        let options = whisper::Options::default();
        let plain = words("--highlight_words False");
        assert_eq!(plain.prepend_punctuations, options.prepend_punctuations);
        assert_eq!(plain.append_punctuations, options.append_punctuations);
        assert_eq!((plain.problem(), plain.warnings().len()), (None, 0));
    }

    #[test]
    fn a_layout_of_words_without_words_is_refused_or_said() {
        let words = |line: &str| transcribe(&format!("p transcribe a.wav {line}")).words;
        for line in [
            "--highlight-words",
            "--max-line-width 40",
            "--max-line-count 2",
            "--max-words-per-line 3",
        ] {
            assert!(
                words(line)
                    .problem()
                    .is_some_and(|problem| problem.contains("add --word-timestamps")),
                "{line}"
            );
        }
        for line in [
            "--hallucination-silence-threshold 2",
            "--word-timestamps --max-line-count 2",
            "--word-timestamps --max-line-width 40 --max-words-per-line 3",
        ] {
            assert_eq!(
                (words(line).problem(), words(line).warnings().len()),
                (None, 1),
                "{line}"
            );
        }
    }

    #[test]
    fn thresholds_may_be_none() {
        let decoding = transcribe("p transcribe a.wav --logprob_threshold None --no-speech-threshold 0.3").decoding;
        assert_eq!(
            (decoding.logprob_threshold, decoding.no_speech_threshold),
            (Maybe(None), Maybe(Some(0.3)))
        );
        assert_eq!(
            transcribe("p transcribe a.wav --logprob-threshold -0.5")
                .decoding
                .logprob_threshold,
            Maybe(Some(-0.5))
        );
        assert_eq!(
            transcribe("p transcribe a.wav --suppress-tokens -1,50")
                .decoding
                .suppress_tokens,
            ["-1", "50"]
        );
    }

    #[test]
    fn what_decides_nothing_is_accepted_and_said() {
        let warnings = |line: &str| transcribe(&format!("p transcribe a.wav {line}")).foreign.warnings();
        assert_eq!(
            warnings("--fp16 False --device cpu --beam_size None --patience 1.0"),
            [""; 0]
        );
        assert_eq!(warnings("--device cuda --beam_size 5").len(), 1);
    }

    #[test]
    fn booleans_are_spelled_as_in_python_or_not() {
        assert!(transcribe("p transcribe a.wav").condition_on_previous_text);
        assert!(!transcribe("p transcribe a.wav --condition_on_previous_text False").condition_on_previous_text);
        assert!(!transcribe("p transcribe --condition-on-previous-text=no a.wav").condition_on_previous_text);
        let bare = transcribe("p transcribe --condition-on-previous-text a.wav");
        assert!(bare.condition_on_previous_text && bare.audio == [Path::new("a.wav")]);
        assert_eq!(
            transcribe("p transcribe --verbose False a.wav").audio,
            [Path::new("a.wav")]
        );
        assert_eq!(transcribe("p transcribe -v a.wav").audio, [Path::new("a.wav")]);
        assert!(!transcribe("p transcribe a.wav").decoding.without_timestamps);
        assert!(
            transcribe("p transcribe --without_timestamps True a.wav")
                .decoding
                .without_timestamps
        );
        assert!(parse("p transcribe --verbose=maybe a.wav".split(' ').map(OsString::from)).is_err());
    }

    /// A heading of a flattened group goes on over whatever stands behind it.
    #[test]
    fn help_groups_what_belongs_together() {
        let command = crate::cli::command();
        let transcribe = command.find_subcommand("transcribe").unwrap();
        let heading = |id: &str| {
            let arg = transcribe.get_arguments().find(|arg| arg.get_id() == id);
            arg.unwrap().get_help_heading()
        };
        for id in ["model", "language", "task", "clip_timestamps"] {
            assert_eq!(heading(id), None, "{id}");
        }
        let expected = [
            ("offline", "Models"),
            ("channel", "Sound"),
            ("temperature", "Decoding"),
            ("batch", "Computing"),
        ];
        for (id, group) in expected
            .into_iter()
            .chain([("highlight_words", "Words"), ("no_overwrite", "Output")])
        {
            assert_eq!(heading(id), Some(group), "{id}");
        }
    }

    #[test]
    fn what_follows_two_dashes_is_left_alone() {
        assert_eq!(
            transcribe("p transcribe -- --my_file True").audio,
            [Path::new("--my_file"), Path::new("True")]
        );
    }
}
