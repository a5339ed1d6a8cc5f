#!/usr/bin/env bash
# One way to build or use the library, from the outside: tests/package.sh <part>. ctest runs the parts and
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
  if grep -q "NEEDED.*$SO_NAME" <<<"$(readelf -d "$program")"; then loads=shared; fi
  case $kind in
    either) ;;
    *) [ "$kind" = $loads ] || fail "$program should be linked with the $kind library" ;;
  esac
  local said
  said=$("./$program" "${features[@]}") || fail "$program lacks a feature of $FEATURES"
  [ "$said" = "$VERSION" ] || fail "$program prints '$said' instead of $VERSION"
  echo "package: $program ($loads) runs"
}

# Configures something that has to fail, and say why in these words.
refused() { # refused TEXT CMAKE-ARGUMENT...
  local text=$1
  shift
  rm -rf refused
  if "$CMAKE" -B refused -DCMAKE_C_COMPILER="$CC" "$@" >refused.log 2>&1; then fail "accepted: $*"; fi
  tr -s ' \n' ' ' <refused.log | grep -qF -- "$text" || fail "'$*' does not say '$text': $(cat refused.log)"
}

# Fails where a file or directory names one of the places where things were built.
hides_paths() { # hides_paths FILE...
  local place
  for place in "$SOURCE" "$BUILD" "$CARGO_DIR" "${CARGO_HOME:-$HOME/.cargo}" "$("$RUSTC" --print sysroot)"; do
    if grep -rlaF -e "$place" "$@"; then fail "these files name $place"; fi
  done
}

# Builds a copy of the source in a directory of its own, as quickly as it goes, with a CARGO_HOME in there, too.
build_copy() { # build_copy DIRECTORY CMAKE-ARGUMENT...
  local dir=$1
  shift
  mkdir -p "$dir/source" "$dir/home"
  (cd "$SOURCE" && cp -r CMakeLists.txt Cargo.toml Cargo.lock build.rs cmake include packages src "$dir/source")
  ln -s "${CARGO_HOME:-$HOME/.cargo}/registry" "$dir/home/registry"
  "$CMAKE" -S "$dir/source" -B "$dir/build" -DCMAKE_BUILD_TYPE=Release -DMGOS_MQTT_TLS=OFF -DMGOS_MQTT_BUILD_TESTS=OFF \
    -DMGOS_MQTT_BUILD_EXAMPLES=OFF -DMGOS_MQTT_BUILD_PROGRAMS=OFF "$@"
  CARGO_HOME=$dir/home CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 "$CMAKE" --build "$dir/build"
}

case ${1:?} in
  # field: F-83
  files)
    install_moved
    # A debugger finds the sources of a Debug build where they are. Everything else hides where they were, in the debug
    # information that is stripped later, too.
    if [ "$CONFIG" != Debug ]; then hides_paths "$PREFIX" "$CARGO_DIR/release/libmgos_mqtt.so"; fi
    {
      (cd "$SOURCE/include" && find . -name '*.h*' -printf 'include/%f\n')
      printf '%s\n' "$LIBDIR"/{libmgos_mqtt.a,libmgos_mqtt.so,"$SO_NAME","$SO_FILE",pkgconfig/mgos_mqtt.pc} \
        "$LIBDIR"/cmake/mgos_mqtt/mgos_mqttConfig{,Version}.cmake bin/mgos_mqtt_{pub,sub,rr,doctor} share/man/man1/mgos_mqtt_{pub,sub,rr,doctor}.1
      case ,$FEATURES, in *,tls,*) echo share/mgos_mqtt/valgrind.supp ;; esac
    } | sort >expected
    # What the component for applications of Mongoose OS installs is compared in mongoose_os/tests/installed.sh.
    (cd "$PREFIX" && find . ! -type d -printf '%P\n' | grep -viE 'mongoose_?os|mgos_configure') | sort >found
    diff -u expected found || fail "the installed files are not the expected ones"
    [ "$(readlink "$PREFIX/$LIBDIR/libmgos_mqtt.so")" = "$SO_NAME" ] || fail "libmgos_mqtt.so is no link to $SO_NAME"
    [ "$(readlink "$PREFIX/$LIBDIR/$SO_NAME")" = "$SO_FILE" ] || fail "$SO_NAME is no link to $SO_FILE"
    readelf -d "$PREFIX/$LIBDIR/$SO_FILE" >dynamic
    grep -q "SONAME.*\[$SO_NAME\]" dynamic || fail "the SONAME is not $SO_NAME"
    ;;
  uninstall) # all that was installed, and nothing else; of one component, whose list no other test writes
    "$CMAKE" --install "$BUILD" --component tools --prefix "$WORK/gone" ${CONFIG:+--config "$CONFIG"} >install.log
    touch "$WORK/gone/bin/another"
    "$CMAKE" -DMANIFEST="$BUILD/install_manifest_tools.txt" -P "$SOURCE/cmake/uninstall.cmake" >uninstall.log
    [ "$(find "$WORK/gone" ! -type d)" = "$WORK/gone/bin/another" ] || fail "left: $(find "$WORK/gone" ! -type d)"
    [ "$(grep -c Removing uninstall.log)" -ge 4 ] || fail "what was removed: $(cat uninstall.log)"
    # All components. What others have in a directory of ours stays, with the directory; no other of ours does.
    "$CMAKE" --install "$BUILD" --prefix "$WORK/all" ${CONFIG:+--config "$CONFIG"} >install.log
    (cd "$WORK/all" && find . ! -type d -printf "$WORK/all/%P\n") >manifest.txt
    touch "$WORK/all/share/mgos_mqtt/another" 2>/dev/null || touch "$WORK/all/$LIBDIR/cmake/mgos_mqtt/another"
    "$CMAKE" -DMANIFEST="$WORK/manifest.txt" -P "$SOURCE/cmake/uninstall.cmake" >uninstall.log
    left=$(find "$WORK/all" -mindepth 1 ! -type d -o -path '*mgos_mqtt*' -o -path '*mongoose_os*')
    case $left in
      "$WORK/all/share/mgos_mqtt"$'\n'"$WORK/all/share/mgos_mqtt/another" | \
        "$WORK/all/$LIBDIR/cmake/mgos_mqtt"$'\n'"$WORK/all/$LIBDIR/cmake/mgos_mqtt/another") ;;
      *) fail "left of all components: $left" ;;
    esac
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
  # field: F-71
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
  # field: F-82
  components) # a component that is missing is named, and so is a type of build that is none
    install_moved
    app=(-S "$SOURCE/tests/consumer" -DWAY=find_package -DCMAKE_PREFIX_PATH="$PREFIX")
    "$CMAKE" "${app[@]}" -B app -DCMAKE_C_COMPILER="$CC" -DFEATURES="shared;static;${FEATURES//,/;}"
    also=""
    if [ -e "$PREFIX/$LIBDIR/cmake/mgos_mqtt/mgos_mqttMongooseOs.cmake" ]; then also=", mongoose_os"; fi
    refused "has no 'no_such_thing'; what it has is: ${FEATURES//,/, }, static, shared$also." "${app[@]}" -DFEATURES="capi;no_such_thing"
    for kind in static:shared shared:static; do # kind that is not installed, kind that is taken instead
      mkdir aside
      if [ "${kind%:*}" = static ]; then gone=libmgos_mqtt.a; else gone=$SO_FILE; fi
      mv "$PREFIX/$LIBDIR/$gone" aside/
      refused "has no '${kind%:*}'; what it has is: ${FEATURES//,/, }, ${kind#*:}$also." "${app[@]}" -DFEATURES="capi;${kind%:*}"
      rm -rf app
      choice=$([ "${kind%:*}" = shared ] && echo ON || echo OFF)
      "$CMAKE" "${app[@]}" -B app -DCMAKE_C_COMPILER="$CC" -DBUILD_SHARED_LIBS="$choice" -DFEATURES="${kind#*:}"
      "$CMAKE" --build app
      run app/app_mgos_mqtt "${kind#*:}"
      mv "aside/$gone" "$PREFIX/$LIBDIR/"
      rmdir aside
    done
    library=(-S "$SOURCE" -DMGOS_MQTT_BUILD_TESTS=OFF)
    refused "CMAKE_BUILD_TYPE is 'Relase', which is none of Debug, Release," "${library[@]}" -DCMAKE_BUILD_TYPE=Relase
    for type in -DCMAKE_BUILD_TYPE={none,Mine}; do
      rm -rf typed
      "$CMAKE" -B typed "${library[@]}" "$type" -DCMAKE_C_FLAGS_MINE=-O1 >typed.log 2>&1 || fail "$type is refused: $(cat typed.log)"
    done
    ;;
  # Two builds in different places are the same, also where the compiler is two words.
  # field: F-81 F-83
  reproducible)
    printf '#!/bin/sh\necho "$@" >>"%s/launched"\nexec "$@"\n' "$WORK" >launcher
    chmod +x launcher
    build_copy "$WORK/one" -DCMAKE_C_COMPILER="$CC"
    CC="$WORK/launcher $CC" build_copy "$WORK/another/place"
    grep -q "varargs.c" launched || fail "the build did not use the launcher"
    for file in "$SO_FILE" libmgos_mqtt.a; do
      cmp "one/build/lib/$file" "another/place/build/lib/$file" || fail "two builds of $file differ"
    done
    # The other way to name a launcher, one with an argument; with a space, as paths have it.
    mv launcher "a launcher"
    "$CMAKE" -S one/source -B other -DMGOS_MQTT_TLS=OFF -DMGOS_MQTT_BUILD_TESTS=OFF -DMGOS_MQTT_BUILD_EXAMPLES=OFF \
      -DMGOS_MQTT_BUILD_PROGRAMS=OFF -DCMAKE_C_COMPILER_LAUNCHER="$WORK/a launcher;env" -DCMAKE_C_COMPILER="$CC" -DCMAKE_BUILD_TYPE=Release
    grep -q 'CC=.*/other/cc"' other/cargo_build.cmake || fail "Cargo is not told of the launcher"
    rm launched
    other/cc -c "$SOURCE/tests/package/dlopen.c" -o launched.o
    grep -q "^env .* -c " launched || fail "the launcher is not called as it should be: $(cat launched)"
    ;;
  # field: F-80
  wholly_static)
    install_moved
    for word in $(pkg-config --static --libs-only-l "$PREFIX/$LIBDIR/pkgconfig/mgos_mqtt.pc"); do
      case $word in -lmgos_mqtt) continue ;; esac
      case $("$CC" -print-file-name="lib${word#-l}.a") in
        /*) ;;
        *) echo "package: there is no static $word"; exit 77 ;;
      esac
    done
    # The linker takes the shared library where it finds both.
    rm "$PREFIX/$LIBDIR"/libmgos_mqtt.so
    for how in -static -static-pie -static-libgcc; do
      # shellcheck disable=SC2046 # the words are the flags
      "$CC" $how "$SOURCE/tests/consumer/main.c" \
        $(PKG_CONFIG_PATH=$PREFIX/$LIBDIR/pkgconfig pkg-config --static --cflags --libs mgos_mqtt) -o "app$how"
      run "app$how" static
      if readelf -d "app$how" | grep 'NEEDED.*libgcc' || { [ $how != -static-libgcc ] && readelf -d "app$how" | grep NEEDED; }; then
        fail "app$how is not wholly static"
      fi
    done
    "$CMAKE" -S "$SOURCE/tests/consumer" -B app -DWAY=find_package -DCMAKE_PREFIX_PATH="$PREFIX" -DCMAKE_C_COMPILER="$CC" \
      -DCMAKE_BUILD_TYPE="$CONFIG" -DCMAKE_EXE_LINKER_FLAGS=-static
    "$CMAKE" --build app --target app_static
    if readelf -d app/app_static | grep NEEDED; then fail "app_static is not wholly static"; fi
    run app/app_static static
    ;;
  # field: F-85
  valgrind)
    case ,$FEATURES, in *,tls,*) ;; *) exit 77 ;; esac
    command -v valgrind >/dev/null || exit 77
    install_moved
    suppressions=share/mgos_mqtt/valgrind.supp
    grep -qF "$suppressions" "$SOURCE/docs/tls.md" || fail "docs/tls.md does not name $suppressions"
    "$CC" -I"$PREFIX/include" "$SOURCE/tests/package/tls.c" "$PREFIX/$LIBDIR/libmgos_mqtt.so" -Wl,-rpath,"$PREFIX/$LIBDIR" -o program
    output=$("$SOURCE/scripts/with_certificates.sh" "$SOURCE/scripts/with_mosquitto.sh" \
      -c "cafile @CERTS@/ca.pem" -c "certfile @CERTS@/server.pem" -c "keyfile @CERTS@/server.key" \
      valgrind --quiet --error-exitcode=99 --suppressions="$PREFIX/$suppressions" \
      ./program @SERVER@ @CERTS@/ca.pem 2>&1) || fail "valgrind complains ($?): $output"
    [ "$output" = acked ] || fail "valgrind complains: $output"
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
  # field: F-71
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
      "$CC" -I"$PREFIX/include" "$SOURCE/tests/package/two_libraries.c" "$@" -lpthread -lm -ldl -lc -o program
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
    grep -q 'FLAGS_1.*NODELETE' <<<"$(readelf -d "$PREFIX/$LIBDIR/$SO_FILE")" || fail "the library is not marked as never to be unloaded"
    "$CC" -Wall -Wextra -Werror "$SOURCE/tests/package/dlopen.c" -o plugin_host -lpthread -ldl
    ./plugin_host "$PREFIX/$LIBDIR/$SO_NAME"
    # Two copies in one process, as two plugins bring them.
    cp "$PREFIX/$LIBDIR/$SO_FILE" copy.so
    ./plugin_host "$PREFIX/$LIBDIR/$SO_NAME" ./copy.so
    ;;
  *) fail "no part '$1'" ;;
esac
