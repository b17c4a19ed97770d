#include "kernels/numerics.h"

namespace fathom::kernels {
namespace {

// The tier whose float kernels a tier's table has (kernels/table.cpp).
Tier float_tier(Tier tier) {
  switch (tier) {
    case Tier::avx512_vnni:
    case Tier::avx512_bf16:
    case Tier::avx512_amx:
      return Tier::avx512;
    case Tier::neon_dotprod:
      return Tier::neon;
    default:
      return tier;
  }
}

}  // namespace

std::string numerics_name(const Table& table, Precision precision) {
  const std::string floats = tier_name(float_tier(table.tier));
  switch (precision) {
    case Precision::bf16:
      return table.tier == Tier::avx512_bf16 || table.tier == Tier::avx512_amx ? tier_name(table.tier) : floats;
    case Precision::int8:
      return floats + "/" + std::to_string(table.levels);
    case Precision::fp32:
      break;
  }
  return floats;
}

}  // namespace fathom::kernels
