// Compiles the implementation of stb_image, BMP only.
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS (1 << 26)  // kMaxImagePixels
#include <stb/stb_image.h>
