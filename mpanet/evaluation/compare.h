// Results side by side: the difference of two evaluations and how sure it is.
//
// The interval is that of a paired bootstrap over queries (Efron and Tibshirani 1993, chapter 13): queries are drawn
// with replacement, the same ones for both results, and the difference of the means is taken anew; 2.5 % of the
// resamples lie below the interval and 2.5 % above. A query weighs as many times as trials count it.
#pragma once
#include <string>
#include <vector>

namespace mpanet {

constexpr int kResamples = 10000;

// The table of at least two result files of mpanet-eval --json: each setting's metrics of every file, and each file's
// difference from the first with its 95 % interval. The same files give the same text. UserError, one line, for a file
// that is no result, and for results of different protocols, settings or queries.
std::string compare_results(const std::vector<std::string>& paths);

}  // namespace mpanet
