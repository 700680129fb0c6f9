//! npz: both methods, all headers, and zips that lie.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// As `mx.savez` and `mx.savez_compressed` write it.
pub(super) fn npz(tensors: &BTreeMap<String, Plain>, method: CompressionMethod) -> Vec<u8> {
    let entries = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        let descr = match *dtype {
            "F16" => "<f2",
            "U32" => "<u4",
            other => panic!("{other}"),
        };
        (format!("{name}.npy"), npy(1, descr, false, shape, bytes))
    });
    zip_of(entries, method)
}

fn zip_of(entries: impl IntoIterator<Item = (String, Vec<u8>)>, method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(name, SimpleFileOptions::default().compression_method(method))
            .unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn npy(version: u8, descr: &str, column_major: bool, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let order = if column_major { "True" } else { "False" };
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    npy_with(
        version,
        &format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape})}}   \n"),
        bytes,
    )
}

fn npy_with(version: u8, header: &str, bytes: &[u8]) -> Vec<u8> {
    let length = (header.len() as u32).to_le_bytes();
    let width = if version == 1 { 2 } else { 4 };
    [
        b"\x93NUMPY",
        &[version, 0][..],
        &length[..width],
        header.as_bytes(),
        bytes,
    ]
    .concat()
}

/// One entry `a.npy`, opened and read.
fn read_one(npy: Vec<u8>, method: CompressionMethod) -> Result<(Tensor, Vec<u8>)> {
    let tensors = Tensors::from_bytes("weights.npz", zip_of([("a.npy".to_string(), npy)], method))?;
    let mut bytes = Vec::new();
    tensors.read("a", &mut bytes)?;
    Ok((tensors.get("a").unwrap().clone(), bytes))
}

#[test]
fn stored_and_deflated_are_the_same_checkpoint() {
    let tensors = tensors(|_| Some((6, 32)));
    let config = config_with(r#""quantization": {"group_size": 32, "bits": 6}"#);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let packed = npz(&tensors, method);
        let zipped = Tensors::from_bytes("weights.npz", packed.clone()).unwrap();
        let mut bytes = Vec::new();
        for (name, (_, _, expected)) in &tensors {
            zipped.read(name, &mut bytes).unwrap();
            assert!(bytes == *expected, "{name}");
        }
        open(&config, packed).unwrap();
    }
}

#[test]
fn headers_of_every_version_and_writer() {
    let bytes: Vec<u8> = (0..12).collect();
    for version in 1..=3 {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let (tensor, found) = read_one(npy(version, "<f2", false, &[2, 3], &bytes), method).unwrap();
            assert_eq!((tensor.to_string(), &found), ("f16 [2, 3]".into(), &bytes));
        }
    }
    for (header, expected) in [
        (
            "{'descr': '<V2', 'fortran_order': True, 'shape': (6, )}    \n",
            "bf16 [6]",
        ), // mlx, bf16
        (
            "{'descr': '|V2', 'fortran_order': False, 'shape': (6,), }\n",
            "bf16 [6]",
        ), // numpy with ml_dtypes
        (
            "{'descr': '<i4', 'fortran_order': True, 'shape': (1, 3, )}\n",
            "i32 [1, 3]",
        ),
        (
            "{\"shape\":(1,3),\"fortran_order\":False,\"descr\":\"<u4\"}",
            "u32 [1, 3]",
        ),
    ] {
        let (tensor, found) = read_one(npy_with(1, header, &bytes), CompressionMethod::Stored).unwrap();
        assert_eq!((tensor.to_string().as_str(), &found), (expected, &bytes));
    }
    let (scalar, _) = read_one(npy(1, "<f4", true, &[], &bytes[..4]), CompressionMethod::Stored).unwrap();
    assert!(scalar.shape().is_empty());
}

#[test]
fn zip64_is_read() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("a.npy", SimpleFileOptions::default().large_file(true))
        .unwrap();
    zip.write_all(&npy(1, "<f2", false, &[6], &[7; 12])).unwrap();
    let tensors = Tensors::from_bytes("weights.npz", zip.finish().unwrap().into_inner()).unwrap();
    let mut bytes = Vec::new();
    tensors.read("a", &mut bytes).unwrap();
    assert_eq!(bytes, [7; 12]);
}

#[test]
fn column_major_arrays_are_turned() {
    let columns: Vec<u8> = (0..24_u16).flat_map(u16::to_le_bytes).collect();
    let (_, rows) = read_one(npy(1, "<u2", true, &[2, 3, 4], &columns), CompressionMethod::Stored).unwrap();
    let rows: Vec<u16> = rows.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b)).collect();
    let expected: Vec<u16> = (0..2)
        .flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |k| i + 2 * (j + 3 * k))))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn entries_that_lie_are_refused() {
    let bytes = [0; 12];
    let huge = usize::MAX / 4;
    for (npy, words) in [
        (npy(1, ">f2", false, &[6], &bytes), r#"type ">f2" is not supported"#),
        (npy(1, "|O", false, &[6], &bytes), r#"type "|O" is not supported"#),
        (npy(9, "<f2", false, &[6], &bytes), "npy version 9"),
        (npy(1, "<f2", false, &[7], &bytes), "bytes for f16 [7], found"),
        (
            npy(1, "<f2", false, &[1 << 40], &bytes),
            "bytes for f16 [1099511627776], found",
        ),
        (npy(1, "<f2", false, &[huge, huge], &bytes), "no tensor has the shape"),
        (npy(1, "<f2", false, &[0, huge, huge], &bytes), "found"),
        (npy(1, "<f2", false, &[1; 9], &bytes[..2]), "no tensor has the shape"),
        (
            npy_with(1, "{'descr': '<f2', 'fortran_order': False}", &bytes),
            "shape is missing",
        ),
        (
            npy_with(1, "{'descr': '<f2', 'descr': '<f2'", &bytes),
            "the key descr comes twice",
        ),
        (npy_with(1, "{'descr': '<f2', 'x': 1}", &bytes), r#"unknown key "x""#),
        (npy_with(1, "{'shape': (-1,)}", &bytes), "expected a tuple of numbers"),
        (
            npy_with(1, "{'shape': (99999999999999999999999,)}", &bytes),
            "expected a tuple of numbers",
        ),
        (npy_with(1, "{'descr", &bytes), "a string does not end"),
        (npy_with(1, "{} x", &bytes), "something follows it"),
        (npy_with(2, &" ".repeat(10_001), &bytes), "10001 bytes"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "4294967295 bytes"),
        (b"nothing of the kind".to_vec(), "not an npy"),
        (Vec::new(), "not an npy"),
    ] {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let error = read_one(npy.clone(), method).unwrap_err().to_string();
            assert!(
                error.contains(words) && error.contains(r#""a""#),
                "{error}, expected {words}"
            );
        }
    }
}

#[test]
fn zips_that_lie_are_refused() {
    let config = CONFIG;
    let entry = |name: &str| (format!("{name}.npy"), npy(1, "<f2", false, &[6], &[0; 12]));
    let patched = |from: &str, to: &str, mut bytes: Vec<u8>| {
        for i in 0..=bytes.len() - from.len() {
            if bytes[i..].starts_with(from.as_bytes()) {
                bytes[i..i + to.len()].copy_from_slice(to.as_bytes());
            }
        }
        bytes
    };
    let twice = patched(
        "ab.npy",
        "aa.npy",
        zip_of([entry("aa"), entry("ab")], CompressionMethod::Stored),
    );
    assert!(refused(config, twice).contains("comes twice"));
    let twice = zip_of([entry("aa"), ("aa".into(), entry("aa").1)], CompressionMethod::Stored);
    assert!(refused(config, twice).contains("comes twice"));

    // 64 MB of zeros in 64 kB: refused by its shape, before it is inflated.
    let mut good = tensors(|_| None);
    let bomb = npy(1, "<f2", false, &[32 << 20], &vec![0; 64 << 20]);
    let bomb = zip_of(
        [("encoder.conv1.weight.npy".to_string(), bomb)],
        CompressionMethod::Deflated,
    );
    let error = refused(config, bomb);
    assert!(
        error.contains("encoder.conv1.weight: expected [32, 3, 80], found [33554432]"),
        "{error}"
    );

    // A central directory that promises more than deflate can give, or other than the file has.
    let zip = zip_of([entry("aa")], CompressionMethod::Deflated);
    let central = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    for (offset, number) in [(24, 1_u32 << 30), (20, 1 << 30), (42, 1 << 30)] {
        let mut lie = zip.clone();
        lie[central + offset..][..4].copy_from_slice(&number.to_le_bytes());
        assert!(Tensors::from_bytes("weights.npz", lie).is_err(), "{offset}");
    }

    // A flipped bit of the data: the CRC says so, and the error says where.
    good.retain(|name, _| name == "decoder.ln.bias");
    let mut flipped = npz(&good, CompressionMethod::Stored);
    let data = good["decoder.ln.bias"].2.as_slice();
    let at = flipped.windows(data.len()).position(|w| w == data).unwrap();
    flipped[at + 5] ^= 1;
    let tensors = Tensors::from_bytes("weights.npz", flipped).unwrap();
    let error = tensors
        .read("decoder.ln.bias", &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("decoder.ln.bias") && error.to_lowercase().contains("checksum"),
        "{error}"
    );
}

#[test]
fn truncated_zips_are_refused_everywhere() {
    let zip = zip_of(
        [("a.npy".to_string(), npy(1, "<f2", false, &[6], &[1; 12]))],
        CompressionMethod::Deflated,
    );
    for len in 0..zip.len() {
        let opened = Tensors::from_bytes("weights.npz", zip[..len].to_vec());
        assert!(opened.is_err(), "{len} of {}", zip.len());
    }
}

/// Thousands of small changes anywhere in a small archive: each opens or is refused, and what opens is read or refused.
#[test]
fn mutated_archives_never_panic() {
    let entry = |name: &str| (format!("{name}.npy"), npy(1, "<f2", true, &[2, 3], &[1; 12]));
    let mut random = Random(0x5eed);
    let (mut read, mut refused) = (0, 0);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let good = zip_of([entry("a"), entry("b")], method);
        for _ in 0..10_000 {
            let mut bytes = good.clone();
            for _ in 0..1 + random.below(3) {
                let at = random.below(bytes.len());
                match random.below(4) {
                    0 => bytes[at] ^= 1 << random.below(8),
                    1 => bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)],
                    2 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, 0xff),
                }
            }
            let Ok(tensors) = Tensors::from_bytes("weights.npz", bytes) else {
                refused += 1;
                continue;
            };
            for (name, _) in tensors.iter().filter(|(_, tensor)| tensor.n_bytes() < 1 << 20) {
                match tensors.read(name, &mut Vec::new()) {
                    Ok(()) => read += 1,
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(read > 1000 && refused > 10_000, "{read} read, {refused} refused");
}
