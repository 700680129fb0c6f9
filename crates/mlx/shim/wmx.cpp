// See wmx.h. Top to bottom: layers, the network, the C interface.
//
// mel [N, 3000, n_mels] -> encoder -> features [N * 1500, d] -> wmx_audio: keys and values of every decoder block
// tokens -> decoder over wmx_audio and the caches of wmx_hypothesis -> logits of the rows asked for
#include "wmx.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mlx/mlx.h"
#include "mlx/version.h"

namespace mx = mlx::core;
using mx::array;
using mx::Shape;

namespace {

// A cache grows by so many tokens at a time.
constexpr int CACHE_STEP = 64;

int size(size_t n) { return static_cast<int>(n); }

// y = x . w^T + b over x [rows, k]; dense weights, or packed ones where there are scales.
struct Linear {
  array weight;  // dense: transposed, [k, n]; packed: codes [n, k * bits / 32]
  std::optional<array> scales, biases, bias;
  int group = 0, bits = 0;

  array operator()(const array &x) const {
    if (!scales) return bias ? mx::addmm(*bias, x, weight) : mx::matmul(x, weight);
    array y = mx::quantized_matmul(x, weight, *scales, biases, true, group, bits);
    return bias ? mx::add(y, *bias) : y;
  }

  // The weight [n, k] of one number each.
  array dense() const {
    return scales ? mx::dequantize(weight, *scales, biases, group, bits) : mx::transpose(weight);
  }

  int outputs() const { return scales ? weight.shape(0) : weight.shape(1); }

  void collect(std::vector<array> &all) const {
    all.push_back(weight);
    for (const auto &part : {scales, biases, bias})
      if (part) all.push_back(*part);
  }
};

Linear dense_linear(const array &weight, std::optional<array> bias) {
  return {mx::transpose(weight), std::nullopt, std::nullopt, std::move(bias), 0, 0};
}

// Layers over the same input as one, their outputs side by side. Those that are not packed alike are unpacked.
Linear joined(const std::vector<Linear> &parts, mx::Dtype dtype) {
  std::vector<array> bias, weight, scales, biases;
  bool alike = true;
  for (const auto &part : parts) {
    bias.push_back(part.bias ? *part.bias : mx::zeros({part.outputs()}, dtype));
    alike = alike && part.scales && part.bits == parts[0].bits && part.group == parts[0].group;
  }
  for (const auto &part : parts) {
    weight.push_back(alike ? part.weight : part.dense());
    if (!alike) continue;
    scales.push_back(*part.scales);
    biases.push_back(*part.biases);
  }
  array all = mx::concatenate(weight, 0), shift = mx::concatenate(bias, 0);
  Linear layer = alike ? Linear{all, mx::concatenate(scales, 0), mx::concatenate(biases, 0), shift, parts[0].group, parts[0].bits}
                       : dense_linear(all, shift);
  std::vector<array> made;
  layer.collect(made);
  mx::eval(made);  // now, so that the parts go before the next layer comes
  return layer;
}

struct Norm {
  array scale, shift;
  array operator()(const array &x) const { return mx::fast::layer_norm(x, scale, shift, 1e-5f); }
};

using Pieces = std::function<std::vector<array>(const std::vector<array> &)>;

std::vector<array> gelu(const std::vector<array> &inputs) {
  const array &x = inputs[0];
  array half = mx::multiply(x, array(0.5f, x.dtype()));
  array root = mx::multiply(x, array(static_cast<float>(std::sqrt(0.5)), x.dtype()));
  return {mx::multiply(half, mx::add(array(1.0f, x.dtype()), mx::erf(root)))};
}

// [n * t, width] to [n, heads, t, width / heads]
array apart(const array &x, int n, int heads) {
  int t = x.shape(0) / n, width = x.shape(1) / heads;
  return mx::transpose(mx::reshape(x, {n, t, heads, width}), {0, 2, 1, 3});
}

// and back
array together(const array &x) {
  int n = x.shape(0), heads = x.shape(1), t = x.shape(2), width = x.shape(3);
  return mx::reshape(mx::transpose(x, {0, 2, 1, 3}), {n * t, heads * width});
}

array attend(const array &q, const array &k, const array &v, bool causal) {
  float scale = 1.0f / std::sqrt(static_cast<float>(q.shape(3)));
  return mx::fast::scaled_dot_product_attention(q, k, v, scale, causal ? "causal" : "");
}

array rows(const array &x, int from, int to) { return mx::slice(x, {from, 0}, {to, x.shape(1)}); }

struct FeedForward {
  Norm norm;
  Linear widen, narrow;
  array operator()(const array &x, const Pieces &gelu) const {
    return mx::add(x, narrow(gelu({widen(norm(x))})[0]));
  }
};

struct SelfAttention {
  Norm norm;
  Linear qkv, out;
};

struct CrossAttention {
  Norm norm;
  Linear query, kv, out;
};

struct EncoderBlock {
  SelfAttention self;
  FeedForward mlp;
};

struct DecoderBlock {
  SelfAttention self;
  CrossAttention cross;
  FeedForward mlp;
};

struct Network {
  array conv1, conv1_bias, conv2, conv2_bias, audio_positions;
  std::vector<EncoderBlock> encoder;
  Norm ln_post;
  Linear vocabulary;  // the embedding as output matrix
  array text_positions;
  std::vector<DecoderBlock> decoder;
  Norm ln;
};

mx::Dtype dtype_of(int32_t dtype) {
  switch (dtype) {
    case WMX_F16: return mx::float16;
    case WMX_BF16: return mx::bfloat16;
    default: return mx::float32;
  }
}

// Bytes of anybody's alignment, copied.
array from_bytes(const void *bytes, uint64_t n_bytes, mx::Dtype dtype, const Shape &shape) {
  array raw(static_cast<const uint8_t *>(bytes), Shape{static_cast<int>(n_bytes)}, mx::uint8);
  return mx::reshape(mx::view(raw, dtype), shape);
}

// Is there once everything is that was begun and not waited for.
std::optional<array> &begun() {
  static auto *begun = new std::optional<array>;  // outlives everything
  return *begun;
}

// Computes `x` and copies it out as float32.
void copy_out(const array &x, float *out) {
  array y = mx::contiguous(mx::astype(x, mx::float32));
  mx::eval(std::vector<array>{y});
  std::memcpy(out, y.data<float>(), y.nbytes());
}

}  // namespace

struct wmx_audio {
  // Of every decoder block: [1, heads, n_audio_ctx, head width].
  struct Shared {
    std::vector<array> keys, values;
  };
  std::shared_ptr<const Shared> shared;
};

struct wmx_hypothesis {
  std::shared_ptr<const wmx_audio::Shared> audio;
  // Of every decoder block: [1, heads, capacity, head width], `len` of them written. Arrays are values: a copy of the handle is
  // a copy of the cache, and MLX writes in place only what nobody else holds.
  std::vector<array> keys, values;
  int len = 0;
};

struct wmx_model {
  wmx_dims dims;
  wmx_options options;
  mx::Dtype dtype;
  Pieces gelu_piece;
  std::map<std::string, array> tensors;  // until the network is put together
  std::map<std::string, Linear> packed;
  std::optional<Network> network;

  // --- loading ---

  array tensor(const std::string &name) {
    auto found = tensors.find(name);
    if (found == tensors.end()) throw std::invalid_argument("tensor " + name + " was not given");
    array x = found->second;
    tensors.erase(found);
    return x;
  }

  Linear linear(const std::string &path, bool biased = true) {
    std::optional<array> bias;
    if (biased) bias = tensor(path + ".bias");
    auto found = packed.find(path);
    if (found == packed.end()) return dense_linear(tensor(path + ".weight"), bias);
    Linear layer = found->second;
    packed.erase(found);
    layer.bias = bias;
    return layer;
  }

  Norm norm(const std::string &path) { return {tensor(path + ".weight"), tensor(path + ".bias")}; }

  SelfAttention self_attention(const std::string &block) {
    std::string path = block + ".attn";
    return {norm(path + "_ln"),
            joined({linear(path + ".query"), linear(path + ".key", false), linear(path + ".value")}, dtype),
            linear(path + ".out")};
  }

  CrossAttention cross_attention(const std::string &block) {
    std::string path = block + ".cross_attn";
    return {norm(path + "_ln"), linear(path + ".query"),
            joined({linear(path + ".key", false), linear(path + ".value")}, dtype), linear(path + ".out")};
  }

  FeedForward feed_forward(const std::string &block) {
    return {norm(block + ".mlp_ln"), linear(block + ".mlp1"), linear(block + ".mlp2")};
  }

  void put_together() {
    std::vector<EncoderBlock> encoder;
    for (int i = 0; i < dims.n_audio_layer; i++) {
      std::string block = "encoder.blocks." + std::to_string(i);
      encoder.push_back({self_attention(block), feed_forward(block)});
    }
    std::vector<DecoderBlock> decoder;
    for (int i = 0; i < dims.n_text_layer; i++) {
      std::string block = "decoder.blocks." + std::to_string(i);
      decoder.push_back({self_attention(block), cross_attention(block), feed_forward(block)});
    }
    network.emplace(Network{tensor("encoder.conv1.weight"), tensor("encoder.conv1.bias"), tensor("encoder.conv2.weight"),
                            tensor("encoder.conv2.bias"), tensor("encoder.positions"), std::move(encoder),
                            norm("encoder.ln_post"), linear("decoder.token_embedding", false),
                            tensor("decoder.positional_embedding"), std::move(decoder), norm("decoder.ln")});
    if (mx::default_device() == mx::Device(mx::Device::gpu) && mx::cu::is_available())
      each_linear([this](Linear &layer) { unpack_where_unsupported(layer); });
    settle();
  }

  void each_linear(const std::function<void(Linear &)> &see) {
    for (auto &block : network->encoder)
      for (Linear *layer : {&block.self.qkv, &block.self.out, &block.mlp.widen, &block.mlp.narrow}) see(*layer);
    for (auto &block : network->decoder)
      for (Linear *layer : {&block.self.qkv, &block.self.out, &block.cross.query, &block.cross.kv, &block.cross.out,
                            &block.mlp.widen, &block.mlp.narrow})
        see(*layer);
    see(network->vocabulary);
  }

  // CUDA multiplies packed weights of some shapes only, and says so by an exception.
  void unpack_where_unsupported(Linear &layer) {
    if (!layer.scales) return;
    try {
      int k = layer.weight.shape(1) * 32 / layer.bits;
      for (int n : {1, 8, dims.n_audio_ctx}) mx::eval(std::vector<array>{layer(mx::zeros({n, k}, dtype))});
    } catch (const std::exception &) {
      layer = dense_linear(layer.dense(), layer.bias);
    }
  }

  // Computes every weight now: the inputs it was made of go.
  void settle() {
    std::vector<array> all = {network->conv1, network->conv1_bias,      network->conv2,
                              network->conv2_bias, network->audio_positions, network->text_positions};
    auto norms = [&all](const Norm &norm) { all.insert(all.end(), {norm.scale, norm.shift}); };
    each_linear([&all](Linear &layer) { layer.collect(all); });
    for (auto &block : network->encoder) norms(block.self.norm), norms(block.mlp.norm);
    for (auto &block : network->decoder) norms(block.self.norm), norms(block.cross.norm), norms(block.mlp.norm);
    norms(network->ln_post), norms(network->ln);
    mx::eval(all);
  }

  // --- computing ---

  // Computes what later calls need and the caller does not see.
  void launch(std::vector<array> all) const {
    if (!options.pipeline) return mx::eval(all);
    array mark = mx::zeros({1});
    all.push_back(mark);
    mx::async_eval(all);
    begun() = mark;
  }

  array activate(const array &x) const { return gelu_piece({x})[0]; }

  // [n * n_audio_ctx, n_audio_state]
  array features(const float *mel, int n) const {
    const Network &net = *network;
    array input(mel, Shape{n, 2 * dims.n_audio_ctx, dims.n_mels}, mx::float32);
    array x = mx::astype(input, dtype);
    x = activate(mx::add(mx::conv1d(x, net.conv1, 1, 1), net.conv1_bias));
    x = activate(mx::add(mx::conv1d(x, net.conv2, 2, 1), net.conv2_bias));
    x = mx::reshape(mx::add(x, net.audio_positions), {n * dims.n_audio_ctx, dims.n_audio_state});
    for (const auto &block : net.encoder) {
      std::vector<array> qkv = mx::split(block.self.qkv(block.self.norm(x)), 3, 1);
      int heads = dims.n_audio_head;
      array mixed = attend(apart(qkv[0], n, heads), apart(qkv[1], n, heads), apart(qkv[2], n, heads), false);
      x = mx::add(x, block.self.out(together(mixed)));
      x = block.mlp(x, gelu_piece);
    }
    return net.ln_post(x);
  }

  void encode(const float *mel, int n, wmx_audio **out) const {
    array heard = features(mel, n);
    std::vector<wmx_audio::Shared> windows(n);
    std::vector<array> all;
    for (const auto &block : network->decoder) {
      std::vector<array> kv = mx::split(block.cross.kv(heard), 2, 1);
      for (auto half : {0, 1}) {
        for (int i = 0; i < n; i++) {
          // Of its own, so that it goes with its window; in rows, so that no step copies it.
          array x = mx::contiguous(apart(rows(kv[half], i * dims.n_audio_ctx, (i + 1) * dims.n_audio_ctx), 1, dims.n_text_head));
          (half ? windows[i].values : windows[i].keys).push_back(x);
          all.push_back(x);
        }
      }
    }
    launch(all);
    std::vector<std::unique_ptr<wmx_audio>> made;
    for (auto &window : windows)
      made.push_back(std::make_unique<wmx_audio>(wmx_audio{std::make_shared<const wmx_audio::Shared>(std::move(window))}));
    for (int i = 0; i < n; i++) out[i] = made[i].release();
  }

  array embed(const wmx_feed *feeds, int n_feeds) const {
    std::vector<int32_t> tokens, places;
    for (int i = 0; i < n_feeds; i++)
      for (int t = 0; t < feeds[i].n_tokens; t++) {
        tokens.push_back(feeds[i].tokens[t]);
        places.push_back(feeds[i].hypothesis->len + t);
      }
    array ids(tokens.data(), Shape{size(tokens.size())}, mx::int32);
    array at(places.data(), Shape{size(places.size())}, mx::int32);
    const Linear &embedding = network->vocabulary;
    array x = embedding.scales
                  ? mx::dequantize(mx::take(embedding.weight, ids, 0), mx::take(*embedding.scales, ids, 0),
                                   mx::take(*embedding.biases, ids, 0), embedding.group, embedding.bits)
                  : mx::take(mx::transpose(embedding.weight), ids, 0);
    return mx::add(x, mx::take(network->text_positions, at, 0));
  }

  // Appends keys or values [1, heads, t, width] to a cache of which `len` are written.
  static void append(array &cache, int len, const array &added) {
    int heads = added.shape(1), t = added.shape(2), width = added.shape(3), capacity = cache.shape(2);
    if (len + t > capacity) {
      int grown = (len + t + CACHE_STEP - 1) / CACHE_STEP * CACHE_STEP;
      array kept = mx::slice(cache, {0, 0, 0, 0}, {1, heads, len, width});
      cache = mx::concatenate({kept, mx::zeros({1, heads, grown - len, width}, added.dtype())}, 2);
    }
    cache = mx::slice_update(cache, added, Shape{0, 0, len, 0}, Shape{1, heads, len + t, width});
  }

  static array written(const array &cache, int len) {
    return mx::slice(cache, {0, 0, 0, 0}, {1, cache.shape(1), len, cache.shape(3)});
  }

  // What the tokens of all feeds become in the last block, [tokens, n_text_state]; they are part of their hypotheses then.
  // `watch(layer, query)` sees the queries [1, heads, tokens, width] of each cross-attention.
  array read(const wmx_feed *feeds, int n_feeds, const std::function<void(int, const array &)> &watch) const {
    const int heads = dims.n_text_head;
    array x = embed(feeds, n_feeds);
    std::vector<int> first = {0};
    for (int i = 0; i < n_feeds; i++) first.push_back(first.back() + feeds[i].n_tokens);
    auto part = [&](const array &all, int from, int to) { return n_feeds == 1 ? all : rows(all, first[from], first[to]); };
    auto side_by_side = [](const std::vector<array> &parts) { return parts.size() == 1 ? parts[0] : mx::concatenate(parts, 0); };

    for (int layer = 0; layer < dims.n_text_layer; layer++) {
      const DecoderBlock &block = network->decoder[layer];
      std::vector<array> qkv = mx::split(block.self.qkv(block.self.norm(x)), 3, 1), mixed;
      for (int i = 0; i < n_feeds; i++) {
        wmx_hypothesis &own = *feeds[i].hypothesis;
        int t = feeds[i].n_tokens;
        if (t == 0) continue;
        append(own.keys[layer], own.len, apart(part(qkv[1], i, i + 1), 1, heads));
        append(own.values[layer], own.len, apart(part(qkv[2], i, i + 1), 1, heads));
        mixed.push_back(together(attend(apart(part(qkv[0], i, i + 1), 1, heads), written(own.keys[layer], own.len + t),
                                        written(own.values[layer], own.len + t), t > 1)));
      }
      x = mx::add(x, block.self.out(side_by_side(mixed)));

      // Hypotheses of one window that stand side by side are queries of one attention.
      array query = block.cross.query(block.cross.norm(x));
      mixed.clear();
      for (int i = 0, next; i < n_feeds; i = next) {
        const wmx_audio::Shared &window = *feeds[i].hypothesis->audio;
        for (next = i + 1; next < n_feeds && feeds[next].hypothesis->audio.get() == &window;) next++;
        if (first[i] == first[next]) continue;
        array q = apart(i == 0 && next == n_feeds ? query : part(query, i, next), 1, heads);
        if (watch) watch(layer, q);
        mixed.push_back(together(attend(q, window.keys[layer], window.values[layer], false)));
      }
      x = mx::add(x, block.cross.out(side_by_side(mixed)));
      x = block.mlp(x, gelu_piece);
    }
    for (int i = 0; i < n_feeds; i++) feeds[i].hypothesis->len += feeds[i].n_tokens;
    return x;
  }

  array project(const array &x) const { return network->vocabulary(network->ln(x)); }

  void step(const wmx_feed *feeds, int n_feeds, float *logits) const {
    std::vector<int32_t> asked;
    int n_tokens = 0;
    for (int i = 0; i < n_feeds; i++) {
      for (int r = 0; r < feeds[i].n_rows; r++) asked.push_back(n_tokens + feeds[i].rows[r]);
      n_tokens += feeds[i].n_tokens;
    }
    if (n_tokens == 0) return;
    array x = read(feeds, n_feeds, nullptr);
    if (!asked.empty()) {
      bool all = size(asked.size()) == n_tokens;
      for (int i = 0; all && i < n_tokens; i++) all = asked[i] == i;
      copy_out(project(all ? x : mx::take(x, array(asked.data(), Shape{size(asked.size())}, mx::int32), 0)), logits);
    }
    // What no row asked for depends on: a graph must not grow from step to step.
    std::vector<array> caches;
    for (int i = 0; i < n_feeds; i++) {
      const wmx_hypothesis &own = *feeds[i].hypothesis;
      caches.insert(caches.end(), own.keys.begin(), own.keys.end());
      caches.insert(caches.end(), own.values.begin(), own.values.end());
    }
    launch(caches);
  }

  void align(const wmx_audio &audio, const int32_t *tokens, int n_tokens, const int32_t *heads, int n_heads, float *logits,
             float *scores) const {
    std::unique_ptr<wmx_hypothesis> own(begin(audio));
    wmx_feed feed = {own.get(), tokens, n_tokens, nullptr, 0};
    std::vector<array> seen(n_heads, array(0.0f));
    array x = read(&feed, 1, [&](int layer, const array &q) {
      float scale = 1.0f / std::sqrt(static_cast<float>(q.shape(3)));
      for (int i = 0; i < n_heads; i++) {
        if (heads[2 * i] != layer) continue;
        int head = heads[2 * i + 1];
        auto one = [head](const array &of) {
          return mx::reshape(mx::slice(of, {0, head, 0, 0}, {1, head + 1, of.shape(2), of.shape(3)}), {of.shape(2), of.shape(3)});
        };
        array k = one(audio.shared->keys[layer]);
        seen[i] = mx::multiply(mx::matmul(one(q), mx::transpose(k)), array(scale, dtype));
      }
    });
    copy_out(project(x), logits);
    for (int i = 0; i < n_heads; i++) copy_out(seen[i], scores + static_cast<size_t>(i) * n_tokens * dims.n_audio_ctx);
  }

  static wmx_hypothesis *begin(const wmx_audio &audio) {
    auto made = std::make_unique<wmx_hypothesis>();
    made->audio = audio.shared;
    for (const array &key : audio.shared->keys) {
      array empty = mx::zeros({1, key.shape(1), 0, key.shape(3)}, key.dtype());
      made->keys.push_back(empty);
      made->values.push_back(empty);
    }
    return made.release();
  }
};

namespace {

void say(char *message, const char *text) {
  if (message) std::snprintf(message, WMX_MESSAGE, "%s", text);
}

// Held during every call, and from the end of the process on.
std::mutex &turn() {
  static std::mutex *turn = new std::mutex;  // outlives everything
  return *turn;
}

// At the end of the process MLX's statics go while the thread that uses them is still there. So whoever works is waited for
// then, with all that was begun, and nobody works any more. Statics are taken down in the reverse order of their making, and MLX makes its own when
// they are first needed: this is called wherever new ones may just have been made.
void end() {
  static bool ended = false;
  if (std::exchange(ended, true)) return;
  turn().lock();
  try {
    if (begun()) begun()->wait();
  } catch (...) {
    // A fault of what was begun is nobody's any more.
  }
}

template <int where>
void end_before_mlx() {
  static int once = std::atexit(end);
  (void)once;
}

// Runs `work`; what it throws becomes a code and a text.
template <typename Work>
int guarded(char *message, Work work) noexcept {
  std::lock_guard<std::mutex> held(turn());
  try {
    work();
    return WMX_OK;
  } catch (const std::bad_alloc &) {
    say(message, "out of memory");
    return WMX_MEMORY;
  } catch (const std::exception &error) {
    say(message, error.what());
    return WMX_MLX;
  } catch (...) {
    say(message, "an exception that is none of the standard library");
    return WMX_UNKNOWN;
  }
}

#define WMX_TEXT_(x) #x
#define WMX_TEXT(x) WMX_TEXT_(x)

}  // namespace

uint32_t wmx_abi() { return WMX_ABI; }

const char *wmx_built_for() {
  return WMX_TEXT(MLX_VERSION_MAJOR) "." WMX_TEXT(MLX_VERSION_MINOR) "." WMX_TEXT(MLX_VERSION_PATCH);
}

const char *wmx_version() { return mx::version(); }

int wmx_start(int32_t cpu, int32_t *device, char *message) {
  return guarded(message, [&] {
    bool metal = mx::metal::is_available(), cuda = mx::cu::is_available();
    bool gpu = !cpu && (metal || cuda);
    mx::set_default_device(gpu ? mx::Device(mx::Device::gpu) : mx::Device(mx::Device::cpu));
    *device = !gpu ? WMX_CPU : metal ? WMX_METAL : WMX_CUDA;
    mx::eval(std::vector<array>{mx::matmul(mx::ones({2, 2}), mx::ones({2, 2}))});
    end_before_mlx<0>();
  });
}

int wmx_limit_cache(uint64_t bytes, char *message) {
  return guarded(message, [&] { mx::set_cache_limit(static_cast<size_t>(bytes)); });
}

int wmx_memory(uint64_t out[4], char *message) {
  return guarded(message, [&] {
    out[0] = mx::get_active_memory();
    out[1] = mx::get_cache_memory();
    out[2] = mx::get_peak_memory();
    out[3] = mx::get_memory_limit();
    mx::reset_peak_memory();
  });
}

int wmx_clear_cache(char *message) {
  return guarded(message, [] { mx::clear_cache(); });
}

int wmx_fail(int32_t what, char *message) {
  return guarded(message, [&] {
    array ones = mx::ones({4, 4}, mx::float32);
    if (what == 0) mx::matmul(ones, mx::ones({5, 5}, mx::float32));
    mx::eval(std::vector<array>{mx::linalg::inv(mx::zeros_like(ones), mx::Device(mx::Device::cpu))});
  });
}

int wmx_model_new(const wmx_dims *dims, const wmx_options *options, wmx_model **out, char *message) {
  return guarded(message, [&] {
    Pieces piece = options->compile ? mx::compile(Pieces(gelu), true) : Pieces(gelu);
    *out = new wmx_model{*dims, *options, dtype_of(options->dtype), std::move(piece), {}, {}, std::nullopt};
  });
}

int wmx_model_dense(wmx_model *model, const char *name, int32_t dtype, const int32_t *shape, int32_t n_axes,
                    const void *bytes, uint64_t n_bytes, char *message) {
  return guarded(message, [&] {
    array x = mx::astype(from_bytes(bytes, n_bytes, dtype_of(dtype), Shape(shape, shape + n_axes)), model->dtype);
    mx::eval(std::vector<array>{x});
    model->tensors.insert_or_assign(name, x);
  });
}

int wmx_model_affine(wmx_model *model, const char *path, int32_t bits, int32_t group, int32_t n, int32_t k,
                     const void *codes, const float *scales, const float *biases, char *message) {
  return guarded(message, [&] {
    auto narrow = [&](const float *values) {
      return mx::astype(array(values, Shape{n, k / group}, mx::float32), model->dtype);
    };
    int words = static_cast<int>(static_cast<int64_t>(k) * bits / 32);
    array packed = from_bytes(codes, static_cast<uint64_t>(n) * words * 4, mx::uint32, Shape{n, words});
    Linear layer = {packed, narrow(scales), narrow(biases), std::nullopt, group, bits};
    if (model->options.dequantize) layer = dense_linear(layer.dense(), std::nullopt);
    std::vector<array> parts;
    layer.collect(parts);
    mx::eval(parts);
    model->packed.insert_or_assign(path, layer);
  });
}

int wmx_model_ready(wmx_model *model, char *message) {
  return guarded(message, [&] {
    model->put_together();
    end_before_mlx<1>();
  });
}

void wmx_model_free(wmx_model *model) {
  guarded(nullptr, [&] { delete model; });
}

int wmx_encode(wmx_model *model, const float *mel, int32_t n_windows, wmx_audio **out, char *message) {
  return guarded(message, [&] {
    model->encode(mel, n_windows, out);
    end_before_mlx<2>();
  });
}

int wmx_features(wmx_model *model, const float *mel, float *out, char *message) {
  return guarded(message, [&] { copy_out(model->features(mel, 1), out); });
}

void wmx_audio_free(wmx_audio *audio) {
  guarded(nullptr, [&] { delete audio; });
}

int wmx_begin(const wmx_audio *audio, wmx_hypothesis **out, char *message) {
  return guarded(message, [&] { *out = wmx_model::begin(*audio); });
}

int wmx_fork(const wmx_hypothesis *from, wmx_hypothesis **out, char *message) {
  return guarded(message, [&] { *out = new wmx_hypothesis(*from); });
}

void wmx_truncate(wmx_hypothesis *hypothesis, int32_t len) {
  if (len < hypothesis->len) hypothesis->len = len;
}

void wmx_hypothesis_free(wmx_hypothesis *hypothesis) {
  guarded(nullptr, [&] { delete hypothesis; });
}

int wmx_step(wmx_model *model, const wmx_feed *feeds, int32_t n_feeds, float *logits, char *message) {
  return guarded(message, [&] {
    model->step(feeds, n_feeds, logits);
    end_before_mlx<3>();
  });
}

int wmx_align(wmx_model *model, const wmx_audio *audio, const int32_t *tokens, int32_t n_tokens, const int32_t *heads,
              int32_t n_heads, float *logits, float *scores, char *message) {
  return guarded(message, [&] { model->align(*audio, tokens, n_tokens, heads, n_heads, logits, scores); });
}
