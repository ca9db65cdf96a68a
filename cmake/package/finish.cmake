# Runs between installing the components, each into its folder, and making packages of them.

# Not among the installed files: /etc is outside every prefix.
file(COPY ${CPACK_SHMQ_SOURCE}/daemon/shmqd.toml
     DESTINATION ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/daemon/etc/shmq)

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} upper)
  set(package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component}/usr/share)
  if(NOT EXISTS ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component}/usr)
    message(FATAL_ERROR "package ${package} has no files")
  endif()
  file(COPY ${CPACK_SHMQ_MADE}/copyright DESTINATION ${share}/doc/${package})
  configure_file(${CPACK_SHMQ_MADE}/changelog ${share}/doc/${package}/changelog.Debian COPYONLY)
  file(READ ${CPACK_SHMQ_SOURCE}/overrides overrides)
  if(EXISTS ${CPACK_SHMQ_SOURCE}/${component}/overrides)
    file(READ ${CPACK_SHMQ_SOURCE}/${component}/overrides of_component)
    string(APPEND overrides "${of_component}")
  endif()
  file(WRITE ${share}/lintian/overrides/${package} "${overrides}")
  file(GLOB compressed ${share}/man/man*/* ${share}/doc/${package}/changelog.Debian)
  execute_process(COMMAND gzip -9nf ${compressed} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
