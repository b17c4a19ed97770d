// The nearest sum of Kronecker products to a matrix: W ~ sum_t A_t (x) B_t, A_t [rows_a, columns_a], B_t [out / rows_a,
// in / columns_a] (Van Loan and Pitsianis 1993): the truncated SVD of W with its entries put in the order in which A
// (x) B is an outer product. At as many numbers it is such an SVD too, but each term costs far more multiply-adds than
// one of a low-rank map: docs/adr/0016. Pure function. Double precision, one order.
#pragma once

#include <cstddef>
#include <vector>

namespace fathom::compress {

struct KroneckerShape {
  std::size_t rows_a = 0, columns_a = 0;  // divide out and in
};
KroneckerShape even_shape(std::size_t out,
                          std::size_t in);  // the one whose two factors have as equally many numbers as can be

struct KroneckerSum {
  KroneckerShape shape;
  std::vector<std::vector<float>> a, b;  // one a term, row-major
  double kept = 0;                       // of the squares of W
};
KroneckerSum nearest_kronecker(const std::vector<float>& weights, std::size_t out, std::size_t in,
                               const KroneckerShape& shape, std::size_t terms);

// Multiply-adds for one row of inputs, and numbers.
double kronecker_macs(std::size_t out, std::size_t in, const KroneckerShape& shape, std::size_t terms);
double kronecker_numbers(std::size_t out, std::size_t in, const KroneckerShape& shape, std::size_t terms);

}  // namespace fathom::compress
