// SHA-256 (FIPS 180-4), for checksums and fingerprints of bundles and data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fathom {

class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  void update(const void* data, std::size_t size) { update({static_cast<const char*>(data), size}); }
  std::string hex();  // finishes; call once

 private:
  void block(const unsigned char* bytes);
  std::array<std::uint32_t, 8> state_;
  std::array<unsigned char, 64> pending_{};
  std::uint64_t length_ = 0;
};

inline std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}
inline std::string sha256_hex(std::span<const std::byte> bytes) {
  return sha256_hex(std::string_view{reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace fathom
