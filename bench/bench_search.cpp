// bench-search: the time of an answer of an index of random embeddings, which is in the page cache, by the calls of
// mpanet-search. In the same run it times only reading the same bytes, and product_yardstick()'s product.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "bench/yardstick.h"
#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/output.h"
#include "core/base/processor_time.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "mpanet/search/nearest_pictures.h"
#include "mpanet/search/nearest_rows.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;

struct Options {
  std::string index, json;
  int entries = 1000000, dimension = 2048, queries = 1, top = 20, repeat = 5, threads = 0;
};

std::string path_of(int entry) { return fmt::format("cam{}/{:08}.jpg", 1 + entry % 6, entry); }

// An embedding, a function of its path.
void draw(const std::string& path, float* row, int dimension) {
  Random random(1, Purpose::Test, 0, static_cast<uint32_t>(std::stoul(path.substr(path.find('/') + 1))));
  for (int d = 0; d < dimension; d++) row[d] = static_cast<float>(random.bits()) * 0x1p-31f - 1;
  normalize_row(row, dimension);
}

// Makes the index, or adds to one that an earlier run made.
void make_index(const Options& options) {
  constexpr size_t kBatch = 8192;
  std::vector<IndexedPicture> all;
  for (int i = 0; i < options.entries; i++) all.push_back({path_of(i), 1 + i % 6, 1795717800 + i, 10000, i});
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  IndexWriter index(options.index,
                    {"/random", "/random.safetensors", "of random numbers", 384, 128, options.dimension, false});
  const std::vector<IndexedPicture> fresh = index.update(all);
  const auto width = static_cast<size_t>(options.dimension);
  std::vector<float> rows(kBatch * width);
  Progress progress("index", "entries", fresh.size());
  for (size_t first = 0; first < fresh.size(); first += kBatch) {
    const size_t count = std::min(kBatch, fresh.size() - first);
    parallel_for(usable_processors(), count,
                 [&](size_t i, int) { draw(fresh[first + i].path, rows.data() + i * width, options.dimension); });
    const auto begin = fresh.begin() + static_cast<ptrdiff_t>(first);
    index.add({begin, begin + static_cast<ptrdiff_t>(count)}, rows.data());
    progress.advance(count);
  }
  index.finish();
}

// Elapsed times, and CPU times of all threads. Other work on the machine changes the elapsed times only.
struct Times {
  std::vector<double> wall, processor;
  void add(const std::function<void()>& work) {
    const double before = process_seconds();
    wall.push_back(seconds_of(work));
    processor.push_back(process_seconds() - before);
  }
  static double median(std::vector<double> numbers) {
    std::sort(numbers.begin(), numbers.end());
    return numbers[numbers.size() / 2];
  }
  void print(const char* what, double bytes) const {
    const double middle = median(wall);
    fmt::print("{:<40}{:8.3f} s ({:.3f} to {:.3f}), {:.3f} s of processors{}\n", what, middle,
               *std::min_element(wall.begin(), wall.end()), *std::max_element(wall.begin(), wall.end()),
               median(processor), bytes > 0 ? fmt::format(", {:.1f} GB/s", bytes / middle * 1e-9) : "");
  }
  nlohmann::ordered_json json() const { return {{"seconds", wall}, {"processor_seconds", processor}}; }
};

// The files of rows by read(2), each thread into a buffer that stays in its cache.
void read_rows(const std::string& folder, int threads) {
  constexpr size_t kPiece = 256 << 10;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".f32") continue;
    const Descriptor file(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    std::vector<std::vector<char>> buffers(static_cast<size_t>(threads), std::vector<char>(kPiece));
    parallel_for(threads, entry.file_size() / kPiece, [&](size_t piece, int thread) {
      if (pread(file.get(), buffers[static_cast<size_t>(thread)].data(), kPiece, static_cast<off_t>(piece * kPiece)) !=
          static_cast<ssize_t>(kPiece))
        fail("{}: cannot read", entry.path().string());
    });
  }
}

void measure(const Options& options, int threads, OutputFile* json_file) {
  const auto width = static_cast<size_t>(options.dimension), count = static_cast<size_t>(options.queries);
  std::vector<float> queries(count * width);
  const auto path = [&](size_t query) { return path_of(static_cast<int>(query * 7919) % options.entries); };
  for (size_t q = 0; q < count; q++) draw(path(q), queries.data() + q * width, options.dimension);
  const double bytes = 4.0 * options.entries * options.dimension;
  fmt::print("{}, {} each, {:.2f} GB; {} of {}, {}\n", counted(options.entries, "entry", "entries"),
             counted(options.dimension, "number"), bytes * 1e-9, counted(options.queries, "query", "queries"),
             counted(options.top, "picture"), counted(threads, "thread"));
  Times answer, list, products, again, reading, vendor;
  for (int i = 0; i <= options.repeat; i++) {
    if (i == 1) answer = list = products = again = reading = vendor = Times();  // the first was reading from the disk
    answer.add([&] {
      IndexReader index(options.index);
      const auto found = nearest_pictures(index, queries, {options.top, 0, {}}, threads);
      for (size_t q = 0; q < count; q++)
        MPANET_CHECK(found[q][0].picture.path == path(q), "the nearest of {} is {}", path(q), found[q][0].picture.path);
    });
    IndexReader index(options.index);
    std::vector<uint32_t> rows;
    list.add([&] { rows = index.rows(0, {}); });
    std::vector<float> out(count * rows.size());
    const auto multiply = [&] { multiply_rows(queries, index.table(), rows, options.dimension, threads, out.data()); };
    products.add(multiply);
    again.add(multiply);
    reading.add([&] { read_rows(options.index, threads); });
    vendor.add([&] {
      seconds_of_product(options.queries, options.entries, options.dimension, queries.data(), index.table());
    });
  }
  answer.print("the answer", bytes);
  list.print("  of it: rows from the database", 0);
  products.print("  of it: products with rows", bytes);
  again.print("products, when pages are mapped already", bytes);
  reading.print("the same bytes by read(2)", bytes);
  vendor.print(fmt::format("the product by {}", product_yardstick()).c_str(), bytes);
  fmt::print("answer / read(2) {:.3f}, answer / {} {:.3f}\n", Times::median(answer.wall) / Times::median(reading.wall),
             product_yardstick(), Times::median(answer.wall) / Times::median(vendor.wall));
  if (json_file == nullptr) return;
  const nlohmann::ordered_json json = {{"entries", options.entries},
                                       {"dimension", options.dimension},
                                       {"queries", options.queries},
                                       {"top", options.top},
                                       {"threads", threads},
                                       {"answer", answer.json()},
                                       {"rows_from_database", list.json()},
                                       {"products", products.json()},
                                       {"products_mapped", again.json()},
                                       {"read", reading.json()},
                                       {"vendor", product_yardstick()},
                                       {"vendor_product", vendor.json()}};
  write_file(*json_file, json.dump(2) + "\n");
}

int run(int argc, char** argv) {
  CommandLine app("The time in which an index of mpanet-search answers, once it was read", "bench-search");
  Options options;
  app.add_option("--index", options.index,
                 "the index of random embeddings: made there, used again by the next call, and left")
      ->required();
  add_whole_number(app, "--entries", options.entries, 1, 100000000, "pictures of the index");
  add_whole_number(app, "--dimension", options.dimension, 1, 1000000, "numbers in an embedding");
  add_whole_number(app, "--queries", options.queries, 1, 1000, "pictures that are looked for at once");
  add_whole_number(app, "--top", options.top, 1, 1000, "pictures found for each");
  add_whole_number(app, "--repeat", options.repeat, 1, 100, "runs after one that is not counted; their median counts");
  add_whole_number(app, "--threads", options.threads, 1, 1024, kThreadsHelp)->default_str("");
  app.add_option("--json", options.json, "write the numbers to this file");
  app.add_version([] { return version_text("bench-search"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  const auto json = output_for_later(options.json);
  const int threads = set_up_threads(options.threads);
  keep_stdout_for({options.json});
  make_index(options);
  measure(options, threads, json.get());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main("bench-search", argc, argv, run); }
