// Whisper on MLX behind a C interface: the only door between this program and an installed MLX.
//
// MLX's C++ interface is stable in source, not in binary, so this file and wmx.cpp are compiled on the user's machine against
// the headers of the library that is found there. `src/ffi.rs` is the other side; change WMX_ABI with every change here.
//
// All functions are called from one thread. Those that return `int` return a wmx_code, never throw, and on failure write a
// text of at most WMX_MESSAGE bytes, its end included, to `message`. Numbers are checked by the caller, in Rust.
#pragma once

#include <cstddef>
#include <cstdint>

#define WMX_ABI 2
#define WMX_MESSAGE 1024

#if defined(__GNUC__)
#define WMX_API extern "C" __attribute__((visibility("default")))
#else
#define WMX_API extern "C"
#endif

enum wmx_code { WMX_OK = 0, WMX_MLX = 1, WMX_MEMORY = 2, WMX_UNKNOWN = 3 };
enum wmx_device { WMX_CPU = 0, WMX_METAL = 1, WMX_CUDA = 2 };
enum wmx_dtype { WMX_F32 = 0, WMX_F16 = 1, WMX_BF16 = 2 };

struct wmx_model;       // a network
struct wmx_audio;       // an encoded window
struct wmx_hypothesis;  // the tokens so far over a window, which it keeps alive

struct wmx_dims {
  int32_t n_mels, n_audio_ctx, n_audio_state, n_audio_head, n_audio_layer;
  int32_t n_vocab, n_text_ctx, n_text_state, n_text_head, n_text_layer;
};

struct wmx_options {
  int32_t dtype;       // of activations and of weights that are not packed: wmx_dtype
  int32_t dequantize;  // 1: packed weights are unpacked when they are loaded
  int32_t compile;     // 1: element-wise pieces are compiled into one kernel each
  int32_t pipeline;    // 1: what nobody has asked for yet is begun and not waited for; a fault of it shows in a later call
};

struct wmx_feed {
  wmx_hypothesis *hypothesis;
  const int32_t *tokens;
  int32_t n_tokens;
  const int32_t *rows;  // rows of `tokens` whose logits are wanted
  int32_t n_rows;
};

WMX_API uint32_t wmx_abi();
WMX_API const char *wmx_built_for();  // the version of the headers
WMX_API const char *wmx_version();    // the version of the library

// Takes the GPU, or the CPU where `cpu` is 1 or there is no GPU; `device` says which (wmx_device).
WMX_API int wmx_start(int32_t cpu, int32_t *device, char *message);
// Bytes: what MLX keeps of buffers that are no longer used.
WMX_API int wmx_limit_cache(uint64_t bytes, char *message);
// Bytes: in use, kept for later, in use at most since the last call, MLX's own limit.
WMX_API int wmx_memory(uint64_t out[4], char *message);
WMX_API int wmx_clear_cache(char *message);
// Fails on purpose: `what` 0 while a graph is built, 1 while it is evaluated.
WMX_API int wmx_fail(int32_t what, char *message);

WMX_API int wmx_model_new(const wmx_dims *dims, const wmx_options *options, wmx_model **out, char *message);
// A tensor that is not packed, by its whole name: little-endian, row-major, unaligned; copied.
WMX_API int wmx_model_dense(wmx_model *model, const char *name, int32_t dtype, const int32_t *shape, int32_t n_axes,
                            const void *bytes, uint64_t n_bytes, char *message);
// The packed weight [n, k] of a layer, by its path: codes of n * k * bits / 8 bytes, scales and biases [n, k / group]; copied.
WMX_API int wmx_model_affine(wmx_model *model, const char *path, int32_t bits, int32_t group, int32_t n, int32_t k,
                             const void *codes, const float *scales, const float *biases, char *message);
// Puts the network together, once every tensor is there.
WMX_API int wmx_model_ready(wmx_model *model, char *message);
WMX_API void wmx_model_free(wmx_model *model);

// mel: [n_windows, 2 * n_audio_ctx, n_mels]; out: n_windows of them.
WMX_API int wmx_encode(wmx_model *model, const float *mel, int32_t n_windows, wmx_audio **out, char *message);
// mel: [2 * n_audio_ctx, n_mels]; out: [n_audio_ctx, n_audio_state].
WMX_API int wmx_features(wmx_model *model, const float *mel, float *out, char *message);
WMX_API void wmx_audio_free(wmx_audio *audio);

WMX_API int wmx_begin(const wmx_audio *audio, wmx_hypothesis **out, char *message);
WMX_API int wmx_fork(const wmx_hypothesis *from, wmx_hypothesis **out, char *message);
WMX_API void wmx_truncate(wmx_hypothesis *hypothesis, int32_t len);
WMX_API void wmx_hypothesis_free(wmx_hypothesis *hypothesis);

// logits: [rows asked for, n_vocab]. A hypothesis of a step that failed must not be used again.
WMX_API int wmx_step(wmx_model *model, const wmx_feed *feeds, int32_t n_feeds, float *logits, char *message);
// heads: n_heads pairs (layer, head). logits: [n_tokens, n_vocab]; scores before softmax: [n_heads, n_tokens, n_audio_ctx].
WMX_API int wmx_align(wmx_model *model, const wmx_audio *audio, const int32_t *tokens, int32_t n_tokens,
                      const int32_t *heads, int32_t n_heads, float *logits, float *scores, char *message);
