// GEMM of transformer shapes on cold weights: GFLOP/s beside the FMA peak of the same moment.
// gemm_bench [--tier avx2|avx512|ref] [--threads 1,2] [--seconds 0.5] [--only W2] [--clock cpu]
// Every set runs the four GEMMs of an encoder layer over `layers` different layers of weights, as a forward pass does,
// alternating with a peak measurement; medians of both are printed.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <sys/mman.h>
#include <vector>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "kernels/parallel.h"

namespace {

using namespace fathom;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool g_cpu_clock = false;  // --clock cpu: processor time of the calling thread, for one thread on a busy machine

double now() {
  if (!g_cpu_clock) return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

// 24 independent chains of FMAs: the most that the multipliers can do. Returns the FLOPs of one call.
__attribute__((target("avx512f"))) double fma_avx512(float* sink) {
  __m512 sums[24];
  for (auto& s : sums) s = _mm512_setzero_ps();
  const __m512 x = _mm512_set1_ps(sink[0]), y = _mm512_set1_ps(sink[1]);
  for (int i = 0; i < 20000; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) sums[j] = _mm512_fmadd_ps(x, y, sums[j]);
  }
  for (int j = 1; j < 24; ++j) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  _mm512_storeu_ps(sink, sums[0]);
  return 20000.0 * 24 * 16 * 2;
}

__attribute__((target("avx2,fma"))) double fma_avx2(float* sink) {
  __m256 sums[12];
  for (auto& s : sums) s = _mm256_setzero_ps();
  const __m256 x = _mm256_set1_ps(sink[0]), y = _mm256_set1_ps(sink[1]);
  for (int i = 0; i < 20000; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sums[j] = _mm256_fmadd_ps(x, y, sums[j]);
  }
  for (int j = 1; j < 12; ++j) sums[0] = _mm256_add_ps(sums[0], sums[j]);
  _mm256_storeu_ps(sink, sums[0]);
  return 20000.0 * 12 * 8 * 2;
}

double peak_gflops(ThreadPool& pool, Tier tier) {
  double flops = 0;
  const double start = now();
  pool.parallel(pool.threads(), [&](int index) {
    alignas(64) float sink[16] = {};
    const double done = tier == Tier::avx512 ? fma_avx512(sink) : fma_avx2(sink);
    if (index == 0) flops = done * pool.threads();
  });
  return flops / (now() - start) * 1e-9;
}

float* huge(std::size_t floats) {  // 2 MiB pages where the system gives them
  void* p = mmap(nullptr, floats * 4 + (2u << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) std::abort();
  auto at = (reinterpret_cast<std::uintptr_t>(p) + (2u << 20) - 1) / (2u << 20) * (2u << 20);
  if (std::getenv("BENCH_HUGE")) madvise(reinterpret_cast<void*>(at), floats * 4, MADV_HUGEPAGE);
  return reinterpret_cast<float*>(at);
}

struct Set {
  const char* name;
  std::size_t m, hidden, inner, layers;
};

void run_set(const Set& set, const kernels::Table& table, ThreadPool& pool, double seconds) {
  const std::size_t h = set.hidden, f = set.inner;
  const struct { std::size_t n, k; const char* what; } shapes[4] = {{3 * h, h, "qkv"}, {h, h, "out"}, {f, h, "ffn1"}, {h, f, "ffn2"}};
  std::size_t floats = 0;
  for (const auto& s : shapes) floats += table.packed_size(s.n, s.k);
  float* weights = huge(floats * set.layers);
  for (std::size_t i = 0; i < floats * set.layers; ++i) weights[i] = 0.01f * static_cast<float>(i * 2654435761u % 17) - 0.08f;
  std::vector<float> a(set.m * f, 0.5f), c(set.m * std::max(f, 3 * h)), bias(std::max(f, 3 * h), 0.1f), residual(set.m * h, 0.25f);
  std::vector<double> times[4], total, peaks;
  const auto begin = Clock::now();
  for (int round = 0; round < 400 && (round < 5 || since(begin) < seconds); ++round) {
    peaks.push_back(peak_gflops(pool, table.tier == Tier::ref ? Tier::avx2 : table.tier));
    double spent[4] = {};
    for (std::size_t layer = 0; layer < set.layers; ++layer) {
      const float* w = weights + layer * floats;
      for (int i = 0; i < 4; ++i) {
        kernels::GemmArgs g;
        g.a = a.data(); g.lda = shapes[i].k; g.packed = w; g.bias = bias.data(); g.c = c.data(); g.ldc = shapes[i].n;
        g.m = set.m; g.n = g.n_end = shapes[i].n; g.k = shapes[i].k;
        if (i == 1 || i == 3) { g.residual = residual.data(); g.ldr = h; }
        if (i == 2) g.activation = kernels::Activation::gelu;
        const double start = now();
        kernels::gemm(table, pool, g);
        spent[i] += now() - start;
        w += table.packed_size(shapes[i].n, shapes[i].k);
      }
    }
    for (int i = 0; i < 4; ++i) times[i].push_back(spent[i]);
    total.push_back(spent[0] + spent[1] + spent[2] + spent[3]);
  }
  const double peak = median(peaks);
  std::printf("%-6s m=%-5zu threads=%d peak %.0f GFLOP/s |", set.name, set.m, pool.threads(), peak);
  double all = 0;
  for (int i = 0; i < 4; ++i) {
    const double gflop = 2e-9 * static_cast<double>(set.m * shapes[i].n * shapes[i].k * set.layers);
    all += gflop;
    const double speed = gflop / median(times[i]);
    std::printf(" %s %.0f (%.0f%%)", shapes[i].what, speed, 100 * speed / peak);
  }
  std::printf(" | best: peak %.0f all %.0f", *std::max_element(peaks.begin(), peaks.end()), all / *std::min_element(total.begin(), total.end()));
  std::printf(" | all %.1f ms, %.0f GFLOP/s (%.0f%% of peak)\n", median(total) * 1e3, all / median(total), 100 * all / median(total) / peak);
  munmap(weights, floats * set.layers * 4);
}

}  // namespace

int main(int argc, char** argv) {
  std::string tier_name, threads = "1,2", only;
  double seconds = 0.5;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--tier")) tier_name = argv[i + 1];
    if (!std::strcmp(argv[i], "--threads")) threads = argv[i + 1];
    if (!std::strcmp(argv[i], "--seconds")) seconds = std::atof(argv[i + 1]);
    if (!std::strcmp(argv[i], "--clock")) g_cpu_clock = !std::strcmp(argv[i + 1], "cpu");
    if (!std::strcmp(argv[i], "--only")) only = argv[i + 1];
  }
  const auto tier = choose_tier(tier_name, detect_cpu());
  if (!tier.has_value()) {
    std::fprintf(stderr, "%s\n", tier.error().message.c_str());
    return 2;
  }
  const kernels::Table& table = kernels::table(tier.value());
  const Set sets[] = {{"W2", 33, 768, 3072, 12}, {"W1", 18, 768, 3072, 12}, {"one", 1, 768, 3072, 12}, {"W6", 33, 384, 1536, 6}, {"W6x32", 1056, 384, 1536, 6}};
  for (std::size_t at = 0; at < threads.size(); at += 2) {
    ThreadPool pool(threads[at] - '0');
    for (const Set& set : sets)
      if (only.empty() || only == set.name) run_set(set, table, pool, seconds);
  }
}
