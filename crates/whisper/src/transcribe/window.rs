//! Windows of a recording, encoded.

use std::ops::Range;
use std::sync::Arc;

use super::heard::Heard;
use crate::model::{MelWindow, Model};
use crate::{Error, Result};

/// Encodes windows of a recording.
pub(super) struct WindowEncoder<'a, M: Model> {
    pub(super) model: &'a M,
    pub(super) heard: Heard<'a>,
    /// Kept from window to window.
    frames: Vec<Vec<f32>>,
    /// The first window of the last call: that of language detection may be asked for again.
    latest: Option<(Range<usize>, Arc<M::Audio>)>,
}

impl<'a, M: Model> WindowEncoder<'a, M> {
    pub(super) fn new(model: &'a M, heard: Heard<'a>) -> Self {
        Self {
            model,
            heard,
            frames: Vec::new(),
            latest: None,
        }
    }

    /// One window; see [`WindowEncoder::encode`].
    pub(super) fn encode_one(&mut self, window: Range<usize>) -> Result<Arc<M::Audio>> {
        Ok(self.encode(&[window])?.remove(0))
    }

    /// Windows, each at most 30 s of the recording and of the silence after it. What they lack to 30 s is filled with
    /// zeros, which are no silence: windows end with the recording, as OpenAI's do.
    pub(super) fn encode(&mut self, windows: &[Range<usize>]) -> Result<Vec<Arc<M::Audio>>> {
        let known = self.latest.take(); // else its memory is better used for the next
        let known = known.filter(|(window, _)| windows.first() == Some(window));
        let new = &windows[usize::from(known.is_some())..];

        self.frames.resize_with(new.len().max(1), Vec::new);
        for (window, frames) in new.iter().zip(&mut self.frames) {
            self.heard.fill(window, frames);
        }
        let mel = self.frames[..new.len()].iter().map(|values| MelWindow {
            values,
            n_mels: self.heard.mel.n_mels(),
        });
        let mut encoded = match new {
            [] => Vec::new(),
            _ => self.model.encode(&mel.collect::<Vec<_>>())?,
        };
        encoded.splice(..0, known.map(|(_, audio)| audio));
        if encoded.len() != windows.len() {
            let (expected, found) = (windows.len(), encoded.len());
            return Err(Error::Model(format!(
                "the network was given {expected} windows and returned {found}"
            )));
        }
        self.latest = windows.first().cloned().zip(encoded.first().map(Arc::clone));
        Ok(encoded)
    }
}
