// The machine's own limits at this moment, for one precision and number of threads:
//   limits --precision fp32|bf16|int8 --threads N --bytes N [--tier T] [--seconds 0.3]
// gops     operations a second of the instructions that the tier has for the precision, operands in registers
// read_gbs bytes a second of reading --bytes of memory over and over (the weights of a model), in huge pages where
// there are any Medians over rounds of both in turn. Prints one JSON object: tier, precision, threads, instructions,
// gops, bytes, read_gbs, cache_bytes (of the last level). Error: a sentence on stderr and exit code 2.
#include <sys/mman.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "base/cpu.h"
#include "base/json.h"
#include "base/precision.h"
#include "speeds.h"

namespace {

using namespace fathom;

constexpr std::size_t kHugePage = 2u << 20;
constexpr std::size_t kMostBytes = std::size_t{8} << 30;
constexpr int kPeakCalls = 20;  // 2 ms: waking the other threads is then small beside it

class Memory {
 public:
  explicit Memory(std::size_t bytes) : mapped_(bytes + kHugePage) {
    base_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) return;
    start_ = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(base_) + kHugePage - 1) / kHugePage * kHugePage);
    madvise(start_, bytes, MADV_HUGEPAGE);
    std::memset(start_, 1, bytes);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (base_ != MAP_FAILED) munmap(base_, mapped_);
  }
  const void* start() const { return start_; }  // nullptr: there was none to be had

 private:
  std::size_t mapped_;
  void *base_ = nullptr, *start_ = nullptr;
};

struct Asked {
  Precision precision;
  Tier tier;
  int threads;
  std::size_t bytes;
  double seconds;
};

Result<Asked> parse(int argc, char** argv) {
  std::map<std::string, std::string> flags = {
      {"--precision", ""}, {"--threads", "1"}, {"--bytes", ""}, {"--tier", "auto"}, {"--seconds", "0.3"}};
  for (int i = 1; i < argc; i += 2) {
    if (!flags.contains(argv[i]))
      return Error{Code::usage, std::string("unknown flag '") + argv[i] + "'", "see the head of bench/limits.cpp"};
    if (i + 1 == argc) return Error{Code::usage, std::string(argv[i]) + " lacks its value", ""};
    flags[argv[i]] = argv[i + 1];
  }
  FATHOM_TRY(const Precision precision, parse_precision(flags["--precision"]));
  FATHOM_TRY(const Tier tier, take_tier(flags["--tier"], detect_cpu()));
  const int threads = std::atoi(flags["--threads"].c_str());
  const std::size_t bytes = std::strtoull(flags["--bytes"].c_str(), nullptr, 10);
  const double seconds = std::atof(flags["--seconds"].c_str());
  if (threads < 1 || threads > 1024) return Error{Code::usage, "--threads must be 1 to 1024", ""};
  if (bytes < 4096 || bytes > kMostBytes) return Error{Code::usage, "--bytes must be 4096 to 8 GiB", ""};
  if (!(seconds > 0 && seconds <= 60)) return Error{Code::usage, "--seconds must be above 0 and at most 60", ""};
  return Asked{precision, tier, threads, bytes, seconds};
}

Result<Json> measure(const Asked& asked) {
  const Memory memory(asked.bytes);
  if (memory.start() == nullptr) return Error{Code::usage, "no memory for --bytes " + std::to_string(asked.bytes), ""};
  ThreadPool pool(asked.threads);
  const bench::Peak peak = bench::peak_of(asked.tier, asked.precision);
  std::vector<double> speeds, reads;
  for (const double start = bench::seconds_now(); reads.size() < 5 || bench::seconds_now() - start < asked.seconds;) {
    speeds.push_back(bench::peak_speed(pool, peak, kPeakCalls));
    reads.push_back(bench::read_seconds(pool, memory.start(), asked.bytes));
  }
  return Json{{"tier", tier_name(asked.tier)},
              {"precision", precision_name(asked.precision)},
              {"threads", asked.threads},
              {"instructions", peak.instructions},
              {"gops", bench::median(speeds) * 1e-9},
              {"bytes", asked.bytes},
              {"read_gbs", static_cast<double>(asked.bytes) / bench::median(reads) * 1e-9},
              {"cache_bytes", std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE))}};
}

}  // namespace

int main(int argc, char** argv) {
  const auto asked = parse(argc, argv);
  const auto limits = asked ? measure(*asked) : Result<Json>(asked.error());
  if (!limits) {
    std::fprintf(stderr, "limits: %s%s%s\n", limits.error().message.c_str(), limits.error().hint.empty() ? "" : "; ",
                 limits.error().hint.c_str());
    return 2;
  }
  std::printf("%s\n", limits->dump().c_str());
  return 0;
}
