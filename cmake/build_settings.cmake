# Flags, output folders and helpers that every folder shares.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Programs that look for each other (the CLI starts the daemon, tests start both) sit side by side,
# as they do when installed.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug or Release" FORCE)
endif()
# No -DNDEBUG: the assertions are part of the product. -g1: lines for backtraces; all of -g is a third
# of the time of a build.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g")
set(CMAKE_C_FLAGS_DEBUG "-Og -g")

# Who uses a handle from two threads at once is told (client/one_thread.hpp). The sanitizers' builds
# are such builds, too.
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_definitions(SHMQ_CHECK_THREADS)
endif()

# Carries the warnings to every target of ours, and to nobody who links the installed library.
add_library(shmq_warnings INTERFACE)
target_compile_options(
  shmq_warnings
  INTERFACE -Wall
            -Wextra
            -Wpedantic
            -Wshadow
            -Wconversion
            -Wsign-conversion
            # GCC 12 sees writes out of bounds in its own std::string (GCC bugs 105651, 105329).
            $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
            $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
            $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>
            $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>
            $<$<BOOL:${SHMQ_WERROR}>:-Werror>)

option(SHMQ_TEST_ALL "Build what `./dev test --all` runs" OFF)
if(SHMQ_SANITIZE)
  add_compile_options(-fsanitize=${SHMQ_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SHMQ_SANITIZE})
  # Line numbers are all a report needs; the rest of the debug information is build time.
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
  if(SHMQ_SANITIZE MATCHES "thread")
    # Reading what a fence orders is beyond this sanitizer, and GCC says so at every use.
    add_compile_options(-Wno-tsan)
  endif()
endif()

find_program(SHMQ_CCACHE ccache)
if(SHMQ_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The two sloppiness settings are what ccache asks for before it works with precompiled headers;
  # the others let several clones share what they compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=true ${SHMQ_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

# shmq_precompile(target header...): headers too heavy to parse once a file.
function(shmq_precompile target)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess)
  endif()
endfunction()

# shmq_sanitize_addresses_alone(target): checks for undefined behaviour double the time of a build, most
# of it in JSON's templates. They look at what shares memory, libshmq; `./dev test --all` has them everywhere.
function(shmq_sanitize_addresses_alone target)
  if(SHMQ_SANITIZE MATCHES "address" AND NOT SHMQ_TEST_ALL)
    target_compile_options(${target} PRIVATE -fno-sanitize=undefined)
  endif()
endfunction()

# shmq_reuse_precompiled(target first header...): the same for targets with the same flags, compiled
# once; `first` is the one that compiles them.
function(shmq_reuse_precompiled target first)
  if(target STREQUAL first OR NOT TARGET ${first})
    shmq_precompile(${target} ${ARGN})
    return()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${first})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess)
  endif()
endfunction()
