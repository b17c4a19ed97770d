#include "base/file.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "base/random.h"

namespace fathom {
namespace {

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("fathom-base-" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(const char* name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

TEST(File, WritesReadsMapsWhole) {
  Folder folder;
  const std::string bytes = std::string("a\0b", 3) + std::string(100000, 'x');
  ASSERT_TRUE(write_file_atomic(folder / "f", bytes));
  EXPECT_EQ(read_file(folder / "f").value(), bytes);
  auto mapped = MappedFile::open(folder / "f");
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->bytes().size(), bytes.size());
  MappedFile moved = std::move(mapped).value();
  EXPECT_EQ(static_cast<char>(moved.bytes()[2]), 'b');
  std::string piece(4, '?');
  EXPECT_TRUE(moved.read(moved.bytes().subspan(1, 4), piece.data()));
  EXPECT_EQ(piece, std::string("\0bxx", 4));
  fs::resize_file(folder / "f", 3);
  EXPECT_FALSE(moved.read(moved.bytes().subspan(1, 4), piece.data())) << "the file lost its end since it was mapped";
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{}), 1) << "no temporary left";
}

TEST(File, RefusesWhatIsNotAFileOrTooLarge) {
  Folder folder;
  EXPECT_EQ(read_file(folder / "absent").error().code, Code::io);
  EXPECT_EQ(read_file(folder.path()).error().code, Code::io);
  EXPECT_EQ(read_file("/dev/zero").error().code, Code::io);
  ASSERT_TRUE(write_file_atomic(folder / "f", "12345"));
  EXPECT_EQ(read_file(folder / "f", 4).error().code, Code::limit);
  EXPECT_FALSE(write_file_atomic(folder / "no/such/place", "x"));
  ASSERT_TRUE(write_file_atomic(folder / "empty", ""));
  EXPECT_EQ(MappedFile::open(folder / "empty")->bytes().size(), 0u);
}

TEST(File, TemporariesAreOnesOwn) {
  Folder folder;
  // What a killed process of another time, or of another container with the same process number, left behind.
  const std::string litter = (folder / "f").string() + ".tmp-" + std::to_string(::getpid());
  { std::ofstream(litter) << "half a fi"; }
  ASSERT_TRUE(write_file_atomic(folder / "f", "whole"));
  EXPECT_EQ(read_file(folder / "f").value(), "whole");
  EXPECT_FALSE(fs::exists(litter)) << "nobody writes it any more";
  // A writer that lives keeps its own.
  const fs::path other = (folder / "f").string() + ".tmp-abcdefgh";
  const int fd = ::open(other.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  ASSERT_TRUE(write_file_atomic(folder / "f", "again"));
  EXPECT_TRUE(fs::exists(other));
  ::close(fd);
  ASSERT_TRUE(write_file_atomic(folder / "f", "third"));
  EXPECT_FALSE(fs::exists(other));
}

TEST(File, ManyWritersNeverMixTheirBytes) {
  Folder folder;
  const std::string as(300'000, 'a'), bs(200'000, 'b');
  std::vector<std::jthread> writers;
  for (int w = 0; w < 4; ++w)
    writers.emplace_back([&, w] {
      for (int i = 0; i < 20; ++i) EXPECT_TRUE(write_file_atomic(folder / "f", w % 2 == 0 ? as : bs));
    });
  for (int i = 0; i < 50; ++i) {
    const auto text = read_file(folder / "f");
    EXPECT_TRUE(!text || *text == as || *text == bs);
  }
  writers.clear();
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{}), 1) << "no temporary left";
}

TEST(File, ALimitOnFileSizesIsAnError) {
  Folder folder;
  ASSERT_TRUE(write_file_atomic(folder / "f", "old"));
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit small{4096, 4096};
    if (::setrlimit(RLIMIT_FSIZE, &small) != 0) ::_exit(2);
    const Status status = write_file_atomic(folder / "f", std::string(10'000, 'x'));
    ::_exit(!status && status.error().code == Code::io ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read_file(folder / "f").value(), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{}), 1) << "no temporary left";
}

TEST(File, CopiedBytesOutliveACut) {
  Folder folder;
  ASSERT_TRUE(write_file_atomic(folder / "f", std::string(10'000, 'x')));
  const auto file = MappedFile::open(folder / "f", Weights::copy);
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->bytes().empty()) << "nothing is mapped";
  EXPECT_EQ(file->size(), 10'000u);
  std::string piece(4, '?');
  EXPECT_TRUE(file->read(9'996, 4, piece.data()));
  EXPECT_EQ(piece, "xxxx");
  fs::resize_file(folder / "f", 9'998);
  EXPECT_FALSE(file->read(9'996, 4, piece.data())) << "an error, no signal";
}

TEST(Cpu, TiersAreForcedLoudly) {
  const CpuFeatures none;
  EXPECT_EQ(best_tier(none), Tier::ref);
  EXPECT_EQ(choose_tier("auto", none).value(), Tier::ref);
  for (const char* name : {"avx2", "avx512_bf16", "neon", "neon_dotprod"}) {  // one of them is of another architecture
    const auto refused = choose_tier(name, none);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::unsupported);
    EXPECT_NE(refused.error().message.find(name), std::string::npos);
    EXPECT_NE(refused.error().hint.find("ref"), std::string::npos);
  }
  const auto unknown = choose_tier("sse9", none);
  EXPECT_EQ(unknown.error().code, Code::usage);
  for (const Tier tier : kAllTiers) EXPECT_NE(unknown.error().hint.find(tier_name(tier)), std::string::npos);
}

TEST(Cpu, TiersOfThisMachineRiseToTheBest) {
  const CpuFeatures here = detect_cpu();
  for (const Tier tier : kAllTiers)
    EXPECT_EQ(choose_tier(tier_name(tier), here).has_value(), tier_available(tier, here)) << tier_name(tier);
  EXPECT_TRUE(tier_available(best_tier(here), here));
  EXPECT_FALSE(cpu_name().empty());
}

#if defined(__x86_64__)
TEST(Cpu, DotProductTiersNeedEverythingBelowThem) {
  CpuFeatures both, all, bf16_alone;  // the last has bf16 dot products without the 8-bit ones: no such tier
  both.avx2 = both.avx512 = true;
  CpuFeatures vnni = both;
  vnni.avx512_vnni = true;
  all = vnni;
  all.avx512_bf16 = all.quick_bf16 = true;
  bf16_alone = all;
  bf16_alone.avx512_vnni = false;
  EXPECT_EQ(best_tier(both), Tier::avx512);
  EXPECT_EQ(best_tier(vnni), Tier::avx512_vnni);
  EXPECT_EQ(best_tier(all), Tier::avx512_bf16);
  EXPECT_EQ(best_tier(bf16_alone), Tier::avx512);
  CpuFeatures slow_bf16 = all;
  slow_bf16.quick_bf16 = false;
  EXPECT_EQ(best_tier(slow_bf16), Tier::avx512_vnni);
  EXPECT_EQ(choose_tier("avx512_bf16", slow_bf16).value(), Tier::avx512_bf16);
  CpuFeatures tiles = slow_bf16, tiles_alone = vnni;
  tiles.avx512_amx = tiles_alone.avx512_amx = true;
  EXPECT_EQ(best_tier(tiles), Tier::avx512_amx);
  EXPECT_EQ(best_tier(tiles_alone), Tier::avx512_vnni)
      << "it takes bf16 products from the tier below where a row is too long for tiles";
  EXPECT_EQ(choose_tier("avx2", both).value(), Tier::avx2);
  EXPECT_EQ(choose_tier("avx512_vnni", all).value(), Tier::avx512_vnni);
  const auto refused = choose_tier("avx512_bf16", vnni);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().hint.find("avx512_vnni"), std::string::npos);
}
#elif defined(__aarch64__)
TEST(Cpu, DotProductTierNeedsNeon) {
  CpuFeatures neon, all, dot_alone;
  neon.neon = true;
  all = neon;
  all.neon_dotprod = dot_alone.neon_dotprod = true;
  EXPECT_EQ(best_tier(neon), Tier::neon);
  EXPECT_EQ(best_tier(all), Tier::neon_dotprod);
  EXPECT_EQ(best_tier(dot_alone), Tier::ref);
  EXPECT_EQ(choose_tier("neon", all).value(), Tier::neon);
}
#endif

TEST(Random, StreamsAreRepeatableAndDistinct) {
  Random a(7, "x", 1), b(7, "x", 1), c(7, "x", 2), d(8, "x", 1);
  const auto first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, c.next());
  EXPECT_NE(first, d.next());
  double sum = 0, squares = 0;
  for (int i = 0; i < 20000; ++i) {
    const double z = a.normal();
    sum += z;
    squares += z * z;
  }
  EXPECT_NEAR(sum / 20000, 0, 0.03);
  EXPECT_NEAR(squares / 20000, 1, 0.05);
}

}  // namespace fathom
