# Kernel tiers: one object library per instruction set with exactly its flags, linked into fathom_kernels.
# Their sources include only intrinsics, <cstddef>, <cstdint> and kernels/ headers that hold no shareable inline code,
# so that no AVX code can leak into portable functions through the linker (docs/adr).
function(fathom_kernel_tiers)
  set(tiers avx2 avx512 avx512_vnni avx512_bf16)
  foreach(tier ${tiers})
    file(GLOB ${tier} CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernels/${tier}/*.cpp)
    if(NOT ${tier})
      file(WRITE ${PROJECT_BINARY_DIR}/empty_${tier}.cpp "namespace fathom {}\n")
      set(${tier} ${PROJECT_BINARY_DIR}/empty_${tier}.cpp)
    endif()
    add_library(fathom_kernels_${tier} OBJECT ${${tier}})
    target_include_directories(fathom_kernels_${tier} PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(fathom_kernels_${tier} PRIVATE fathom_warnings)
    target_compile_options(fathom_kernels_${tier} PRIVATE -O3 -fno-exceptions -fno-rtti
      -Wno-uninitialized -Wno-maybe-uninitialized)  # g++ 12 warns about deliberate "undefined" in its own intrinsics
    target_sources(fathom_kernels PRIVATE $<TARGET_OBJECTS:fathom_kernels_${tier}>)
  endforeach()
  set(avx512_flags -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512)
  target_compile_options(fathom_kernels_avx2 PRIVATE -mavx2 -mfma -mf16c)
  target_compile_options(fathom_kernels_avx512 PRIVATE ${avx512_flags})
  target_compile_options(fathom_kernels_avx512_vnni PRIVATE ${avx512_flags} -mavx512vnni)
  target_compile_options(fathom_kernels_avx512_bf16 PRIVATE ${avx512_flags} -mavx512bf16)
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
