# Everything here is a package of Debian 12; `./dev` knows their names and installs them.

find_package(Threads REQUIRED)
find_package(Boost 1.74 REQUIRED) # headers alone: Boost.Interprocess maps, and does nothing else
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(fmt 9.1 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBURING REQUIRED IMPORTED_TARGET liburing>=2.3)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8) # its header; nothing is linked
pkg_check_modules(NCURSES REQUIRED IMPORTED_TARGET ncursesw) # shmq top

pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus>=3.3)

if(SHMQ_TESTS STREQUAL "AUTO")
  find_package(GTest 1.12 QUIET)
  set(SHMQ_TESTS ${GTest_FOUND})
elseif(SHMQ_TESTS)
  find_package(GTest 1.12 REQUIRED)
endif()

if(SHMQ_BENCH STREQUAL "AUTO")
  find_package(benchmark 1.7 QUIET)
  set(SHMQ_BENCH ${benchmark_FOUND})
elseif(SHMQ_BENCH)
  find_package(benchmark 1.7 REQUIRED)
endif()
