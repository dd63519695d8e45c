# The socket module, for MicroPython's CMake ports: USER_C_MODULES is this file.
# SPDX-License-Identifier: MIT
#
# No such port has a link of ours: yours supplies what modsocket_link.h says, in
# sources that it adds to the target usermod_farsock.

get_filename_component(FARSOCK_TOP ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)

file(GLOB FARSOCK_SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/*.c
    ${FARSOCK_TOP}/src/wire/*.c
    ${FARSOCK_TOP}/src/ring/*.c
    ${FARSOCK_TOP}/src/near/*.c
)
list(FILTER FARSOCK_SOURCES EXCLUDE REGEX "_(posix|test)\\.c$")

add_library(usermod_farsock INTERFACE)
target_sources(usermod_farsock INTERFACE ${FARSOCK_SOURCES})
target_include_directories(usermod_farsock INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${FARSOCK_TOP}/include
    ${FARSOCK_TOP}/src
)
if(FARSOCK_COMPAT_K230)
    target_compile_definitions(usermod_farsock INTERFACE FARSOCK_COMPAT_K230=1)
endif()
target_link_libraries(usermod INTERFACE usermod_farsock)
