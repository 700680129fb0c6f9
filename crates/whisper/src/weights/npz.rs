//! npz: a zip, stored or deflated, of `NAME.npy`, each a header and the elements.
//!
//! ```text
//! \x93NUMPY | version 1: u8 1, u8 0, u16 LE n; 2 and 3: u8, u8, u32 LE n |
//! {'descr': '<f2', 'fortran_order': False, 'shape': (384, 3, 80, ), } (n bytes) | elements
//! ```
//! MLX marks an array column-major where it is (a transposed one) or where the order makes no difference (one axis).
//!
//! Source: `numpy.lib.format`; the zip is read by the crate `zip`, which checks each entry's CRC at its end.

use std::collections::BTreeMap;
use std::io::Read;

use zip::{CompressionMethod, ZipArchive};

use super::shown;
use super::source::{Cursor, Source};
use super::tensors::{Dtype, Tensor};

/// The most bytes a header may have; numpy reads no longer ones either.
const MAX_HEADER_BYTES: usize = 10_000;

/// Deflate makes at most 1032 bytes of one.
const MAX_INFLATION: u64 = 1032;

/// The entries of an npz.
#[derive(Clone, Debug)]
pub(super) struct Archive(ZipArchive<Cursor>);

impl Archive {
    /// Reads the zip's directory and the header of each entry, and checks one against the other.
    pub(super) fn index(source: &Source) -> Result<(Archive, BTreeMap<String, Tensor>), String> {
        let mut archive = ZipArchive::new(source.cursor(0)).map_err(|e| format!("not a whole zip: {e}"))?;
        if archive.has_duplicate_names() {
            return Err("a name comes twice in the zip".into());
        }
        let mut tensors = BTreeMap::new();
        for i in 0..archive.len() {
            let (name, tensor) = entry(&mut archive, i, source.len())?;
            if tensors.contains_key(&name) {
                return Err(format!("{}: comes twice in the zip", shown(&name)));
            }
            tensors.insert(name, tensor);
        }
        Ok((Archive(archive), tensors))
    }

    /// Fills `out`, which has the size of the tensor, row-major.
    pub(super) fn read(&self, tensor: &Tensor, out: &mut [u8]) -> Result<(), String> {
        let mut archive = self.0.clone(); // shares the directory and the file, has a position of its own
        let number = usize::try_from(tensor.at).map_err(|e| e.to_string())?;
        let mut entry = archive.by_index(number).map_err(|e| e.to_string())?;
        let header = Header::read(&mut entry)?;
        if header.column_major {
            let mut columns = vec![0; out.len()];
            entry.read_exact(&mut columns).map_err(|e| e.to_string())?;
            to_row_major(&columns, tensor, out);
        } else {
            entry.read_exact(out).map_err(|e| e.to_string())?;
        }
        // The end is where the CRC is checked.
        match entry.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err("longer than its header says".into()),
            Err(e) => Err(e.to_string()),
        }
    }
}

/// Name and tensor of entry `i`, its size checked against its header's shape.
fn entry(archive: &mut ZipArchive<Cursor>, i: usize, file_len: u64) -> Result<(String, Tensor), String> {
    let mut entry = archive.by_index(i).map_err(|e| format!("entry {i} of the zip: {e}"))?;
    let name = entry
        .name()
        .map_err(|e| format!("entry {i} of the zip: {e}"))?
        .into_owned();
    let name = name.strip_suffix(".npy").unwrap_or(&name).to_string();
    let context = |problem: String| format!("{}: {problem}", shown(&name));

    let (size, packed, method) = (entry.size(), entry.compressed_size(), entry.compression());
    let possible = match method {
        CompressionMethod::Stored => size == packed,
        _ => size <= packed.saturating_mul(MAX_INFLATION),
    };
    if !possible || packed > file_len {
        return Err(context(format!("{packed} bytes of the zip cannot hold {size}")));
    }
    let header = Header::read(&mut entry).map_err(context)?;
    let tensor = Tensor::new(header.dtype, header.shape, i as u64).map_err(context)?;
    let expected = header.n_bytes + tensor.n_bytes() as u64;
    if size != expected {
        return Err(context(format!("expected {expected} bytes for {tensor}, found {size}")));
    }
    drop(entry);
    Ok((name, tensor))
}

/// The header of an npy.
struct Header {
    dtype: Dtype,
    column_major: bool,
    shape: Vec<usize>,
    /// Bytes before the elements.
    n_bytes: u64,
}

impl Header {
    fn read(npy: &mut impl Read) -> Result<Header, String> {
        let mut start = [0; 8];
        npy.read_exact(&mut start).map_err(|e| format!("not an npy: {e}"))?;
        let (magic, version) = start.split_at(6);
        if magic != b"\x93NUMPY" {
            return Err("not an npy".into());
        }
        let mut length = [0; 4];
        let width = match version[0] {
            1 => 2,
            2 | 3 => 4,
            other => return Err(format!("npy version {other}, expected 1 to 3")),
        };
        npy.read_exact(&mut length[..width])
            .map_err(|e| format!("the npy header: {e}"))?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER_BYTES {
            return Err(format!(
                "an npy header of {length} bytes, expected at most {MAX_HEADER_BYTES}"
            ));
        }
        let mut text = vec![0; length];
        npy.read_exact(&mut text).map_err(|e| format!("the npy header: {e}"))?;
        let text = str::from_utf8(&text).map_err(|e| format!("the npy header: {e}"))?;
        let n_bytes = (start.len() + width + length) as u64;
        Literal(text)
            .header(n_bytes)
            .map_err(|problem| format!("the npy header {}: {problem}", shown(text)))
    }
}

/// What is left of a Python literal: the little that npy headers use.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    fn header(mut self, n_bytes: u64) -> Result<Header, String> {
        let (mut dtype, mut column_major, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.eat("}") {
            let key = self.string()?;
            self.expect(":")?;
            let repeated = match key {
                "descr" => {
                    let descr = self.string()?;
                    let known =
                        Dtype::from_npy(descr).ok_or_else(|| format!("type {} is not supported", shown(descr)))?;
                    dtype.replace(known).is_some()
                }
                "fortran_order" => column_major.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                _ => return Err(format!("unknown key {}", shown(key))),
            };
            if repeated {
                return Err(format!("the key {key} comes twice"));
            }
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        if !self.0.trim_start().is_empty() {
            return Err("something follows it".into());
        }
        Ok(Header {
            dtype: dtype.ok_or("descr is missing")?,
            column_major: column_major.ok_or("fortran_order is missing")?,
            shape: shape.ok_or("shape is missing")?,
            n_bytes,
        })
    }

    fn eat(&mut self, token: &str) -> bool {
        self.0 = self.0.trim_start();
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) {
            Ok(())
        } else {
            Err(format!("expected {token:?}"))
        }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.eat("'") {
            '\''
        } else {
            self.expect("\"").map(|()| '"')?
        };
        let (text, rest) = self.0.split_once(quote).ok_or("a string does not end")?;
        self.0 = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        if self.eat("True") {
            return Ok(true);
        }
        self.expect("False").map(|()| false)
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut numbers = Vec::new();
        self.expect("(")?;
        while !self.eat(")") {
            self.0 = self.0.trim_start();
            let digits = self.0.len() - self.0.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.0.split_at(digits);
            numbers.push(number.parse().map_err(|_| "shape: expected a tuple of numbers")?);
            self.0 = rest;
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(numbers)
    }
}

/// Column-major elements, the first axis fastest, into row-major ones, the last axis fastest.
fn to_row_major(columns: &[u8], tensor: &Tensor, rows: &mut [u8]) {
    let size = tensor.dtype().size();
    for (i, out) in rows.chunks_exact_mut(size).enumerate() {
        // The digits of `i` from the last axis on are the index along each axis.
        let (mut rest, mut from, mut stride) = (i, 0, tensor.n_elements());
        for &n in tensor.shape().iter().rev() {
            stride /= n;
            from += rest % n * stride;
            rest /= n;
        }
        out.copy_from_slice(&columns[from * size..][..size]);
    }
}
