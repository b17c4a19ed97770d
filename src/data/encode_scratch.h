// The working memory of one encode call, kept between calls so that a warm one allocates nothing.
// ScratchPool: calls from several threads each borrow one of their own. Thread rule: a pool may be used by any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "data/word_cache.h"

namespace fathom::data {

struct EncodeScratch {
  struct Join {  // two neighbouring pieces that can become one
    std::uint32_t rank;
    std::int32_t at;
  };

  std::string repaired, normalized, words;
  std::vector<std::int32_t> found;          // ids of one word
  std::vector<std::int32_t> first, second;  // ids of the two texts of a pair
  std::vector<std::int32_t> before, after;  // neighbours in a long word while its pieces are joined
  std::vector<Join> joins;
  WordCache cache;
};

class ScratchPool {
 public:
  std::unique_ptr<EncodeScratch> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<EncodeScratch>();
  }
  void put_back(std::unique_ptr<EncodeScratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<EncodeScratch>> free_;
};

// One scratch from the pool until the end of the scope.
class BorrowedScratch {
 public:
  explicit BorrowedScratch(ScratchPool& pool) : pool_(pool), scratch_(pool.take()) {}
  ~BorrowedScratch() { pool_.put_back(std::move(scratch_)); }
  BorrowedScratch(const BorrowedScratch&) = delete;
  BorrowedScratch& operator=(const BorrowedScratch&) = delete;
  EncodeScratch& operator*() { return *scratch_; }

 private:
  ScratchPool& pool_;
  std::unique_ptr<EncodeScratch> scratch_;
};

}  // namespace fathom::data
