use std::io::Write as _;
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
    let mut file = AudioFile::open(path, &without_ffmpeg())?;
    let samples = file.read_all()?;
    Ok((samples, file.warnings()))
}

/// Mono samples at the rate of the file: the mean, or one channel.
fn unresampled(path: &Path, channel: Option<usize>) -> Vec<f32> {
    let input = Input::open(path).unwrap();
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
    let mut wrong = Vec::new();
    for row in index(&shared) {
        let start = Instant::now();
        let result = read(&shared.join(&row.file));
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
                let loose = ["noxing", ".mp2", "adts", "aac_frag", ".avi"]
                    .iter()
                    .any(|name| row.file.contains(name));
                let (most_offset, most_length) = if loose { (50.0, 0.050) } else { (5.0, 0.020) };
                let adpcm = row.file.contains("adpcm_ms");
                if row.file.starts_with("formats/")
                    && (offset.abs() > most_offset || ((length - 11.0).abs() > most_length && !adpcm))
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
