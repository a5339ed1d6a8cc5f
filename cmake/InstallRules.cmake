# The install tree. It can be moved: neither the CMake package nor the .pc file has an absolute path
# (unless CMAKE_INSTALL_LIBDIR or CMAKE_INSTALL_INCLUDEDIR is absolute).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/mgos_mqtt")
set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(FILES "${MGOS_MQTT_LIB_DIR}/${MGOS_MQTT_SO_FILE}" "${MGOS_MQTT_LIB_DIR}/${MGOS_MQTT_SO_NAME}"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT lib)
install(FILES "${MGOS_MQTT_LIB_DIR}/libmgos_mqtt.so" "${MGOS_MQTT_LIB_DIR}/libmgos_mqtt.a"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev)
if(MGOS_MQTT_BUILD_PROGRAMS)
  list(TRANSFORM MGOS_MQTT_PROGRAMS PREPEND mgos_mqtt_ OUTPUT_VARIABLE programs)
  install(TARGETS ${programs} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
  install(FILES ${MGOS_MQTT_MAN_PAGES} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools)
endif()
install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

# valgrind's complaints about ring's assembly.
if(MGOS_MQTT_TLS)
  install(FILES cmake/valgrind.supp DESTINATION "${CMAKE_INSTALL_DATADIR}/mgos_mqtt" COMPONENT dev)
endif()

configure_package_config_file(cmake/mgos_mqttConfig.cmake.in "${PROJECT_BINARY_DIR}/mgos_mqttConfig.cmake"
  INSTALL_DESTINATION "${cmake_dir}" PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
set(compatibility SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
endif()
write_basic_package_version_file("${PROJECT_BINARY_DIR}/mgos_mqttConfigVersion.cmake" COMPATIBILITY ${compatibility})
install(FILES "${PROJECT_BINARY_DIR}/mgos_mqttConfig.cmake" "${PROJECT_BINARY_DIR}/mgos_mqttConfigVersion.cmake"
  DESTINATION "${cmake_dir}" COMPONENT dev)

# Directories of the .pc file, from its own place (pcfiledir) or as they are when absolute.
foreach(dir IN ITEMS LIBDIR INCLUDEDIR)
  set(PC_${dir} "${CMAKE_INSTALL_${dir}}")
  if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    set(PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH PC_PREFIX "/${pc_dir}" "/")
  string(REGEX REPLACE "/$" "" PC_PREFIX "\${pcfiledir}/${PC_PREFIX}")
endif()
list(JOIN MGOS_MQTT_NATIVE_LIBS " " PC_LIBS_PRIVATE)
list(TRANSFORM MGOS_MQTT_DEFINITIONS PREPEND -D OUTPUT_VARIABLE PC_DEFINITIONS)
list(JOIN PC_DEFINITIONS " " PC_DEFINITIONS)
configure_file(cmake/mgos_mqtt.pc.in "${PROJECT_BINARY_DIR}/mgos_mqtt.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/mgos_mqtt.pc" DESTINATION "${pc_dir}" COMPONENT dev)

# What the last installation wrote: cmake --build <directory> --target uninstall
if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(uninstall COMMAND "${CMAKE_COMMAND}" "-DMANIFEST=${PROJECT_BINARY_DIR}/install_manifest.txt"
    -P "${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake" VERBATIM)
endif()
