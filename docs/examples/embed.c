/* Prints the embedding of each picture, a line each: embed CHECKPOINT PICTURE... */
#include <stdio.h>
#include <stdlib.h>

#include "mpanet.h"

static int failed(void) {
  fprintf(stderr, "embed: %s\n", mpanet_error());
  return 2;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: embed CHECKPOINT PICTURE...\n");
    return 2;
  }
  mpanet_options options = MPANET_OPTIONS;
  options.device = "cpu";
  mpanet_model* model = NULL;
  if (mpanet_load(argv[1], &options, &model) != MPANET_OK) return failed();

  const size_t count = (size_t)(argc - 2), dimension = mpanet_dimension(model);
  float* rows = malloc(count * dimension * sizeof(float));
  int code = 2;
  if (rows == NULL) {
    fprintf(stderr, "embed: out of memory\n");
  } else if (mpanet_embed_files(model, (const char* const*)(argv + 2), count, rows, count * dimension) != MPANET_OK) {
    failed();
  } else {
    for (size_t i = 0; i < count; i++)
      for (size_t d = 0; d < dimension; d++)
        printf("%.9g%c", (double)rows[i * dimension + d], d + 1 < dimension ? ' ' : '\n');
    code = 0;
  }
  free(rows);
  mpanet_free(model);
  return code;
}
