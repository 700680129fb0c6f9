//! Opus for Symphonia, which has no decoder of its own: `ropus`, always at 48 kHz, one stream or several.

use ropus::OpusMSDecoder;
use symphonia::core::audio::{
    AsGenericAudioBufferRef, Audio, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Error as Fault, Result};
use symphonia::core::packet::PacketRef;

const RATE: u32 = 48_000;

/// The longest packet there is: 120 ms (RFC 6716, 3.2.5).
const MAX_FRAMES: usize = 5760;

/// Samples that a stream's start needs before it is right, and that are not part of the recording: bytes 10-11 of
/// the OpusHead in `extra_data` (RFC 7845, 5.1), at 48 kHz.
pub(super) fn pre_skip(parameters: &AudioCodecParameters) -> Option<u16> {
    let head = parameters
        .extra_data
        .as_deref()
        .filter(|head| head.starts_with(b"OpusHead"))?;
    Some(u16::from_le_bytes([*head.get(10)?, *head.get(11)?]))
}

pub(super) struct OpusDecoder {
    decoder: OpusMSDecoder,
    parameters: AudioCodecParameters,
    interleaved: Vec<i16>,
    buffer: AudioBuffer<i16>,
}

/// Which streams of a packet feed which channels (RFC 7845, 5.1.1).
struct Layout {
    channels: u8,
    streams: u8,
    coupled: u8,
    mapping: Vec<u8>,
}

impl Layout {
    fn read(parameters: &AudioCodecParameters) -> Option<Layout> {
        let stated = parameters.channels.as_ref().map_or(1, Channels::count);
        let head = parameters
            .extra_data
            .as_deref()
            .filter(|head| head.starts_with(b"OpusHead"));
        let channels = head.map_or(u8::try_from(stated).ok(), |head| head.get(9).copied())?;
        match head.and_then(|head| head.get(18)) {
            // Family 0, or no header: mono or stereo in one stream.
            None | Some(0) if (1..=2).contains(&channels) => Some(Layout {
                channels,
                streams: 1,
                coupled: channels - 1,
                mapping: (0..channels).collect(),
            }),
            Some(1..) if channels > 0 => {
                let head = head?;
                let mapping = head.get(21..21 + usize::from(channels))?.to_vec();
                Some(Layout {
                    channels,
                    streams: *head.get(19)?,
                    coupled: *head.get(20)?,
                    mapping,
                })
            }
            _ => None,
        }
    }
}

impl OpusDecoder {
    fn decode_inner(&mut self, packet: &PacketRef<'_>) -> Result<()> {
        self.buffer.clear();
        let length = i32::try_from(packet.data.len()).map_err(|_| Fault::DecodeError("opus: packet too long"))?;
        if length == 0 {
            return Err(Fault::DecodeError("opus: empty packet"));
        }
        let frames = i32::try_from(MAX_FRAMES).expect("small");
        let decoded = self
            .decoder
            .decode(Some(packet.data), length, &mut self.interleaved, frames, false)
            .map_err(|_| Fault::DecodeError("opus: broken packet"))?;
        let decoded = usize::try_from(decoded)
            .map_err(|_| Fault::DecodeError("opus: broken packet"))?
            .min(MAX_FRAMES);
        let channels = self.buffer.spec().channels().count();
        self.buffer.render_silence(Some(decoded));
        for channel in 0..channels {
            if let Some(plane) = self.buffer.plane_mut(channel) {
                for (to, frame) in plane.iter_mut().zip(self.interleaved.chunks_exact(channels)) {
                    *to = frame[channel];
                }
            }
        }
        // The end of an Ogg stream is trimmed; its start lies before time 0.
        let end = usize::try_from(packet.trim_end.get())
            .unwrap_or(MAX_FRAMES)
            .min(decoded);
        self.buffer.trim(0, end);
        Ok(())
    }
}

impl AudioDecoder for OpusDecoder {
    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        &SUPPORTED[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.parameters
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        if let Err(fault) = self.decode_inner(packet) {
            self.buffer.clear();
            return Err(fault);
        }
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

const SUPPORTED: &[SupportedAudioCodec] = &[SupportedAudioCodec {
    id: CODEC_ID_OPUS,
    info: CodecInfo {
        short_name: "opus",
        long_name: "Opus",
        profiles: &[],
    },
}];

impl RegisterableAudioDecoder for OpusDecoder {
    fn try_registry_new(parameters: &AudioCodecParameters, _: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        let layout = Layout::read(parameters).ok_or(Fault::Unsupported("opus: channel mapping"))?;
        let decoder = OpusMSDecoder::new(
            i32::try_from(RATE).expect("small"),
            i32::from(layout.channels),
            i32::from(layout.streams),
            i32::from(layout.coupled),
            &layout.mapping,
        )
        .map_err(|_| Fault::Unsupported("opus: channel mapping"))?;
        let spec = AudioSpec::new(RATE, Channels::Discrete(u16::from(layout.channels)));
        Ok(Box::new(OpusDecoder {
            decoder,
            parameters: parameters.clone(),
            interleaved: vec![0; MAX_FRAMES * usize::from(layout.channels)],
            buffer: AudioBuffer::new(spec, MAX_FRAMES),
        }))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        SUPPORTED
    }
}
