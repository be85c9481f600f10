// The one place where stb's implementation is compiled.
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS (1 << 26)  // kMaxImagePixels
#include <stb/stb_image.h>
