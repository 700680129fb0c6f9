//! Files: repository name in, verified folder out. Knows no audio.
#![forbid(unsafe_code)]
