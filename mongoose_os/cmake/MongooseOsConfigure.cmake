# Builds mgos_configure, which reads mos.yml, with Cargo: for the machine that builds, whatever the libraries are for. Defines
# MGOS_CONFIGURE, its path, and the target mgos_configure.
set(MGOS_CONFIGURE_DIR "${MGOS_MQTT_CARGO_TARGET_DIR}/mgos_configure")
set(MGOS_CONFIGURE "${MGOS_CONFIGURE_DIR}/release/mgos_configure")
set(configure_package "${CMAKE_CURRENT_SOURCE_DIR}/configure")
file(GLOB configure_sources CONFIGURE_DEPENDS "${configure_package}/src/*.rs")
configure_file("${CMAKE_CURRENT_LIST_DIR}/configure_build.cmake.in" "${CMAKE_CURRENT_BINARY_DIR}/configure_build.cmake" @ONLY)
add_custom_command(OUTPUT "${MGOS_CONFIGURE}"
  COMMAND "${CMAKE_COMMAND}" -P "${CMAKE_CURRENT_BINARY_DIR}/configure_build.cmake"
  DEPENDS ${configure_sources} "${configure_package}/base.yml" "${configure_package}/Cargo.toml" "${configure_package}/Cargo.lock"
  COMMENT "Building mgos_configure with Cargo" VERBATIM)
add_custom_target(mgos_configure ALL DEPENDS "${MGOS_CONFIGURE}")

include("${CMAKE_CURRENT_LIST_DIR}/MongooseOsApp.cmake")
