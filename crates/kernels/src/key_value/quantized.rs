//! Keys and values of a whole sequence as codes: weights of two integer products.
//!
//! A position is an output of the product with the queries: its key has one scale. A value is an output of the product
//! with the softmax: it has a scale for each [`GROUP`] positions. Codes are 128 above the whole numbers, -127 to 127.

use crate::codes::{CodeLine, RUN};
use crate::cpu::{Cpu, SharedMut};
use crate::integer::steps;
use crate::isa::{LANES, Op, Simd};
use crate::scratch::{Line, TILES, with_buffer};
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
        let (key_side, value_side) = (SharedSide::new(&mut self.keys), SharedSide::new(&mut self.values));
        // A group at a time, and in it row after row: they come from the other processor's cache, or from memory.
        cpu.pool().run(2 * groups, |i| {
            let rows = |x| RowsOfGroup {
                x,
                width,
                first: i / 2 * GROUP,
            };
            match i % 2 {
                0 => cpu.isa().run(Keys {
                    rows: rows(keys),
                    head_dim,
                    groups,
                    to: &key_side,
                }),
                _ => with_buffer(&TILES, width / LANES, |steps| {
                    cpu.isa().run(Values {
                        rows: rows(values),
                        groups,
                        steps,
                        to: &value_side,
                    });
                }),
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

/// A side that tasks fill in parts.
struct SharedSide<'a> {
    lines: SharedMut<'a, CodeLine>,
    scales: SharedMut<'a, Line>,
    biases: SharedMut<'a, Line>,
}

impl<'a> SharedSide<'a> {
    fn new(side: &'a mut Side) -> Self {
        Self {
            lines: SharedMut::new(&mut side.lines),
            scales: SharedMut::new(&mut side.scales),
            biases: SharedMut::new(&mut side.biases),
        }
    }

    /// `n` lines from `line` on, and a line of scales and of biases.
    ///
    /// # Safety
    /// None of them may be in use anywhere else.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller keeps the parts disjoint")]
    unsafe fn part(&self, line: usize, n: usize, scale: usize) -> (&mut [CodeLine], &mut Line, &mut Line) {
        // SAFETY: the caller's.
        let lines = unsafe { self.lines.slice(line, n) };
        // SAFETY: the caller's.
        let scales = unsafe { self.scales.slice(scale, 1) };
        // SAFETY: the caller's.
        let biases = unsafe { self.biases.slice(scale, 1) };
        (lines, &mut scales[0], &mut biases[0])
    }
}

/// The positions of a group, as rows of all heads.
#[derive(Clone, Copy)]
struct RowsOfGroup<'a> {
    x: &'a [f32],
    width: usize,
    /// The first position.
    first: usize,
}

impl RowsOfGroup<'_> {
    /// The numbers of position `i` of the group; nothing past the last.
    #[inline(always)]
    fn row(&self, i: usize) -> &[[f32; LANES]] {
        let row = self.x.get((self.first + i) * self.width..).unwrap_or(&[]);
        row[..row.len().min(self.width)].as_chunks().0
    }
}

/// `x * steps` to whole numbers, as bytes: codes but for the [`MIDDLE`].
#[inline(always)]
fn whole<S: Simd>(s: S, x: S::F, steps: S::F) -> [u8; LANES] {
    let magic = s.splat(12_582_912.0);
    let mut bytes = [0; LANES];
    s.store_bytes(s.sub(s.fma(x, steps, magic), magic), &mut bytes);
    bytes.map(i8::cast_unsigned)
}

/// The code of 0: exclusive or with it is adding 128.
const MIDDLE: u8 = 0x80;

struct Keys<'a> {
    rows: RowsOfGroup<'a>,
    head_dim: usize,
    groups: usize,
    to: &'a SharedSide<'a>,
}

impl Op for Keys<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        /// Heads that fold their greatest numbers together.
        const HEADS: usize = 8;
        let head_lines = self.head_dim / LANES;
        let quads = self.head_dim / QUAD;
        let heads = self.rows.width / self.head_dim;
        for i in 0..GROUP {
            let row = self.rows.row(i);
            let panel_of_head = (self.rows.first + i) / LANES;
            let lane = i % LANES;
            for first_head in (0..heads).step_by(HEADS) {
                let row = row.get(first_head * head_lines..).unwrap_or(&[]);
                let mut greatest = [s.splat(0.0); HEADS];
                for (lines, greatest) in row.chunks_exact(head_lines).zip(&mut greatest) {
                    for line in lines {
                        *greatest = s.max(s.abs(s.load(line)), *greatest);
                    }
                }
                let greatest = s.greatest_of_each(greatest);
                let scale = s.div(greatest, s.splat(127.0));
                let (mut steps_of, mut scales_of) = (Line::ZERO, Line::ZERO);
                s.store(steps(s, 127.0, greatest), &mut steps_of.0);
                s.store(scale, &mut scales_of.0);
                for head in 0..HEADS.min(heads - first_head) {
                    let panel = (first_head + head) * self.groups * GROUP / LANES + panel_of_head;
                    // SAFETY: a group has panels of its own in each head; one task fills it, and looks at one of them.
                    let (lines, scales, biases) = unsafe { self.to.part(panel * quads, quads, panel) };
                    scales.0[lane] = scales_of.0[head];
                    biases.0[lane] = -128.0 * scales_of.0[head];
                    let steps = s.broadcast(&steps_of.0[head]);
                    let row = row.get(head * head_lines..).unwrap_or(&[]);
                    for (line, to) in row.iter().zip(lines.as_chunks_mut::<{ LANES / QUAD }>().0) {
                        // At once: byte by byte the compiler takes the vector apart.
                        let codes = u128::from_ne_bytes(whole(s, s.load(line), steps));
                        let codes = (codes ^ u128::from_ne_bytes([MIDDLE; LANES])).to_ne_bytes();
                        for (codes, to) in codes.as_chunks::<QUAD>().0.iter().zip(to) {
                            to.0.as_chunks_mut::<QUAD>().0[lane] = *codes;
                        }
                    }
                }
            }
        }
    }
}

struct Values<'a> {
    rows: RowsOfGroup<'a>,
    groups: usize,
    /// Room for a row.
    steps: &'a mut [Line],
    to: &'a SharedSide<'a>,
}

impl Op for Values<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        const QUADS: usize = GROUP / QUAD;
        let Self {
            rows,
            groups,
            steps: of_panels,
            to,
        } = self;
        let group = rows.first / GROUP;
        // SAFETY: a group has lines of its own in each panel; one task fills it, and looks at one panel.
        let part = |panel: usize| unsafe { to.part((panel * groups + group) * QUADS, QUADS, panel * groups + group) };

        of_panels.fill(Line::ZERO);
        for i in 0..GROUP {
            for (line, greatest) in rows.row(i).iter().zip(&mut *of_panels) {
                s.store(s.max(s.abs(s.load(line)), s.load(&greatest.0)), &mut greatest.0);
            }
        }
        for (panel, of_panel) in of_panels.iter_mut().enumerate() {
            let greatest = s.load(&of_panel.0);
            let (_, scales, biases) = part(panel);
            let scale = s.mul(greatest, s.splat(1.0 / 127.0));
            s.store(scale, &mut scales.0);
            s.store(s.mul(scale, s.splat(-128.0)), &mut biases.0);
            s.store(steps(s, 127.0, greatest), &mut of_panel.0);
        }
        for quad in 0..QUADS {
            for (panel, steps) in of_panels.iter().enumerate() {
                let mut of_quad = [[0; LANES]; QUAD];
                for (j, to) in of_quad.iter_mut().enumerate() {
                    if let Some(line) = rows.row(quad * QUAD + j).get(panel) {
                        *to = whole(s, s.load(line), s.load(&steps.0));
                    }
                }
                let (lines, ..) = part(panel);
                for (lane, to) in lines[quad].0.as_chunks_mut::<QUAD>().0.iter_mut().enumerate() {
                    for j in 0..QUAD {
                        to[j] = of_quad[j][lane] ^ MIDDLE;
                    }
                }
            }
        }
    }
}
