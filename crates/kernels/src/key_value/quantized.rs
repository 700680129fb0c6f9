//! Keys and values of a whole sequence as codes: weights of two integer products.
//!
//! A position is an output of the product with the queries: its key has one scale. A value is an output of the product
//! with the softmax: it has a scale for each [`GROUP`] positions. Codes are 128 above the whole numbers, -127 to 127.

use crate::codes::{CodeLine, RUN};
use crate::cpu::{Cpu, SharedMut};
use crate::integer::steps;
use crate::isa::{LANES, Op, Simd};
use crate::scratch::Line;
use crate::tile::QUAD;
use crate::weights::CodePanel;

/// Positions whose values share a scale.
pub(crate) const GROUP: usize = 64;

/// Of a query's numbers, which share a scale; Whisper's heads have 64.
pub(crate) const MOST_HEAD_DIM: usize = 128;

/// Keys `[head][position / 16]` panels, values `[head][head_dim / 16]` panels; positions are filled up to whole groups.
pub(crate) struct Quantized {
    head_dim: usize,
    groups: usize,
    keys: Side,
    values: Side,
}

struct Side {
    lines: Vec<CodeLine>,
    scales: Vec<Line>,
    biases: Vec<Line>,
}

impl Side {
    fn new(lines: usize, scales: usize) -> Self {
        Self {
            lines: vec![CodeLine::ZERO; lines],
            scales: vec![Line::ZERO; scales],
            biases: vec![Line::ZERO; scales],
        }
    }

    #[inline(always)]
    fn panel(&self, i: usize, groups: usize, group_runs: usize) -> CodePanel<'_> {
        let lines = groups * group_runs * RUN / QUAD;
        CodePanel {
            bits: 8,
            group_runs,
            lines: &self.lines[i * lines..(i + 1) * lines],
            scales: &self.scales[i * groups..(i + 1) * groups],
            biases: &self.biases[i * groups..(i + 1) * groups],
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.lines[..]) + size_of_val(&self.scales[..]) + size_of_val(&self.biases[..])
    }
}

impl Quantized {
    /// Whether queries of `head_dim` numbers are whole runs, and not too long to be taken at once.
    pub(crate) fn fits(head_dim: usize) -> bool {
        head_dim.is_multiple_of(RUN) && head_dim <= MOST_HEAD_DIM
    }

    /// Of `n` positions, keys and values `[n, heads * head_dim]`; `head_dim` [fits](Self::fits).
    pub(crate) fn new(cpu: &Cpu, heads: usize, head_dim: usize, keys: &[f32], values: &[f32]) -> Self {
        assert!(
            Self::fits(head_dim),
            "head_dim of {head_dim}: expected a multiple of {RUN}, at most {MOST_HEAD_DIM}"
        );
        let groups = (keys.len() / (heads * head_dim)).div_ceil(GROUP);
        let head_lines = groups * GROUP / QUAD * head_dim / LANES;
        let mut quantized = Self {
            head_dim,
            groups,
            keys: Side::new(heads * head_lines, heads * groups * GROUP / LANES),
            values: Side::new(heads * head_lines, heads * groups * head_dim / LANES),
        };
        quantized.fill(cpu, heads, keys, values);
        quantized
    }

    /// Takes as many other positions in place of those that it has.
    pub(crate) fn fill(&mut self, cpu: &Cpu, heads: usize, keys: &[f32], values: &[f32]) {
        let (head_dim, groups) = (self.head_dim, self.groups);
        let width = heads * head_dim;
        let head_lines = groups * GROUP / QUAD * head_dim / LANES;
        let head_keys = groups * GROUP / LANES;
        let head_values = groups * head_dim / LANES;
        let Self { keys: k, values: v, .. } = self;
        let parts = [&mut k.lines, &mut v.lines].map(|lines| SharedMut::new(lines));
        let scales = [&mut k.scales, &mut k.biases, &mut v.scales, &mut v.biases].map(|lines| SharedMut::new(lines));
        cpu.pool().run(2 * heads, |i| {
            let (head, side) = (i / 2, i % 2);
            let n = [head_keys, head_values][side];
            // SAFETY: each side of a head is filled by one task.
            let lines = unsafe { parts[side].slice(head * head_lines, head_lines) };
            // SAFETY: as above.
            let of_scales = unsafe { scales[2 * side].slice(head * n, n) };
            // SAFETY: as above.
            let biases = unsafe { scales[2 * side + 1].slice(head * n, n) };
            let job = Fill {
                x: [keys, values][side],
                width,
                first: head * head_dim,
                head_dim,
                lines,
                scales: of_scales,
                biases,
            };
            match side {
                0 => cpu.isa().run(Keys(job)),
                _ => cpu.isa().run(Values(job)),
            }
        });
    }

    /// Groups of positions.
    #[inline(always)]
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// Keys of the positions `16 * panel ..` of a head.
    #[inline(always)]
    pub(crate) fn key_panel(&self, head: usize, panel: usize) -> CodePanel<'_> {
        let panels = self.groups * GROUP / LANES;
        self.keys.panel(head * panels + panel, 1, self.head_dim / RUN)
    }

    /// Values `16 * panel ..` of a head.
    #[inline(always)]
    pub(crate) fn value_panel(&self, head: usize, panel: usize) -> CodePanel<'_> {
        let panels = self.head_dim / LANES;
        self.values.panel(head * panels + panel, self.groups, GROUP / RUN)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes()
    }
}

/// One side of a head, from rows of `width` numbers in which it begins at `first`.
struct Fill<'a> {
    x: &'a [f32],
    width: usize,
    first: usize,
    head_dim: usize,
    lines: &'a mut [CodeLine],
    scales: &'a mut [Line],
    biases: &'a mut [Line],
}

impl Fill<'_> {
    /// The numbers of a position; nothing past the last.
    #[inline(always)]
    fn row(&self, position: usize) -> &[[f32; LANES]] {
        let row = self.x.get(position * self.width + self.first..).unwrap_or(&[]);
        row[..row.len().min(self.head_dim)].as_chunks().0
    }
}

/// `x * steps` to codes.
#[inline(always)]
fn codes<S: Simd>(s: S, x: S::F, steps: S::F) -> [u8; LANES] {
    let magic = s.splat(12_582_912.0);
    let mut bytes = [0; LANES];
    s.store_bytes(s.sub(s.fma(x, steps, magic), magic), &mut bytes);
    let mut codes = [0; LANES];
    for i in 0..LANES {
        codes[i] = bytes[i].cast_unsigned() ^ 0x80;
    }
    codes
}

struct Keys<'a>(Fill<'a>);

impl Op for Keys<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut job = self.0;
        let quads = job.head_dim / QUAD;
        for position in 0..job.scales.len() * LANES {
            let (panel, lane) = (position / LANES, position % LANES);
            let mut greatest = s.splat(0.0);
            for line in job.row(position) {
                greatest = s.max(s.abs(s.load(line)), greatest);
            }
            let greatest = s.greatest(greatest);
            let steps = steps(s, 127.0, s.splat(greatest));
            let scale = greatest / 127.0;
            (job.scales[panel].0[lane], job.biases[panel].0[lane]) = (scale, -128.0 * scale);
            let lines = &mut std::mem::take(&mut job.lines)[..];
            for i in 0..job.head_dim / LANES {
                let Some(line) = job.row(position).get(i) else { break };
                let bytes = codes(s, s.load(line), steps);
                for (quad, bytes) in bytes.as_chunks::<QUAD>().0.iter().enumerate() {
                    let line = &mut lines[panel * quads + i * LANES / QUAD + quad];
                    line.0.as_chunks_mut::<QUAD>().0[lane] = *bytes;
                }
            }
            job.lines = lines;
        }
    }
}

struct Values<'a>(Fill<'a>);

impl Op for Values<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut job = self.0;
        let panels = job.head_dim / LANES;
        let groups = job.scales.len() / panels;
        let lines = std::mem::take(&mut job.lines);
        // The panels of a group side by side: their numbers are neighbours in memory.
        for group in 0..groups {
            for panel in 0..panels {
                let mut greatest = s.splat(0.0);
                for position in group * GROUP..(group + 1) * GROUP {
                    if let Some(line) = job.row(position).get(panel) {
                        greatest = s.max(s.abs(s.load(line)), greatest);
                    }
                }
                let steps = steps(s, 127.0, greatest);
                let scale = s.mul(greatest, s.splat(1.0 / 127.0));
                s.store(scale, &mut job.scales[panel * groups + group].0);
                s.store(s.mul(scale, s.splat(-128.0)), &mut job.biases[panel * groups + group].0);
                for quad in 0..GROUP / QUAD {
                    let position = group * GROUP + quad * QUAD;
                    let to = &mut lines[(panel * groups * GROUP + position) / QUAD];
                    for j in 0..QUAD {
                        let Some(line) = job.row(position + j).get(panel) else {
                            break;
                        };
                        let bytes = codes(s, s.load(line), steps);
                        for (lane, byte) in bytes.into_iter().enumerate() {
                            to.0[QUAD * lane + j] = byte;
                        }
                    }
                }
            }
        }
    }
}
