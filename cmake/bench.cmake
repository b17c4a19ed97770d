# Benchmarks, never part of a plain build: -DFATHOM_BENCH=ON makes the programs of bench/ in the build folder.
option(FATHOM_BENCH "Build the benchmarks" OFF)
if(FATHOM_BENCH)
  function(fathom_bench name)
    add_executable(${name} ${PROJECT_SOURCE_DIR}/bench/${name}.cpp)
    target_link_libraries(${name} PRIVATE ${ARGN} fathom_warnings)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  endfunction()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")  # it measures against peaks of x86 instructions
    fathom_bench(gemm_bench fathom_kernels)
  endif()
  fathom_bench(peer_row fathom_eval fathom_compress)
  fathom_bench(residency_bench fathom_eval)
endif()
