// GEMM of transformer shapes in each precision: Gop/s beside the peak of its instructions and the speed of memory, all
// of the same moment. gemm_bench [--tier NAME] [--precision fp32,bf16,int8] [--threads 1,2] [--only base|mini] [--m
// 1,18,33,256] [--seconds 0.5]
//            [--clock cpu]
// cold: the four GEMMs of an encoder layer over `layers` different layers of weights, as a forward pass runs them; the
// limit
//       is the longer of operations / peak and bytes of weights / bandwidth, read by the same threads just before.
// hot:  each GEMM over and over on the same weights.
// Rounds alternate with the measurements of peak and bandwidth; medians are printed. int8 rows are quantized
// beforehand, once for each GEMM, and what that costs is printed beside.
#include <sys/mman.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "kernels/packed_map.h"
#include "kernels/parallel.h"
#include "speeds.h"
#include "tensor/tensor.h"

namespace {

using namespace fathom;
using namespace fathom::bench;
bool g_cpu_clock = false;  // --clock cpu: processor time of the calling thread, for one thread on a busy machine

double now() {
  if (!g_cpu_clock) return seconds_now();
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

std::byte* huge(std::size_t bytes) {  // 2 MiB pages with BENCH_HUGE, where the system gives them
  void* p = mmap(nullptr, bytes + (2u << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) std::abort();
  auto at = (reinterpret_cast<std::uintptr_t>(p) + (2u << 20) - 1) / (2u << 20) * (2u << 20);
  if (std::getenv("BENCH_HUGE")) madvise(reinterpret_cast<void*>(at), bytes, MADV_HUGEPAGE);
  return reinterpret_cast<std::byte*>(at);
}

struct Set {
  const char* name;
  std::size_t hidden, inner, layers;
};

struct Shape {
  std::size_t n, k;
  const char* what;
};

// Weights of all layers and the activations of one, and one GEMM of them.
class Work {
 public:
  Work(const Set& set, std::size_t m, Precision precision, const kernels::Table& table, ThreadPool& pool)
      : precision_(precision), table_(table), pool_(pool), m_(m), layers_(set.layers) {
    const std::size_t h = set.hidden, f = set.inner;
    shapes_ = {{3 * h, h, "qkv"}, {h, h, "out"}, {f, h, "ffn1"}, {h, f, "ffn2"}};
    for (const Shape& s : shapes_) layer_bytes_ += (size_of(s) + 63) / 64 * 64;
    weights_ = huge(bytes());
    std::byte* at = weights_;
    for (const Shape& s : shapes_) {
      std::vector<float> w(s.n * s.k);
      for (std::size_t i = 0; i < w.size(); ++i) w[i] = 0.01f * static_cast<float>(i * 2654435761u % 17) - 0.08f;
      kernels::pack_map(table, precision, w.data(), s.n, s.k, at);
      at += (size_of(s) + 63) / 64 * 64;
    }
    for (std::size_t layer = 1; layer < layers_; ++layer)
      std::memcpy(weights_ + layer * layer_bytes_, weights_, layer_bytes_);
    a_ = Buffer<float>(m * f);
    for (std::size_t i = 0; i < a_.size(); ++i) a_[i] = 0.1f * static_cast<float>(i * 2654435761u % 23) - 1.0f;
    c_ = Buffer<float>(m * std::max(f, 3 * h));
    bias_ = Buffer<float>(std::max(f, 3 * h));
    residual_ = Buffer<float>(m * h);
    std::fill_n(bias_.data(), bias_.size(), 0.1f);
    std::fill_n(residual_.data(), residual_.size(), 0.25f);
    q_ = Buffer<std::uint8_t>(m * f);
    scale_.resize(m);
    zero_.resize(m);
    scratch_ = Buffer<float>(table.gemm_scratch * static_cast<std::size_t>(pool.threads()));
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  ~Work() { munmap(weights_, bytes()); }

  const std::vector<Shape>& shapes() const { return shapes_; }
  std::size_t bytes() const { return layer_bytes_ * layers_; }
  double operations(std::size_t i) const { return 2.0 * static_cast<double>(m_ * shapes_[i].n * shapes_[i].k); }

  double quantize(std::size_t i) {  // seconds
    if (precision_ != Precision::int8) return 0.0;
    const double start = now();
    kernels::quantize_rows(table_, pool_, a_.data(), shapes_[i].k, m_, shapes_[i].k, q_.data(), shapes_[i].k,
                           scale_.data(), zero_.data());
    return now() - start;
  }

  double gemm(std::size_t layer, std::size_t i) {  // seconds
    const std::byte* w = weights_ + layer * layer_bytes_;
    for (std::size_t before = 0; before < i; ++before) w += (size_of(shapes_[before]) + 63) / 64 * 64;
    const double start = now();
    if (precision_ == Precision::int8) {
      kernels::Int8GemmArgs g;
      set_output(g, i);
      g.a = q_.data();
      g.lda = g.k;
      g.row_scale = scale_.data();
      g.row_zero = zero_.data();
      g.packed = w;
      kernels::gemm_int8(table_, pool_, g);
    } else {
      kernels::GemmArgs g;
      set_output(g, i);
      g.a = a_.data();
      g.lda = g.k;
      g.packed = w;
      precision_ == Precision::fp32 ? kernels::gemm(table_, pool_, g) : kernels::gemm_bf16(table_, pool_, g);
    }
    return now() - start;
  }

  double read_seconds() const {
    return bench::read_seconds(pool_, weights_, bytes(), now);
  }  // every cache line of the weights, by all threads

 private:
  std::size_t size_of(const Shape& s) const { return kernels::packed_bytes(table_, precision_, s.n, s.k); }
  void set_output(kernels::GemmOutput& g, std::size_t i) {
    g.bias = bias_.data();
    g.c = c_.data();
    g.ldc = shapes_[i].n;
    g.m = m_;
    g.n = g.n_end = shapes_[i].n;
    g.k = shapes_[i].k;
    if (i == 1 || i == 3) {
      g.residual = residual_.data();
      g.ldr = shapes_[i].n;
    }
    g.scratch = scratch_.data();
    if (i == 2) g.activation = kernels::Activation::gelu;
  }

  Precision precision_;
  const kernels::Table& table_;
  ThreadPool& pool_;
  std::size_t m_, layers_, layer_bytes_ = 0;
  std::vector<Shape> shapes_;
  std::byte* weights_ = nullptr;
  Buffer<float> a_, c_, bias_, residual_, scratch_;  // on cache lines, as the engine's
  std::vector<float> scale_;
  Buffer<std::uint8_t> q_;
  std::vector<std::int32_t> zero_;
};

struct Times {
  std::vector<double> gemm[4], quantize, peak, read;
};

void print(const char* temperature, const Work& work, const Times& times, double runs) {
  const double peak = median(times.peak);
  double operations = 0, seconds = 0;
  std::printf("  %s", temperature);
  for (std::size_t i = 0; i < 4; ++i) {
    const double done = work.operations(i) * runs, spent = median(times.gemm[i]);
    operations += done;
    seconds += spent;
    std::printf("  %s %.0f (%.0f%%)", work.shapes()[i].what, done / spent * 1e-9, 100 * done / spent / peak);
  }
  std::printf("  all %.0f Gop/s, %.0f%% of peak", operations / seconds * 1e-9, 100 * operations / seconds / peak);
  if (!times.read.empty()) {
    const double read = median(times.read), limit = std::max(operations / peak, read);
    std::printf(", %.2f ms, %.0f%% of limit (read %.2f ms, %.1f GB/s)", seconds * 1e3, 100 * limit / seconds,
                read * 1e3, static_cast<double>(work.bytes()) / read * 1e-9);
  }
  if (!times.quantize.empty()) std::printf(", quantize +%.1f%%", 100 * median(times.quantize) / seconds);
  std::printf("\n");
}

void run_set(const Set& set, std::size_t m, Precision precision, const kernels::Table& table, ThreadPool& pool,
             double seconds) {
  Work work(set, m, precision, table, pool);
  const Peak peak = peak_of(table.tier, precision);
  Times cold, hot;
  double begin = seconds_now();
  for (int round = 0; round < 400 && (round < 5 || seconds_now() - begin < seconds); ++round) {
    cold.peak.push_back(peak_speed(pool, peak, 1, now));
    cold.read.push_back(work.read_seconds());
    double spent[4] = {}, quantize = 0;
    for (std::size_t layer = 0; layer < set.layers; ++layer)
      for (std::size_t i = 0; i < 4; ++i) {
        quantize += work.quantize(i);
        spent[i] += work.gemm(layer, i);
      }
    for (std::size_t i = 0; i < 4; ++i) cold.gemm[i].push_back(spent[i]);
    if (precision == Precision::int8) cold.quantize.push_back(quantize);
  }
  begin = seconds_now();
  for (int round = 0; round < 400 && (round < 5 || seconds_now() - begin < seconds); ++round) {
    hot.peak.push_back(peak_speed(pool, peak, 1, now));
    for (std::size_t i = 0; i < 4; ++i) {
      work.quantize(i);
      work.gemm(0, i);
      const int repeats = 3;
      double spent = 0;
      for (int r = 0; r < repeats; ++r) spent += work.gemm(0, i);
      hot.gemm[i].push_back(spent / repeats);
    }
  }
  std::printf("%s m=%zu %s, %d thread%s, %s: peak of %s %.0f Gop/s\n", set.name, m, precision_name(precision),
              pool.threads(), pool.threads() == 1 ? "" : "s", table.name, peak.instructions, median(cold.peak) * 1e-9);
  print("cold", work, cold, static_cast<double>(set.layers));
  print("hot ", work, hot, 1.0);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::string tier_name, threads = "1,2", only, precisions = "fp32,bf16,int8", rows = "1,18,33,256";
  double seconds = 0.5;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--tier")) tier_name = argv[i + 1];
    if (!std::strcmp(argv[i], "--precision")) precisions = argv[i + 1];
    if (!std::strcmp(argv[i], "--threads")) threads = argv[i + 1];
    if (!std::strcmp(argv[i], "--seconds")) seconds = std::atof(argv[i + 1]);
    if (!std::strcmp(argv[i], "--clock")) g_cpu_clock = !std::strcmp(argv[i + 1], "cpu");
    if (!std::strcmp(argv[i], "--only")) only = argv[i + 1];
    if (!std::strcmp(argv[i], "--m")) rows = argv[i + 1];
  }
  const auto tier = take_tier(tier_name, detect_cpu());
  if (!tier.has_value()) {
    std::fprintf(stderr, "%s\n", tier.error().message.c_str());
    return 2;
  }
  const kernels::Table& table = kernels::table(tier.value());
  const Set sets[] = {{"base", 768, 3072, 12}, {"mini", 384, 1536, 6}};
  for (const std::string& count : split(threads)) {
    ThreadPool pool(std::max(1, std::atoi(count.c_str())));
    for (const Set& set : sets)
      for (const std::string& m : split(rows))
        for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8})
          if ((only.empty() || only == set.name) && precisions.find(precision_name(precision)) != std::string::npos &&
              std::atoi(m.c_str()) > 0)
            run_set(set, static_cast<std::size_t>(std::atoi(m.c_str())), precision, table, pool, seconds);
  }
}
