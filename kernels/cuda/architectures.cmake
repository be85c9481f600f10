# choose_architectures(KNOWN RESULT): the architectures for an nvcc whose --list-gpu-arch prints KNOWN. Machine code for
# the usual cards, and PTX, which the driver compiles for other cards: the newest for later cards, and 8.0's for those
# between.
function(choose_architectures known result)
  set(architectures)
  foreach(architecture 75 80 86 89 90 100 120)
    if("${known}\n" MATCHES "compute_${architecture}\n")
      list(APPEND architectures ${architecture}-real)
      set(newest ${architecture})
    endif()
  endforeach()
  list(APPEND architectures 80-virtual ${newest}-virtual)
  list(REMOVE_DUPLICATES architectures)
  set(${result} ${architectures} PARENT_SCOPE)
endfunction()
