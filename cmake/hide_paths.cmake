# Included by cargo_build.cmake. Removes the builder's directories from the compiled code: panics name files of crates
# and of the standard library, and debug information names all files, so a build in another place would differ.
#
#   mgos_hide_paths(<result> RUSTC <program> SOURCE <dir> TARGET_DIR <dir> RUST_TARGET <triple> MAP_C <bool>)
#
# sets flags for the compilers in the environment, and <result> to options for Cargo.

# What rustc reports about itself: the rest of the line that begins with KEY.
function(mgos_rustc_says result rustc key)
  execute_process(COMMAND "${rustc}" --version --verbose OUTPUT_VARIABLE text)
  set(${result} unknown PARENT_SCOPE)
  if(text MATCHES "\n${key}: ([^\n]*)")
    set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
  endif()
endfunction()

function(mgos_hide_paths result)
  cmake_parse_arguments(arg "" "RUSTC;SOURCE;TARGET_DIR;RUST_TARGET;MAP_C" "" ${ARGN})
  execute_process(COMMAND "${arg_RUSTC}" --print sysroot OUTPUT_VARIABLE sysroot OUTPUT_STRIP_TRAILING_WHITESPACE)
  mgos_rustc_says(commit "${arg_RUSTC}" commit-hash)
  set(cargo_home "$ENV{HOME}/.cargo")
  if(NOT "$ENV{CARGO_HOME}" STREQUAL "")
    set(cargo_home "$ENV{CARGO_HOME}")
  endif()

  # Where one directory is inside another, the later option applies. The standard library's sources have rustc's name
  # for them, except where they are installed beside it.
  set(dirs "${sysroot}/lib/rustlib/src/rust" "${cargo_home}" "${arg_SOURCE}" "${arg_TARGET_DIR}")
  set(names "/rustc/${commit}" /cargo . target)
  set(rust_flags "")
  set(c_flags "")
  foreach(given name IN ZIP_LISTS dirs names)
    file(REAL_PATH "${given}" real)
    foreach(dir IN ITEMS "${real}" "${given}")
      list(APPEND rust_flags "--remap-path-prefix=${dir}=${name}")
      # CFLAGS are divided at spaces.
      if(NOT dir MATCHES "[ \t]")
        list(APPEND c_flags "-ffile-prefix-map=${dir}=${name}")
      endif()
    endforeach()
  endforeach()

  if(arg_MAP_C)
    list(JOIN c_flags " " c_flags)
    set(ENV{CFLAGS} "$ENV{CFLAGS} ${c_flags}")
  endif()

  # Cargo takes the flags from the first of these places that has any, so ours are added where the builder's
  # are.
  set(options "")
  string(ASCII 31 separator)
  list(JOIN rust_flags "${separator}" encoded)
  set(triple "${arg_RUST_TARGET}")
  if(triple STREQUAL "")
    mgos_rustc_says(triple "${arg_RUSTC}" host)
  endif()
  string(TOUPPER "CARGO_TARGET_${triple}_RUSTFLAGS" of_target)
  string(REPLACE "-" "_" of_target "${of_target}")
  list(TRANSFORM rust_flags REPLACE "([\"\\\\])" "\\\\\\1")
  list(JOIN rust_flags "\",\"" array)
  if(NOT "$ENV{CARGO_ENCODED_RUSTFLAGS}" STREQUAL "")
    set(ENV{CARGO_ENCODED_RUSTFLAGS} "$ENV{CARGO_ENCODED_RUSTFLAGS}${separator}${encoded}")
  elseif(NOT "$ENV{RUSTFLAGS}" STREQUAL "")
    string(REGEX REPLACE "[ \t]+" "${separator}" flags "$ENV{RUSTFLAGS}")
    set(ENV{CARGO_ENCODED_RUSTFLAGS} "${flags}${separator}${encoded}")
  elseif(NOT "$ENV{${of_target}}" STREQUAL "")
    set(options --config "target.${triple}.rustflags=[\"${array}\"]")
  else()
    set(options --config "build.rustflags=[\"${array}\"]")
  endif()
  set(${result} "${options}" PARENT_SCOPE)
endfunction()
