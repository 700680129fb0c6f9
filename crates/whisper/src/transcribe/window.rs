//! Windows of a recording, encoded.

use std::ops::Range;
use std::sync::Arc;

use crate::mel::LogMel;
use crate::model::{MelWindow, Model};
use crate::{Error, Result};

/// Encodes windows of a recording.
pub(super) struct WindowEncoder<'a, M: Model> {
    pub(super) model: &'a M,
    pub(super) mel: &'a LogMel,
    /// Kept from window to window.
    frames: Vec<f32>,
    /// The window encoded last: language detection and the first window may be the same.
    latest: Option<(Range<usize>, Arc<M::Audio>)>,
}

impl<'a, M: Model> WindowEncoder<'a, M> {
    pub(super) fn new(model: &'a M, mel: &'a LogMel) -> Self {
        Self {
            model,
            mel,
            frames: Vec::new(),
            latest: None,
        }
    }

    /// At most 30 s of the recording and of the silence after it. What `frames` lack to 30 s is filled with zeros, which
    /// are no silence: windows end with the recording, as OpenAI's do.
    pub(super) fn encode(&mut self, frames: &Range<usize>) -> Result<Arc<M::Audio>> {
        if let Some((latest, audio)) = &self.latest
            && latest == frames
        {
            return Ok(Arc::clone(audio));
        }
        self.latest = None; // its memory is better used for the next
        self.mel.fill(frames.start, frames.len(), &mut self.frames);
        let window = MelWindow {
            values: &self.frames,
            n_mels: self.mel.n_mels(),
        };
        let Some(audio) = self.model.encode(&[window])?.pop() else {
            return Err(Error::Model("the network gave nothing for a window".to_owned()));
        };
        self.latest = Some((frames.clone(), Arc::clone(&audio)));
        Ok(audio)
    }
}
