// A quick hash that tells damaged bytes from whole ones: eight independent multiply-mix lanes, about the speed of
// memory. It stands against bits that rot and files that are half written, not against people. Thread rule: pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fathom::engine {

std::uint64_t quick_hash(const std::byte* data, std::size_t bytes);

}  // namespace fathom::engine
