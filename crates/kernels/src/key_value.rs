//! Keys and values of one sequence, as panels: both products of attention read them as a linear layer its weights.

mod quantized;

pub(crate) use quantized::{GROUP, MOST_HEAD_DIM, Quantized};

use std::sync::Arc;

use crate::cpu::{Compute, Cpu, SharedMut};
use crate::isa::LANES;
use crate::scratch::Line;
use crate::tile::QUAD;

/// Keys and values of all heads for a growing sequence, in f32, or of a [whole](Self::whole) one.
///
/// Keys are `[head][position / 16][head_dim][16]` (a position is an output of the product with the queries), values
/// `[head][head_dim / 16][position][16]`, zero from `len` to the end of its quad.
pub struct KeyValue {
    heads: usize,
    head_dim: usize,
    /// A multiple of 16.
    capacity: usize,
    len: usize,
    keys: Vec<Line>,
    values: Vec<Line>,
    /// Instead of `keys` and `values`.
    quantized: Option<Arc<Quantized>>,
}

impl KeyValue {
    /// Room for `capacity` positions, none of them taken.
    ///
    /// # Panics
    /// If `head_dim` is not a multiple of 16.
    pub fn new(heads: usize, head_dim: usize, capacity: usize) -> Self {
        assert!(
            head_dim > 0 && head_dim.is_multiple_of(LANES),
            "head_dim of {head_dim}: expected a multiple of {LANES}"
        );
        let capacity = capacity.next_multiple_of(LANES);
        let lines = heads * head_dim / LANES * capacity;
        Self {
            heads,
            head_dim,
            capacity,
            len: 0,
            keys: vec![Line::ZERO; lines],
            values: vec![Line::ZERO; lines],
            quantized: None,
        }
    }

    /// The keys and values, `[n, heads * head_dim]`, of a sequence that will not grow. Where `cpu` computes in whole
    /// numbers and `head_dim` is a multiple of 32, at most 128, they are quantized.
    ///
    /// # Panics
    /// If `head_dim` is not a multiple of 16, or the lengths differ or are not whole rows.
    pub fn whole(cpu: &Cpu, heads: usize, head_dim: usize, keys: &[f32], values: &[f32]) -> Self {
        let mut whole = Self::new(heads, head_dim, 0);
        whole.replace(cpu, keys, values);
        whole
    }

    /// Takes another [whole](Self::whole) sequence in place of what it holds; one of the same length in the same memory.
    ///
    /// # Panics
    /// If the lengths differ or are not whole rows.
    pub fn replace(&mut self, cpu: &Cpu, keys: &[f32], values: &[f32]) {
        assert_eq!(keys.len(), values.len(), "numbers of keys and of values");
        let width = self.width();
        assert!(
            width > 0 && keys.len().is_multiple_of(width),
            "{} numbers in rows of {width}",
            keys.len()
        );
        let n = keys.len() / width;
        let (heads, head_dim) = (self.heads, self.head_dim);
        if cpu.compute() != Compute::F32 && Quantized::fits(head_dim) {
            match self.quantized.as_mut().and_then(Arc::get_mut) {
                Some(same) if self.len == n => same.fill(cpu, heads, keys, values),
                _ => {
                    let quantized = Some(Arc::new(Quantized::new(cpu, heads, head_dim, keys, values)));
                    *self = Self {
                        len: n,
                        quantized,
                        ..Self::new(heads, head_dim, 0)
                    };
                }
            }
            return;
        }
        if self.quantized.is_some() || self.len != n {
            *self = Self::new(heads, head_dim, n);
        }
        self.len = 0;
        self.extend(cpu, keys, values);
    }

    /// The quantized form, where it is one.
    #[inline(always)]
    pub(crate) fn quantized(&self) -> Option<&Quantized> {
        self.quantized.as_deref()
    }

    /// Positions taken.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no position is taken.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heads of keys and of values.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Numbers of a head's key.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Numbers of a row: all heads.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        let floats = size_of_val(&self.keys[..]) + size_of_val(&self.values[..]);
        floats + self.quantized().map_or(0, Quantized::bytes)
    }

    /// Appends the keys and values of `n` positions, each `[n, heads * head_dim]`.
    ///
    /// # Panics
    /// If the lengths differ or are not whole rows, or where there is no room.
    pub fn extend(&mut self, cpu: &Cpu, keys: &[f32], values: &[f32]) {
        let width = self.width();
        assert_eq!(keys.len(), values.len(), "numbers of keys and of values");
        if keys.is_empty() {
            return;
        }
        assert!(
            width > 0 && keys.len().is_multiple_of(width),
            "{} numbers in rows of {width}",
            keys.len()
        );
        let n = keys.len() / width;
        assert!(
            n <= self.capacity.saturating_sub(self.len),
            "{n} positions after {} of {}",
            self.len,
            self.capacity
        );
        let (len, head_dim, capacity) = (self.len, self.head_dim, self.capacity);
        let head_lines = head_dim / LANES * capacity;
        let (key_panels, value_panels) = (SharedMut::new(&mut self.keys), SharedMut::new(&mut self.values));
        let store = |head: usize| {
            // SAFETY: each head is stored by one task.
            let key_panels = unsafe { key_panels.slice(head * head_lines, head_lines) };
            // SAFETY: as above.
            let value_panels = unsafe { value_panels.slice(head * head_lines, head_lines) };
            for i in 0..n {
                let position = len + i;
                let of_head = i * width + head * head_dim;
                let panel = &mut key_panels[position / LANES * head_dim..][..head_dim];
                for (line, &key) in panel.iter_mut().zip(&keys[of_head..]) {
                    line.0[position % LANES] = key;
                }
                let (lines, _) = values[of_head..][..head_dim].as_chunks::<LANES>();
                for (panel, line) in lines.iter().enumerate() {
                    value_panels[panel * capacity + position].0 = *line;
                }
            }
        };
        if n == 1 {
            (0..self.heads).for_each(store)
        } else {
            cpu.pool().run(self.heads, store)
        }
        self.len += n;
        self.fill_up();
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.fill_up();
    }

    /// Zeros the values of the last quad past the end: they are multiplied, by weights of 0.
    fn fill_up(&mut self) {
        if self.capacity > 0 {
            for panel in self.values.chunks_exact_mut(self.capacity) {
                panel[self.len..self.len.next_multiple_of(QUAD)].fill(Line::ZERO);
            }
        }
    }

    /// The keys of positions `16 * panel ..` of a head, `[head_dim][16]`.
    #[inline(always)]
    pub(crate) fn key_panel(&self, head: usize, panel: usize) -> &[[Line; QUAD]] {
        self.keys[(head * self.capacity / LANES + panel) * self.head_dim..][..self.head_dim]
            .as_chunks()
            .0
    }

    /// The values `16 * panel ..` of a head for the first `quads` quads of positions, `[positions][16]`.
    #[inline(always)]
    pub(crate) fn value_panel(&self, head: usize, panel: usize, quads: usize) -> &[[Line; QUAD]] {
        let first = (head * self.head_dim / LANES + panel) * self.capacity;
        self.values[first..][..quads * QUAD].as_chunks().0
    }
}

impl Clone for KeyValue {
    /// Copies the positions taken; room for more stays as it was.
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.heads, self.head_dim, self.capacity);
        copy.len = self.len;
        if self.quantized.is_some() {
            copy.quantized.clone_from(&self.quantized);
            return copy;
        }
        let head_lines = self.head_dim / LANES * self.capacity;
        let keys = self.len.div_ceil(LANES) * self.head_dim;
        for head in 0..self.heads {
            let taken = head * head_lines..head * head_lines + keys;
            copy.keys[taken.clone()].copy_from_slice(&self.keys[taken]);
        }
        if self.capacity > 0 {
            let panels = self.values.chunks_exact(self.capacity);
            for (to, from) in copy.values.chunks_exact_mut(self.capacity).zip(panels) {
                to[..self.len].copy_from_slice(&from[..self.len]);
            }
        }
        copy
    }
}
