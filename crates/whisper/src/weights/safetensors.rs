//! safetensors: a length, a JSON header, and the bytes of the tensors without gaps.
//!
//! ```text
//! u64 LE n | {"decoder.ln.bias": {"dtype": "F16", "shape": [512], "data_offsets": [0, 1024]}, ...} (n bytes) | data
//! ```
//! Offsets count from the start of the data. MLX does not pad its headers, so tensors lie at any address.
//!
//! Source: the format's description in the README of huggingface/safetensors.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::json::Object;
use super::shown;
use super::source::Source;
use super::tensors::{Dtype, Tensor};

/// The most bytes a header may have. A quantized Whisper large has 300 kB.
const MAX_HEADER_BYTES: u64 = 8 << 20;

/// Where each tensor lies: the header, checked against the size of the file.
pub(super) fn index(source: &Source) -> Result<BTreeMap<String, Tensor>, String> {
    let start = 8;
    let mut length = [0; 8];
    source
        .read_exact_at(&mut length, 0)
        .map_err(|_| "not a safetensors file: shorter than 8 bytes".to_string())?;
    if &length == b"version " {
        return Err("a pointer of Git LFS, not the weights: run `git lfs pull`, or download the file again".into());
    }
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(format!(
            "not a safetensors file: its header would have {length} bytes, expected at most {MAX_HEADER_BYTES}"
        ));
    }
    let Some(data_len) = source.len().checked_sub(start + length) else {
        return Err(format!(
            "truncated: a header of {length} bytes does not fit a file of {}",
            source.len()
        ));
    };
    let mut header = vec![0; usize::try_from(length).map_err(|e| e.to_string())?];
    source
        .read_exact_at(&mut header, start)
        .map_err(|e| format!("the header: {e}"))?;
    let Object(entries): Object<Value> =
        serde_json::from_slice(&header).map_err(|e| format!("not a safetensors header: {e}"))?;

    let mut tensors = BTreeMap::new();
    let mut ranges = Vec::new();
    for (name, value) in entries {
        if name == "__metadata__" {
            continue; // remarks of the converter; MLX writes null
        }
        let (tensor, end) = tensor(value, start + length).map_err(|problem| format!("{}: {problem}", shown(&name)))?;
        ranges.push((tensor.at - start - length, end, name.clone()));
        tensors.insert(name, tensor);
    }
    check_ranges(ranges, data_len)?;
    Ok(tensors)
}

/// One entry of the header, and the end of its bytes. `data` is where the data starts in the file.
fn tensor(entry: Value, data: u64) -> Result<(Tensor, u64), String> {
    #[derive(Deserialize)]
    struct Entry {
        dtype: String,
        shape: Vec<usize>,
        data_offsets: (u64, u64),
    }
    let Entry {
        dtype,
        shape,
        data_offsets: (start, end),
    } = serde_json::from_value(entry).map_err(|e| format!("not an entry of a safetensors header: {e}"))?;
    let dtype = Dtype::from_safetensors(&dtype).ok_or_else(|| format!("unknown type {}", shown(&dtype)))?;
    let at = data.checked_add(start).filter(|_| start <= end);
    let at = at.ok_or_else(|| format!("expected data_offsets in order, found [{start}, {end}]"))?;
    let tensor = Tensor::new(dtype, shape, at)?;
    if end - start != tensor.n_bytes() as u64 {
        return Err(format!(
            "expected {} bytes for {tensor}, found data_offsets [{start}, {end}]",
            tensor.n_bytes()
        ));
    }
    Ok((tensor, end))
}

/// The tensors lie one after the other, from the first byte of the data to the last.
fn check_ranges(mut ranges: Vec<(u64, u64, String)>, data_len: u64) -> Result<(), String> {
    ranges.sort_unstable();
    let mut covered = 0;
    for (start, end, name) in ranges {
        if start != covered {
            let fault = if start < covered {
                "overlaps the tensor before it"
            } else {
                "leaves a gap before it"
            };
            return Err(format!(
                "{}: starts at byte {start} of the data, expected {covered}: it {fault}",
                shown(&name)
            ));
        }
        if end > data_len {
            return Err(format!(
                "truncated: {} ends at byte {end} of the data, the file has {data_len}; download it again",
                shown(&name)
            ));
        }
        covered = end;
    }
    if covered != data_len {
        return Err(format!("{} bytes after the last tensor", data_len - covered));
    }
    Ok(())
}
