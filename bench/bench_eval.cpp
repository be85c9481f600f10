// bench-eval: time of the whole evaluation (normalisation, distances, ranking, CMC, mAP, mINP of four modes and ten
// trials) relative to one matrix product of all queries with all gallery images, by the faster of oneDNN and OpenBLAS.
// Default sizes are SYSU-MM01's.
#include <fcntl.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <system_error>

#include "bench/yardstick.h"
#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/output.h"
#include "core/base/processor_time.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/temporary.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/sets/matfile.h"
#include "data/sets/npy.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/streamed_ranking.h"
#include "mpanet/training/provenance.h"

using namespace mpanet;

namespace {

struct Sizes {
  int queries = 3803, gallery = 6775, dimension = 14336, identities = 96;
};

// Distributes `total` images evenly over identities and cameras, in ten random permutations.
void spread(TrialFile& trials, const std::vector<int>& cameras, int total, int identities) {
  const int cells = identities * static_cast<int>(cameras.size());
  for (int cell = 0; cell < cells; cell++) {
    const int camera = cameras[cell % cameras.size()], identity = cell / static_cast<int>(cameras.size()) + 1;
    const int count = total / cells + (cell < total % cells);
    std::vector<int32_t> numbers;
    for (int trial = 0; trial < kSysuTrials && count > 0; trial++) {
      std::vector<int32_t> order(count);
      std::iota(order.begin(), order.end(), 1);
      Random(trial, Purpose::Test, camera, identity).shuffle(order);
      numbers.insert(numbers.end(), order.begin(), order.end());
    }
    trials.set(camera, identity, count, numbers);
  }
}

EvaluationPlan make_plan(const Sizes& sizes) {
  TrialFile trials;
  for (int camera = 1; camera <= kSysuCameras; camera++) trials.resize(camera, sizes.identities);
  spread(trials, {1, 2, 4, 5}, sizes.gallery, sizes.identities);
  spread(trials, {3, 6}, sizes.queries, sizes.identities);
  std::vector<int> ids(sizes.identities);
  std::iota(ids.begin(), ids.end(), 1);
  return plan_sysu(ids, trials);
}

// Noise around one direction per identity, so that ranked lists are similar to those of a trained network.
Embeddings make_embeddings(const EvaluationPlan& plan, const Sizes& sizes) {
  const int64_t rows = sizes.queries + sizes.gallery;
  Embeddings embeddings{sizes.dimension, std::vector<float>(rows * sizes.dimension)};
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const int identity = (r < sizes.queries ? plan.queries[r] : plan.gallery[r - sizes.queries]).identity;
    Random own(1, Purpose::Test, 1, static_cast<uint32_t>(r)), shared(1, Purpose::Test, 2, identity);
    for (int d = 0; d < sizes.dimension; d++)
      embeddings.values[r * sizes.dimension + d] =
          static_cast<float>(own.bits()) * 0x1p-31f + static_cast<float>(shared.bits()) * 0x1p-33f - 1.125f;
  }
  return embeddings;
}

// The product of all queries with all gallery images by one library. The fastest run counts: other work on the machine
// can only slow a run down.
struct Product {
  std::string library;
  double seconds = INFINITY;  // of the fastest run
};

// Runs the product once by product_yardstick(), and once by OpenBLAS if that is installed.
void time_products(const Embeddings& embeddings, const Sizes& sizes, std::vector<Product>& products) {
  const float *queries = embeddings.row(0), *gallery = embeddings.row(sizes.queries);
  const auto add = [&](const std::string& library, double seconds) {
    auto known = std::find_if(products.begin(), products.end(), [&](auto& p) { return p.library == library; });
    if (known == products.end()) known = products.insert(known, {library});
    known->seconds = std::min(known->seconds, seconds);
    fmt::print(" product by {} {:.3f} s,", library, seconds);
  };
  add(product_yardstick(), seconds_of_product(sizes.queries, sizes.gallery, sizes.dimension, queries, gallery));
  if (const auto seconds = seconds_of_openblas_product(sizes.queries, sizes.gallery, sizes.dimension, queries, gallery))
    add("OpenBLAS", *seconds);
}

// Elapsed seconds, and the CPU seconds of all threads. Other work on the machine changes the elapsed seconds only.
struct Time {
  double wall = 0, processor = 0;
};
template <class Work>
Time time_of(Work work) {
  const double before = process_seconds();
  const double wall = seconds_of(work);
  return {wall, process_seconds() - before};
}

void run(const Sizes& sizes, int repeat, Device device, OutputFile* json_file) {
  fmt::print("{} queries, {} gallery images, {}, {}, {}, ranked on {}\n", sizes.queries, sizes.gallery,
             counted(sizes.dimension, "number"), counted(sizes.identities, "identity", "identities"),
             counted(omp_get_max_threads(), "thread"), name_of(device));
  const EvaluationPlan plan = make_plan(sizes);
  Embeddings embeddings = make_embeddings(plan, sizes);
  if (device.backend != Backend::cpu)
    embeddings.on_device = put_on_device(embeddings, device);  // as the network leaves them
  std::vector<Product> products;
  std::vector<double> evaluations, processors;
  double rank1 = 0;
  for (int i = 0; i < repeat; i++) {
    fmt::print("run {}:", i + 1);
    time_products(embeddings, sizes, products);
    const Time time = time_of([&] { rank1 = rank_embeddings(plan, embeddings, device)[0].mean.rank1; });
    evaluations.push_back(time.wall), processors.push_back(time.processor);
    fmt::print(" evaluation {:.3f} s, {:.3f} s of processors\n", time.wall, time.processor);
  }
  const double evaluation = *std::min_element(evaluations.begin(), evaluations.end());
  const double flops = 2.0 * sizes.queries * sizes.gallery * sizes.dimension;
  std::sort(products.begin(), products.end(), [](auto& x, auto& y) { return x.seconds < y.seconds; });
  const Product& fastest = products.front();
  nlohmann::ordered_json product_seconds;
  for (const Product& p : products) {
    fmt::print("one product on the CPU   {:8.3f} s  ({}, {:.0f} GFLOP/s)\n", p.seconds, p.library,
               flops * 1e-9 / p.seconds);
    product_seconds[p.library] = p.seconds;
  }
  if (!product_seconds.contains("OpenBLAS"))
    fmt::print("OpenBLAS's product was not timed: there is no libopenblas.so.0 (Debian's libopenblas0-pthread)\n");
  fmt::print("the whole evaluation     {:8.3f} s  (4 modes x 10 trials; rank-1 {:.2f} %)\n", evaluation, rank1);
  fmt::print("ratio                    {:8.3f}  to the product by {}\n", evaluation / fastest.seconds, fastest.library);
  if (!json_file) return;
  const nlohmann::ordered_json json = {
      {"queries", sizes.queries},
      {"gallery", sizes.gallery},
      {"dimension", sizes.dimension},
      {"threads", omp_get_max_threads()},
      {"device", name_of(device)},
      {"product_seconds", fastest.seconds},
      {"product_gflops", flops * 1e-9 / fastest.seconds},
      {"products", product_seconds},
      {"evaluation_seconds", evaluation},
      {"ratio", evaluation / fastest.seconds},
      {"evaluation_processor_seconds", *std::min_element(processors.begin(), processors.end())}};
  write_file(*json_file, json.dump(2) + "\n");
}

// A kernel of an evaluation on a GPU: the bytes that it moves if caches are assumed to be infinite, its operations, and
// its launches.
struct Counted {
  const char* what;
  double bytes, flops, launches;
};

// The kernels that mpanet/network/device_ranker.cpp launches. Every block of queries has the full size: in the last one
// the rows beyond the queries are computed, and not read.
std::vector<Counted> count_ranking(const Sizes& sizes) {
  constexpr double kBlock = 480, kRun = 2048;  // queries of a block; gallery images of a sorted run
  const double q = sizes.queries, g = sizes.gallery, d = sizes.dimension, real = sizeof(float), index = sizeof(int32_t);
  const double blocks = std::ceil(q / kBlock), rows = blocks * std::min(q, kBlock), pairs = rows * g;
  const double merges = std::ceil(std::log2(std::ceil(g / kRun)));
  return {{"squared lengths", real * (q + g) * d, 2 * (q + g) * d, 1},
          {"gathering and scaling", 2 * real * (q + g) * d, (q + g) * d, 1 + blocks},
          {"products", real * (rows * d + blocks * g * d + pairs), 2 * pairs * d, blocks},
          {"distances", 2 * real * pairs, 2 * pairs, blocks},
          {"sorting runs", (real + index) * pairs, 0, blocks},
          {"merging runs", merges * (real + 2 * index) * pairs, 0, merges * blocks}};
}

// The model of scripts/count-step. The time of a kernel is that of its bytes or that of its operations, whichever is
// longer, plus that of its launch. Nothing is measured.
void print_counted(const Sizes& sizes) {
  struct Card {
    const char* name;
    double copy, fraction;  // bytes a second of a copy, and the fraction of this rate that kernels reach
  };
  constexpr double kFlops = 0.8 * 62e12;  // operations a second in f32: 0.8 of the peak without tensor cores
  constexpr double kLaunch = 1.1e-6;      // seconds
  constexpr double kLink = 12e9;          // bytes a second to pageable host memory, half of PCIe 4.0's rate
  fmt::print("counted, not measured: {} queries, {} gallery images, {}, embeddings on the device\n", sizes.queries,
             sizes.gallery, counted(sizes.dimension, "number"));
  const std::vector<Counted> kernels = count_ranking(sizes);
  for (const Card& card : {Card{"H100", 3.0e12, 0.87}, Card{"H200", 4.3e12, 0.85}}) {
    double sum = 0;
    fmt::print("{:<22}{:>10}{:>10}{:>10}{:>10}\n", card.name, "GB", "GFLOP", "launches", "ms");
    for (const Counted& k : kernels) {
      const double seconds = std::max(k.bytes / (card.fraction * card.copy), k.flops / kFlops) + k.launches * kLaunch;
      fmt::print("{:<22}{:>10.3f}{:>10.1f}{:>10.0f}{:>10.3f}\n", k.what, 1e-9 * k.bytes, 1e-9 * k.flops, k.launches,
                 1e3 * seconds);
      sum += seconds;
    }
    const double order = static_cast<double>(sizeof(int32_t)) * sizes.queries * sizes.gallery;
    fmt::print("{:<22}{:>10.3f}{:>30.3f}\n", "the order to the host", 1e-9 * order, 1e3 * order / kLink);
    fmt::print("{:<22}{:>40.3f}\n", "together", 1e3 * (sum + order / kLink));
  }
  fmt::print("and the scores of the ranked lists, on the processors\n");
}

// Re-ranking of every mode and trial, the matrix of distances included.
void run_rerank(const Sizes& sizes, OutputFile* json_file) {
  EvaluationPlan plan = make_plan(sizes);
  const Embeddings embeddings = make_embeddings(plan, sizes);
  plan.rerank = true;
  double rank1 = 0;
  double product = 0;
  const Time of_product = time_of([&] {
    product = seconds_of_product(sizes.queries, sizes.queries + sizes.gallery, sizes.dimension, embeddings.row(0),
                                 embeddings.row(0));
  });
  const Time time = time_of([&] { rank1 = rank_embeddings(plan, embeddings)[0].mean.rank1; });
  fmt::print("product of the queries with all images {:8.3f} s, {:8.3f} s of processors\n", product,
             of_product.processor);
  fmt::print("re-ranking                             {:8.3f} s, {:8.3f} s of processors\n", time.wall, time.processor);
  fmt::print("4 modes x 10 trials, {} images, distances included; rank-1 {:.2f} %\n", sizes.queries + sizes.gallery,
             rank1);
  if (!json_file) return;
  const nlohmann::ordered_json json = {{"queries", sizes.queries},
                                       {"gallery", sizes.gallery},
                                       {"dimension", sizes.dimension},
                                       {"threads", omp_get_max_threads()},
                                       {"product_seconds", product},
                                       {"rerank_seconds", time.wall},
                                       {"rerank_processor_seconds", time.processor}};
  write_file(*json_file, json.dump(2) + "\n");
}

// A file without a name: its space is free again as soon as this program has ended, in whichever way.
Descriptor make_nameless_file(const std::string& folder) {
  const std::string path = folder + "/" + temporary_name("bench-eval.npy");
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || unlink(path.c_str()) != 0)
    fail("--folder: {}: cannot make a file: {}", printable(folder), std::strerror(errno));
  return file;
}

// UserError, before any work, when the folder cannot hold the largest of the galleries.
void check_folder(const std::string& folder, const Sizes& sizes, const std::vector<int>& galleries) {
  if (const int reason = try_new_file(folder))
    fail("--folder: {}: cannot make a file: {}", printable(folder), std::strerror(reason));
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  const double rows = sizes.queries + static_cast<double>(*std::max_element(galleries.begin(), galleries.end()));
  const double needed = static_cast<double>(sizeof(float)) * sizes.dimension * rows;
  if (!error && needed > static_cast<double>(space.available))
    fail("--folder: {}: the embeddings need {}, got {} of free space", printable(folder), format_bytes(needed),
         format_bytes(static_cast<double>(space.available)));
}

// A gallery on disk, one trial: a features.npy of random numbers, ranked in blocks.
Time time_stream(const Sizes& sizes, const std::string& folder, size_t memory) {
  const int64_t rows = int64_t{sizes.queries} + sizes.gallery;
  const Descriptor descriptor = make_nameless_file(folder);
  const std::string path = fmt::format("/dev/fd/{}", descriptor.get());
  {
    OutputFile file(path);
    write_npy_header(file, {rows, sizes.dimension});
    std::vector<float> row(sizes.dimension);
    for (int64_t r = 0; r < rows; r++) {
      Random random(1, Purpose::Test, 1, static_cast<uint32_t>(r));
      for (float& value : row) value = static_cast<float>(random.bits()) * 0x1p-31f - 1;
      file.write(row.data(), row.size() * sizeof(float));
    }
    file.commit();
  }
  EvaluationPlan plan;
  plan.settings = {{"all", "all"}};
  plan.trials = 1;
  for (int64_t r = 0; r < rows; r++)
    (r < sizes.queries ? plan.queries : plan.gallery)
        .push_back({std::to_string(r), static_cast<int>(r % sizes.identities), 1, r < sizes.queries, -1});
  plan.drawn.assign(plan.gallery.size(), 1);
  const NpyFile file(path);
  EmbeddingRows source;
  source.rows = rows;
  source.dimension = sizes.dimension;
  source.read = [&](size_t first, size_t count, float* out) {
    file.read_rows(static_cast<int64_t>(first), static_cast<int64_t>(count), out);
  };
  source.images.resize(rows);
  std::iota(source.images.begin(), source.images.end(), 0);
  return time_of([&] { rank_streamed(plan, source, memory); });
}

void run_stream(Sizes sizes, const std::vector<int>& galleries, const std::string& folder, size_t memory) {
  fmt::print("{} queries, {}, {}, {}, {} MiB beside the lists\n", sizes.queries, counted(sizes.dimension, "number"),
             counted(sizes.identities, "identity", "identities"), counted(omp_get_max_threads(), "thread"),
             memory >> 20);
  for (const int gallery : galleries) {
    sizes.gallery = gallery;
    const Time time = time_stream(sizes, folder, memory);
    fmt::print("gallery {:>8} on disk   {:8.3f} s, {:8.3f} s of processors: {:.1f} us an image\n", gallery, time.wall,
               time.processor, 1e6 * time.processor / gallery);
    std::fflush(stdout);
  }
}

std::vector<int> parse_sizes(const std::vector<std::string>& words) {
  std::vector<int> sizes;
  for (const std::string& word : words) {
    const auto size = parse_whole<int>(word);
    if (!size || *size < 1) fail("--stream: expected numbers of images, got {}", quote(word));
    sizes.push_back(*size);
  }
  return sizes;
}

int bench_eval(int argc, char** argv) {
  Sizes sizes;
  int repeat = 3, threads = 0, memory = 1024;
  bool rerank = false, counts = false;
  std::vector<std::string> stream_sizes;
  std::string json_path, folder = ".", device_name = "cpu";
  CommandLine app("The time of a whole SYSU-MM01 evaluation beside one matrix product of its size", "bench-eval");
  add_whole_number(app, "--queries", sizes.queries, 4, 1000000, "query images");
  add_whole_number(app, "--gallery", sizes.gallery, 4, 1000000, "gallery images");
  add_whole_number(app, "--dimension", sizes.dimension, 1, 1000000, "numbers in an embedding");
  add_whole_number(app, "--identities", sizes.identities, 1, 1000000, "people");
  add_whole_number(app, "--repeat", repeat, 1, 100, "runs of the evaluation; the fastest counts");
  app.add_option("--device", device_name, kDeviceHelp)->capture_default_str();
  app.add_flag("--counted", counts,
               "print the time that a model has for the ranking on a GPU instead, by its bytes and operations");
  app.add_flag("--rerank", rerank, "time re-ranking instead");
  const auto* stream =
      app.add_list("--stream", stream_sizes, "time galleries on disk of these sizes instead: 10000,100000");
  app.add_option("--folder", folder,
                 "of --stream: where the embeddings are put, 4 bytes a number, in a file without a name")
      ->needs(stream);
  add_whole_number(app, "--memory", memory, 1, 1 << 20, "of --stream: MiB beside the lists of images")->needs(stream);
  add_whole_number(app, "--threads", threads, 1, 1024, kThreadsHelp)->default_str("");
  app.add_option("--json", json_path, "write the numbers to this file (not with --stream and --counted)");
  app.add_version([] { return version_text("bench-eval"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  if (counts + rerank + !stream_sizes.empty() > 1) fail("expected one of --counted, --rerank and --stream");
  if (!json_path.empty() && (counts || !stream_sizes.empty()))
    fail("--json: expected no {}, which writes no file", counts ? "--counted" : "--stream");
  // Every camera has every identity.
  if (stream_sizes.empty()) sizes.identities = std::min({sizes.identities, sizes.queries / 2, sizes.gallery / 4});
  if (counts) return print_counted(sizes), 0;
  const std::vector<int> galleries = parse_sizes(stream_sizes);
  if (!galleries.empty()) check_folder(folder, sizes, galleries);
  const Device device = choose_device(device_name);
  if (device.backend != Backend::cpu && (rerank || !stream_sizes.empty()))
    fail("--device: expected cpu with {}, which runs on the CPU alone, got {}", rerank ? "--rerank" : "--stream",
         quote(device_name));
  const auto json = output_for_later(json_path);
  set_up_threads(threads);
  keep_stdout_for({json_path});
  if (!stream_sizes.empty())
    run_stream(sizes, galleries, folder, static_cast<size_t>(memory) << 20);
  else if (rerank)
    run_rerank(sizes, json.get());
  else
    run(sizes, repeat, device, json.get());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main("bench-eval", argc, argv, bench_eval); }
