//! Every kind of fault, each named by its error.

use super::*;

/// A fault: what is done to the tensors, and the words of the error.
type Fault = (fn(&mut BTreeMap<String, Plain>), &'static str);

fn dense() -> BTreeMap<String, Plain> {
    tensors(|_| None)
}

const QUANTIZED: &str = r#""quantization": {"group_size": 32, "bits": 4}"#;

fn quantized() -> BTreeMap<String, Plain> {
    tensors(|_| Some((4, 32)))
}

fn set(tensors: &mut BTreeMap<String, Plain>, name: &str, dtype: &'static str, shape: &[usize]) {
    let dtype_size = match dtype {
        "F64" | "I64" => 8,
        "F32" | "I32" | "U32" => 4,
        "U8" => 1,
        _ => 2,
    };
    let bytes = vec![0; shape.iter().product::<usize>() * dtype_size];
    tensors.insert(name.into(), (dtype, shape.to_vec(), bytes));
}

#[test]
fn wrong_tensors_are_named() {
    let dense_faults: &[Fault] = &[
        (
            |t| drop(t.remove("decoder.ln.weight")),
            "decoder.ln.weight: missing, expected [32]",
        ),
        (
            |t| drop(t.remove("decoder.token_embedding.weight")),
            "decoder.token_embedding.weight: missing, expected [40, 32]",
        ),
        (
            |t| set(t, "decoder.ln.weight", "F16", &[64]),
            "decoder.ln.weight: expected [32], found [64]",
        ),
        (
            |t| set(t, "decoder.ln.weight", "F16", &[32, 1]),
            "decoder.ln.weight: expected [32], found [32, 1]",
        ),
        (
            |t| set(t, "decoder.ln.weight", "F16", &[]),
            "decoder.ln.weight: expected [32], found []",
        ),
        (
            |t| set(t, "decoder.ln.weight", "I32", &[32]),
            "decoder.ln.weight: expected f32, f16 or bf16, found i32 [32]",
        ),
        (
            |t| set(t, "decoder.ln.weight", "F64", &[32]),
            "decoder.ln.weight: expected f32, f16 or bf16, found f64 [32]",
        ),
        (
            |t| set(t, "encoder.conv1.weight", "F16", &[32, 80, 3]),
            "encoder.conv1.weight: expected [32, 3, 80], found [32, 80, 3]",
        ),
        (
            |t| set(t, "decoder.positional_embedding", "F16", &[9, 32]),
            "decoder.positional_embedding: expected [8, 32], found [9, 32]",
        ),
        (
            |t| set(t, "encoder.blocks.0.mlp1.weight", "F16", &[32, 128]),
            "encoder.blocks.0.mlp1.weight: expected [128, 32], found [32, 128]",
        ),
        (
            |t| set(t, "encoder.blocks.0.mlp1.weight", "U32", &[128, 4]),
            "encoder.blocks.0.mlp1.scales: missing, but encoder.blocks.0.mlp1.weight is packed",
        ),
        (
            |t| set(t, "encoder.blocks.0.mlp1.scales", "F16", &[128, 1]),
            "encoder.blocks.0.mlp1.scales: unexpected, config.json does not say",
        ),
        (
            |t| set(t, "encoder.blocks.0.attn.key.bias", "F16", &[32]),
            r#""encoder.blocks.0.attn.key.bias": unknown to Whisper, f16 [32]"#,
        ),
        (
            |t| set(t, "encoder.blocks.1.mlp_ln.bias", "F16", &[32]),
            r#""encoder.blocks.1.mlp_ln.bias": unknown to Whisper"#,
        ),
        (
            |t| set(t, "\u{1b}[2J", "F16", &[1]),
            r#""\u{1b}[2J": unknown to Whisper"#,
        ),
        (
            |t| set(t, ALIGNMENT_HEADS, "I32", &[2, 3]),
            "alignment_heads: expected [heads, 2], 2 heads at most, found i32 [2, 3]",
        ),
        (
            |t| set(t, ALIGNMENT_HEADS, "I32", &[3, 2]),
            "alignment_heads: expected [heads, 2], 2 heads at most, found i32 [3, 2]",
        ),
        (
            |t| set(t, ALIGNMENT_HEADS, "F16", &[1, 2]),
            "alignment_heads: expected pairs of a layer below 1 and a head below 2",
        ),
        (
            |t| drop(t.insert(ALIGNMENT_HEADS.into(), ("U8", vec![1, 2], vec![0, 2]))),
            "alignment_heads: expected pairs",
        ),
        (
            |t| drop(t.insert(ALIGNMENT_HEADS.into(), ("I8", vec![1, 2], vec![0xff, 0]))),
            "alignment_heads: expected pairs",
        ),
        (
            |t| set(t, "model.encoder.layers.0.fc1.weight", "F16", &[1]),
            "names its tensors as Hugging Face's Transformers do; convert it",
        ),
        (|t| set(t, "decoder.layers.0.fc1.weight", "F16", &[1]), "convert.py"),
        (
            |t| nan(t, "decoder.ln.weight", 3),
            "decoder.ln.weight: element 3 is NaN",
        ),
    ];
    let quantized_faults: &[Fault] = &[
        (
            |t| drop(t.remove("decoder.blocks.0.mlp1.weight")),
            "decoder.blocks.0.mlp1.weight: missing, expected u32 [128, 4]",
        ),
        (
            |t| drop(t.remove("decoder.blocks.0.mlp1.biases")),
            "decoder.blocks.0.mlp1.biases: missing, expected [128, 1]",
        ),
        (
            |t| drop(t.remove("decoder.blocks.0.mlp1.scales")),
            "decoder.blocks.0.mlp1.scales: missing, but",
        ),
        (
            |t| set(t, "decoder.blocks.0.mlp1.weight", "U32", &[128, 8]),
            "decoder.blocks.0.mlp1.weight: expected [128, 4], found [128, 8] (bits 8?)",
        ),
        (
            |t| set(t, "decoder.blocks.0.mlp1.weight", "U32", &[128, 7]),
            "decoder.blocks.0.mlp1.weight: expected [128, 4], found [128, 7]",
        ),
        (
            |t| set(t, "decoder.blocks.0.mlp1.weight", "I32", &[128, 4]),
            "decoder.blocks.0.mlp1.weight: expected u32, found i32 [128, 4]",
        ),
        (
            |t| set(t, "decoder.blocks.0.mlp2.scales", "F16", &[32, 2]),
            "decoder.blocks.0.mlp2.scales: expected [32, 4], found [32, 2] (group_size 64?)",
        ),
        (
            |t| set(t, "decoder.blocks.0.mlp2.biases", "F16", &[32, 2]),
            "decoder.blocks.0.mlp2.biases: expected [32, 4], found [32, 2]",
        ),
        (
            |t| set(t, "decoder.blocks.0.mlp2.scales", "I32", &[32, 4]),
            "decoder.blocks.0.mlp2.scales: expected f32, f16 or bf16, found i32",
        ),
        (
            |t| nan(t, "decoder.blocks.0.mlp2.scales", 5),
            "decoder.blocks.0.mlp2.scales: element 5 is NaN",
        ),
        (
            |t| nan(t, "decoder.token_embedding.biases", 0),
            "decoder.token_embedding.biases: element 0 is NaN",
        ),
    ];
    let forms = [
        (CONFIG.to_string(), dense(), dense_faults),
        (config_with(QUANTIZED), quantized(), quantized_faults),
    ];
    for (config, good, faults) in forms {
        open(&config, safetensors(&good)).unwrap();
        for (fault, words) in faults {
            let mut bad = good.clone();
            fault(&mut bad);
            let error = refused(&config, safetensors(&bad));
            assert!(
                error.contains(words) && error.starts_with("weights: "),
                "{error}\nexpected {words}"
            );
        }
    }
}

fn nan(tensors: &mut BTreeMap<String, Plain>, name: &str, element: usize) {
    let (_, _, bytes) = tensors.get_mut(name).unwrap();
    bytes[2 * element..][..2].copy_from_slice(&half::f16::NAN.to_le_bytes());
}

#[test]
fn ten_problems_are_listed_and_the_rest_counted() {
    let config = CONFIG.replace(r#""n_audio_layer": 1"#, r#""n_audio_layer": 2"#);
    let error = refused(&config, safetensors(&dense()));
    assert!(error.contains("encoder.blocks.1.attn.query.weight: missing"), "{error}");
    assert!(
        error.contains("15 problems") && error.ends_with("\n  and 5 more"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 12);
}

#[test]
fn tensors_left_unread_are_listed() {
    let mut checkpoint = Checkpoint::from_bytes("weights", CONFIG.as_bytes(), safetensors(&dense())).unwrap();
    for name in dense().keys().filter(|name| !name.starts_with("decoder.ln.")) {
        let shape = checkpoint.tensors.get(name).unwrap().shape().to_vec();
        checkpoint.tensor(name, &shape).unwrap();
    }
    let error = checkpoint.finish().unwrap_err().to_string();
    assert!(
        error.ends_with("2 tensors left unread: decoder.ln.bias, decoder.ln.weight"),
        "{error}"
    );
}

#[test]
fn a_caller_with_another_shape_is_refused() {
    let mut checkpoint = Checkpoint::from_bytes("weights", CONFIG.as_bytes(), safetensors(&dense())).unwrap();
    let error = checkpoint.vector("decoder.ln.bias", 31).unwrap_err().to_string();
    assert!(error.contains("decoder.ln.bias: expected [31], found [32]"), "{error}");
    let error = checkpoint.matrix("decoder.ln2", 1, 1).unwrap_err().to_string();
    assert!(error.contains("decoder.ln2.weight: missing"), "{error}");
}

/// A file cut at a border names the first tensor that is not whole; cut within a tensor, that one.
#[test]
fn truncation_names_the_tensor() {
    for (config, tensors) in [(CONFIG.to_string(), dense()), (config_with(QUANTIZED), quantized())] {
        let whole = safetensors(&tensors);
        let mut start = whole.len() - tensors.values().map(|(_, _, bytes)| bytes.len()).sum::<usize>();
        for (name, (_, _, bytes)) in &tensors {
            for cut in [start, start + 1, start + bytes.len() - 1] {
                let error = refused(&config, whole[..cut].to_vec());
                assert!(
                    error.contains(&format!("truncated: {name:?} ends")),
                    "{error}\nexpected {name}"
                );
            }
            start += bytes.len();
        }
        assert_eq!(start, whole.len());
        assert!(refused(&config, [&whole[..], &[0]].concat()).contains("1 bytes after the last tensor"));
    }
}

#[test]
fn truncation_of_the_header_is_refused_everywhere() {
    let whole = safetensors(&dense());
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    for cut in 0..header {
        let error = refused(CONFIG, whole[..cut].to_vec());
        assert!(
            error.contains("shorter than 8 bytes") || error.contains("truncated: a header of"),
            "{error}"
        );
    }
}

#[test]
fn hostile_headers_are_refused() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        file(
            &format!(r#"{{"a":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}"#),
            &[0; 8],
        )
    };
    let ok = r#"{"dtype":"F32","shape":[1],"data_offsets":"#;
    let two = |first: &str, second: &str| file(&format!(r#"{{"a":{ok}{first}}},"b":{ok}{second}}}}}"#), &[0; 8]);
    assert!(Tensors::from_bytes("weights", two("[0,4]", "[4,8]")).is_ok());
    assert!(Tensors::from_bytes("weights", two("[4,8]", "[0,4]")).is_ok());
    assert!(Tensors::from_bytes("weights", entry("\"F32\"", "[2]", "[0,8]")).is_ok());

    for (bytes, words) in [
        (u64::MAX.to_le_bytes().to_vec(), "would have 18446744073709551615 bytes"),
        ((u64::MAX - 7).to_le_bytes().to_vec(), "would have"),
        (
            (8_u64 << 20).to_le_bytes().to_vec(),
            "truncated: a header of 8388608 bytes",
        ),
        (Vec::new(), "shorter than 8 bytes"),
        (file("", &[]), "not a safetensors header"),
        (file("[]", &[]), "expected an object"),
        (file("{", &[]), "not a safetensors header"),
        (file(&"[".repeat(100_000), &[]), "not a safetensors header"),
        (
            file(&format!(r#"{{"a":{}"#, "[".repeat(100_000)), &[]),
            "recursion limit",
        ),
        (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "git lfs pull"),
        (file("{}", &[0]), "1 bytes after the last tensor"),
        (entry("\"F7\"", "[2]", "[0,8]"), r#"unknown type "F7""#),
        (entry("\"F32\"", "[-2]", "[0,8]"), "not an entry"),
        (entry("\"F32\"", "[2.0]", "[0,8]"), "not an entry"),
        (entry("\"F32\"", "[18446744073709551616]", "[0,8]"), "not an entry"),
        (
            entry("\"F32\"", "[4611686018427387905]", "[0,4]"),
            "no tensor has the shape",
        ),
        (
            entry("\"F32\"", "[4294967296,4294967296,2]", "[0,8]"),
            "no tensor has the shape",
        ),
        (
            entry("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"),
            "no tensor has the shape",
        ),
        (
            entry("\"F32\"", "[2]", "[8,0]"),
            "expected data_offsets in order, found [8, 0]",
        ),
        (
            entry("\"F32\"", "[2]", "[0,7]"),
            "expected 8 bytes for f32 [2], found data_offsets [0, 7]",
        ),
        (entry("\"F32\"", "[2]", "[0,8,16]"), "not an entry"),
        (
            entry("\"F32\"", "[2]", "[18446744073709551608,18446744073709551616]"),
            "not an entry",
        ),
        (
            entry("\"F32\"", "[2]", "[18446744073709551607,18446744073709551615]"),
            "in order",
        ),
        (
            entry("\"F32\"", "[2]", "[9223372036854775800,9223372036854775808]"),
            "leaves a gap",
        ),
        (
            entry("\"F32\"", "[4]", "[0,16]"),
            r#"truncated: "a" ends at byte 16 of the data, the file has 8"#,
        ),
        (
            two("[0,4]", "[0,4]"),
            r#""b": starts at byte 0 of the data, expected 4: it overlaps"#,
        ),
        (
            two("[0,4]", "[2,6]"),
            r#""b": starts at byte 2 of the data, expected 4: it overlaps"#,
        ),
        (
            two("[0,4]", "[5,9]"),
            r#""b": starts at byte 5 of the data, expected 4: it leaves a gap"#,
        ),
        (
            file(&format!(r#"{{"a":{ok}[0,4]}},"a":{ok}[4,8]}}}}"#), &[0; 8]),
            r#"the key "a" comes twice"#,
        ),
        (
            file(&format!(r#"{{"a":{{"dtype":"F32",{}}}"#, &ok[1..]), &[0; 8]),
            "not a safetensors header",
        ),
    ] {
        let error = Tensors::from_bytes("weights", bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error}\nexpected {words}");
    }
}

/// Thousands of small changes to a header: each opens or is refused, and what opens can be read.
#[test]
fn mutated_headers_never_panic() {
    let good = safetensors(&quantized());
    let header = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let mut random = Random(0x5eed);
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..4000 {
        let mut bytes = good.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(header);
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = b"0123456789{}[],:\"-.eE\0\xff"[random.below(23)],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"0123456789{}[],:\"-.eE\0\xff"[random.below(23)]),
            }
        }
        match open(&config_with(QUANTIZED), bytes) {
            Ok(_) => opened += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 3000 && opened > 0, "{opened} opened, {refused} refused");
}

#[test]
fn configs_that_no_whisper_has_are_refused() {
    let with = |key: &str, value: &str| {
        let start = CONFIG.find(&format!("{key:?}")).unwrap();
        let end = start + CONFIG[start..].find([',', '}']).unwrap();
        format!("{}{key:?}: {value}{}", &CONFIG[..start], &CONFIG[end..])
    };
    let quantization = |object: &str| config_with(&format!(r#""quantization": {object}"#));
    for (config, words) in [
        (String::new(), "not a Whisper's config.json"),
        ("[]".into(), "expected an object"),
        ("{}".into(), "n_mels (Hugging Face: num_mel_bins): missing"),
        (
            " ".repeat(MAX_CONFIG_BYTES + 1),
            "expected at most 1048576 bytes, found 1048577",
        ),
        ("[".repeat(100_000), "not a Whisper's config.json"),
        (config_with(r#""n_mels": 80"#), r#"the key "n_mels" comes twice"#),
        (with("n_mels", "81"), "n_mels: expected 80 or 128, found 81"),
        (
            with("n_mels", "\"80\\u001b\""),
            r#"n_mels: expected 80 to 128, found "80\u{1b}""#,
        ),
        (with("n_mels", "80.0"), "n_mels: expected 80 to 128, found 80.0"),
        (with("n_mels", "[80]"), "n_mels: expected 80 to 128, found an array"),
        (with("n_audio_ctx", "1499"), "n_audio_ctx: expected 1500, found 1499"),
        (
            with("n_audio_state", "33"),
            "n_text_state: expected 33 as n_audio_state, found 32",
        ),
        (
            with("n_audio_head", "3"),
            "n_audio_head: 32 channels do not divide into 3 heads",
        ),
        (
            with("n_text_head", "4"),
            "n_text_head: 32 channels do not divide into 4 heads of a multiple of 16",
        ),
        (with("n_text_head", "0"), "n_text_head: expected 1 to 512, found 0"),
        (
            with("n_text_layer", "18446744073709551615"),
            "n_text_layer: expected 1 to 256, found 18446744073709551615",
        ),
        (
            with("n_text_layer", "1e99"),
            "n_text_layer: expected 1 to 256, found 1e+99",
        ),
        (with("n_vocab", "-1"), "n_vocab: expected 1 to 1048576, found -1"),
        (
            with("n_text_ctx", "100000"),
            "n_text_ctx: expected 8 to 4096, found 100000",
        ),
        (quantization("true"), "quantization: expected an object, found true"),
        (
            quantization(r#"{"mode": "mxfp4", "bits": 4, "group_size": 32}"#),
            r#"quantization: mode "mxfp4" is not supported, only affine"#,
        ),
        (quantization(r#"{"mode": "nvfp4"}"#), r#"mode "nvfp4" is not supported"#),
        (
            quantization(r#"{"bits": 7}"#),
            "bits: expected one of [2, 3, 4, 5, 6, 8], found 7",
        ),
        (
            quantization(r#"{"bits": "4"}"#),
            r#"bits: expected one of [2, 3, 4, 5, 6, 8], found "4""#,
        ),
        (
            quantization(r#"{"group_size": 0}"#),
            "group_size: expected one of [32, 64, 128], found 0",
        ),
        (
            quantization(r#"{"decoder.blocks.0.mlp1": {"mode": "mxfp8"}}"#),
            r#"quantization of "decoder.blocks.0.mlp1": mode "mxfp8""#,
        ),
    ] {
        let error = Config::parse(config.as_bytes()).unwrap_err();
        assert!(error.contains(words), "{error}\nexpected {words}");
    }
}

#[test]
fn quantization_of_config_and_tensors_must_agree() {
    let weights = safetensors(&quantized());
    let with = |object: &str| config_with(&format!(r#""quantization": {object}"#));
    for (config, words) in [
        (
            with(r#"{"group_size": 32, "bits": 8}"#),
            "weight: expected [32, 8], found [32, 4] (bits 4?)",
        ),
        (
            with(r#"{"group_size": 64, "bits": 4}"#),
            "encoder.blocks.0.attn.query: 32 columns do not divide into groups of 64",
        ),
        (
            with(r#"{"group_size": 32, "bits": 4, "decoder.blocks.0.mlp1": false}"#),
            "decoder.blocks.0.mlp1.scales: unexpected",
        ),
        (
            with(r#"{"group_size": 32, "bits": 4, "decoder.blocks.0.mlp2": {"bits": 4}}"#),
            "decoder.blocks.0.mlp2.scales: expected [32, 2], found [32, 4] (group_size 32?)",
        ),
        (CONFIG.into(), "config.json does not say"),
    ] {
        let error = refused(&config, weights.clone());
        assert!(error.contains(words), "{error}\nexpected {words}");
    }
    // Scales decide, as in MLX: dense weights under a config that speaks of quantization are dense.
    let description = open(&with(r#"{"group_size": 32, "bits": 4}"#), safetensors(&dense())).unwrap();
    assert_eq!(description.form, Form::Dense(Float::F16));
}

#[test]
fn hugging_face_names_of_sizes_are_understood() {
    let theirs = r#"{"num_mel_bins": 128, "max_source_positions": 1500, "d_model": 1280, "encoder_attention_heads": 20,
        "encoder_layers": 32, "vocab_size": 51866, "max_target_positions": 448, "decoder_attention_heads": 20,
        "decoder_layers": 4, "architectures": ["WhisperForConditionalGeneration"], "torch_dtype": "float16"}"#;
    let dims = Config::parse(theirs.as_bytes()).unwrap().dims;
    assert_eq!(
        (dims.n_mels, dims.n_audio_state, dims.n_text_state, dims.n_text_layer),
        (128, 1280, 1280, 4)
    );
    // Where both stand, MLX's count.
    let both = config_with(r#""d_model": 64, "vocab_size": 7, "quantization": null"#);
    assert_eq!(
        Config::parse(both.as_bytes()).unwrap().dims,
        Config::parse(CONFIG.as_bytes()).unwrap().dims
    );
}
