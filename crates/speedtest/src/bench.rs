//! Measuring: a plan is run, and gives results.
//!
//! ```text
//! plan         what is to be measured, in which order the settings want it
//! runner       children started, asked, timed, in interleaved rounds
//! measurement  the results: entries, rows, runs, saved after each row
//! stats        numbers from runs
//! noise        what casts doubt on numbers
//! ranking      who is faster, where the numbers allow to say so
//! machine      where all this was
//! ```

pub(crate) mod machine;
pub(crate) mod measurement;
pub(crate) mod noise;
pub(crate) mod plan;
pub(crate) mod ranking;
pub(crate) mod runner;
pub(crate) mod stats;
