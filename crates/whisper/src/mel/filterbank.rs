//! The mel triangles of Whisper: librosa's `filters.mel(sr=16000, n_fft=400, n_mels, norm="slaney")`.

use super::{N_BINS, N_FFT, SAMPLE_RATE};

/// Overlapping triangles, equally spaced on Slaney's mel scale from 0 to 8000 Hz, each of area 1.
///
/// Stored sparsely: a triangle covers between 1 and some 20 of the 201 bins.
pub(super) struct FilterBank {
    triangles: Vec<Triangle>,
}

/// The weights of one band, from its first bin that is not zero.
struct Triangle {
    first_bin: usize,
    weights: Vec<f32>,
}

impl FilterBank {
    /// Triangles for `n_mels` bands. A band so narrow that it holds no bin is empty, as librosa leaves it.
    pub(super) fn new(n_mels: usize) -> FilterBank {
        // Band m rises from edge m to edge m + 1 and falls to edge m + 2.
        let top = hz_to_mel(f64::from(SAMPLE_RATE) / 2.0);
        let edges: Vec<f64> = (0..n_mels + 2)
            .map(|m| mel_to_hz(top * m as f64 / (n_mels + 1) as f64))
            .collect();
        FilterBank {
            triangles: edges.windows(3).map(|e| Triangle::new([e[0], e[1], e[2]])).collect(),
        }
    }

    /// `bands[m]` = sum over bins of weight times `power`.
    pub(super) fn apply(&self, power: &[f32; N_BINS], bands: &mut [f32]) {
        for (band, triangle) in bands.iter_mut().zip(&self.triangles) {
            *band = triangle
                .weights
                .iter()
                .zip(&power[triangle.first_bin..])
                .map(|(w, p)| w * p)
                .sum();
        }
    }
}

impl Triangle {
    fn new([low, peak, high]: [f64; 3]) -> Triangle {
        let area = 2.0 / (high - low);
        let weight = |bin: usize| {
            let hz = bin as f64 * f64::from(SAMPLE_RATE) / N_FFT as f64;
            let height = ((hz - low) / (peak - low)).min((high - hz) / (high - peak)).max(0.0);
            // librosa rounds to f32 twice: the height, then its product with the norm.
            narrow(f64::from(narrow(height)) * area)
        };
        let inside: Vec<usize> = (0..N_BINS).filter(|&bin| weight(bin) > 0.0).collect();
        Triangle {
            first_bin: inside.first().copied().unwrap_or(0),
            weights: inside.into_iter().map(weight).collect(),
        }
    }
}

/// Slaney's scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above, 15 mels at the joint.
const HZ_PER_MEL: f64 = 200.0 / 3.0;
const JOINT_HZ: f64 = 1000.0;
const JOINT_MEL: f64 = JOINT_HZ / HZ_PER_MEL;

/// Logarithmic step: 27 mels for a factor of 6.4.
fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hz_to_mel(hz: f64) -> f64 {
    if hz < JOINT_HZ {
        hz / HZ_PER_MEL
    } else {
        JOINT_MEL + (hz / JOINT_HZ).ln() / log_step()
    }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < JOINT_MEL {
        mel * HZ_PER_MEL
    } else {
        JOINT_HZ * (log_step() * (mel - JOINT_MEL)).exp()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All weights of a bank as the dense matrix `[n_mels, 201]`.
    fn dense(n_mels: usize) -> Vec<[f32; N_BINS]> {
        let fill = |t: Triangle| {
            let mut row = [0.0; N_BINS];
            row[t.first_bin..t.first_bin + t.weights.len()].copy_from_slice(&t.weights);
            row
        };
        FilterBank::new(n_mels).triangles.into_iter().map(fill).collect()
    }

    // Values of `mel_filters.npz` in mlx_whisper 0.4.3: (band, bin, weight).
    #[test]
    fn weights_equal_librosas() {
        for (n_mels, known) in [(80, KNOWN_80), (128, KNOWN_128)] {
            let bank = dense(n_mels);
            for (band, bin, weight) in known {
                let found = f64::from(bank[band][bin]);
                assert!(
                    (found - weight).abs() <= 1e-9,
                    "{n_mels} bands, band {band}, bin {bin}: {found} for {weight}"
                );
            }
        }
    }

    // A checksum over everything: sum of weight * (band + 1) * (bin + 1) in f64.
    #[test]
    fn no_weight_is_missing() {
        for (n_mels, expected) in [(80, SUM_80), (128, SUM_128)] {
            let bank = dense(n_mels);
            let sum: f64 = (0..n_mels)
                .flat_map(|m| (0..N_BINS).map(move |k| (m, k)))
                .map(|(m, k)| f64::from(bank[m][k]) * (m + 1) as f64 * (k + 1) as f64)
                .sum();
            assert!(
                (sum - expected).abs() < 1e-7 * expected,
                "{n_mels} bands: {sum} for {expected}"
            );
        }
    }

    const KNOWN_80: [(usize, usize, f64); 12] = [
        (5, 6, 0.014908484183251858),
        (18, 17, 0.006990555673837662),
        (42, 48, 0.0022864851634949446),
        (45, 52, 0.011507894843816757),
        (56, 78, 0.003898728871718049),
        (59, 86, 0.00017068670422304422),
        (63, 107, 0.0018193417927250266),
        (68, 122, 0.0006545265205204487),
        (72, 147, 0.004347721114754677),
        (74, 158, 0.0035225888714194298),
        (75, 164, 0.0032720407471060753),
        (77, 175, 0.0018921148730441928),
    ];
    const SUM_80: f64 = 7175.37967751862;
    const KNOWN_128: [(usize, usize, f64); 12] = [
        (9, 6, 0.031477365642786026),
        (29, 17, 0.0034749882761389017),
        (68, 48, 0.004044868052005768),
        (73, 52, 0.0026568188332021236),
        (90, 79, 0.006184019148349762),
        (94, 88, 0.011223378591239452),
        (102, 107, 0.009114579297602177),
        (109, 124, 0.0014287971425801516),
        (116, 147, 0.001592335756868124),
        (119, 158, 0.0014335009036585689),
        (120, 168, 0.0014614691026508808),
        (123, 179, 0.0035269514191895723),
    ];
    const SUM_128: f64 = 18383.116777091996;
}
