# The two libraries, built by Cargo, as imported targets. Defines for the install rules and tests
#   MGOS_MQTT_SO_FILE, MGOS_MQTT_SO_NAME   libmgos_mqtt.so.1.2.3, libmgos_mqtt.so.1
#   MGOS_MQTT_LIB_DIR                      where they lie in the build tree (may hold $<CONFIG>)
#   MGOS_MQTT_NATIVE_LIBS                  what a program with the static library links besides
#   MGOS_MQTT_FEATURES_ON                  the Cargo features that were chosen
#   MGOS_MQTT_DEFINITIONS                  what programs are compiled with, as the build tool of Mongoose OS does

# Compared with rustc's own list by the test package.native_libs. That also names the library that unwinds, as the shared
# one; the C compiler links it by itself, and knows which one fits (-static, -static-libgcc, another runtime).
set(MGOS_MQTT_NATIVE_LIBS -lutil -lrt -lpthread -lm -ldl -lc)
if(MGOS_MQTT_PSK)
  list(PREPEND MGOS_MQTT_NATIVE_LIBS -lssl -lcrypto)
endif()

if(CMAKE_CROSSCOMPILING AND NOT MGOS_MQTT_RUST_TARGET)
  message(FATAL_ERROR "This is a cross build: set MGOS_MQTT_RUST_TARGET to Rust's name of the target, e.g. "
    "aarch64-unknown-linux-gnu (the files in cmake/toolchains/ do).")
endif()

set(MGOS_MQTT_SO_FILE "libmgos_mqtt.so.${PROJECT_VERSION}")
# The minor version breaks compatibility while the major one is 0.
set(MGOS_MQTT_SO_NAME "libmgos_mqtt.so.${PROJECT_VERSION_MAJOR}")
if(PROJECT_VERSION_MAJOR EQUAL 0)
  string(APPEND MGOS_MQTT_SO_NAME ".${PROJECT_VERSION_MINOR}")
endif()

set(MGOS_MQTT_DEFINITIONS MGOS_HAVE_MQTT=1)
set(MGOS_MQTT_FEATURES_ON capi)
foreach(feature IN LISTS MGOS_MQTT_CARGO_FEATURES)
  mgos_feature_option(option ${feature})
  # A key exchange for TLS is on by default; it does not turn TLS on.
  if(${option} AND (MGOS_MQTT_TLS OR NOT feature STREQUAL "pq"))
    list(APPEND MGOS_MQTT_FEATURES_ON ${feature})
  endif()
endforeach()
list(JOIN MGOS_MQTT_FEATURES_ON "," cargo_features)

include(CargoCompiler) # cargo_env
list(TRANSFORM cargo_env PREPEND "\"")
list(TRANSFORM cargo_env APPEND "\"")
list(JOIN cargo_env " " cargo_env)

get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
set(MGOS_MQTT_LIB_DIR "${PROJECT_BINARY_DIR}/lib")
if(multi_config)
  string(APPEND MGOS_MQTT_LIB_DIR "/$<CONFIG>")
endif()

configure_file("${CMAKE_CURRENT_LIST_DIR}/cargo_build.cmake.in" "${PROJECT_BINARY_DIR}/cargo_build.cmake" @ONLY)
# Cargo knows what is out of date, so it always runs; the files here change only if Cargo's did.
set(jobserver "")
if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.28)
  set(jobserver JOB_SERVER_AWARE ON)
endif()
add_custom_target(mgos_mqtt_cargo ALL
  COMMAND "${CMAKE_COMMAND}" "-DCONFIG=$<CONFIG>" "-DLIB_DIR=${MGOS_MQTT_LIB_DIR}" -P "${PROJECT_BINARY_DIR}/cargo_build.cmake"
  BYPRODUCTS "${MGOS_MQTT_LIB_DIR}/${MGOS_MQTT_SO_FILE}" "${MGOS_MQTT_LIB_DIR}/libmgos_mqtt.a"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" COMMENT "Building libmgos_mqtt with Cargo"
  USES_TERMINAL ${jobserver} VERBATIM)

add_library(mgos_mqtt_shared SHARED IMPORTED GLOBAL)
add_library(mgos_mqtt_static STATIC IMPORTED GLOBAL)
foreach(config IN LISTS CMAKE_CONFIGURATION_TYPES ITEMS "")
  string(TOUPPER "${config}" suffix)
  set(dir "${PROJECT_BINARY_DIR}/lib")
  if(config)
    string(PREPEND suffix "_")
    string(APPEND dir "/${config}")
  endif()
  set_target_properties(mgos_mqtt_shared PROPERTIES
    IMPORTED_LOCATION${suffix} "${dir}/${MGOS_MQTT_SO_FILE}" IMPORTED_SONAME${suffix} "${MGOS_MQTT_SO_NAME}")
  set_target_properties(mgos_mqtt_static PROPERTIES IMPORTED_LOCATION${suffix} "${dir}/libmgos_mqtt.a")
endforeach()
set_target_properties(mgos_mqtt_static PROPERTIES INTERFACE_LINK_LIBRARIES "${MGOS_MQTT_NATIVE_LIBS}")
foreach(kind IN ITEMS shared static)
  set_target_properties(mgos_mqtt_${kind} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include"
    INTERFACE_COMPILE_DEFINITIONS "${MGOS_MQTT_DEFINITIONS}")
  add_dependencies(mgos_mqtt_${kind} mgos_mqtt_cargo)
  add_library(mgos_mqtt::${kind} ALIAS mgos_mqtt_${kind})
endforeach()
if(BUILD_SHARED_LIBS)
  add_library(mgos_mqtt::mgos_mqtt ALIAS mgos_mqtt_shared)
else()
  add_library(mgos_mqtt::mgos_mqtt ALIAS mgos_mqtt_static)
endif()
