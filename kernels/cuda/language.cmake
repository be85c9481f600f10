# Finds nvcc, chooses the architectures and enables the language. The top-level CMakeLists.txt includes this file,
# because the architectures must be set before enable_language(CUDA).
include(${CMAKE_CURRENT_LIST_DIR}/architectures.cmake)

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(MPANET_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT MPANET_NVCC)
    message(FATAL_ERROR "MPANET_CUDA: no nvcc on PATH, in CUDA_HOME or /usr/local/cuda; CUDACXX=/path/to/nvcc names one")
  endif()
  set(CMAKE_CUDA_COMPILER ${MPANET_NVCC} CACHE FILEPATH "nvcc")
endif()
if(MPANET_CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${MPANET_CCACHE})
endif()

# The user may set -DCMAKE_CUDA_ARCHITECTURES: 90-real for one kind of card, native for the cards of this machine.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
  set(nvcc ${CMAKE_CUDA_COMPILER})
  if(NOT nvcc)
    set(nvcc $ENV{CUDACXX})
  endif()
  execute_process(COMMAND ${nvcc} --list-gpu-arch OUTPUT_VARIABLE known RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "MPANET_CUDA: ${nvcc} --list-gpu-arch: ${failed}")
  endif()
  choose_architectures("${known}" architectures)
  set(CMAKE_CUDA_ARCHITECTURES ${architectures} CACHE STRING "architectures of the cuda backend")
endif()

enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25.1 does not know nvcc's option
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
endif()
string(REPLACE "-DNDEBUG" "" CMAKE_CUDA_FLAGS_RELEASE "${CMAKE_CUDA_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_CUDA_FLAGS_RELWITHDEBINFO "${CMAKE_CUDA_FLAGS_RELWITHDEBINFO}")
string(APPEND CMAKE_CUDA_FLAGS " -lineinfo")  # source lines for profilers and checkers; changes no code
if(MPANET_PLAIN_PTX)
  string(APPEND CMAKE_CUDA_FLAGS " --no-compress")
else()
  string(APPEND CMAKE_CUDA_FLAGS " -Xfatbin=-compress-all")  # machine code too: elementwise.cu for 7 architectures, 509 -> 118 KB
endif()
find_package(CUDAToolkit REQUIRED)
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
