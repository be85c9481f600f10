// mpanet-search: an index of the pictures in a folder, and the nearest of them to a picture.
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/inputs.h"
#include "core/base/interrupt.h"
#include "core/base/json.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/loading/loader.h"
#include "data/pictures/sheet.h"
#include "data/sets/picture_names.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/network/vendors.h"
#include "mpanet/programs/embedding.h"
#include "mpanet/search/nearest_pictures.h"
#include "mpanet/search/nearest_rows.h"
#include "mpanet/search/search_index.h"
#include "mpanet/search/times.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
namespace fs = std::filesystem;
constexpr const char* kProgram = "mpanet-search";

constexpr const char* kAbout = R"(Finds the pictures that show the same person in a folder of pictures.

  mpanet-search index --checkpoint runs/first/best.safetensors PICTURES --out INDEX
  mpanet-search query INDEX a.jpg --top 10 --sheet a.png)";

constexpr const char* kMore = R"(
`index` embeds the pictures below a folder; called again it embeds those that are new or changed, and forgets those that
are gone. It may be stopped or killed at any moment, and goes on where it was. `query` compares with every picture of the
index, exactly.

Exit code 0: done; 2: bad input (one line on stderr says what); of index 130: stopped.)";

struct SearchOptions : NetworkOptions {
  std::string folder, index;  // of the pictures; of the index
  std::vector<std::string> pictures;
  std::string sheet, json, since_text;
  int top = 10, camera = 0;
  std::optional<int64_t> since;
};

ThreadChoice choose_and_note_threads(int given) {
  const ThreadChoice threads = choose_threads(given);
  if (!threads.warning.empty()) note(fmt::format("{}: warning: {}", kProgram, threads.warning));
  return threads;
}

OpenedNetwork open(const SearchOptions& options, size_t pictures, const ThreadChoice& threads) {
  return open_network(options, kProgram, "", nullptr, std::vector<ImageRecord>(std::max<size_t>(1, pictures)),
                      threads.text);
}

// Embeds pictures and calls take(first, rows) after each batch: the normalised embeddings of pictures first, first
// + 1...
void embed_each(const OpenedNetwork& network, const std::vector<std::string>& paths,
                const std::function<void(size_t first, std::vector<float>& rows)>& take) {
  const auto batch_size = static_cast<size_t>(network.how.batch);
  std::vector<std::vector<Sample>> batches((paths.size() + batch_size - 1) / batch_size);
  for (size_t i = 0; i < paths.size(); i++)
    batches[i / batch_size].push_back({paths[i], 0, false, static_cast<uint32_t>(i)});
  LoaderConfig config;
  config.height = network.how.height;
  config.width = network.how.width;
  config.threads = network.how.threads;
  config.form = network.how.form;
  config.allocate = network.how.allocate;
  Loader loader(config, std::move(batches));
  const int dimension = network.engine->feature_size();
  Batch batch;
  for (size_t done = 0; loader.next(batch); done += static_cast<size_t>(batch.count)) {
    std::vector<float> rows(static_cast<size_t>(batch.count) * static_cast<size_t>(dimension));
    embed_batch(*network.engine, batch, network.how.flip, rows.data(), [&](size_t i) { return paths[done + i]; });
    for (int i = 0; i < batch.count; i++) normalize_row(rows.data() + static_cast<ptrdiff_t>(i) * dimension, dimension);
    take(done, rows);
  }
}

std::string absolute(const std::string& path) {
  std::error_code error;
  return fs::weakly_canonical(fs::absolute(path), error).string();
}

int make_index(SearchOptions options) {
  if (options.checkpoint.empty()) fail("--checkpoint is needed (see --help)");
  if (options.index.empty()) fail("--out is needed (see --help)");
  register_input(options.checkpoint, "--checkpoint");
  if (!folder_exists(options.folder)) fail("{}: expected a folder of pictures, got none", options.folder);
  const ThreadChoice threads = choose_and_note_threads(options.threads);
  const std::vector<IndexedPicture> now = find_pictures(options.folder);
  const OpenedNetwork network = open(options, options.batch, threads);
  const IndexAbout about{
      absolute(options.folder), absolute(options.checkpoint),   network.checkpoint, network.how.height,
      network.how.width,        network.engine->feature_size(), network.how.flip};
  IndexWriter index(options.index, about);
  const std::vector<IndexedPicture> fresh = index.update(now);
  const InterruptGuard guard;
  std::vector<std::string> paths;
  for (const IndexedPicture& picture : fresh) paths.push_back(options.folder + "/" + picture.path);
  try {
    Progress progress("index", "pictures", fresh.size());
    embed_each(network, paths, [&](size_t first, std::vector<float>& rows) {
      const size_t count = rows.size() / static_cast<size_t>(about.dimension);
      const auto begin = fresh.begin() + static_cast<ptrdiff_t>(first);
      index.add({begin, begin + static_cast<ptrdiff_t>(count)}, rows.data());
      progress.advance(count);
      throw_if_interrupted();
    });
  } catch (const Interrupted&) {
    note(fmt::format("{}: stopped; {} has the pictures so far, and the same command goes on there", kProgram,
                     options.index));
    return interrupt_exit_code();
  }
  const size_t pictures = index.finish();
  fmt::print("{}: {}, {} embedded, {} removed\n", printable(options.index), counted(pictures, "picture"), fresh.size(),
             index.removed());
  return 0;
}

using Lists = std::vector<std::vector<NearPicture>>;  // for each query

Lists find(IndexReader& index, const std::vector<float>& queries, const SearchOptions& options,
           const LogisticCurve* curve) {
  Lists lists = nearest_pictures(index, queries, {options.top, options.camera, options.since}, usable_processors());
  if (curve != nullptr)
    for (std::vector<NearPicture>& list : lists)
      for (NearPicture& found : list) found.probability = curve->probability(found.distance);
  return lists;
}

nlohmann::ordered_json json_of(const IndexAbout& about, const std::vector<std::string>& queries, const Lists& lists) {
  nlohmann::ordered_json json;
  json["folder"] = about.folder;
  json["checkpoint_sha256"] = about.sha256;
  json["queries"] = nlohmann::ordered_json::array();
  for (size_t q = 0; q < queries.size(); q++) {
    nlohmann::ordered_json query;
    query["picture"] = queries[q];
    query["matches"] = nlohmann::ordered_json::array();
    for (const NearPicture& found : lists[q]) {
      nlohmann::ordered_json match;
      match["path"] = found.picture.path;
      match["distance"] = found.distance;
      match["probability"] = found.probability ? nlohmann::ordered_json(*found.probability) : nlohmann::ordered_json();
      match["camera"] =
          found.picture.camera > 0 ? nlohmann::ordered_json(found.picture.camera) : nlohmann::ordered_json();
      match["time"] = time_text(found.picture.time);
      query["matches"].push_back(match);
    }
    json["queries"].push_back(query);
  }
  return json;
}

void write_sheet(OutputFile& file, const IndexAbout& about, const std::vector<std::string>& queries,
                 const Lists& lists) {
  constexpr int kHeight = 128, kWidth = 48;
  constexpr size_t kShown = 20;
  size_t longest = 1;
  for (const auto& list : lists) longest = std::max(longest, std::min(list.size(), kShown));
  Sheet sheet(static_cast<int>(queries.size()), 1 + static_cast<int>(longest), kHeight, kWidth, 0, 2);
  sheet.title("query, then the nearest: rank: distance, camera");
  ImageDecoder decoder;
  Image picture;
  for (size_t q = 0; q < queries.size(); q++) {
    decoder.decode(queries[q], picture);
    sheet.set(static_cast<int>(q), 0, picture, kSheetInk, "query");
    for (size_t i = 0; i < std::min(lists[q].size(), kShown); i++) {
      const NearPicture& found = lists[q][i];
      decoder.decode(about.folder + "/" + found.picture.path, picture);
      sheet.set(static_cast<int>(q), static_cast<int>(i) + 1, picture, kSheetGray,
                fmt::format("{}:{:.3f}\n{}", i + 1, found.distance,
                            found.picture.camera > 0 ? fmt::format("cam {}", found.picture.camera) : ""));
    }
  }
  write_png(file, sheet.image());
}

void print_lists(const std::vector<std::string>& queries, const Lists& lists) {
  for (size_t q = 0; q < queries.size(); q++) {
    fmt::print("{}\n", printable(queries[q]));
    for (size_t i = 0; i < lists[q].size(); i++) {
      const NearPicture& found = lists[q][i];
      fmt::print("{:>5}  {:.6f}  {}camera {:<3} {}  {}\n", i + 1, found.distance,
                 found.probability ? fmt::format("P {:.4f}  ", *found.probability) : "",
                 found.picture.camera > 0 ? std::to_string(found.picture.camera) : "-", time_text(found.picture.time),
                 printable(found.picture.path));
    }
    if (lists[q].empty()) fmt::print("       no picture of the index is by this camera and of this time\n");
  }
}

// No output may replace the query's pictures, or what the index consists of.
void register_query(const SearchOptions& options, const IndexAbout& about) {
  for (const std::string& picture : options.pictures) register_input(picture, "a picture");
  register_inputs_below(
      options.index, [](std::string_view) { return true; }, "a file of the index");
  register_inputs_below(about.folder, is_picture_name, "a picture of the index");
  const std::string& checkpoint = options.checkpoint.empty() ? about.checkpoint : options.checkpoint;
  register_input(checkpoint, "--checkpoint");
  register_input(calibration_path(checkpoint), "the calibration");
}

int query_index(SearchOptions options) {
  if (!options.since_text.empty()) {
    options.since = parse_time(options.since_text);
    if (!options.since)
      fail("--since: expected a time in UTC such as 2026-11-26 or 2026-11-26T18:30, got {}", quote(options.since_text));
  }
  const IndexAbout about = IndexReader(options.index).about();
  register_query(options, about);
  const auto json = output_for_later(options.json), sheet = output_for_later(options.sheet);
  keep_stdout_for({options.json, options.sheet});
  if (options.checkpoint.empty()) options.checkpoint = about.checkpoint;
  options.size = fmt::format("{}x{}", about.height, about.width);
  options.flip = about.flip;
  const ThreadChoice threads = choose_and_note_threads(options.threads);
  const OpenedNetwork network = open(options, options.pictures.size(), threads);
  if (network.checkpoint != about.sha256)
    fail("{}: expected the weights of the index, whose SHA-256 is {}, got {}", options.checkpoint, about.sha256,
         network.checkpoint);
  if (network.engine->feature_size() != about.dimension)
    fail("{}: expected embeddings of {} numbers, got {}: the index is damaged", options.index,
         network.engine->feature_size(), about.dimension);
  const auto calibration = read_calibration(options.checkpoint, network.checkpoint);
  const LogisticCurve* curve =
      calibration ? calibration->curve(Distance::UnitEuclidean, about.height, about.width, about.flip) : nullptr;
  const std::string why_not =
      why_no_probability(calibration, Distance::UnitEuclidean, about.height, about.width, about.flip);
  if (!why_not.empty()) note(why_not + ", so that the distances stand for no probability");
  std::vector<float> queries;
  embed_each(network, options.pictures,
             [&](size_t, std::vector<float>& rows) { queries.insert(queries.end(), rows.begin(), rows.end()); });
  IndexReader index(options.index);
  if (index.about().sha256 != about.sha256 || index.about().dimension != about.dimension)
    fail("{}: the index was replaced during this search", options.index);
  const Lists lists = find(index, queries, options, curve);
  print_lists(options.pictures, lists);
  if (json) write_file(*json, json_text(json_of(about, options.pictures, lists)));
  if (sheet) {
    write_sheet(*sheet, about, options.pictures, lists);
    sheet->commit();
  }
  return 0;
}

int run(int argc, char** argv) {
  CommandLine app(kAbout, kProgram);
  app.footer(kMore);
  app.column_width(34);
  SearchOptions options;
  app.add_version([] { return version_text(kProgram); });
  auto* index = app.add_subcommand("index", "Embed the pictures below a folder, or those that are new or changed.");
  index->add_option("FOLDER", options.folder, "of JPEG, PNG and BMP pictures; each shows one person who fills it")
      ->required();
  index->add_option("--out", options.index, "the index, a folder");
  add_network_options(*index, options, {"--checkpoint", "--size", "--flip", "--batch"});
  auto* query = app.add_subcommand("query", "Print the pictures of an index that are nearest to others.");
  query->add_option("INDEX", options.index, "the folder that index made")->required();
  query->add_option("PICTURE", options.pictures, "pictures to look for")->required();
  add_whole_number(*query, "--top", options.top, 1, 1000, "pictures shown for each");
  add_whole_number(*query, "--camera", options.camera, 1, 9999, "only pictures by this camera")->default_str("");
  query->add_option("--since", options.since_text,
                    "only pictures whose file was changed then or later: 2026-11-26T18:30, in UTC");
  query->add_option("--checkpoint", options.checkpoint, "the index's weights, if they stand elsewhere now");
  query->add_option("--sheet", options.sheet, "PNG: the pictures with their nearest, at most 20");
  query->add_option("--json", options.json, "write the lists to this file");
  add_network_options(*query, options, {"--batch"});
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  if (index->parsed()) return make_index(options);
  if (query->parsed()) return query_index(options);
  fail("expected index or query (see --help)");
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
