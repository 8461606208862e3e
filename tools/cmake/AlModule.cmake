# Helpers that make all folders look alike.

# Flags live in two interface targets, linked privately.
add_library(al_warnings INTERFACE)
target_compile_options(al_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wpointer-arith -Wcast-align -Wvla -Wformat=2 -Wundef -Wimplicit-fallthrough
  -Wnull-dereference -Wwrite-strings -Wconversion -Wsign-conversion -Wswitch-enum
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>
  $<$<BOOL:${AL_WERROR}>:-Werror>)
target_compile_options(al_warnings INTERFACE "-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=")
target_compile_definitions(al_warnings INTERFACE _GNU_SOURCE)
add_library(al::warnings ALIAS al_warnings)

add_library(al_sanitize INTERFACE)
if(AL_SANITIZE STREQUAL "address")
  target_compile_options(al_sanitize INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(al_sanitize INTERFACE -fsanitize=address,undefined)
elseif(AL_SANITIZE STREQUAL "thread")
  target_compile_options(al_sanitize INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(al_sanitize INTERFACE -fsanitize=thread)
else()
  target_compile_options(al_sanitize INTERFACE -fstack-protector-strong
    $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
  target_link_options(al_sanitize INTERFACE -Wl,-z,relro,-z,now)
endif()
add_library(al::sanitize ALIAS al_sanitize)

# al_module(NAME SOURCES files... [PUBLIC targets...] [PRIVATE targets...] [TESTS names...] [TEST_LIBS targets...])
# The folder becomes the static library al::NAME; include/ is public, the folder itself private.
# TESTS x means x_test.c in this folder, run as the ctest NAME.x with label unit.
function(al_module name)
  cmake_parse_arguments(M "" "" "SOURCES;PUBLIC;PRIVATE;TESTS;TEST_LIBS" ${ARGN})
  add_library(al_${name} STATIC ${M_SOURCES})
  add_library(al::${name} ALIAS al_${name})
  target_include_directories(al_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(al_${name} PUBLIC ${M_PUBLIC} PRIVATE ${M_PRIVATE} al::warnings al::sanitize)
  if(AL_TESTS)
    foreach(test IN LISTS M_TESTS)
      al_test(${name}.${test} SOURCES ${test}_test.c LIBS al::${name} ${M_PRIVATE} ${M_TEST_LIBS})
    endforeach()
  endif()
endfunction()

# al_test(NAME SOURCES files... LIBS targets... [LABEL unit] [TIMEOUT seconds])
function(al_test name)
  cmake_parse_arguments(T "" "LABEL;TIMEOUT" "SOURCES;LIBS" ${ARGN})
  if(NOT T_LABEL)
    set(T_LABEL unit)
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 60)
  endif()
  string(REPLACE "." "_" target test_${name})
  add_executable(${target} ${T_SOURCES})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE ${T_LIBS} al::testing al::vendor_cmocka al::warnings al::sanitize)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${target})
  set_tests_properties(${name} PROPERTIES LABELS ${T_LABEL} TIMEOUT ${T_TIMEOUT}
    ENVIRONMENT "OMP_NUM_THREADS=1;OPENBLAS_NUM_THREADS=1")
endfunction()
