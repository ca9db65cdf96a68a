# Four Debian packages, one a component of install.cmake: `./dev package`. What no package of Debian may
# lack and CMake does not install (copyright, changelog, overrides, compressed manual pages) comes from
# package/finish.cmake, once all components lie in their folders.

set(SHMQ_PACKAGE_REVISION 1 CACHE STRING "Counts the packages of one version; an upgrade needs a higher one")
set(SHMQ_PACKAGE_MAINTAINER "The shmq authors <shmq@example.org>" CACHE STRING "Who answers for the packages")
set(SHMQ_PACKAGE_HOMEPAGE "https://example.org/shmq" CACHE STRING "Where the packages say that shmq is at home")

set(package_source ${PROJECT_SOURCE_DIR}/cmake/package)
set(package_made ${PROJECT_BINARY_DIR}/package)
set(package_version ${PROJECT_VERSION}-${SHMQ_PACKAGE_REVISION})

set(CPACK_GENERATOR DEB)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_COMPONENTS_ALL library development daemon python)
set(CPACK_PACKAGE_NAME shmq)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${package_source}/finish.cmake)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SOURCE shmq)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${SHMQ_PACKAGE_REVISION})
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${SHMQ_PACKAGE_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE ${SHMQ_PACKAGE_HOMEPAGE})
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The Python package needs a library that no package has yet; what it depends on is said below.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})

# A description begins with its own summary, a line a package.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(about "A message queue between the processes of one Linux host, in shared memory,
with the guarantees of a broker: every message is acked, redelivered when
its consumer dies, and never lost to a crash of another process.")

# shmq_package(component name summary text): what follows is set by name
macro(shmq_package component name summary text)
  string(TOUPPER ${component} shmq_upper)
  set(CPACK_DEBIAN_${shmq_upper}_PACKAGE_NAME ${name})
  set(CPACK_DEBIAN_${shmq_upper}_DESCRIPTION "shared-memory message queue - ${summary}\n${about}\n\n${text}")
endmacro()

shmq_package(library libshmq1 "library" "This package has the library that programs are linked with.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS shmq)

shmq_package(development libshmq-dev "headers"
 "This package has the headers of the C++ and the C API, what CMake and
pkg-config need to find them, and their manual page.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libshmq1 (= ${package_version})")

shmq_package(daemon shmq "daemon and command line"
             "This package has the daemon that supervises the queues, its keeper, its
units for systemd, and the command line.")
set(CPACK_DEBIAN_DAEMON_PACKAGE_DEPENDS
    "init-system-helpers (>= 1.54~), systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_DAEMON_PACKAGE_CONTROL_EXTRA
    ${package_source}/daemon/conffiles ${package_source}/daemon/postinst
    ${package_source}/daemon/prerm ${package_source}/daemon/postrm)

shmq_package(python python3-shmq "Python package"
             "This package has the module for Python: blocking, iterating and asyncio,
without copying payloads.")
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PYTHON_PACKAGE_RECOMMENDS shmq)
set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_EXTRA
    ${package_source}/python/postinst ${package_source}/python/prerm)

# A native module is of one minor version of Python.
execute_process(
  COMMAND ${SHMQ_PYTHON_PROGRAM} -c "import sys; a, b = sys.version_info[:2]; print(f'python3 (>= {a}.{b}~), python3 (<< {a}.{b + 1})')"
  OUTPUT_VARIABLE of_python
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "${of_python}, libshmq1 (>= ${PROJECT_VERSION})")

# What a program needs of libshmq1 is the version that its symbols came with: a node of libshmq.map each.
set(release_of_SHMQ_1.0 0.1.0)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/libshmq/libshmq.symbols)
file(STRINGS ${PROJECT_SOURCE_DIR}/libshmq/libshmq.symbols names REGEX "@")
set(nodes ${names})
list(TRANSFORM nodes REPLACE ".*@" "")
list(REMOVE_DUPLICATES nodes)
set(symbols "libshmq.so.1 libshmq1 #MINVER#\n* Build-Depends-Package: libshmq-dev\n")
foreach(node IN LISTS nodes)
  if(NOT DEFINED release_of_${node})
    message(FATAL_ERROR "cmake/package.cmake: which release did ${node} come with?")
  endif()
  string(APPEND symbols " ${node}@${node} ${release_of_${node}}\n")
endforeach()
foreach(name IN LISTS names)
  string(REGEX REPLACE ".*@" "" node ${name})
  string(APPEND symbols " ${name} ${release_of_${node}}\n")
endforeach()
file(WRITE ${package_made}/library/symbols ${symbols})
file(WRITE ${package_made}/library/shlibs "libshmq 1 libshmq1 (>= ${PROJECT_VERSION})\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA
    ${package_made}/library/symbols ${package_made}/library/shlibs ${package_source}/library/triggers)

configure_file(${package_source}/changelog.in ${package_made}/changelog @ONLY)
configure_file(${package_source}/copyright ${package_made}/copyright COPYONLY)
set(CPACK_SHMQ_SOURCE ${package_source})
set(CPACK_SHMQ_MADE ${package_made})
include(CPack)
