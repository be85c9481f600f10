// The log as a table and as TensorBoard's events (mpanet/training/log_views.h).
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/file.h"
#include "mpanet/training/log_views.h"
#include "mpanet/training/run_folder.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

using namespace mpanet;
using nlohmann::ordered_json;

namespace {

const char* const kStep =
    R"({"kind":"step","step":300,"epoch":2,"batch":5,"batches":7,"lr":0.001,"losses":{"cc":0.5,"total":2.25,"KL":null},"images_per_second":12.5})";
const char* const kEpoch = R"({"kind":"epoch","step":300,"epoch":2,"batches":7,"lr":0.001,"losses":{"total":3}})";
const char* const kEvaluation =
    R"({"kind":"evaluation","step":300,"epoch":2,"best":true,"results":[{"mode":"all","shots":"single","direction":"d","rank1":50.0,"mAP":null},{"mode":"all","shots":"multi","direction":"d","rank1":60.0}]})";

std::string hexadecimal(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

}  // namespace

TEST_CASE("rows of the table") {
  CHECK(csv_head() ==
        "kind,step,epoch,batch,batches,lr,images_per_second,total,p-reg,tri,cen,cc,ce,ce-v,ce-i,KL,best,rank1,rank5,"
        "rank10,"
        "rank20,mAP,mINP\n");
  CHECK(csv_row(ordered_json::parse(kStep)) == "step,300,2,5,7,0.001,12.5,2.25,,,,0.5,,,,,,,,,,,\n");
  CHECK(csv_row(ordered_json::parse(kEpoch)) == "epoch,300,2,,7,0.001,,3,,,,,,,,,,,,,,,\n");
  CHECK(csv_row(ordered_json::parse(kEvaluation)) == "evaluation,300,2,,,,,,,,,,,,,,true,50.0,,,,,\n");
}

TEST_CASE("scalars of events") {
  using Scalars = std::vector<std::pair<std::string, double>>;
  CHECK(event_scalars(ordered_json::parse(kStep)) ==
        Scalars{{"loss/cc", 0.5}, {"loss/total", 2.25}, {"training/images_per_second", 12.5}});
  CHECK(event_scalars(ordered_json::parse(kEpoch)) == Scalars{{"epoch/total", 3}, {"training/lr", 0.001}});
  CHECK(event_scalars(ordered_json::parse(kEvaluation)) ==
        Scalars{{"evaluation/rank1/all single: d", 50}, {"evaluation/rank1/all multi: d", 60}});
}

// The bytes are from another program, written by the formats' definitions.
TEST_CASE("bytes of events") {
  CHECK(crc32c("123456789") == 0xe3069283u);  // the check value of CRC-32C
  CHECK(hexadecimal(event_head(1.5)) ==
        "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c");
  CHECK(hexadecimal(event_record(1.5, 300, {{"a", 0.5}})) ==
        "1800000000000000a37f4b2209000000000000f83f10ac022a0a0a080a0161150000003f64076a3f");
}

TEST_CASE("times of events are found again") {
  const std::string file =
      event_head(1) + event_record(2, 1, {{"a", 1}}) + event_record(3, 1, {}) + event_record(4, 100000, {{"b", 2}});
  CHECK(event_times(file) == std::map<int64_t, double>{{1, 2}, {100000, 4}});
  CHECK(event_times(file.substr(0, file.size() - 5)) == std::map<int64_t, double>{{1, 2}});
  CHECK(event_times("").empty());
  CHECK(event_times(std::string(100, '\xff')).empty());
}

TEST_CASE("a log that is shortened makes its table and events again") {
  const TemporaryFolder folder;
  const std::string log = folder / "log.jsonl", table = folder / "log.csv",
                    events = folder / "events.out.tfevents.mpanet";
  const auto line = [](int step) {
    return ordered_json{{"kind", "step"}, {"step", step}, {"epoch", 1}, {"losses", {{"total", 0.5 * step}}}};
  };
  {
    RunLog first(log, 0, false);
    for (const int step : {1, 2, 3}) first.append(line(step));
  }
  const auto times = event_times(read_text(events));
  REQUIRE(times.size() == 3);
  std::filesystem::remove(table);
  RunLog again(log, 2, false);
  CHECK(read_text(table) == csv_head() + csv_row(line(1)) + csv_row(line(2)));
  auto kept = event_times(read_text(events));
  CHECK(kept.size() == 2);
  CHECK(kept.at(1) == times.at(1));
  CHECK(kept.at(2) == times.at(2));
  again.append(line(3));
  CHECK(read_text(table) == csv_head() + csv_row(line(1)) + csv_row(line(2)) + csv_row(line(3)));
  kept = event_times(read_text(events));
  CHECK(kept.size() == 3);
  CHECK(kept.at(3) >= times.at(3));
}
