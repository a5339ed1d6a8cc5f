# cmake --toolchain cmake/toolchains/armv7-unknown-linux-gnueabihf.cmake ...
# Needs the C cross compiler (Debian: gcc-arm-linux-gnueabihf), Rust's standard library for the target
# (rustup target add armv7-unknown-linux-gnueabihf), and qemu-arm to run the tests.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(MGOS_MQTT_RUST_TARGET armv7-unknown-linux-gnueabihf CACHE STRING "")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-arm;-L;/usr/arm-linux-gnueabihf)
set(CMAKE_FIND_ROOT_PATH /usr/arm-linux-gnueabihf)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
# pkg-config must not find the libraries of the machine that builds.
set(ENV{PKG_CONFIG_LIBDIR} "/usr/lib/arm-linux-gnueabihf/pkgconfig:/usr/arm-linux-gnueabihf/lib/pkgconfig")
