// Tests only: a committed checkpoint, by name, as a bundle work_/before, as `fathom import` lists it, with facts that
// must not survive.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "bundle/bundle.h"
#include "model/hugging_face.h"
#include "model/model.h"

namespace fathom::compress {

class TestBundle : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* root = std::getenv("FATHOM_SOURCE_DIR");
    ASSERT_NE(root, nullptr) << "run through ctest, or set FATHOM_SOURCE_DIR";
    work_ = fs::temp_directory_path() / ("fathom_compress_" + std::to_string(::getpid()));
    fs::remove_all(work_);
    const fs::path source = fs::path(root) / "tests/parity/checkpoints" / GetParam();
    const auto tensors = SafeTensors::open(source / "model.safetensors");
    ASSERT_TRUE(tensors);
    const auto config = read_file(source / "config.json");
    const auto checkpoint = read_checkpoint(*parse_json(*config, "config.json"), **tensors, "config.json");
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    const Json fathom = {
        {"model", {{"spec", spec_to_json(checkpoint->spec)}, {"names", naming_to_json(checkpoint->naming)}}},
        {"certificate", {{"lambda", 0.5}}},
        {"operating_points", Json::object()}};
    ASSERT_TRUE(
        write_bundle(work_ / "before", {}, fathom,
                     {{"config.json", source / "config.json"}, {"model.safetensors", source / "model.safetensors"}}));
  }
  void TearDown() override { fs::remove_all(work_); }

  std::shared_ptr<const Model> model(const char* name) {
    const auto bundle = Bundle::open(work_ / name);
    EXPECT_TRUE(bundle && (*bundle)->verify());
    auto loaded = Model::load(*bundle);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return *loaded;
  }
  fs::path work_;
};

}  // namespace fathom::compress
