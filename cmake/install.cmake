# What an installed shmq is: the library with its headers, two programs, and two ways to find them. The
# components are the packages of package.cmake; `cmake --install` has them all.

if(NOT TARGET shmq)
  return()
endif()
include(CMakePackageConfigHelpers)

install(
  TARGETS shmq
  EXPORT shmq
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
          COMPONENT library
          NAMELINK_COMPONENT development)
install(
  DIRECTORY ${PROJECT_SOURCE_DIR}/libshmq/include/shmq
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT development)
foreach(program shmqd shmq-keeper shmq_cli)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT daemon)
  endif()
endforeach()
foreach(section 1 3 5 7 8)
  file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.${section})
  set(component daemon)
  if(section EQUAL 3)
    set(component development)
  endif()
  install(
    FILES ${pages}
    DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section}
    COMPONENT ${component})
endforeach()
# Where systemd looks for units, below /usr and /usr/local. The prefix is known when it is installed.
set(shmq_units ${PROJECT_SOURCE_DIR}/daemon/systemd)
install(
  CODE "set(SHMQ_BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
configure_file(\"${shmq_units}/shmqd.service.in\" \"${PROJECT_BINARY_DIR}/install/shmqd.service\" @ONLY)
configure_file(\"${shmq_units}/user/shmqd.service.in\" \"${PROJECT_BINARY_DIR}/install/user/shmqd.service\" @ONLY)"
  COMPONENT daemon)
install(FILES ${PROJECT_BINARY_DIR}/install/shmqd.service ${shmq_units}/shmqd.socket
        DESTINATION lib/systemd/system COMPONENT daemon)
install(FILES ${PROJECT_BINARY_DIR}/install/user/shmqd.service ${shmq_units}/user/shmqd.socket
        DESTINATION lib/systemd/user COMPONENT daemon)
install(FILES ${shmq_units}/shmq.sysusers DESTINATION lib/sysusers.d COMPONENT daemon RENAME shmq.conf)
install(FILES ${shmq_units}/shmq.tmpfiles DESTINATION lib/tmpfiles.d COMPONENT daemon RENAME shmq.conf)
install(FILES ${PROJECT_SOURCE_DIR}/cli/completion/shmq.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT daemon RENAME shmq)
install(FILES ${PROJECT_SOURCE_DIR}/cli/completion/_shmq
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT daemon)
install(FILES ${PROJECT_SOURCE_DIR}/cli/completion/shmq.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT daemon)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/shmq)
configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/shmq-config.cmake.in ${PROJECT_BINARY_DIR}/cmake/shmq-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/shmq-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cmake/shmq-config.cmake
              ${PROJECT_BINARY_DIR}/cmake/shmq-config-version.cmake DESTINATION ${package_dir} COMPONENT development)
install(EXPORT shmq NAMESPACE shmq:: FILE shmq-targets.cmake DESTINATION ${package_dir}
        COMPONENT development)

# The .pc file finds its prefix from where it lies, so an installed tree can be moved as a whole.
file(RELATIVE_PATH shmq_pc_to_prefix ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig
     ${CMAKE_INSTALL_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/shmq.pc.in ${PROJECT_BINARY_DIR}/cmake/shmq.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cmake/shmq.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)
