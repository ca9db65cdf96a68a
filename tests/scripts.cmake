# Suites that are scripts, or that look at sources and at the installed tree.

# shmq_add_python_tests(label): the daemon and the CLI, driven as their users drive them
function(shmq_add_python_tests label)
  file(GLOB scripts CONFIGURE_DEPENDS ${label}/*_test.py)
  if(TARGET shmqd AND TARGET shmq_cli)
    foreach(script IN LISTS scripts)
      get_filename_component(name ${script} NAME_WE)
      shmq_add_test(${label}.${name} ${label} 120 ${Python3_EXECUTABLE} ${script})
    endforeach()
  endif()
endfunction()
shmq_add_python_tests(contract)

# The rest would find nothing more in a sanitizer build, so it runs once.
if(SHMQ_SANITIZE)
  return()
endif()

# Instructions of the hot calls, counted.
if(TARGET shmqd)
  add_executable(hot_calls budget/hot_calls.cpp)
  target_link_libraries(hot_calls PRIVATE shmq_static shmq_warnings)
  shmq_add_python_tests(budget)
endif()

if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/model/run.sh)
  shmq_add_test(model model 600 ${CMAKE_CURRENT_SOURCE_DIR}/model/run.sh)
endif()

file(GLOB scripts CONFIGURE_DEPENDS e2e/*.sh)
foreach(script IN LISTS scripts)
  get_filename_component(name ${script} NAME_WE)
  if(name MATCHES "^chaos")
    shmq_add_test(chaos.${name} chaos 300 ${script})
  else()
    shmq_add_test(e2e.${name} e2e 120 ${script})
  endif()
endforeach()

shmq_add_python_tests(e2e)

# Each boots a machine of its own, of packages that only the long forms install.
if(SHMQ_TEST_ALL)
  shmq_add_python_tests(guest)
endif()

if(TARGET shmq AND TARGET shmqd AND EXISTS
                                    ${CMAKE_CURRENT_SOURCE_DIR}/e2e/package_consumer/main.cpp)
  shmq_add_test(
    e2e.package_consumer e2e 180 ${CMAKE_CURRENT_SOURCE_DIR}/e2e/package_consumer/run.sh
    ${PROJECT_BINARY_DIR} ${CMAKE_COMMAND} ${CMAKE_CXX_COMPILER})
endif()

# Each public header alone, first and last in its file, in the language we promise.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/libshmq/include/shmq/*.h*)
foreach(header IN LISTS headers)
  file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/libshmq/include/shmq ${header})
  foreach(language c++20 c99)
    if(language STREQUAL "c99")
      if(NOT name MATCHES "\\.h$")
        continue()
      endif()
      set(compiler ${CMAKE_C_COMPILER} -x c)
    else()
      set(compiler ${CMAKE_CXX_COMPILER} -x c++)
    endif()
    shmq_add_test(
      tidy.header.${name}.${language} tidy 60 ${compiler} -std=${language} -fsyntax-only -Wall
      -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror
      -I${PROJECT_SOURCE_DIR}/libshmq/include -include ${header} /dev/null)
  endforeach()
endforeach()

if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/tidy/tidy.py)
  shmq_add_test(tidy.tree tidy 60 ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tidy/tidy.py)
  shmq_add_test(tidy.rules tidy 60 ${Python3_EXECUTABLE}
                ${CMAKE_CURRENT_SOURCE_DIR}/tidy/tidy_test.py)
endif()
