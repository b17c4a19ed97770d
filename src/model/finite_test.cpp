// Weights that are not numbers are named: file, tensor, element; whatever the file stores them as.
#include "model/finite.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/file.h"
#include "model/names.h"

namespace fathom {
namespace {

ModelSpec small() {
  ModelSpec spec;
  spec.layers = 2, spec.hidden = 8, spec.heads = 2, spec.ffn = 16, spec.vocab = 20, spec.max_tokens = 6;
  spec.exit_head_hidden = 4, spec.label_names = {"a", "b", "c"}, spec.extractor = {4, 2, 3, 5}, spec.policy_hidden = 6;
  return spec;
}

// A file of zeros stored as `dtype`, but for one element of one tensor; and one tensor that no model uses.
struct File {
  fs::path path = fs::temp_directory_path() / ("fathom_finite_" + std::to_string(::getpid()) + ".safetensors");
  ~File() { fs::remove(path); }
  Status check(const std::string& dtype, const std::string& tensor, std::size_t element, float value) const {
    const std::size_t size = dtype == "F32" ? 4 : 2;
    auto wanted = backbone_tensors(small());
    wanted.push_back({"unused", {3}});
    std::vector<std::string> bytes;
    std::vector<StoredTensor> stored;
    for (const TensorSpec& want : wanted) {
      const TensorView view{nullptr, want.shape};
      std::string& to = bytes.emplace_back(size * static_cast<std::size_t>(view.elements()), '\0');
      if (want.name != tensor) continue;
      std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
      if (dtype == "F16") bits = std::isnan(value) ? 0x7E00 : value > 0 ? 0x7C00 : 0xFC00;
      if (dtype == "BF16") bits >>= 16;
      std::memcpy(to.data() + size * element, &bits, size);
    }
    for (std::size_t i = 0; i < wanted.size(); ++i)
      stored.push_back({wanted[i].name, dtype, wanted[i].shape, std::as_bytes(std::span(bytes[i]))});
    EXPECT_TRUE(write_file_atomic(path, safetensors_bytes(stored)));
    const auto tensors = SafeTensors::open(path);
    EXPECT_TRUE(tensors.has_value());
    return check_finite(small(), {}, **tensors);
  }
};

TEST(Finite, NamesFileTensorAndElement) {
  const File file;
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const char* dtype : {"F32", "F16", "BF16"}) {
    EXPECT_TRUE(file.check(dtype, "unused", 1, nan)) << "what is not used is not looked at";
    EXPECT_TRUE(file.check(dtype, "", 0, 0));
    for (const auto& [value, word] : {std::pair(nan, "NaN"), std::pair(inf, "infinite"), std::pair(-inf, "infinite")}) {
      const Status status = file.check(dtype, "embeddings.word_embeddings.weight", 13, value);
      ASSERT_FALSE(status) << dtype;
      EXPECT_EQ(status.error().code, Code::bad_input);
      for (const std::string& said : {file.path.filename().string(), std::string("'embeddings.word_embeddings.weight'"),
                                      std::string("element 13 of 160 is ") + word})
        EXPECT_NE(status.error().message.find(said), std::string::npos) << status.error().message;
    }
    const Status last = file.check(dtype, "encoder.layer.1.output.dense.bias", 7, nan);
    ASSERT_FALSE(last);
    EXPECT_NE(last.error().message.find("element 7 of 8"), std::string::npos) << last.error().message;
  }
}

}  // namespace
}  // namespace fathom
