# mgos_mqtt_add_mongoose_os_app(<name> <mos.yml> <source>... [LIBRARIES <directory>...])
#
# makes the program <name> of an application of Mongoose OS: of its sources, of the configuration that its mos.yml describes,
# and of the libraries in these directories, each with a mos.yml of its own, and, as there are, src/*.c, src/*.cpp and
# include/. What mos.yml says about sources, boards and file systems is not used; its settings, conditions, `cdefs` and
# version are.
function(mgos_mqtt_add_mongoose_os_app name yml)
  cmake_parse_arguments(arg "" "" "LIBRARIES" ${ARGN})
  set(sources ${arg_UNPARSED_ARGUMENTS})
  get_filename_component(yml "${yml}" ABSOLUTE)
  if(NOT EXISTS "${yml}")
    message(FATAL_ERROR "mgos_mqtt_add_mongoose_os_app(${name}): there is no ${yml}. The arguments are the name of the program, "
      "its mos.yml, and its sources.")
  endif()
  if(NOT sources)
    message(FATAL_ERROR "mgos_mqtt_add_mongoose_os_app(${name}): no sources are given.")
  endif()
  get_filename_component(dir "${yml}" DIRECTORY)
  set(includes "")
  if(IS_DIRECTORY "${dir}/include")
    list(APPEND includes "${dir}/include")
  endif()
  set(options "")
  set(schemas "${yml}")
  foreach(library IN LISTS arg_LIBRARIES)
    get_filename_component(library "${library}" ABSOLUTE)
    if(NOT EXISTS "${library}/mos.yml")
      message(FATAL_ERROR "mgos_mqtt_add_mongoose_os_app(${name}): there is no ${library}/mos.yml.")
    endif()
    file(GLOB of_library CONFIGURE_DEPENDS "${library}/src/*.c" "${library}/src/*.cpp")
    list(APPEND sources ${of_library})
    set(kind --schema)
    if(of_library)
      set(kind --library)
    endif()
    list(APPEND options ${kind} "${library}/mos.yml")
    list(APPEND schemas "${library}/mos.yml")
    if(IS_DIRECTORY "${library}/include")
      list(APPEND includes "${library}/include")
    endif()
  endforeach()

  set(out "${CMAKE_CURRENT_BINARY_DIR}/${name}_config")
  set(made "${out}/mgos_app_config.c" "${out}/mgos_app_config.h" "${out}/mgos_app_options")
  add_custom_command(OUTPUT ${made}
    COMMAND "${MGOS_CONFIGURE}" --out "${out}" ${options} "${yml}"
    DEPENDS ${schemas} "${MGOS_CONFIGURE}"
    COMMENT "Writing the configuration of ${name}" VERBATIM)
  add_executable(${name} ${sources} ${made})
  # A file of options, as `cdefs` are known only when mos.yml was read.
  target_compile_options(${name} PRIVATE "@${out}/mgos_app_options")
  # The headers of the application are its own; what comes with -isystem is not warned about.
  target_include_directories(${name} PRIVATE "${out}" ${includes})
  target_link_libraries(${name} PRIVATE mgos_mqtt::mongoose_os)
  if(TARGET mgos_configure)
    add_dependencies(${name} mgos_configure)
  endif()
  set_property(SOURCE ${sources} APPEND PROPERTY OBJECT_DEPENDS "${out}/mgos_app_config.h;${out}/mgos_app_options")
endfunction()
