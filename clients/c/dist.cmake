# The installed client library. Needs GNU ld's -r and objcopy for the static one.
include(GNUInstallDirs)
set(exports ${CMAKE_CURRENT_SOURCE_DIR}/exports.map)
set(symbols ${CMAKE_CURRENT_SOURCE_DIR}/exports.list)
# All of these, since the headers declare what is in them; the rest of rpc and base object by object, as needed.
set(declared "$<FILTER:$<TARGET_OBJECTS:al_base>,INCLUDE,/(arena|err|mem|str)[.]c[.]o$>")
set(messages "$<FILTER:$<TARGET_OBJECTS:al_proto>,INCLUDE,/(knowledge|admin|common|timestamp|any)[.]pb-c[.]c[.]o$>")
set(objects $<TARGET_OBJECTS:al_client> ${messages} ${declared})
set(needed al_rpc al_base)

# Shared: libairlore.so.0
add_library(airlore_shared SHARED ${objects})
set_target_properties(airlore_shared PROPERTIES
  OUTPUT_NAME airlore VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib LINKER_LANGUAGE C LINK_DEPENDS ${exports})
target_link_libraries(airlore_shared PRIVATE
  ${needed} al_client al_proto al::vendor_grpc gpr al::vendor_protobufc al::sanitize Threads::Threads)
target_link_options(airlore_shared PRIVATE
  -Wl,--version-script=${exports} -Wl,--gc-sections -Wl,-z,defs)

# Static: libairlore.a, one object in which all but the exported names are local.
find_program(AL_OBJCOPY objcopy REQUIRED)
set(whole ${CMAKE_CURRENT_BINARY_DIR}/airlore_whole.o)
set(static_library ${CMAKE_BINARY_DIR}/lib/libairlore.a)
set(lto_to_object)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(lto_to_object -flinker-output=nolto-rel)
endif()
add_custom_command(
  OUTPUT ${static_library}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/lib
  COMMAND ${CMAKE_C_COMPILER} -r -nostdlib ${lto_to_object} -o ${whole}
    ${objects}
    $<TARGET_FILE:al_rpc> $<TARGET_FILE:al_base>
  COMMAND ${AL_OBJCOPY} --wildcard --keep-global-symbols=${symbols} ${whole}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${static_library}
  COMMAND ${CMAKE_AR} rcs ${static_library} ${whole}
  DEPENDS al_client al_proto al_rpc al_base ${symbols}
  COMMENT "Linking C static library lib/libairlore.a"
  VERBATIM COMMAND_EXPAND_LISTS)
add_custom_target(airlore_static ALL DEPENDS ${static_library})

# Packages
file(RELATIVE_PATH AIRLORE_UP ${CMAKE_INSTALL_FULL_LIBDIR}/cmake/airlore ${CMAKE_INSTALL_PREFIX})
configure_file(airlore.pc.in airlore.pc @ONLY)
configure_file(airlore-config.cmake.in airlore-config.cmake @ONLY)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/airlore-config-version.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)

install(TARGETS airlore_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(FILES ${static_library} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(FILES include/airlore/client.h
  ${CMAKE_SOURCE_DIR}/lib/base/include/airlore/arena.h
  ${CMAKE_SOURCE_DIR}/lib/base/include/airlore/err.h
  ${CMAKE_SOURCE_DIR}/lib/base/include/airlore/mem.h
  ${CMAKE_SOURCE_DIR}/lib/base/include/airlore/str.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/airlore COMPONENT client)
set(gen ${CMAKE_BINARY_DIR}/proto/gen)
install(FILES ${gen}/airlore/v1/knowledge.pb-c.h ${gen}/airlore/v1/admin.pb-c.h ${gen}/airlore/v1/common.pb-c.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/airlore/airlore/v1 COMPONENT client)
install(FILES ${gen}/google/protobuf/timestamp.pb-c.h ${gen}/google/protobuf/any.pb-c.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/airlore/google/protobuf COMPONENT client)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/airlore.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/airlore-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/airlore-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/airlore COMPONENT client)

# The installed library as a stranger sees it: headers, pkg-config, CMake package, shared and static, and its symbols.
if(AL_TESTS)
  add_test(NAME client.installed COMMAND ${CMAKE_COMMAND} -DBUILD=${CMAKE_BINARY_DIR}
    -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR} -DCC=${CMAKE_C_COMPILER} -P ${CMAKE_CURRENT_SOURCE_DIR}/installed_test.cmake)
  set_tests_properties(client.installed PROPERTIES LABELS unit TIMEOUT 120)
endif()
