#include "kernels/table.h"

#include "kernels/packing.h"
#include "kernels/tiers.h"

namespace fathom::kernels {
namespace {

// The table of a tier that defines everything in kernels/tier.inc: names of namespaces cannot be template arguments.
#define FATHOM_TABLE(space)                                                                                      \
  {                                                                                                              \
    .tier = Tier::space, .name = #space, .panel = space::kPanel, .levels = space::kLevels,                       \
    .gemm_scratch = Tier::space == Tier::ref ? 0 : kGemmScratch, .packed_size = packed_size<space::kPanel>,      \
    .pack_weights = pack_weights<space::kPanel>, .gemm = space::gemm,                                            \
    .packed_size_bf16 = packed_size_bf16<space::kPanel>, .pack_weights_bf16 = pack_weights_bf16<space::kPanel>,  \
    .gemm_bf16 = space::gemm_bf16, .packed_size_int8 = packed_size_int8<space::kPanel>,                          \
    .pack_weights_int8 = pack_weights_int8<space::kPanel>, .quantize_rows = space::quantize_rows,                \
    .gemm_int8 = space::gemm_int8, .attention_scratch = space::attention_scratch, .attention = space::attention, \
    .layernorm = space::layernorm, .layernorm_quantize = space::layernorm_quantize, .embed = space::embed,       \
    .mean_rows = space::mean_rows, .softmax = space::softmax, .lstm_cell = space::lstm_cell                      \
  }

constexpr Table kRef = FATHOM_TABLE(ref);

#if defined(__x86_64__)
constexpr Table kAvx2 = FATHOM_TABLE(avx2);
constexpr Table kAvx512 = FATHOM_TABLE(avx512);

constexpr Table avx512_vnni_table() {
  Table t = kAvx512;
  t.tier = Tier::avx512_vnni;
  t.name = "avx512_vnni";
  t.levels = avx512_vnni::kLevels;
  t.quantize_rows = avx512_vnni::quantize_rows;
  t.gemm_int8 = avx512_vnni::gemm_int8;
  t.layernorm_quantize = avx512_vnni::layernorm_quantize;
  return t;
}
constexpr Table kAvx512Vnni = avx512_vnni_table();

constexpr Table avx512_bf16_table() {
  Table t = kAvx512Vnni;
  t.tier = Tier::avx512_bf16;
  t.name = "avx512_bf16";
  t.gemm_bf16 = avx512_bf16::gemm_bf16;
  return t;
}
constexpr Table kAvx512Bf16 = avx512_bf16_table();

constexpr Table avx512_amx_table() {
  Table t = kAvx512Bf16;
  t.tier = Tier::avx512_amx;
  t.name = "avx512_amx";
  t.tiles = true;
  t.gemm_scratch = kTiledGemmScratch;
  t.gemm_bf16 = avx512_amx::gemm_bf16;
  t.gemm_int8 = avx512_amx::gemm_int8;
  return t;
}
constexpr Table kAvx512Amx = avx512_amx_table();
static_assert(avx512_vnni::kPanel == kAvx512.panel && avx512_bf16::kPanel == kAvx512.panel &&
                  avx512_amx::kPanel == kAvx512.panel,
              "they read panels of avx512");
#elif defined(__aarch64__)
constexpr Table kNeon = FATHOM_TABLE(neon);

constexpr Table neon_dotprod_table() {
  Table t = kNeon;
  t.tier = Tier::neon_dotprod;
  t.name = "neon_dotprod";
  t.gemm_int8 = neon_dotprod::gemm_int8;
  return t;
}
constexpr Table kNeonDotprod = neon_dotprod_table();
static_assert(neon_dotprod::kPanel == kNeon.panel, "it reads panels of neon");
#endif
#undef FATHOM_TABLE

}  // namespace

const Table& table(Tier tier) {
  switch (tier) {
#if defined(__x86_64__)
    case Tier::avx2:
      return kAvx2;
    case Tier::avx512:
      return kAvx512;
    case Tier::avx512_vnni:
      return kAvx512Vnni;
    case Tier::avx512_bf16:
      return kAvx512Bf16;
    case Tier::avx512_amx:
      return kAvx512Amx;
#elif defined(__aarch64__)
    case Tier::neon:
      return kNeon;
    case Tier::neon_dotprod:
      return kNeonDotprod;
#endif
    default:
      return kRef;
  }
}

}  // namespace fathom::kernels
