#include "base/cores.h"

#include <gtest/gtest.h>

#include <fstream>

namespace fathom {
namespace {

namespace fs = std::filesystem;

// A machine's /proc and /sys, as text in a folder of its own.
class CoresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            (std::string("cores_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  void put(const std::string& file, const std::string& text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  void siblings(int cpu, const std::string& list, const char* file = "core_cpus_list") const {
    put("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + file, list + "\n");
  }
  Cores count(int cpus) const {
    std::vector<int> allowed;
    for (int cpu = 0; cpu < cpus; ++cpu) allowed.push_back(cpu);
    return count_cores(allowed, root_);
  }
  fs::path root_;
};

const char* const kVersion2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST_F(CoresTest, WithoutAnythingToReadEveryCpuIsACore) {
  const Cores cores = count(6);
  EXPECT_EQ(cores.cpus, 6);
  EXPECT_EQ(cores.cores, 6);
  EXPECT_EQ(cores.share, 0);
  EXPECT_EQ(cores.threads, 6);
  EXPECT_EQ(count(0).threads, 1);
}

TEST_F(CoresTest, SiblingsOfACoreCountOnce) {
  for (int cpu = 0; cpu < 8; ++cpu) siblings(cpu, std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4));
  EXPECT_EQ(count(8).threads, 4);
  EXPECT_EQ(count(6).cores, 4);  // two cores with one sibling each, two with both
  EXPECT_EQ(count(8).cpus, 8);
}

TEST_F(CoresTest, SiblingsByTheirOldName) {
  for (int cpu = 0; cpu < 4; ++cpu) siblings(cpu, cpu < 2 ? "0-1" : "2-3", "thread_siblings_list");
  EXPECT_EQ(count(4).threads, 2);
}

TEST_F(CoresTest, CpusBeyondTheOldMaskOf1024) {
  std::vector<int> allowed;
  for (int cpu = 1000; cpu < 1100; ++cpu) {
    siblings(cpu, std::to_string(cpu / 2 * 2) + "-" + std::to_string(cpu / 2 * 2 + 1));
    allowed.push_back(cpu);
  }
  EXPECT_EQ(count_cores(allowed, root_).threads, 50);
}

TEST_F(CoresTest, Version2HalfACore) {
  put("proc/self/cgroup", "0::/system.slice/app.service\n");
  put("proc/self/mountinfo", kVersion2);
  put("sys/fs/cgroup/system.slice/app.service/cpu.max", "50000 100000\n");
  const Cores cores = count(8);
  EXPECT_DOUBLE_EQ(cores.share, 0.5);
  EXPECT_EQ(cores.threads, 1);
  EXPECT_TRUE(cores.share_from.ends_with("app.service/cpu.max")) << cores.share_from;
}

TEST_F(CoresTest, Version2TheTightestOfAllAboveCounts) {
  put("proc/self/cgroup", "0::/a/b\n");
  put("proc/self/mountinfo", kVersion2);
  put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  put("sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  EXPECT_DOUBLE_EQ(count(8).share, 2.5);
  EXPECT_EQ(count(8).threads, 3) << "two and a half are used by three";
  EXPECT_EQ(count(2).threads, 2) << "no more than there are";
  put("sys/fs/cgroup/a/cpu.max", "max 100000\n");
  EXPECT_EQ(count(8).share, 0);
}

// A container sees its own group as the root, and the mount carries the group's outer name.
TEST_F(CoresTest, InAContainerTheMountIsTheGroup) {
  put("proc/self/cgroup", "0::/\n");
  put("proc/self/mountinfo", "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n");
  put("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(count(4).threads, 2);
}

TEST_F(CoresTest, Version1) {
  put("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/abc/job\n0::/\n");
  put("proc/self/mountinfo",
      "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "33 23 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
      "32 23 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
          std::string(kVersion2));
  put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(count(4).share, 0);
  put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "120000\n");
  put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(count(4).share, 1.2);
  EXPECT_EQ(count(4).threads, 2);
}

TEST_F(CoresTest, NonsenseBoundsNothing) {
  put("proc/self/cgroup", "0:\nnothing\n::\n0::/a\n4:cpu:/a\n");
  put("proc/self/mountinfo", "- - -\n1 2 3\n" + std::string(kVersion2) + "9 9 9 / /v1 rw - cgroup c rw,cpu\n");
  for (const char* text : {"", "-1 100000\n", "50000\n", "50000 0\n", "nan nan\n", "x y\n"}) {
    put("sys/fs/cgroup/a/cpu.max", text);
    put("v1/a/cpu.cfs_quota_us", text);
    EXPECT_EQ(count(3).threads, 3) << text;
  }
}

TEST(Cores, OfThisProcess) {
  const Cores cores = usable_cores();
  EXPECT_EQ(static_cast<int>(allowed_cpus().size()), cores.cpus);
  EXPECT_GE(cores.cpus, cores.cores);
  EXPECT_GE(cores.cores, cores.threads);
  EXPECT_GE(cores.threads, 1);
}

}  // namespace
}  // namespace fathom
