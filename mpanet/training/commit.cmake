# Run at every build: writes OUTPUT, a header with the commit that SOURCE is at, and touches it only when that changes.
cmake_minimum_required(VERSION 3.25)
set(commit unknown)
find_program(GIT git)
if(GIT)
  # safe.directory: the tree may belong to someone else, as in a container.
  set(git ${GIT} -c safe.directory=* -C ${SOURCE})
  execute_process(COMMAND ${git} rev-parse --show-toplevel OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE
                  RESULT_VARIABLE failed ERROR_QUIET)
  file(REAL_PATH ${SOURCE} source)
  # A copy of the sources inside somebody else's repository has no commit of its own.
  if(NOT failed AND top STREQUAL source)
    execute_process(COMMAND ${git} rev-parse --short=12 HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
                    RESULT_VARIABLE failed ERROR_QUIET)
    execute_process(COMMAND ${git} status --porcelain --untracked-files=no OUTPUT_VARIABLE changes ERROR_QUIET)
    if(failed)
      set(commit unknown)
    elseif(changes)
      string(APPEND commit " with changes")
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#pragma once\n#define MPANET_COMMIT \"@commit@\"\n" @ONLY)
