# find_package(Fathom) -> Fathom::fathom: the runtime in one static library, with <fathom/fathom.hpp>.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(ZLIB)
find_dependency(JPEG)
find_dependency(PNG)
include(${CMAKE_CURRENT_LIST_DIR}/FathomTargets.cmake)
