// The nearest of many rows, exactly: every row is multiplied with every query. For rows in a mapped file, which are
// read once for all queries.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mpanet {

// L2-normalises a row in double and rounds it to float; a row of zeros stays. CheckError for a number that is not
// finite.
void normalize_row(float* row, int dimension);

// Inner products of `queries` (count, dimension) with rows of `table` (.., dimension): out (count, rows.size()). Equal
// rows give equal bits, at any index and for any number of threads. All are normalised; a product with zeros is 1/2, so
// that its distance of 2 - 2 s is 1 (mpanet/evaluation/similarity.h).
void multiply_rows(std::span<const float> queries, const float* table, std::span<const uint32_t> rows, int dimension,
                   int threads, float* out);

// Indices of the `top` largest of `products`, and of all that equal the last of them, by descending product and then
// ascending index.
std::vector<uint32_t> largest_products(std::span<const float> products, size_t top);

}  // namespace mpanet
