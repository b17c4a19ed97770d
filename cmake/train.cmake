# LibTorch and LightGBM for the train room: from the project's .deps folder (make deps), or FATHOM_TORCH = any LibTorch >= 2.4.
set(FATHOM_DEPS "${PROJECT_SOURCE_DIR}/.deps/pypi" CACHE PATH "Folder that holds the pinned PyPI packages")
set(FATHOM_TORCH "$ENV{FATHOM_TORCH}" CACHE PATH "Root of a LibTorch (holds include/ and lib/); empty: the wheel in FATHOM_DEPS")
set(torch_root "${FATHOM_TORCH}")
if(NOT torch_root)
  set(torch_root "${FATHOM_DEPS}/torch")
endif()
foreach(needed "${torch_root}/lib/libtorch_cpu.so" "${torch_root}/include/torch/csrc/api/include/torch/torch.h"
        "${FATHOM_DEPS}/lightgbm/lib/lib_lightgbm.so" "${FATHOM_DEPS}/../src/lightgbm/include/LightGBM/c_api.h")
  if(NOT EXISTS "${needed}")
    message(FATAL_ERROR "fathom-train needs ${needed}: run `make deps`, or configure with -DFATHOM_TRAIN=OFF for the runtime alone")
  endif()
endforeach()

add_library(fathom_torch INTERFACE)
target_include_directories(fathom_torch SYSTEM INTERFACE "${torch_root}/include" "${torch_root}/include/torch/csrc/api/include")
target_link_libraries(fathom_torch INTERFACE "${torch_root}/lib/libtorch_cpu.so" "${torch_root}/lib/libc10.so")
target_link_options(fathom_torch INTERFACE "-Wl,-rpath,${torch_root}/lib" "-Wl,-rpath,${FATHOM_DEPS}/nvidia/cu13/lib"
  "-Wl,-rpath-link,${FATHOM_DEPS}/nvidia/cu13/lib" "-Wl,--allow-shlib-undefined")

add_library(fathom_lightgbm INTERFACE)
target_include_directories(fathom_lightgbm SYSTEM INTERFACE "${FATHOM_DEPS}/../src/lightgbm/include")
target_link_libraries(fathom_lightgbm INTERFACE "${FATHOM_DEPS}/lightgbm/lib/lib_lightgbm.so")
target_link_options(fathom_lightgbm INTERFACE "-Wl,-rpath,${FATHOM_DEPS}/lightgbm/lib")

# After the room is declared: LibTorch's headers take half a minute a file, so they are precompiled; the layer loops are
# vectorised across reductions named in the source, with fused multiply-add (training only: no bit-equality is promised).
function(fathom_train_room_options)
  # The time is spent in LibTorch, LightGBM and layer_kernels.cpp: -O1 halves the minutes this room takes to compile.
  target_compile_options(fathom_train PRIVATE $<$<CONFIG:Release>:-O1>)
  target_precompile_headers(fathom_train PRIVATE ${PROJECT_SOURCE_DIR}/src/train/torch.h)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/train/layer_kernels.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON
    COMPILE_OPTIONS "-fopenmp-simd;-ffp-contract=fast;-fno-trapping-math;-fno-math-errno;-fno-signed-zeros;-O3")
  if(TARGET fathom_train_test)
    target_compile_options(fathom_train_test PRIVATE $<$<CONFIG:Release>:-O1>)
    target_precompile_headers(fathom_train_test PRIVATE ${PROJECT_SOURCE_DIR}/src/train/torch.h)
  endif()
endfunction()
cmake_language(DEFER CALL fathom_train_room_options)
