use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use realfft::RealFftPlanner;

use super::*;

/// The recordings beside the workspace; a test that needs them says so and passes where they are not.
fn shared(test: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/audio");
    if !path.exists() {
        writeln!(std::io::stderr(), "skipped: {test}: ../shared is absent").unwrap();
        return None;
    }
    Some(path)
}

fn without_ffmpeg() -> AudioOptions {
    AudioOptions {
        ffmpeg: false,
        ..AudioOptions::default()
    }
}

fn read(path: &Path) -> Result<(Vec<f32>, Vec<Warning>)> {
    read_with(path, false)
}

fn read_with(path: &Path, ffmpeg: bool) -> Result<(Vec<f32>, Vec<Warning>)> {
    let options = AudioOptions {
        ffmpeg,
        ..AudioOptions::default()
    };
    let mut file = AudioFile::open(path, &options)?;
    let samples = file.read_all()?;
    Ok((samples, file.warnings()))
}

/// Mono samples at the rate of the file: the mean, or one channel.
fn unresampled(path: &Path, channel: Option<usize>) -> Vec<f32> {
    let input = Input::open(path, None).unwrap();
    let mut decoder = Decoder::open(
        &input,
        path,
        &AudioOptions {
            channel,
            ..without_ffmpeg()
        },
    )
    .unwrap();
    let mut samples = Vec::new();
    while let Some(chunk) = decoder.next_chunk().unwrap() {
        samples.extend_from_slice(chunk);
    }
    samples
}

/// By how many ms `late` is later than `reference`: the peak of their cross-correlation.
fn offset_ms(reference: &[f32], late: &[f32]) -> f64 {
    let n = (reference.len() + late.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
    let spectrum = |samples: &[f32]| {
        let mut input = samples.to_vec();
        input.resize(n, 0.0);
        let mut output = forward.make_output_vec();
        forward.process(&mut input, &mut output).unwrap();
        output
    };
    let mut product = spectrum(late);
    for (a, b) in product.iter_mut().zip(spectrum(reference)) {
        *a *= b.conj();
    }
    // Only their rounding can make these two other than real.
    product[0].im = 0.0;
    product[n / 2].im = 0.0;
    let mut correlation = inverse.make_output_vec();
    inverse.process(&mut product, &mut correlation).unwrap();
    let peak = (0..n)
        .max_by(|&a, &b| correlation[a].total_cmp(&correlation[b]))
        .unwrap();
    let lag = if peak < n / 2 {
        peak as f64
    } else {
        peak as f64 - n as f64
    };
    lag * 1000.0 / f64::from(SAMPLE_RATE)
}

/// Seconds that the `fact` chunk of a WAVE file states.
fn fact(path: &Path) -> f64 {
    let bytes = std::fs::read(path).unwrap();
    let word = |at: usize| f64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let fact = bytes.windows(4).position(|id| id == b"fact").unwrap();
    word(fact + 8) / word(24)
}

/// One line of `formats_index.tsv`.
struct Row {
    file: String,
    exit: String,
    seconds: f64,
}

fn index(shared: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(shared.join("formats_index.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.map(|c| Row {
        file: c[0].into(),
        exit: c[3].into(),
        seconds: c[6].parse().unwrap(),
    })
    .collect()
}

#[test]
fn every_file_of_the_index_is_read_or_refused_as_it_says() {
    let Some(shared) = shared("every_file_of_the_index_is_read_or_refused_as_it_says") else {
        return;
    };
    let reference = read(&shared.join("formats/jfk_s16_16k_mono.wav")).unwrap().0;
    let ffmpeg = std::process::Command::new("ffmpeg").arg("-version").output().is_ok();
    let mut wrong = Vec::new();
    for row in index(&shared) {
        let start = Instant::now();
        let file = shared.join(&row.file);
        // What we refuse, an installed ffmpeg may read; its times are to be right as well.
        let result = read(&file).or_else(|refused| if ffmpeg { read_with(&file, true) } else { Err(refused) });
        let seconds = start.elapsed().as_secs_f64();
        let exit = if result.is_ok() { "0" } else { "1" };
        if !row.exit.split('|').any(|expected| expected == exit) || seconds > row.seconds {
            wrong.push(format!("{}: exit {exit} for {}, {seconds:.1} s", row.file, row.exit));
        }
        match result {
            Ok((samples, warnings)) => {
                let length = samples.len() as f64 / f64::from(SAMPLE_RATE);
                let about = warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                let offset = offset_ms(&reference, &samples);
                eprintln!(
                    "{:<42} {length:8.4} s {offset:9.2} ms {seconds:6.2} s  {about}",
                    row.file
                );
                assert!(samples.iter().all(|x| x.is_finite()), "{}", row.file);
                // What has a time of its own keeps it; what has none may be off by an encoder's delay.
                let loose = ["noxing", ".mp2", "adts", "aac_frag", ".avi", ".wma", ".ac3", ".spx"]
                    .iter()
                    .any(|name| row.file.contains(name));
                let (most_offset, most_length) = if loose { (50.0, 0.050) } else { (5.0, 0.020) };
                let stated = if row.file.contains("adpcm_ms") {
                    fact(&file)
                } else {
                    11.0
                };
                if row.file.starts_with("formats/")
                    && (offset.abs() > most_offset || (length - stated).abs() > most_length)
                {
                    wrong.push(format!("{}: {offset:.2} ms late, {length:.4} s long", row.file));
                }
            }
            Err(error) => eprintln!("{:<42} {error}", row.file),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn lossless_files_hold_the_same_samples() {
    let Some(shared) = shared("lossless_files_hold_the_same_samples") else {
        return;
    };
    let formats = shared.join("formats");
    let plain = |name: &str| read(&formats.join(name)).unwrap().0;
    // int16 / 32768, straight from the bytes of the plainest WAVE file.
    let bytes = std::fs::read(formats.join("jfk_s16_16k_mono.wav")).unwrap();
    let samples = bytes[44..]
        .chunks_exact(2)
        .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0);
    let expected: Vec<f32> = samples.collect();
    for name in [
        "jfk_s16_16k_mono.wav",
        "jfk_s16_16k.flac",
        "jfk_rf64.wav",
        "jfk_w64.w64",
        "jfk_sowt.aifc",
        "jfk.au",
        "jfk_piped_ffffffff.wav",
        "jfk_list_odd_chunks.wav",
    ] {
        assert!(plain(name) == expected, "{name}");
    }
    for channel in [None, Some(1), Some(2)] {
        let unresampled = |name: &str| unresampled(&formats.join(name), channel);
        let stereo = unresampled("jfk_s16_44k1_stereo.wav");
        assert!(unresampled("jfk_be.aiff") == stereo);
        let deep = unresampled("jfk_s24_48k_stereo.wav");
        assert!(unresampled("jfk_s24_48k_stereo.flac") == deep);
        for name in ["jfk_alac.m4a", "jfk_alac.caf"] {
            // These two hold 24 bits; the WAVE file holds the upper 16 of them.
            let found = unresampled(name);
            assert_eq!(found.len(), stereo.len());
            let upper = found.iter().map(|x| (x * 32768.0).floor() / 32768.0);
            assert!(channel.is_none() || upper.eq(stereo.iter().copied()), "{name}");
        }
    }
}

#[test]
fn what_is_lost_in_the_middle_becomes_silence() {
    let Some(shared) = shared("what_is_lost_in_the_middle_becomes_silence") else {
        return;
    };
    let (found, warnings) = read(&shared.join("bad/corrupt_middle.mp3")).unwrap();
    let reference = read(&shared.join("formats/jfk_cbr128_44k1_stereo.mp3")).unwrap().0;
    assert!(
        (found.len() as f64 / f64::from(SAMPLE_RATE) - 11.0).abs() < 0.02,
        "{}",
        found.len()
    );
    let last = |samples: &[f32]| samples[8 * SAMPLE_RATE as usize..].to_vec();
    let offset = offset_ms(&last(&reference), &last(&found));
    assert!(offset.abs() < 20.0, "{offset} ms");
    assert!(matches!(warnings[..], [Warning::Gaps { .. }]), "{warnings:?}");
}

#[test]
fn tracks_and_channels_are_chosen() {
    let Some(shared) = shared("tracks_and_channels_are_chosen") else {
        return;
    };
    let loudest = |file: &str, track, channel| -> Result<f32> {
        let options = AudioOptions {
            track,
            channel,
            ffmpeg: false,
            ..AudioOptions::default()
        };
        let samples = AudioFile::open(&shared.join(file), &options)?.read_all()?;
        Ok(samples.iter().fold(0.0, |most, x| most.max(x.abs())))
    };
    let two = "formats/jfk_two_audio_tracks.mkv";
    assert!(loudest(two, None, None).unwrap() > 0.3);
    assert!(loudest(two, Some(1), None).unwrap() > 0.3);
    assert!(loudest(two, Some(2), None).unwrap() < 1e-3);
    assert!(
        loudest(two, Some(3), None)
            .unwrap_err()
            .to_string()
            .contains("audio track 3")
    );
    assert!(
        loudest(two, Some(0), None)
            .unwrap_err()
            .to_string()
            .contains("counted from 1")
    );
    let eight = "bad/eight_channel_ch6_only.wav";
    assert!(loudest(eight, None, Some(6)).unwrap() > 0.3);
    assert!(loudest(eight, None, Some(5)).unwrap() == 0.0);
    let one = loudest(eight, None, Some(6)).unwrap();
    assert!((loudest(eight, None, None).unwrap() * 8.0 - one).abs() < 1e-3);
    assert!(
        loudest(eight, None, Some(9))
            .unwrap_err()
            .to_string()
            .contains("channel 9")
    );
    assert!(loudest("formats/jfk_left_only.wav", None, Some(2)).unwrap() == 0.0);
}

#[test]
fn an_ogg_file_that_was_cut_says_so() {
    let Some(shared) = shared("an_ogg_file_that_was_cut_says_so") else {
        return;
    };
    let (_, warnings) = read(&shared.join("bad/truncated_half.ogg")).unwrap();
    assert!(
        matches!(warnings[..], [Warning::Unfinished { read }] if read > 5.0),
        "{warnings:?}"
    );
    for name in ["jfk_vorbis.ogg", "jfk.opus", "jfk_ogg.oga"] {
        assert_eq!(read(&shared.join("formats").join(name)).unwrap().1, [], "{name}");
    }
}

/// What can be read only once is copied first; what we cannot decode is left to a program.
#[cfg(unix)]
#[test]
fn pipes_and_programs() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    let folder = tempfile::tempdir().unwrap();
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/jfk.flac");
    let expected = read(&recording).unwrap().0;

    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let (pipe, recording) = (pipe.clone(), recording.clone());
        move || std::fs::copy(recording, pipe)
    });
    assert!(read(&pipe).unwrap().0 == expected);
    writer.join().unwrap().unwrap();

    // A stand-in for ffmpeg: two seconds of WAVE with the lengths of a pipe, then what the script says.
    let program = folder.path().join("ffmpeg");
    let wave = folder.path().join("sound");
    let format = [1, 0, 1, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0];
    let header = [
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0",
        &format[..],
        b"data\xff\xff\xff\xff",
    ]
    .concat();
    std::fs::write(&wave, [header, vec![7; 64_000]].concat()).unwrap();
    let script = |then: &str| {
        let text = format!("#!/bin/sh\ncat '{}'\n{then}\n", wave.display());
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut track = ffmpeg::open(program.as_os_str(), &recording, 0, "a test").unwrap();
        let mut frames = 0;
        loop {
            match track.packets.next_packet() {
                Ok(Some(packet)) => frames += packet.dur.get(),
                Ok(None) => return Ok(frames),
                Err(fault) => return Err(fault.to_string()),
            }
        }
    };
    assert_eq!(script("exit 0"), Ok(32_000));
    let fault = script("echo no such codec >&2; exit 3").unwrap_err();
    assert!(fault.contains("exit status: 3: no such codec"), "{fault}");

    let missing = ffmpeg::open(folder.path().join("none").as_os_str(), &recording, 0, "Speex")
        .err()
        .unwrap();
    assert!(missing.contains("Speex") && missing.contains("install"), "{missing}");
}

#[test]
fn a_cut_file_says_both_lengths() {
    let Some(shared) = shared("a_cut_file_says_both_lengths") else {
        return;
    };
    for name in ["truncated_half.flac", "truncated_half.wav", "truncated_half.mp3"] {
        let (_, warnings) = read(&shared.join("bad").join(name)).unwrap();
        let [Warning::Truncated { stated, read }] = warnings[..] else {
            panic!("{name}: {warnings:?}")
        };
        assert!(
            (stated - 11.0).abs() < 0.1 && (read - 5.5).abs() < 0.3,
            "{name}: {stated} {read}"
        );
    }
}
