// A Stream's answers are a lone Session's, whatever is in it; inputs join and none starves; running allocates nothing.
#include "engine/stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "engine/test_requests.h"

namespace fathom::engine {
namespace {

using testing::Case;
using testing::Inputs;
using testing::Loaded;
using testing::must;
using testing::Request;
using testing::same;

Stream stream_of(const Loaded& loaded, std::size_t most, const RunOptions& options) {
  return must(Stream::create(loaded.plan, *loaded.runtime, {most, 0}, options));
}

// Inputs in a given order, packed anew: what a caller's queue looks like.
struct Queue {
  Queue(const Inputs& all, const std::vector<std::uint64_t>& every_mask, const std::vector<std::size_t>& order)
      : picture_bytes(all.picture_bytes) {
    for (const std::size_t i : order) {
      masks.push_back(every_mask[i]);
      if (picture_bytes > 0) {
        const auto from = all.pixels.begin() + static_cast<std::ptrdiff_t>(i * picture_bytes);
        pixels.insert(pixels.end(), from, from + static_cast<std::ptrdiff_t>(picture_bytes));
        continue;
      }
      ids.insert(ids.end(), all.texts[i].begin(), all.texts[i].end());
      types.insert(types.end(), all.kinds[i].begin(), all.kinds[i].end());
      offsets.push_back(static_cast<std::int32_t>(ids.size()));
    }
  }
  Batch slice(std::size_t first, std::size_t count) const {
    if (picture_bytes > 0) return {count, {}, {}, pixels.data() + first * picture_bytes, {}};
    return {count, ids, std::span(offsets).subspan(first), nullptr, types};
  }
  std::vector<std::int32_t> ids, types, offsets{0};
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint64_t> masks;
  std::size_t picture_bytes;
};

// Submits in pieces of random size and drains in pieces of random size; predictions by ticket.
std::vector<Prediction> through(Stream& stream, const Queue& queue, std::size_t count, bool masked, Random& random) {
  std::vector<Prediction> by_ticket(count);
  std::vector<bool> seen(count);
  std::array<Finished, 5> out;
  std::size_t next = 0;
  while (next < count || stream.held() > 0) {
    if (next < count && random.below(4) > 0) {
      const std::size_t offered = std::min<std::size_t>(count - next, 1 + random.below(9)), room = stream.room();
      const auto masks = std::span(queue.masks).subspan(next, masked ? offered : 0);
      const auto taken = stream.submit(queue.slice(next, offered), masks);
      if (!taken || taken->first_ticket != next || taken->count != std::min(offered, room)) {
        ADD_FAILURE() << (taken ? "wrong tickets" : taken.error().message);
        return by_ticket;
      }
      next += taken->count;
    }
    const std::span<Finished> place = std::span(out).first(1 + random.below(out.size()));
    const std::size_t n = next == count ? stream.finish(place) : stream.drain(place);
    for (const Finished& one : place.first(n)) {
      EXPECT_FALSE(seen[one.ticket]) << "ticket " << one.ticket << " twice";
      seen[one.ticket] = true;
      by_ticket[one.ticket] = one.prediction;
    }
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](bool is) { return is; }));
  return by_ticket;
}

class StreamInvariance : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Tiers, StreamInvariance, ::testing::Values("ref", "auto"));

TEST_P(StreamInvariance, EveryInputAnswersAsAlone) {
  Random random(5, "stream");
  constexpr std::size_t kInputs = 24;
  for (const Case& which : testing::cases_with_gates(GetParam())) {
    Loaded alone(which, GetParam(), 1);
    const Inputs inputs = testing::random_inputs(which.spec, kInputs, 41);
    const auto masks = testing::random_masks(which.spec, kInputs);
    const int threads = 1 + static_cast<int>(random.below(4));
    Loaded loaded(which, GetParam(), threads);
    for (const Request& request : testing::all_requests(which.spec, masks)) {
      if (request.options.mode == Mode::trace) continue;
      std::vector<Prediction> expected;
      for (std::size_t i = 0; i < kInputs; ++i) {
        std::vector<std::int32_t> ends;
        RunOptions own = request.options;
        if (!own.masks.empty()) own.masks = own.masks.subspan(i, 1);
        expected.push_back(alone.run(inputs.one(i, ends), own)[0]);
      }
      std::vector<std::size_t> order(kInputs);
      std::iota(order.begin(), order.end(), std::size_t{0});
      for (const std::size_t most : {std::size_t{1}, 2 + random.below(6), std::size_t{32}}) {
        for (std::size_t i = kInputs - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
        Stream stream = stream_of(loaded, most, request.options);
        const auto got =
            through(stream, Queue(inputs, masks, order), kInputs, request.options.mode == Mode::masks, random);
        for (std::size_t i = 0; i < kInputs; ++i)
          ASSERT_TRUE(same(got[i], expected[order[i]]))
              << GetParam() << " " << which.name << " " << precision_name(which.precision) << " " << request.name
              << ", " << most << " held, " << threads << " threads, input " << order[i];
      }
    }
  }
}

TEST(StreamTest, RunningAllocatesNothing) {
  for (const Case& which : testing::cases_with_gates("auto"))
    for (const int threads : {1, 2}) {
      Loaded loaded(which, "", threads);
      const Inputs inputs = testing::random_inputs(which.spec, 16, 42);
      const auto masks = testing::random_masks(which.spec, inputs.count);
      std::vector<std::size_t> order(inputs.count);
      std::iota(order.begin(), order.end(), std::size_t{0});
      const Queue queue(inputs, masks, order);
      std::array<Finished, 4> out;
      for (const Request& request : testing::all_requests(which.spec, masks)) {
        if (request.options.mode == Mode::trace) continue;
        Stream stream = stream_of(loaded, 6, request.options);
        const long before = testing::allocations;
        bool refused = false;
        for (std::size_t next = 0; next < inputs.count || stream.held() > 0; stream.drain(out)) {
          const auto taken =
              stream.submit(queue.slice(next, inputs.count - next), std::span(queue.masks).subspan(next));
          refused = refused || !taken;
          if (refused) break;
          next += taken->count;
        }
        EXPECT_EQ(testing::allocations - before, 0)
            << which.name << " " << precision_name(which.precision) << " " << request.name;
        ASSERT_FALSE(refused);
      }
    }
}

// Streams and a Session share plan and pool, each on a thread of its own.
TEST(StreamTest, StreamsAndSessionsShareARuntime) {
  const Case which = testing::all_cases().back();
  Loaded loaded(which, "", 2);
  const Inputs inputs = testing::random_inputs(which.spec, 32, 43);
  const auto masks = testing::random_masks(which.spec, inputs.count);
  RunOptions options;
  options.lambda = 0.5f;
  const auto expected = loaded.run(inputs.batch(), options);
  std::vector<std::size_t> order(inputs.count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const Queue queue(inputs, masks, order);
  std::array<std::vector<Prediction>, 3> got;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      Random random(t, "thread");
      Stream stream = stream_of(loaded, 8, options);
      for (int turn = 0; turn < 5; ++turn) {
        got[t] = through(stream, queue, inputs.count, false, random);
        stream = stream_of(loaded, 8, options);
      }
    });
  for (int turn = 0; turn < 5; ++turn) got[2] = loaded.run(inputs.batch(), options);
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : got)
    for (std::size_t i = 0; i < inputs.count; ++i) EXPECT_TRUE(same(one[i], expected[i])) << i;
}

struct Pictures : ::testing::Test {  // inputs of equal length: groups are counted in inputs
  Case which = testing::all_cases()[2];
  Loaded loaded{which, "", 1};
  Inputs inputs = testing::random_inputs(which.spec, 8, 44);
  Batch slice(std::size_t first, std::size_t count) const {
    return {count, {}, {}, inputs.pixels.data() + first * inputs.picture_bytes, {}};
  }
};

TEST_F(Pictures, InputsJoinThoseAheadOfThem) {
  RunOptions options;
  options.mode = Mode::full_depth;
  Stream stream = stream_of(loaded, 8, options);
  EXPECT_FALSE(stream.step());
  EXPECT_EQ(must(stream.submit(slice(0, 1))).count, 1u);
  EXPECT_TRUE(stream.step());  // one input is ahead
  EXPECT_EQ(must(stream.submit(slice(1, 3))).count, 3u);
  int steps = 1;
  while (stream.step()) ++steps;
  EXPECT_EQ(steps, 1 + which.spec.layers);  // layer 1 twice, the others once
  std::array<Finished, 8> out;
  EXPECT_EQ(stream.held(), 4u);
  EXPECT_EQ(stream.drain({}), 0u);
  EXPECT_EQ(stream.finish(out), 4u);
  EXPECT_EQ(stream.held(), 0u);
  EXPECT_EQ(stream.drain(out), 0u);
}

TEST_F(Pictures, NoInputStarves) {
  RunOptions options;
  options.mode = Mode::masks;
  Stream stream = stream_of(loaded, 8, options);
  const std::vector<std::uint64_t> deep = {0b11}, shallow(3, 0b1);
  must(stream.submit(slice(0, 1), deep));
  ASSERT_TRUE(stream.step());
  std::array<Finished, 8> out;
  for (int round = 0; round < 8 * which.spec.layers; ++round) {
    ASSERT_EQ(must(stream.submit(slice(1, 3), shallow)).count, 3u);  // more rows than the one that waits
    const std::size_t n = stream.drain(out);
    if (std::any_of(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n),
                    [](const Finished& one) { return one.ticket == 0; })) {
      EXPECT_GE(round, 2);  // it did wait
      return;
    }
  }
  FAIL() << "ticket 0 waits for ever";
}

TEST_F(Pictures, TakesWhatThereIsRoomFor) {
  Stream stream = stream_of(loaded, 3, {});
  EXPECT_EQ(stream.room(), 3u);
  const Taken first = must(stream.submit(slice(0, 2)));
  EXPECT_EQ(first.first_ticket, 0u);
  const Taken second = must(stream.submit(slice(2, 4)));
  EXPECT_EQ(second.first_ticket, 2u);
  EXPECT_EQ(second.count, 1u);
  EXPECT_EQ(stream.room(), 0u);
  EXPECT_EQ(must(stream.submit(slice(3, 4))).count, 0u);
  std::array<Finished, 1> out;
  EXPECT_EQ(stream.drain(out), 1u);
  EXPECT_EQ(stream.room(), 1u);
  EXPECT_EQ(must(stream.submit(slice(3, 4))).first_ticket, 3u);
  Stream moved = std::move(stream);
  EXPECT_EQ(moved.held(), 3u);
}

TEST(StreamTest, Refuses) {
  const Case which = testing::all_cases()[0];
  Loaded loaded(which, "", 1, 4);
  RunOptions options;
  const auto code_of = [&] { return Stream::create(loaded.plan, *loaded.runtime, {4, 0}, options).error().code; };
  options.mode = Mode::trace;
  EXPECT_EQ(code_of(), Code::unsupported);
  options.mode = Mode::fixed_exit;
  EXPECT_EQ(code_of(), Code::invalid_argument);
  EXPECT_FALSE(Stream::create(nullptr, *loaded.runtime, {4, 0}));
  EXPECT_FALSE(Stream::create(loaded.plan, *loaded.runtime, {0, 0}));

  options.mode = Mode::masks;
  Stream masked = stream_of(loaded, 4, options);
  std::vector<std::int32_t> ids = {1, 2, 3, which.spec.vocab}, offsets = {0, 2, 3, 4};
  EXPECT_EQ(masked.submit({2, ids, offsets, nullptr, {}}).error().message, "masks: expected 2, got 0");
  const std::vector<std::uint64_t> none = {0, 0};
  EXPECT_EQ(must(masked.submit({2, ids, offsets, nullptr, {}}, none)).count, 2u);  // h^0's head

  Stream stream = stream_of(loaded, 2, {});
  const auto wrong = stream.submit({2, ids, std::span(offsets).subspan(1), nullptr, {}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::invalid_argument);
  EXPECT_NE(wrong.error().message.find("input 1: token 0"), std::string::npos) << wrong.error().message;
  EXPECT_EQ(stream.held(), 0u);
  EXPECT_EQ(must(stream.submit({3, ids, offsets, nullptr, {}})).count, 2u);  // the third is not looked at
}

}  // namespace
}  // namespace fathom::engine
