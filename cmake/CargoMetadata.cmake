# Finds the Rust toolchain and reads Cargo.toml through it, so that version and features are written
# down in one place only. Defines
#   MGOS_MQTT_CARGO, MGOS_MQTT_RUSTC            the two programs
#   MGOS_MQTT_CARGO_VERSION, _DESCRIPTION
#   MGOS_MQTT_CARGO_FEATURES                    all features that can be chosen
#   MGOS_MQTT_CARGO_DEFAULT_<feature>           ON if it is a default one
#   mgos_feature_option(<variable> <feature>)   the name of a feature's CMake option

foreach(tool IN ITEMS cargo rustc)
  string(TOUPPER "MGOS_MQTT_${tool}" variable)
  find_program(${variable} ${tool} HINTS ENV CARGO_HOME PATHS "$ENV{HOME}/.cargo" PATH_SUFFIXES bin
    NO_CMAKE_FIND_ROOT_PATH DOC "The Rust toolchain's ${tool}")
  if(NOT ${variable})
    message(FATAL_ERROR "libmgos_mqtt is written in Rust, and '${tool}' was not found in PATH, CARGO_HOME/bin or ~/.cargo/bin. "
      "Install a Rust toolchain (usually with rustup), or set -D${variable}=/path/to/${tool}.")
  endif()
  mark_as_advanced(${variable})
endforeach()

set(_manifest "${CMAKE_CURRENT_LIST_DIR}/../Cargo.toml")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_manifest}")
execute_process(COMMAND "${MGOS_MQTT_CARGO}" metadata --no-deps --format-version 1 --manifest-path "${_manifest}"
  OUTPUT_VARIABLE _metadata ERROR_VARIABLE _error RESULT_VARIABLE _result)
if(NOT _result EQUAL 0)
  message(FATAL_ERROR "'${MGOS_MQTT_CARGO} metadata' failed; is a Rust toolchain installed and chosen?\n${_error}")
endif()
# The library's own package; the others are its parts.
string(JSON _last LENGTH "${_metadata}" packages)
math(EXPR _last "${_last} - 1")
foreach(_i RANGE ${_last})
  string(JSON _name GET "${_metadata}" packages ${_i} name)
  if(_name STREQUAL "mgos-mqtt")
    string(JSON _package GET "${_metadata}" packages ${_i})
  endif()
endforeach()
string(JSON MGOS_MQTT_CARGO_VERSION GET "${_package}" version)
string(JSON MGOS_MQTT_CARGO_DESCRIPTION GET "${_package}" description)
string(JSON _rust_wanted GET "${_package}" rust_version)

execute_process(COMMAND "${MGOS_MQTT_RUSTC}" --version OUTPUT_VARIABLE _rust_found ERROR_VARIABLE _error RESULT_VARIABLE _result)
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" _rust_found "${_rust_found}")
if(NOT _result EQUAL 0 OR NOT _rust_found)
  message(FATAL_ERROR "'${MGOS_MQTT_RUSTC} --version' failed:\n${_error}")
elseif(_rust_found VERSION_LESS _rust_wanted)
  message(FATAL_ERROR "Rust ${_rust_found} (${MGOS_MQTT_RUSTC}) is too old: libmgos_mqtt needs ${_rust_wanted} or newer.")
endif()

function(mgos_json_strings out json)
  set(strings "")
  string(JSON last LENGTH "${json}")
  math(EXPR last "${last} - 1")
  if(last GREATER_EQUAL 0)
    foreach(i RANGE ${last})
      string(JSON item GET "${json}" ${i})
      list(APPEND strings "${item}")
    endforeach()
  endif()
  set(${out} "${strings}" PARENT_SCOPE)
endfunction()

# `capi` is what makes it a C library, so it is always on. No function in C reaches `store` yet, so it is never.
set(MGOS_MQTT_CARGO_FEATURES "")
string(JSON _features GET "${_package}" features)
string(JSON _default GET "${_features}" default)
mgos_json_strings(_default "${_default}")
string(JSON _last LENGTH "${_features}")
math(EXPR _last "${_last} - 1")
foreach(_i RANGE ${_last})
  string(JSON _feature MEMBER "${_features}" ${_i})
  if(NOT _feature MATCHES "^(default|capi|store)$")
    list(APPEND MGOS_MQTT_CARGO_FEATURES "${_feature}")
    set(MGOS_MQTT_CARGO_DEFAULT_${_feature} OFF)
    if(_feature IN_LIST _default)
      set(MGOS_MQTT_CARGO_DEFAULT_${_feature} ON)
    endif()
  endif()
endforeach()

function(mgos_feature_option out feature)
  string(TOUPPER "MGOS_MQTT_${feature}" name)
  string(REPLACE "-" "_" name "${name}")
  set(${out} "${name}" PARENT_SCOPE)
endfunction()
