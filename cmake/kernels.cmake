# Kernel tiers: one object library per instruction set with exactly its flags, linked into fathom_kernels.
# Their sources include only intrinsics, <cstddef>, <cstdint> and kernels/ headers that hold no shareable inline code,
# so that no AVX code can leak into portable functions through the linker (docs/adr).
function(fathom_kernel_tiers)
  # Keeps jumps from touching 32-byte boundaries: Skylake's and its successors' microcode takes code around such a jump
  # out of the cache of decoded instructions (Intel's SKX102), and an unrolled GEMM loop then runs at 61 % of its speed.
  set(whole_jumps $<IF:$<CXX_COMPILER_ID:GNU>,-Wa$<COMMA>-mbranches-within-32B-boundaries,-mbranches-within-32B-boundaries>)
  set(avx512_flags ${whole_jumps} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512)
  set(avx2_flags ${whole_jumps} -mavx2 -mfma -mf16c)
  set(avx512_vnni_flags ${avx512_flags} -mavx512vnni)
  set(avx512_bf16_flags ${avx512_flags} -mavx512bf16)
  set(avx512_amx_flags ${avx512_flags} -mavx512vnni -mavx512bf16 -mamx-tile -mamx-int8 -mamx-bf16)
  # Scheduling before registers are given out, which g++ does on ARM alone, pushes sums out of them.
  set(keep_sums $<$<CXX_COMPILER_ID:GNU>:-fno-schedule-insns>)
  set(neon_flags -march=armv8-a ${keep_sums})
  set(neon_dotprod_flags -march=armv8.2-a+dotprod ${keep_sums})
  set(tiers)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    set(tiers avx2 avx512 avx512_vnni avx512_bf16 avx512_amx)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(tiers neon neon_dotprod)
  endif()
  foreach(tier ${tiers})
    file(GLOB ${tier} CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernels/${tier}/*.cpp)
    add_library(fathom_kernels_${tier} OBJECT ${${tier}})
    target_include_directories(fathom_kernels_${tier} PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(fathom_kernels_${tier} PRIVATE fathom_warnings)
    target_compile_options(fathom_kernels_${tier} PRIVATE -O3 -fno-exceptions -fno-rtti ${${tier}_flags}
      $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized$<SEMICOLON>-Wno-maybe-uninitialized>)  # g++ 12 warns about deliberate "undefined" in its own intrinsics
    target_sources(fathom_kernels PRIVATE $<TARGET_OBJECTS:fathom_kernels_${tier}>)
    list(APPEND tier_targets kernels_${tier})
  endforeach()
  set(fathom_tier_targets ${tier_targets} PARENT_SCOPE)
  if(FATHOM_TESTS)
    foreach(tier ${tiers})
      add_test(NAME arch.symbols.${tier} COMMAND ${PROJECT_SOURCE_DIR}/tools/check_symbols.sh ${CMAKE_NM}
        $<TARGET_OBJECTS:fathom_kernels_${tier}> COMMAND_EXPAND_LISTS)
      set_tests_properties(arch.symbols.${tier} PROPERTIES LABELS arch)
    endforeach()
    # The check itself must be able to fail: an object with a shareable inline function is refused.
    add_library(fathom_careless_object OBJECT ${PROJECT_SOURCE_DIR}/tests/arch/careless_tier.cpp)
    add_test(NAME arch.symbols.careless COMMAND ${PROJECT_SOURCE_DIR}/tools/check_symbols.sh ${CMAKE_NM}
      $<TARGET_OBJECTS:fathom_careless_object>)
    set_tests_properties(arch.symbols.careless PROPERTIES LABELS arch WILL_FAIL TRUE)
  endif()
endfunction()
