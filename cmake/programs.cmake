# The programs, what make test runs beyond the rooms' unit tests, and what cmake --install puts where.
include(GNUInstallDirs)

set_source_files_properties(${PROJECT_SOURCE_DIR}/src/cli/cli.cpp ${PROJECT_SOURCE_DIR}/src/api/public_api.cpp PROPERTIES COMPILE_DEFINITIONS FATHOM_VERSION="${PROJECT_VERSION}")
add_executable(fathom ${PROJECT_SOURCE_DIR}/src/cli/fathom_main.cpp)
target_link_libraries(fathom PRIVATE fathom_cli fathom_warnings)
install(TARGETS fathom RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

if(FATHOM_TRAIN AND EXISTS ${PROJECT_SOURCE_DIR}/src/train/fathom_train_main.cpp)
  add_executable(fathom-train ${PROJECT_SOURCE_DIR}/src/train/fathom_train_main.cpp)
  target_link_libraries(fathom-train PRIVATE fathom_train fathom_warnings)
  # Installed it still finds LibTorch and LightGBM where they were linked.
  set_target_properties(fathom-train PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS fathom-train RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# The library for users: include/fathom/ and one archive holding the runtime rooms, as Fathom::fathom.
set(runtime_rooms base tensor kernels bundle data model policy engine api)
add_library(fathom_library STATIC)
foreach(room ${runtime_rooms})
  list(APPEND room_targets fathom_${room})
  list(APPEND room_archives $<TARGET_FILE:fathom_${room}>)
  list(APPEND room_files ${PROJECT_BINARY_DIR}/${CMAKE_STATIC_LIBRARY_PREFIX}fathom_${room}${CMAKE_STATIC_LIBRARY_SUFFIX})
endforeach()
file(WRITE ${PROJECT_BINARY_DIR}/library.cpp.in "// Fathom ${PROJECT_VERSION}\nextern const char fathom_library_version[];\nconst char fathom_library_version[] = \"${PROJECT_VERSION}\";\n")
configure_file(${PROJECT_BINARY_DIR}/library.cpp.in ${PROJECT_BINARY_DIR}/library.cpp COPYONLY)
target_sources(fathom_library PRIVATE ${PROJECT_BINARY_DIR}/library.cpp)
set_target_properties(fathom_library PROPERTIES OUTPUT_NAME fathom_all EXPORT_NAME fathom
  ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
add_dependencies(fathom_library ${room_targets})
# An archive is not made again because another archive changed; because its one source "changed" it is.
set_property(SOURCE ${PROJECT_BINARY_DIR}/library.cpp PROPERTY OBJECT_DEPENDS "${room_files}")
add_custom_command(TARGET fathom_library POST_BUILD
  COMMAND ${CMAKE_COMMAND} -DAR=${CMAKE_AR} -DOUT=$<TARGET_FILE:fathom_library> "-DARCHIVES=${room_archives}"
          -P ${PROJECT_SOURCE_DIR}/cmake/merge_archives.cmake VERBATIM)
target_include_directories(fathom_library INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(fathom_library INTERFACE cxx_std_20)
target_link_libraries(fathom_library INTERFACE Threads::Threads ZLIB::ZLIB JPEG::JPEG PNG::PNG)
add_library(Fathom::fathom ALIAS fathom_library)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Fathom)
install(TARGETS fathom_library EXPORT FathomTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/fathom DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT FathomTargets NAMESPACE Fathom:: DESTINATION ${config_dir})
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/FathomConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/FathomConfig.cmake ${PROJECT_BINARY_DIR}/FathomConfigVersion.cmake DESTINATION ${config_dir})

add_subdirectory(examples)
if(FATHOM_TESTS)
  add_subdirectory(tests)
endif()
if(FATHOM_FUZZ)
  add_subdirectory(fuzz)
endif()
include(${PROJECT_SOURCE_DIR}/cmake/bench.cmake OPTIONAL)
