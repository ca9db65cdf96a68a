# The doors of the other languages, against the shared library as users have it.

if(NOT TARGET shmq OR NOT TARGET shmqd)
  return()
endif()

# Plain C programs, each run beside a daemon of its own. Users' compilers may be strict.
file(GLOB c_tests CONFIGURE_DEPENDS contract/*_test.c)
foreach(source IN LISTS c_tests)
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  set_target_properties(${name} PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)
  target_compile_options(${name} PRIVATE -pedantic)
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE shmq::shmq shmq_warnings)
  shmq_add_test(contract.${name} contract 60 ${CMAKE_CURRENT_SOURCE_DIR}/support/run_example.sh
                $<TARGET_FILE:shmqd> $<TARGET_FILE:${name}>)
  if(SHMQ_SANITIZE AND "contract" IN_LIST sanitizer_labels)
    add_dependencies(sanitizer_suites ${name})
  endif()
endforeach()

# Other builds inline other things: what is promised is what is released.
if(NOT SHMQ_SANITIZE AND CMAKE_BUILD_TYPE STREQUAL "Release")
  shmq_add_test(contract.abi contract 60 ${Python3_EXECUTABLE}
                ${CMAKE_CURRENT_SOURCE_DIR}/contract/abi.py $<TARGET_FILE:shmq>)
endif()

# The Python package, under the Python that it is for.
if(TARGET shmq_python AND TARGET shmq_cli)
  file(GLOB python_tests CONFIGURE_DEPENDS python/*_test.py)
  foreach(script IN LISTS python_tests)
    get_filename_component(name ${script} NAME_WE)
    shmq_add_test(contract.python_${name} contract 120 ${SHMQ_PYTHON_PROGRAM} ${script})
    set_property(TEST contract.python_${name} APPEND PROPERTY ENVIRONMENT
                 "PYTHONPATH=${PROJECT_BINARY_DIR}/python")
  endforeach()
endif()
