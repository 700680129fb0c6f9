//! What is to be written where.

use std::path::{Path, PathBuf};

use super::args::{OutputFormat, TranscribeArgs};
use crate::cli::usage_error;
use crate::files;
use crate::inputs::Input;
use crate::output::{Format, Layout};

/// What is to be done.
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    pub(super) formats: Vec<Format>,
    pub(super) layout: Layout,
    pub(super) target: Target,
    pub(super) overwrite: bool,
    pub(super) strict: bool,
}

/// A recording, and the name of its files without extension.
pub(super) struct Job {
    pub(super) input: Input,
    pub(super) name: String,
}

pub(super) enum Target {
    StandardOutput,
    Folder(PathBuf),
}

impl Plan {
    /// One text is printed. Files are written into the folder that was named; into the current one where something was
    /// asked for that only files can have.
    pub(super) fn new(args: &TranscribeArgs, inputs: Vec<Input>) -> Result<Plan, clap::Error> {
        if let Some(problem) = args.words.problem() {
            return Err(usage_error("transcribe", problem));
        }
        let formats = formats(args.output_format);
        let files = inputs.len() > 1 || formats.len() > 1 || args.output_name.is_some() || args.no_overwrite;
        let target = match &args.output_dir {
            Some(folder) => Target::Folder(folder.clone()),
            None if files => Target::Folder(".".into()),
            None => Target::StandardOutput,
        };
        let mut names = files::names(&inputs);
        if let Some(name) = &args.output_name {
            if inputs.len() > 1 {
                return Err(usage_error(
                    "transcribe",
                    "--output-name is for one recording: several would overwrite each other",
                ));
            }
            names = vec![name.clone(); inputs.len()];
        }
        let jobs = inputs
            .into_iter()
            .zip(names)
            .map(|(input, name)| Job { input, name })
            .collect();
        Ok(Plan {
            jobs,
            formats,
            layout: args.words.layout(),
            target,
            overwrite: !args.no_overwrite,
            strict: args.sound.strict,
        })
    }

    /// The files of a recording; none where it is printed.
    pub(super) fn files(&self, job: &Job) -> Vec<(Format, PathBuf)> {
        match &self.target {
            Target::StandardOutput => Vec::new(),
            Target::Folder(folder) => self
                .formats
                .iter()
                .map(|&format| (format, file(folder, &job.name, format)))
                .collect(),
        }
    }
}

/// `NAME.EXT`; what looks like an extension in the name stays: `talk.v1.txt`, `talk.v2.txt`.
fn file(folder: &Path, name: &str, format: Format) -> PathBuf {
    folder.join(format!("{name}.{}", format.extension()))
}

fn formats(asked: OutputFormat) -> Vec<Format> {
    match asked {
        OutputFormat::Txt => vec![Format::Txt],
        OutputFormat::Vtt => vec![Format::Vtt],
        OutputFormat::Srt => vec![Format::Srt],
        OutputFormat::Tsv => vec![Format::Tsv],
        OutputFormat::Json => vec![Format::Json],
        OutputFormat::Lrc => vec![Format::Lrc],
        OutputFormat::Csv => vec![Format::Csv],
        OutputFormat::All => Format::ALL.to_vec(),
    }
}
