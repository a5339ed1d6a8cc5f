# The C compiler for Cargo's build scripts, and its linker in a cross build. Sets
#   cargo_env                settings NAME=VALUE for Cargo's environment
#   compiler_maps_prefixes   whether the compiler knows -ffile-prefix-map

# Launchers (CMAKE_C_COMPILER_LAUNCHER, or CC="ccache gcc") and compilers with arguments (CC="gcc -m32") are several
# words. Cargo's linker and some build scripts do not accept that, so they get a script, which is one word.
separate_arguments(arguments UNIX_COMMAND "${CMAKE_C_COMPILER_ARG1}")
set(command ${CMAKE_C_COMPILER_LAUNCHER} "${CMAKE_C_COMPILER}" ${arguments})
list(LENGTH command words)
set(compiler "${CMAKE_C_COMPILER}")
if(words GREATER 1)
  list(TRANSFORM command REPLACE "'" "'\\\\''")
  list(JOIN command "' '" command)
  set(compiler "${PROJECT_BINARY_DIR}/cc")
  file(CONFIGURE OUTPUT "${compiler}" CONTENT "#!/bin/sh\nexec '${command}' \"$@\"\n" @ONLY)
  file(CHMOD "${compiler}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
endif()

set(cargo_env "")
if(MGOS_MQTT_RUST_TARGET)
  string(REPLACE "-" "_" triple "${MGOS_MQTT_RUST_TARGET}")
  string(TOUPPER "${triple}" triple_upper)
  list(APPEND cargo_env "CC_${triple}=${compiler}" "AR_${triple}=${CMAKE_AR}"
    "CARGO_TARGET_${triple_upper}_LINKER=${compiler}")
else()
  # Named only where Cargo would not find the same one by itself: a changed CC makes Cargo compile all C code again, in
  # each of the builds that share its directory. A link to a launcher may stand for any compiler.
  find_program(default_cc cc NO_CACHE)
  file(REAL_PATH "${compiler}" real_cc)
  if(default_cc)
    file(REAL_PATH "${default_cc}" default_cc)
  endif()
  if(NOT real_cc STREQUAL default_cc OR NOT real_cc MATCHES "[/-](cc|gcc|clang)(-[0-9.]+)?$")
    list(APPEND cargo_env "CC=${compiler}")
  endif()
endif()

include(CheckCCompilerFlag)
check_c_compiler_flag(-ffile-prefix-map=/from=/to compiler_maps_prefixes)
