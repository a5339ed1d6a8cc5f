#!/usr/bin/env bash
# One way to use the library, from the outside: tests/package.sh <part>. ctest runs the parts and
# sets what they are told through the environment; see tests/CMakeLists.txt.
set -euo pipefail
: "${SOURCE:?}" "${BUILD:?}" "${WORK:?}" "${CMAKE:?}" "${CC:?}" "${RUSTC:?}" "${LIBDIR:?}" "${VERSION:?}" \
  "${SO_FILE:?}" "${SO_NAME:?}" "${FEATURES:?}" "${CARGO_DIR:?}" "${CONFIG?}"

rm -rf "$WORK"
mkdir -p "$WORK"
cd "$WORK"
PREFIX=$WORK/moved
IFS=, read -ra features <<<"$FEATURES" # what the programs must find built in

fail() {
  echo "package: $*" >&2
  exit 1
}

# Installs the library and moves the result, so that no file can rely on where it was.
install_moved() {
  "$CMAKE" --install "$BUILD" --prefix "$WORK/installed" ${CONFIG:+--config "$CONFIG"} >"$WORK/install.log"
  mv "$WORK/installed" "$PREFIX"
  if grep -rIlF -e "$WORK/installed" -e "$BUILD" -e "$SOURCE" "$PREFIX"; then
    fail "these installed files name a directory of the build"
  fi
}

# Builds tests/consumer in the given way and runs its three programs.
consume() {
  local way=$1
  shift
  "$CMAKE" -S "$SOURCE/tests/consumer" -B app -DWAY="$way" -DCMAKE_C_COMPILER="$CC" -DCMAKE_BUILD_TYPE="$CONFIG" "$@"
  "$CMAKE" --build app
  run app/app_shared shared
  run app/app_static static
  run app/app_mgos_mqtt either
}

# Runs a program and looks whether it loads the shared library.
run() {
  local program=$1 kind=$2 loads=static
  if readelf -d "$program" | grep -q "NEEDED.*$SO_NAME"; then loads=shared; fi
  case $kind in
    either) ;;
    *) [ "$kind" = $loads ] || fail "$program should be linked with the $kind library" ;;
  esac
  [ "$("./$program" "${features[@]}")" = "$VERSION" ] || fail "$program does not print $VERSION, or lacks a feature of $FEATURES"
  echo "package: $program ($loads) runs"
}

case ${1:?} in
  files)
    install_moved
    {
      (cd "$SOURCE/include" && find . -name '*.h' -printf 'include/%f\n')
      printf '%s\n' "$LIBDIR"/{libmgos_mqtt.a,libmgos_mqtt.so,"$SO_NAME","$SO_FILE",pkgconfig/mgos_mqtt.pc} \
        "$LIBDIR"/cmake/mgos_mqtt/mgos_mqttConfig{,Version}.cmake bin/mgos_mqtt_{pub,sub}
    } | sort >expected
    (cd "$PREFIX" && find . ! -type d -printf '%P\n') | sort >found
    diff -u expected found || fail "the installed files are not the expected ones"
    [ "$(readlink "$PREFIX/$LIBDIR/libmgos_mqtt.so")" = "$SO_NAME" ] || fail "libmgos_mqtt.so is no link to $SO_NAME"
    [ "$(readlink "$PREFIX/$LIBDIR/$SO_NAME")" = "$SO_FILE" ] || fail "$SO_NAME is no link to $SO_FILE"
    readelf -d "$PREFIX/$LIBDIR/$SO_FILE" >dynamic
    grep -q "SONAME.*\[$SO_NAME\]" dynamic || fail "the SONAME is not $SO_NAME"
    ;;
  openssl) # linked with pre-shared keys, and else not even mentioned
    install_moved
    readelf -d "$PREFIX/$LIBDIR/$SO_FILE" >dynamic
    needed=$(grep -cE 'NEEDED.*\[lib(ssl|crypto)\.' dynamic || true)
    named=$(grep -cE '^Libs.private:.* ?-lssl -lcrypto( |$)' "$PREFIX/$LIBDIR/pkgconfig/mgos_mqtt.pc" || true)
    case ,$FEATURES, in
      *,psk,*) [ "$needed $named" = "2 1" ] || fail "OpenSSL is missing among what the libraries need" ;;
      *)
        [ "$needed $named" = "0 0" ] || fail "OpenSSL is linked without the feature psk"
        if readelf --syms --wide "$PREFIX/$LIBDIR/libmgos_mqtt.a" | grep -E ' UND (SSL|EVP|CRYPTO|OPENSSL)_' | grep -v ring_core; then
          fail "the static library wants OpenSSL without the feature psk"
        fi
        ;;
    esac
    ;;
  find_package)
    install_moved
    consume find_package -DCMAKE_PREFIX_PATH="$PREFIX" -DVERSION="${VERSION%.*}" -DFEATURES="${FEATURES//,/;}"
    # The other choice, by the variable CMake has for it.
    for choice in ON:shared OFF:static; do
      rm -rf app
      consume find_package -DCMAKE_PREFIX_PATH="$PREFIX" -DBUILD_SHARED_LIBS=${choice%:*}
      run app/app_mgos_mqtt ${choice#*:}
    done
    ;;
  examples) # c_examples/ alone, as somebody would build a copy of it
    install_moved
    "$CMAKE" -S "$SOURCE/c_examples" -B examples -DCMAKE_PREFIX_PATH="$PREFIX" -DCMAKE_C_COMPILER="$CC" -DCMAKE_BUILD_TYPE="$CONFIG"
    "$CMAKE" --build examples
    (cd examples && ctest --output-on-failure -R 'version|publish')
    ;;
  add_subdirectory | fetch_content)
    features=(capi) # the others are the default ones there
    consume "$1" -DSOURCE="$SOURCE" -DMGOS_MQTT_CARGO_TARGET_DIR="$CARGO_DIR"
    ;;
  pkg_config)
    install_moved
    export PKG_CONFIG_PATH=$PREFIX/$LIBDIR/pkgconfig
    [ "$(pkg-config --modversion mgos_mqtt)" = "$VERSION" ] || fail "pkg-config has another version"
    # shellcheck disable=SC2046 # the words are the flags
    "$CC" "$SOURCE/tests/consumer/main.c" $(pkg-config --cflags --libs mgos_mqtt) -Wl,-rpath,"$PREFIX/$LIBDIR" -o app_shared
    run app_shared shared
    # The linker takes the shared library where it finds both.
    rm "$PREFIX/$LIBDIR"/libmgos_mqtt.so*
    # shellcheck disable=SC2046
    "$CC" "$SOURCE/tests/consumer/main.c" $(pkg-config --static --cflags --libs mgos_mqtt) -o app_static
    run app_static static
    ;;
  two_rust_libraries)
    install_moved
    # With fat LTO, the case that clashes unless ours keeps its names to itself (rust#44322).
    rust=("$RUSTC" --edition 2024 --crate-type staticlib -C lto=fat -C opt-level=3 -C codegen-units=1)
    "${rust[@]}" -o libsecond.a "$SOURCE/tests/package/second.rs"
    "${rust[@]}" --cfg third -o libthird_all.a "$SOURCE/tests/package/second.rs"
    sh "$SOURCE/cmake/localise.sh" third_ libthird_all.a libthird.a
    ours=$PREFIX/$LIBDIR/libmgos_mqtt.a
    link_and_run() {
      "$CC" -I"$PREFIX/include" "$SOURCE/tests/package/two_libraries.c" "$@" -lgcc_s -lpthread -lm -ldl -lc -o program
      ./program || fail "the program fails with: $*"
      echo "package: runs with: $*"
    }
    link_and_run "$ours" libsecond.a
    link_and_run libsecond.a "$ours"
    link_and_run -DTHIRD libthird.a "$ours" libsecond.a
    link_and_run -DTHIRD libsecond.a "$ours" libthird.a
    ;;
  dlopen)
    install_moved
    readelf -d "$PREFIX/$LIBDIR/$SO_FILE" | grep -q 'FLAGS_1.*NODELETE' || fail "the library is not marked as never to be unloaded"
    "$CC" -Wall -Wextra -Werror "$SOURCE/tests/package/dlopen.c" -o plugin_host -lpthread -ldl
    ./plugin_host "$PREFIX/$LIBDIR/$SO_NAME"
    # Two copies in one process, as two plugins bring them.
    cp "$PREFIX/$LIBDIR/$SO_FILE" copy.so
    ./plugin_host "$PREFIX/$LIBDIR/$SO_NAME" ./copy.so
    ;;
  *) fail "no part '$1'" ;;
esac
