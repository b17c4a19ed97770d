// Counters that come round, zones that count a package twice, and energy of the runs that count alone.
#include "eval/steady.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace fathom::eval {
namespace {

namespace fs = std::filesystem;

class EnergyTest : public ::testing::Test {
 protected:
  EnergyTest() : root_(fs::temp_directory_path() / ("fathom_powercap_" + std::to_string(::getpid()))) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~EnergyTest() override { fs::remove_all(root_); }
  void write(const fs::path& file, const std::string& text) { std::ofstream(root_ / file) << text << "\n"; }
  void zone(const std::string& folder, const std::string& name, std::uint64_t value, std::uint64_t range = 1'000'000) {
    fs::create_directories(root_ / folder);
    write(folder + "/name", name);
    write(folder + "/energy_uj", std::to_string(value));
    write(folder + "/max_energy_range_uj", std::to_string(range));
  }
  void set(const std::string& folder, std::uint64_t value) { write(folder + "/energy_uj", std::to_string(value)); }
  fs::path root_;
};

TEST(Energy, ACounterComesRound) {
  EXPECT_EQ(counted(10, 25, 100), 15u);
  EXPECT_EQ(counted(90, 5, 100), 15u);
  EXPECT_EQ(counted(7, 7, 100), 0u);
  EXPECT_EQ(counted(200, 5, 100), 5u);  // above its own range: it was set anew
  EXPECT_EQ(counted(0, 262143328850, 262143328850), 262143328850u);
}

TEST_F(EnergyTest, EveryPackageOnceAndNothingElse) {
  zone("intel-rapl:0", "package-0", 100);
  zone("intel-rapl:1", "package-1", 200);
  zone("intel-rapl:2", "psys", 300);
  zone("intel-rapl:0:0", "core", 400);
  zone("intel-rapl-mmio:0", "package-0", 100);
  EnergyMeter meter(root_);
  ASSERT_EQ(meter.why_not(), "");
  meter.start();
  for (const char* folder : {"intel-rapl:0", "intel-rapl:2", "intel-rapl:0:0", "intel-rapl-mmio:0"})
    set(folder, 600100);
  set("intel-rapl:1", 100);  // came round: 999,900 uJ
  EXPECT_DOUBLE_EQ(meter.joules().value(), (600'000.0 + 999'900.0) / 1e6);
}

TEST_F(EnergyTest, LongerThanACounterTakes) {
  zone("intel-rapl:0", "package-0", 0);
  EnergyMeter meter(root_);
  meter.start();
  for (const std::uint64_t value : {600'000, 200'000, 800'000, 400'000}) {
    set("intel-rapl:0", value);
    meter.sample();
  }
  EXPECT_DOUBLE_EQ(meter.joules().value(), 2.4);
}

TEST_F(EnergyTest, WhatCannotBeReadSaysSo) {
  EXPECT_NE(EnergyMeter(root_ / "none").why_not(), "");
  EXPECT_NE(EnergyMeter(root_).why_not(), "");
  zone("intel-rapl:0", "package-0", 5);
  EnergyMeter meter(root_);
  meter.start();
  write("intel-rapl:0/energy_uj", "");
  EXPECT_FALSE(meter.joules().has_value());
  EXPECT_NE(meter.why_not(), "");
}

// Every run takes 900 ms and 1 J: whatever the warm-up, an input costs a quarter of a joule.
TEST_F(EnergyTest, WarmUpIsInNeitherEnergyNorInputs) {
  for (const std::size_t batches : {std::size_t{3}, std::size_t{1000}}) {
    zone("intel-rapl:0", "package-0", 0, 3'500'000);
    EnergyMeter meter(root_);
    std::uint64_t used = 0;
    std::size_t runs = 0;
    const auto run = [&](std::size_t batch) -> Result<SteadyRun> {
      EXPECT_EQ(batch, runs++ % batches);
      set("intel-rapl:0", (used += 1'000'000) % 3'500'000);
      return SteadyRun{900, 5, 2, 4};
    };
    const auto steady = run_steadily(batches, 18, run, &meter);
    ASSERT_TRUE(steady.has_value());
    EXPECT_EQ(steady->ms.size(), runs - 2);
    EXPECT_EQ(steady->inputs, 4 * steady->ms.size());
    EXPECT_DOUBLE_EQ(steady->macs, 5.0 * static_cast<double>(steady->ms.size()));
    ASSERT_TRUE(steady->joules.has_value());
    EXPECT_DOUBLE_EQ(*steady->joules / static_cast<double>(steady->inputs), 0.25);
  }
}

TEST(Steady, AtLeastEightRunsCount) {
  std::size_t runs = 0;
  const auto run = [&](std::size_t) -> Result<SteadyRun> {
    ++runs;
    return SteadyRun{500, 0, 0, 1};
  };
  const auto steady = run_steadily(3, 0.1, run, nullptr);
  ASSERT_TRUE(steady.has_value());
  EXPECT_EQ(steady->ms.size(), 8u);
  EXPECT_EQ(runs, 9u);  // the first warms up
  EXPECT_FALSE(steady->joules.has_value());
}

}  // namespace
}  // namespace fathom::eval
