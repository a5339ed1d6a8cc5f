#!/usr/bin/env bash
# The component as it is installed, moved to another place: installed.sh <part>
#
#   files        what is installed
#   find_package an application by CMake, and the same as the user guide shows it
#   pkg_config   an application by hand
#   core         nothing of the component is in the MQTT library
#
# SOURCE, BUILD, CMAKE, CC, LIBDIR and WORK come from the environment.
set -euo pipefail
: "${SOURCE:?}" "${BUILD:?}" "${CMAKE:?}" "${CC:?}" "${LIBDIR:?}" "${WORK:?}"
here=$SOURCE/mongoose_os/tests

fail() {
  echo "installed: $*" >&2
  exit 1
}

rm -rf "$WORK"
mkdir -p "$WORK"
cd "$WORK"
"$CMAKE" --install "$BUILD" --prefix "$WORK/installed" ${CONFIG:+--config "$CONFIG"} >install.log
mv installed moved
PREFIX=$WORK/moved

case ${1:?} in
  files)
    {
      (cd "$SOURCE/mongoose_os/include" && find . -name '*.h' -printf 'include/mongoose_os/%P\n')
      printf '%s\n' bin/mgos_configure "$LIBDIR"/{libmgos_mqtt_mongoose_os.a,pkgconfig/mgos_mqtt_mongoose_os.pc} \
        "$LIBDIR"/cmake/mgos_mqtt/{MongooseOsApp,mgos_mqttMongooseOs}.cmake
    } | sort >expected
    (cd "$PREFIX" && find . ! -type d -printf '%P\n' | grep -iE 'mongoose_?os|configure') | sort >found
    diff -u expected found || fail "the installed files are not the expected ones"
    # In a Debug build the archive names its sources.
    for place in "$SOURCE" "$BUILD" "${CARGO_HOME:-$HOME/.cargo}"; do
      if grep -laF -e "$place" "$PREFIX/bin/mgos_configure"; then fail "mgos_configure names $place"; fi
    done
    ;;
  find_package)
    mkdir app
    # The example of docs/mongoose-os.md.
    awk '/^```cmake/ { inside = 1; next } /^```/ { inside = 0 } inside' "$SOURCE/docs/mongoose-os.md" >app/CMakeLists.txt
    mkdir app/src
    cp "$here/app/application.c" app/src/main.c
    cp "$here/app/mos.yml" app/
    "$CMAKE" -S app -B build -DCMAKE_PREFIX_PATH="$PREFIX" -DCMAKE_C_COMPILER="$CC" -DCMAKE_C_FLAGS=-D_GNU_SOURCE >cmake.log
    "$CMAKE" --build build >>cmake.log || { cat cmake.log; exit 1; }
    "$here/main.sh" course "$PWD/build/my_app"
    ;;
  pkg_config)
    export PKG_CONFIG_PATH=$PREFIX/$LIBDIR/pkgconfig
    "$(pkg-config --variable=configure mgos_mqtt_mongoose_os)" --out config "$here/app/mos.yml"
    # shellcheck disable=SC2046 # the words are the flags
    "$CC" -D_GNU_SOURCE -Iconfig @config/mgos_app_options "$here/app/application.c" config/mgos_app_config.c \
      $(pkg-config --cflags --libs mgos_mqtt_mongoose_os) -Wl,-rpath,"$PREFIX/$LIBDIR" -o my_app
    "$here/main.sh" course "$PWD/my_app"
    rm "$PREFIX/$LIBDIR"/libmgos_mqtt.so*
    # shellcheck disable=SC2046
    "$CC" -D_GNU_SOURCE -Iconfig @config/mgos_app_options "$here/app/application.c" config/mgos_app_config.c \
      $(pkg-config --static --cflags --libs mgos_mqtt_mongoose_os) -o my_app_static
    "$here/main.sh" course "$PWD/my_app_static"
    ;;
  core)
    # Names that only the component defines, and none that both define.
    nm -g --defined-only "$PREFIX/$LIBDIR/libmgos_mqtt_mongoose_os.a" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >component
    nm -D --defined-only "$PREFIX/$LIBDIR"/libmgos_mqtt.so | awk 'NF == 3 { print $3 }' | sort -u >core
    [ "$(wc -l <component)" -gt 100 ] || fail "no symbols found"
    comm -12 component core >both
    [ ! -s both ] || fail "both define: $(cat both)"
    # All are mgos_* but main() and what its files share.
    if grep -vE '^(mgos_.*|main)$' component; then
      fail "these symbols may clash with others"
    fi
    ;;
  *) exit 2 ;;
esac
