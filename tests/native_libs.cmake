# rustc's own list of what the static library needs, against the one in cmake/CargoLibraries.cmake. The library that
# unwinds is the C compiler's affair.
file(READ "${ACTUAL}" actual)
string(STRIP "${actual}" actual)
string(REGEX REPLACE "-lgcc_(s|eh) ?" "" actual "${actual}")
if(NOT actual STREQUAL EXPECTED)
  message(FATAL_ERROR "MGOS_MQTT_NATIVE_LIBS in cmake/CargoLibraries.cmake is not what rustc says:\n  is        ${EXPECTED}\n  should be ${actual}")
endif()
