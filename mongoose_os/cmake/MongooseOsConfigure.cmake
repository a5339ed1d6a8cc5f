# Builds mgos_configure, which reads mos.yml, with Cargo: for the machine that builds, whatever the libraries are for. Defines
# MGOS_CONFIGURE, its path, and the target mgos_configure.
set(MGOS_CONFIGURE_DIR "${MGOS_MQTT_CARGO_TARGET_DIR}/mgos_configure")
set(MGOS_CONFIGURE "${MGOS_CONFIGURE_DIR}/release/mgos_configure")
set(configure_package "${CMAKE_CURRENT_SOURCE_DIR}/configure")
file(GLOB configure_sources CONFIGURE_DEPENDS "${configure_package}/src/*.rs")
separate_arguments(configure_flags UNIX_COMMAND "${MGOS_MQTT_CARGO_FLAGS}")
add_custom_command(OUTPUT "${MGOS_CONFIGURE}"
  COMMAND "${CMAKE_COMMAND}" -E env "RUSTC=${MGOS_MQTT_RUSTC}" --unset=CARGO_BUILD_TARGET --unset=MAKEFLAGS --unset=MFLAGS
    "${MGOS_MQTT_CARGO}" build --locked --release --quiet --manifest-path "${configure_package}/Cargo.toml"
    --target-dir "${MGOS_CONFIGURE_DIR}" ${configure_flags}
  COMMAND "${CMAKE_COMMAND}" -E touch "${MGOS_CONFIGURE}" # Cargo leaves the time of what it did not build anew
  DEPENDS ${configure_sources} "${configure_package}/base.yml" "${configure_package}/Cargo.toml" "${configure_package}/Cargo.lock"
  COMMENT "Building mgos_configure with Cargo" VERBATIM)
add_custom_target(mgos_configure ALL DEPENDS "${MGOS_CONFIGURE}")

include("${CMAKE_CURRENT_LIST_DIR}/MongooseOsApp.cmake")
