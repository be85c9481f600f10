# Targets mpanet_cudnn and mpanet_cublas, for those of NVIDIA's libraries that are enabled and found. They are searched
# in CUDNN_HOME, in the toolkit, and in the folders of NVIDIA's Python packages (nvidia/cudnn, nvidia/cublas or
# nvidia/cu13), which contain no plain libX.so.
set(PACKAGES)
find_program(MPANET_PYTHON python3)
if(MPANET_PYTHON)
  execute_process(COMMAND ${MPANET_PYTHON} -c "import nvidia; print(*nvidia.__path__, sep=';')"
    OUTPUT_VARIABLE PACKAGES OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
set(CUDNN_FOLDERS)
set(CUBLAS_FOLDERS)
foreach(folder ${PACKAGES})
  list(APPEND CUDNN_FOLDERS ${folder}/cudnn)
  list(APPEND CUBLAS_FOLDERS ${folder}/cu${CUDAToolkit_VERSION_MAJOR} ${folder}/cublas)
endforeach()

# Makes the target, with system headers and the library's full path.
function(add_vendor_library target include library)
  add_library(${target} INTERFACE)
  target_include_directories(${target} SYSTEM INTERFACE ${include})
  target_link_libraries(${target} INTERFACE ${library})
  message(STATUS "${target}: ${library}")
endfunction()

if(MPANET_CUDNN)
  find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ENV CUDNN_HOME ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_FOLDERS}
    PATH_SUFFIXES include)
  find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 NAMES_PER_DIR
    HINTS ENV CUDNN_HOME ${CUDAToolkit_LIBRARY_DIR} ${CUDNN_FOLDERS}
    PATH_SUFFIXES lib lib64)
  if(CUDNN_INCLUDE_DIR AND CUDNN_LIBRARY)
    add_vendor_library(mpanet_cudnn ${CUDNN_INCLUDE_DIR} ${CUDNN_LIBRARY})
  elseif(NOT MPANET_CUDNN STREQUAL AUTO)
    message(FATAL_ERROR "MPANET_CUDNN: no cudnn.h and libcudnn beside the toolkit or in a Python package; CUDNN_HOME in "
      "the environment names them")
  endif()
endif()
if(MPANET_CUBLAS)
  find_path(CUBLAS_INCLUDE_DIR cublas_v2.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${CUBLAS_FOLDERS} PATH_SUFFIXES include)
  find_library(CUBLAS_LIBRARY NAMES cublas libcublas.so.${CUDAToolkit_VERSION_MAJOR} NAMES_PER_DIR
    HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUBLAS_FOLDERS} PATH_SUFFIXES lib lib64)
  if(CUBLAS_INCLUDE_DIR AND CUBLAS_LIBRARY)
    add_vendor_library(mpanet_cublas ${CUBLAS_INCLUDE_DIR} ${CUBLAS_LIBRARY})
  elseif(NOT MPANET_CUBLAS STREQUAL AUTO)
    message(FATAL_ERROR "MPANET_CUBLAS: no cublas_v2.h and libcublas beside the toolkit or in a Python package")
  endif()
endif()
