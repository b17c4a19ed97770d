#include "cli/child.h"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include <unistd.h>

namespace fathom::cli {
namespace {

std::vector<Child> shell(const std::vector<std::string>& scripts) {
  std::vector<Child> children;
  for (const std::string& script : scripts) {
    Child child;
    child.command = {"/bin/sh", "-c", script};
    children.push_back(child);
  }
  return children;
}

TEST(Child, ExitCodesComeBack) {
  auto children = shell({"exit 0", "exit 0"});
  ASSERT_TRUE(run_children(children));
  EXPECT_EQ(children[0].exit_code, 0);
  children = shell({"exit 3"});
  ASSERT_TRUE(run_children(children));
  EXPECT_EQ(children[0].exit_code, 3);
  EXPECT_EQ(*verdict_of(children[0]), 3);
}

TEST(Child, ASignalIsAnErrorOfOurs) {
  auto children = shell({"kill -9 $$"});
  ASSERT_TRUE(run_children(children));
  const auto verdict = verdict_of(children[0]);
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, Code::out_of_memory);
}

TEST(Child, AMissingProgramIsAnError) {
  std::vector<Child> children(1);
  children[0].command = {"/nowhere/at/all"};
  ASSERT_TRUE(run_children(children));
  EXPECT_FALSE(verdict_of(children[0]));
}

TEST(Child, AFailureInterruptsTheOthers) {
  auto children = shell({"sleep 0.2; exit 4", "exec sleep 30"});
  ASSERT_TRUE(run_children(children));
  EXPECT_EQ(children[0].exit_code, 4);
  EXPECT_EQ(children[1].exit_code, 128 + SIGINT);
}

TEST(Child, LinesArePassedOnWithTheirPrefix) {
  auto children = shell({"printf 'one\\r50%%\\rtwo\\nrest' >&2; echo data"});
  children[0].prefix = "text | ";
  testing::internal::CaptureStderr();
  ASSERT_TRUE(run_children(children));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "text | one\ntext | 50%\ntext | two\ntext | restdata\n");
}

TEST(Child, AnInterruptIsPassedDownAndReported) {
  auto children = shell({"trap 'exit 130' INT; while :; do sleep 0.05; done"});
  std::thread later([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    ::kill(::getpid(), SIGINT);
  });
  const Status status = run_children(children);
  later.join();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::cancelled);
  EXPECT_EQ(children[0].exit_code, 130);
}

}  // namespace
}  // namespace fathom::cli
