# How this project's own code is compiled: C++20, warnings are errors, the chosen sanitizer, ccache and mold when
# they are there.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

set(ESD_SANITIZE "" CACHE STRING "Sanitizers to build with, as for -fsanitize=")
if(ESD_SANITIZE)
  add_compile_options(-fsanitize=${ESD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ESD_SANITIZE})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT ESD_SANITIZE)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()

find_program(ESD_CCACHE ccache)
if(ESD_CCACHE)
  # Wherever the checkout stands: the build of the image finds what was compiled outside.
  set(launcher env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${ESD_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()
find_program(ESD_MOLD mold)
if(ESD_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# For our own code only: generated code and other people's headers are not held to it.
# -Wrestrict: GCC 12 reports std::string's own assignment when it is inlined (GCC bug 105651).
set(ESD_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
