// Compares results: the difference of two evaluations and its confidence interval.
//
// The interval is that of a paired bootstrap over queries (Efron and Tibshirani 1993, chapter 13): queries are drawn
// with replacement, the same ones for both results, and each resample gives a difference of means; 2.5 % of the
// differences are below the interval and 2.5 % above. A query's weight is the number of trials that count it.
#pragma once
#include <string>
#include <vector>

namespace mpanet {

constexpr int kResamples = 10000;

// The table of at least two result files of mpanet-eval --json: each setting's metrics of every file, and each file's
// difference from the first with its 95 % interval. The same files give the same text. UserError, one line, for a file
// without such results, and for results of different protocols, splits, settings, units of CMC, filters or
// queries; distance, feature, flip averaging and re-ranking may differ and are in the table's head.
std::string compare_results(const std::vector<std::string>& paths);

}  // namespace mpanet
