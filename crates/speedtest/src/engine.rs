//! Where the tool meets the engine: a model is loaded here, and a recording given to it.

use anyhow::bail;

use crate::cli::TranscribeArgs;
use crate::inputs::Input;
use crate::model_names::Source;
use crate::output::ModelUsed;
use crate::transcript::{Segment, Transcript};

/// A loaded model.
pub(crate) struct Engine {
    used: ModelUsed,
}

/// What was heard, and how much there was to hear.
pub(crate) struct Heard {
    pub(crate) transcript: Transcript,
    pub(crate) duration_s: f64,
}

/// Told what happens while it happens; an error ends the work.
pub(crate) trait Listener {
    /// A segment was found.
    fn segment(&mut self, segment: &Segment) -> anyhow::Result<()>;
    /// So many seconds of so many are done.
    fn progress(&mut self, done_s: f64, total_s: f64);
}

impl Engine {
    /// Loads the weights.
    pub(crate) fn load(source: &Source, _args: &TranscribeArgs) -> anyhow::Result<Engine> {
        match source {
            Source::Bundled => bail!("the bundled model: the engine is not joined yet"),
            Source::Folder(folder) => bail!("{}: the engine is not joined yet", folder.display()),
            Source::Repository { primary, .. } => {
                bail!(
                    "{primary}: models are not downloaded yet (that comes with `models pull`); give a folder with the checkpoint"
                )
            }
        }
    }

    /// What the model really is.
    pub(crate) fn used(&self) -> &ModelUsed {
        &self.used
    }

    /// Transcribes a recording.
    pub(crate) fn transcribe(
        &self,
        input: &Input,
        _args: &TranscribeArgs,
        _listener: &mut dyn Listener,
    ) -> anyhow::Result<Heard> {
        bail!("{input}: the engine is not joined yet")
    }
}
