/* The C interface of libmpanet: pictures to embeddings, distances and ranked lists. C99.
 *
 * Every function that can fail returns MPANET_OK or the kind of the error. mpanet_error() then gives one line of text:
 * what, where, expected and got. The library prints nothing, ends no process and installs no signal handler.
 *
 * Threads. Any function may be called from any thread. Calls with one model take turns; those with different models run
 * at the same time. Each model computes in a thread of its own, with the number of OpenMP threads that the first
 * mpanet_load() of the process chose. mpanet_free() must be the last call with a model, and no other may still run.
 * After fork() a model of the parent is unusable in the child, which can load its own.
 *
 * Equal bits. An embedding has the bits that mpanet-eval --save-features writes on the same machine with the same
 * number of threads, device, precision, batch and flip. Ranked lists and distances do not depend on the number of
 * threads. */
#ifndef MPANET_H
#define MPANET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __GNUC__
#  define MPANET_API __attribute__((visibility("default")))
#else
#  define MPANET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. A library with another mpanet_abi() must not be used with this header. */
#define MPANET_ABI 1
MPANET_API int mpanet_abi(void);
/* "0.1.0" */
MPANET_API const char* mpanet_version(void);

#define MPANET_OK 0
#define MPANET_BUG 1       /* an internal error */
#define MPANET_BAD_INPUT 2 /* a wrong argument, file or picture; too little memory */

/* The text of this thread's last error: UTF-8, one line without control characters. Valid until this thread's next
 * error. Empty if there was none. */
MPANET_API const char* mpanet_error(void);

/* A network with its weights. */
typedef struct mpanet_model mpanet_model;

/* 0 and NULL mean the default. Initialise with MPANET_OPTIONS: mpanet_options options = MPANET_OPTIONS; */
typedef struct mpanet_options {
  size_t struct_size; /* sizeof(mpanet_options) */
  const char* device; /* "cpu", "cuda", "cuda:N", "emu", "auto"; default auto: a GPU if one can be used, else the CPU */
  const char* precision; /* "f32", "tf32", "bf16", "f16", "f64", "auto"; default f32 */
  int32_t height, width; /* pixels of the network's input, 1..9999; default: those of the training, 384 and 128 for a
                            file that does not say */
  int32_t batch;   /* pictures at a time, 1..4096; default: 1 on the CPU, 64 on a GPU. The network always computes a
                      whole batch, so a picture's embedding does not depend on how many are given. Another batch may
                            round differently */
  int32_t threads; /* OpenMP threads, 1..1024; default: as many as the processors, the cgroup's quota and OpenMP
                      allow. One number for the process: later models must have it or the default */
  int32_t flip;    /* 1: the mean of the embeddings of a picture and of its mirror image */
} mpanet_options;

#define MPANET_OPTIONS \
  { sizeof(mpanet_options), NULL, NULL, 0, 0, 0, 0, 0 }

/* Loads a checkpoint of mpanet-train, or weights with the authors' names: safetensors or PyTorch's .pth. `options` may
 * be NULL. Sets *model, to NULL after an error. */
MPANET_API int mpanet_load(const char* path, const mpanet_options* options, mpanet_model** model);
/* Frees the model; NULL is allowed. */
MPANET_API void mpanet_free(mpanet_model* model);

/* Numbers of an embedding; 0 and an error for NULL. */
MPANET_API size_t mpanet_dimension(const mpanet_model* model);
/* The network's input in pixels. Pictures of any size are resized to it. */
MPANET_API int mpanet_input_size(const mpanet_model* model, int32_t* height, int32_t* width);

/* Embeddings of `count` picture files (JPEG, PNG, BMP): out is (count, mpanet_dimension()), row by row. `out_size`, the
 * numbers that `out` holds, must be at least that. After an error the content of `out` is unspecified. */
MPANET_API int mpanet_embed_files(mpanet_model* model, const char* const* paths, size_t count, float* out,
                                  size_t out_size);

/* A picture in memory: 8 bits, RGB, rows from the top, pixels from the left, (height, width, 3). At most 2^26 pixels.
 */
typedef struct mpanet_pixels {
  const uint8_t* data;
  size_t size;          /* bytes that `data` holds */
  size_t height, width; /* pixels */
  size_t row_bytes;     /* bytes from one row to the next; 0: 3 * width */
} mpanet_pixels;

MPANET_API int mpanet_embed_pixels(mpanet_model* model, const mpanet_pixels* pictures, size_t count, float* out,
                                   size_t out_size);

/* Distances of every query to every row of the gallery: out is (query_count, gallery_count). The distance is the
 * evaluation's, the squared Euclidean distance of the L2-normalised rows, 0..4. A row of zeros is not normalised.
 * queries (query_count, dimension), gallery (gallery_count, dimension): finite numbers. */
MPANET_API int mpanet_compare(const float* queries, size_t query_count, const float* gallery, size_t gallery_count,
                              size_t dimension, float* out, size_t out_size);

/* Whether the distances of this model's embeddings have probabilities: 1 if mpanet-eval has calibrated the checkpoint
 * (--calibrate-share, --calibrate-ids) for pictures of this input size and this flip, else 0. An error for a damaged
 * calibration, and for one of other weights. */
MPANET_API int mpanet_calibrated(const mpanet_model* model, int32_t* calibrated);

/* The probability, 0..1, that both pictures show the same person, for each of `count` distances of mpanet_compare() or
 * mpanet_rank(): that of a pair which is as often of the same person as of different ones. `out_size`: the numbers that
 * `out` holds. An error when the model is not calibrated, and for a distance that is not finite. */
MPANET_API int mpanet_probabilities(const mpanet_model* model, const float* distances, size_t count, float* out,
                                    size_t out_size);

/* The `top` nearest rows of the gallery for each query, nearest first, equal ones in the gallery's order: exactly the
 * evaluation's ranking. indices (query_count, top), rows of the gallery from 0; distances, which may be NULL, likewise.
 * `out_size`: the numbers that each of them holds. top: at most gallery_count. */
MPANET_API int mpanet_rank(const float* queries, size_t query_count, const float* gallery, size_t gallery_count,
                           size_t dimension, size_t top, int64_t* indices, float* distances, size_t out_size);

#ifdef __cplusplus
}
#endif
#endif
