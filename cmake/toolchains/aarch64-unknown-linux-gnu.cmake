# cmake --toolchain cmake/toolchains/aarch64-unknown-linux-gnu.cmake ...
# Needs the C cross compiler (Debian: gcc-aarch64-linux-gnu), Rust's standard library for the target
# (rustup target add aarch64-unknown-linux-gnu), and qemu-aarch64 to run the tests.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(MGOS_MQTT_RUST_TARGET aarch64-unknown-linux-gnu CACHE STRING "")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
# pkg-config must not find the libraries of the machine that builds.
set(ENV{PKG_CONFIG_LIBDIR} "/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/aarch64-linux-gnu/lib/pkgconfig")
