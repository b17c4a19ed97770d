#include "kernels/table.h"

#include "kernels/packing.h"
#include "kernels/tiers.h"

namespace fathom::kernels {
namespace {

constexpr Table kRef = {.tier = Tier::ref,
                        .name = "ref",
                        .panel = ref::kPanel,
                        .levels = ref::kLevels,
                        .packed_size = packed_size<ref::kPanel>,
                        .pack_weights = pack_weights<ref::kPanel>,
                        .gemm = ref::gemm,
                        .packed_size_bf16 = packed_size_bf16<ref::kPanel>,
                        .pack_weights_bf16 = pack_weights_bf16<ref::kPanel>,
                        .gemm_bf16 = ref::gemm_bf16,
                        .packed_size_int8 = packed_size_int8<ref::kPanel>,
                        .pack_weights_int8 = pack_weights_int8<ref::kPanel>,
                        .quantize_rows = ref::quantize_rows,
                        .gemm_int8 = ref::gemm_int8,
                        .attention_scratch = ref::attention_scratch,
                        .attention = ref::attention,
                        .layernorm = ref::layernorm,
                        .layernorm_quantize = ref::layernorm_quantize,
                        .embed = ref::embed,
                        .mean_rows = ref::mean_rows,
                        .softmax = ref::softmax,
                        .lstm_cell = ref::lstm_cell};

#if defined(__x86_64__)
constexpr Table kAvx2 = {.tier = Tier::avx2,
                        .name = "avx2",
                        .panel = avx2::kPanel,
                        .levels = avx2::kLevels,
                        .packed_size = packed_size<avx2::kPanel>,
                        .pack_weights = pack_weights<avx2::kPanel>,
                        .gemm = avx2::gemm,
                        .packed_size_bf16 = packed_size_bf16<avx2::kPanel>,
                        .pack_weights_bf16 = pack_weights_bf16<avx2::kPanel>,
                        .gemm_bf16 = avx2::gemm_bf16,
                        .packed_size_int8 = packed_size_int8<avx2::kPanel>,
                        .pack_weights_int8 = pack_weights_int8<avx2::kPanel>,
                        .quantize_rows = avx2::quantize_rows,
                        .gemm_int8 = avx2::gemm_int8,
                        .attention_scratch = avx2::attention_scratch,
                        .attention = avx2::attention,
                        .layernorm = avx2::layernorm,
                        .layernorm_quantize = avx2::layernorm_quantize,
                        .embed = avx2::embed,
                        .mean_rows = avx2::mean_rows,
                        .softmax = avx2::softmax,
                        .lstm_cell = avx2::lstm_cell};
constexpr Table kAvx512 = {.tier = Tier::avx512,
                        .name = "avx512",
                        .panel = avx512::kPanel,
                        .levels = avx512::kLevels,
                        .packed_size = packed_size<avx512::kPanel>,
                        .pack_weights = pack_weights<avx512::kPanel>,
                        .gemm = avx512::gemm,
                        .packed_size_bf16 = packed_size_bf16<avx512::kPanel>,
                        .pack_weights_bf16 = pack_weights_bf16<avx512::kPanel>,
                        .gemm_bf16 = avx512::gemm_bf16,
                        .packed_size_int8 = packed_size_int8<avx512::kPanel>,
                        .pack_weights_int8 = pack_weights_int8<avx512::kPanel>,
                        .quantize_rows = avx512::quantize_rows,
                        .gemm_int8 = avx512::gemm_int8,
                        .attention_scratch = avx512::attention_scratch,
                        .attention = avx512::attention,
                        .layernorm = avx512::layernorm,
                        .layernorm_quantize = avx512::layernorm_quantize,
                        .embed = avx512::embed,
                        .mean_rows = avx512::mean_rows,
                        .softmax = avx512::softmax,
                        .lstm_cell = avx512::lstm_cell};

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
static_assert(avx512_vnni::kPanel == kAvx512.panel && avx512_bf16::kPanel == kAvx512.panel, "they read panels of avx512");
#endif

}  // namespace

const Table& table(Tier tier) {
  switch (tier) {
#if defined(__x86_64__)
    case Tier::avx2: return kAvx2;
    case Tier::avx512: return kAvx512;
    case Tier::avx512_vnni: return kAvx512Vnni;
    case Tier::avx512_bf16: return kAvx512Bf16;
#endif
    default: return kRef;
  }
}

}  // namespace fathom::kernels
