//! What every container reader hands to the decoder: one track, and its packets in order.

use std::io::Read;

use symphonia::core::codecs::audio::AudioCodecParameters;
pub(super) use symphonia::core::errors::Error as Fault;
pub(super) use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;

/// A file from some place on, or what stands for one.
pub(super) type Bytes = Box<dyn Read + Send + Sync>;

/// The packets of one track.
pub(super) trait Packets: Send {
    /// The next packet; `None` at the end of the track. After an error there is no next one.
    fn next_packet(&mut self) -> Result<Option<Packet>, Fault>;
}

/// One track of a recording, ready to be decoded.
pub(super) struct Track {
    /// Codec, sample rate, channels.
    pub(super) parameters: AudioCodecParameters,
    /// What packet times mean.
    pub(super) clock: Clock,
    /// Leading samples that are the encoder's delay, if the first packet is not before the origin already.
    pub(super) pre_skip: u16,
    /// Sound from this packet time on is padding.
    pub(super) end: Option<i64>,
    /// Seconds of sound that the file says it holds, where it does.
    pub(super) stated: Option<f64>,
    /// Whether the file lacks the mark that its format puts at the end.
    pub(super) unfinished: bool,
    pub(super) packets: Box<dyn Packets>,
}

/// Packet times to samples.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    /// Length of a tick.
    pub(super) base: TimeBase,
    /// The tick at which the recording begins. Sound before it is the delay of the encoder.
    pub(super) origin: i64,
}

impl Clock {
    /// Ticks are samples, and the recording begins with the first.
    pub(super) fn samples(rate: u32) -> Clock {
        let second = TimeBase::try_new(1, 1).expect("one is not zero");
        Clock {
            base: TimeBase::try_from_recip(rate).unwrap_or(second),
            origin: 0,
        }
    }

    /// The sample at `rate` that lies at `tick`, counted from the origin.
    pub(super) fn sample_at(&self, tick: i64, rate: u32) -> i64 {
        let ticks = i128::from(tick) - i128::from(self.origin);
        let (numer, denom) = (i128::from(self.base.numer.get()), i128::from(self.base.denom.get()));
        let sample = (ticks * numer * i128::from(rate) + denom / 2).div_euclid(denom);
        // Far enough to be noticed, and near enough that sums of two cannot overflow.
        let far = 1_i64 << 60;
        i64::try_from(sample)
            .unwrap_or(if sample < 0 { -far } else { far })
            .clamp(-far, far)
    }

    /// Seconds in a number of ticks.
    pub(super) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 * f64::from(self.base.numer.get()) / f64::from(self.base.denom.get())
    }
}
