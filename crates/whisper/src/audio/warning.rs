use std::fmt;

/// Something is wrong with a recording, and we went on. Times are in seconds of the recording.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// There is less sound in the file than it says.
    Truncated {
        /// What the file says.
        stated: f64,
        /// What could be read.
        read: f64,
    },
    /// The last piece of the file lacks the mark of an end: it was cut, or is still being written.
    Unfinished {
        /// What could be read.
        read: f64,
    },
    /// Reading stopped before the end of the file.
    Broken {
        /// Where.
        at: f64,
        /// Why.
        problem: String,
    },
    /// Parts are missing or cannot be decoded: there is silence in their place.
    Gaps {
        /// How many parts.
        count: u64,
        /// Where the first begins.
        first: f64,
        /// How long they are together.
        missing: f64,
    },
    /// Samples that were infinite or no numbers have become 0.
    NotNumbers {
        /// How many, over all channels.
        samples: u64,
    },
    /// There is not a single sample.
    Empty,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Truncated { stated, read } => {
                write!(
                    f,
                    "the file says it holds {stated:.1} s of sound, and {read:.1} s could be read"
                )
            }
            Warning::Unfinished { read } => {
                write!(
                    f,
                    "the file lacks its end: it was cut off, and {read:.1} s of sound could be read"
                )
            }
            Warning::Broken { at, problem } => write!(f, "reading stopped at {at:.1} s: {problem}"),
            Warning::Gaps {
                count: 1,
                first,
                missing,
            } => {
                write!(
                    f,
                    "{missing:.2} s are missing at {first:.1} s: silence is in their place"
                )
            }
            Warning::Gaps { count, first, missing } => {
                write!(
                    f,
                    "{missing:.2} s are missing in {count} places from {first:.1} s on: silence is in their place"
                )
            }
            Warning::NotNumbers { samples } => write!(f, "{samples} samples are no numbers: they are taken as 0"),
            Warning::Empty => write!(f, "there is no sound in the file"),
        }
    }
}
