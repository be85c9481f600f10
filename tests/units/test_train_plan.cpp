// The memory that a run needs, and the machine's: the largest batch that fits, free memory in control groups.
#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/network/depth.h"
#include "mpanet/network/ranker.h"
#include "mpanet/training/free_memory.h"
#include "mpanet/training/train_plan.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

using namespace mpanet;
namespace fs = std::filesystem;

TEST_CASE("the largest batch that fits, by the plan itself") {
  TrainConfig config;
  for (const char* setting : {"depth=tiny", "image_size=32,16", "p_size=16", "k_size=8", "precision=f32"})
    set_config(config, setting);
  config.model.classes = 4;
  const Workload workload;
  const auto need = [&](int p, int k) {
    TrainConfig smaller = config;
    smaller.p_size = p, smaller.k_size = k;
    return plan_train_memory(smaller, workload).total();
  };
  CHECK(need(16, 8) > need(8, 8));
  const auto whole = largest_batch(config, workload, need(16, 8));
  REQUIRE(whole);
  CHECK(whole->p == 16);
  CHECK(whole->k == 8);
  const auto half = largest_batch(config, workload, need(8, 8));
  REQUIRE(half);
  CHECK(half->p == 8);
  CHECK(half->k == 8);
  const auto odd = largest_batch(config, workload, need(1, 28));  // 7 x 4 = 28, 4 x 6 = 24, 3 x 8 = 24, 14 x 2 = 28
  REQUIRE(odd);
  CHECK(odd->p == 7);
  CHECK(odd->k == 4);
  CHECK(!largest_batch(config, workload, 1000));
  const std::string message = error_of([&] { check_memory(config, workload, need(8, 8)); });
  CHECK(has(message, "the largest that fits is p_size 8 x k_size 8"));
  check_memory(config, workload, need(16, 8));
  check_memory(config, workload, 0);  // free memory is unknown
}

#if defined(MPANET_HAS_EMU)
TEST_CASE("the training set lies on the device if it is packed and fits") {
  TrainConfig config;
  for (const char* setting : {"depth=tiny", "image_size=32,16", "p_size=4", "k_size=4", "precision=f32"})
    set_config(config, setting);
  config.model.classes = 4;
  Workload workload;
  workload.device = Backend::emu;
  workload.train_images = 1000;
  Workload held = workload;
  held.pictures = PictureForm::Held;
  const TrainMemory memory = plan_train_memory(config, held);
  CHECK(memory.engine.pictures == 1000 * 32 * 16 * 3);
  const size_t need = memory.total() + (size_t{256} << 20);
  for (const size_t free : {need, size_t{0}}) {  // 0: unknown
    const PictureChoice choice = choose_pictures(config, workload, true, free);
    CHECK(choice.form == PictureForm::Held);
    CHECK(choice.why == "pictures: the training set's 1000 pictures lie on emu (1.5 MiB), which augments them");
  }
  const PictureChoice large = choose_pictures(config, workload, true, need - 1);
  CHECK(large.form == PictureForm::Bytes);
  CHECK(
      has(large.why, "pictures: sent to emu as bytes, which it augments; the training set's 1000 pictures take 1.5 "));
  CHECK(large.why.ends_with(" are free"));
  const PictureChoice loose = choose_pictures(config, workload, false, need);
  CHECK(loose.form == PictureForm::Bytes);
  CHECK(has(loose.why, "(1.5 MiB) would fit there if they were packed (mpanet-data pack)"));
  Workload on_cpu = workload;
  on_cpu.device = Backend::cpu;
  const PictureChoice cpu = choose_pictures(config, on_cpu, true, need);
  CHECK((cpu.form == PictureForm::Floats && cpu.why.empty()));
  // A batch of bytes is a quarter of one of floats, on the device too.
  Workload bytes = workload;
  bytes.pictures = PictureForm::Bytes;
  const size_t batch = 16 * 32 * 16 * 3;
  CHECK(plan_train_memory(config, workload).engine.activations - plan_train_memory(config, bytes).engine.activations >=
        3 * batch);
}

TEST_CASE("embeddings and ranking on a device are in the plan, or said to be the host's") {
  TrainConfig config;
  for (const char* setting : {"depth=tiny", "image_size=32,16", "p_size=4", "k_size=4", "precision=f32"})
    set_config(config, setting);
  config.model.classes = 4;
  EvaluationPlan plan;
  for (int i = 0; i < 700; i++) plan.queries.push_back({fmt::format("q{}", i), i, 3, true, -1});
  for (int i = 0; i < 900; i++) plan.gallery.push_back({fmt::format("g{}", i), i, 1, false, -1});
  plan.settings = {{"all", "all"}};
  plan.trials = 1;
  plan.drawn.assign(900, 1);
  Workload workload = workload_of(Backend::emu, Dataset(), {plan});
  CHECK((workload.queries == 700 && workload.gallery == 900));
  const TrainMemory before = plan_train_memory(config, workload);
  CHECK(before.embeddings == 0);
  Workload there = workload;
  there.evaluates_there = true;
  const TrainMemory memory = plan_train_memory(config, there);
  const int dimension = backbone_channels(config.model.depth) * (config.model.parts + 1);
  const size_t row = static_cast<size_t>(dimension) * sizeof(float);
  // What the ranking allocates: blocks of 480 queries, whose lists come to the host.
  const DeviceRows rows(Backend::emu, 900, dimension);
  RankerGallery gallery;
  for (int i = 0; i < 900; i++) gallery.rows.push_back(i);
  gallery.factors.assign(900, 1);
  gallery.offsets.assign(900, 0);
  size_t needed = 0;
  REQUIRE(make_ranker(rows, gallery, 480, &needed) != nullptr);
  CHECK(memory.embeddings == 1600 * row + needed);
  CHECK(memory.on_device() == memory.engine.total() + memory.embeddings);
  CHECK(before.evaluation - memory.evaluation == (1600 + 900) * row - 480 * 900 * sizeof(int32_t));
  // Re-ranking reads all embeddings: the device has no ranking, the host their copies too.
  plan.rerank = true;
  Workload reranked = workload_of(Backend::emu, Dataset(), {plan});
  reranked.evaluates_there = true;
  const TrainMemory both = plan_train_memory(config, reranked);
  CHECK(both.embeddings == 1600 * row);
  CHECK(both.evaluation == before.evaluation + reranked.rerank_bytes);

  const size_t need = memory.total() + (size_t{256} << 20);
  for (const size_t free : {need, size_t{0}}) {
    const EvaluationChoice choice = choose_evaluation(config, workload, free);
    CHECK((choice.there && choice.why.empty()));
  }
  const EvaluationChoice large = choose_evaluation(config, workload, need - 1);
  CHECK(!large.there);
  CHECK(has(large.why, "evaluation: embeddings and their ranking on emu would take "));
  CHECK(large.why.ends_with(" are free; they are planned in the host's memory"));
  CHECK(!choose_evaluation(config, Workload{.device = Backend::emu}, 0).there);  // it never evaluates
  workload.device = Backend::cpu;
  CHECK(!choose_evaluation(config, workload, 0).there);
}

// A GPU, whose plan is a line of its own.
TEST_CASE("the plan's lines for a GPU and for its host") {
  TrainMemory memory;
  const size_t mib = size_t{1} << 20;
  memory.engine.parameters = 10 * mib, memory.engine.optimizer = 20 * mib, memory.engine.activations = 30 * mib;
  memory.engine.snapshot = 5 * mib;
  memory.embeddings = 40 * mib, memory.loader = 2 * mib, memory.evaluation = 3 * mib;
  CHECK(memory_text(memory, Backend::cuda, FreeMemory(0, 200 * mib)) ==
        "memory: parameters and gradients 10.0 MiB, optimiser 20.0 MiB, activations 30.0 MiB, embeddings 40.0 MiB; "
        "100.0 MiB in all on cuda:0, 200.0 MiB are free\n"
        "memory of the host: pictures 2.0 MiB, evaluation 3.0 MiB, checkpoint 5.0 MiB; 10.0 MiB in all\n");
  CHECK(memory_text(memory, Backend::emu, {}) ==
        "memory: parameters and gradients 10.0 MiB, optimiser 20.0 MiB, activations 30.0 MiB, pictures 2.0 MiB, "
        "evaluation 43.0 MiB, checkpoint 5.0 MiB; 110.0 MiB in all\n");
}
#endif

TEST_CASE("free memory: the machine's, or what the control groups leave") {
  TemporaryFolder root;
  const auto put = [&](const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root / path).parent_path());
    write_file(root / path, text);
  };
  CHECK(free_memory(root.path()) == 0);
  put("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable:    500 kB\n");
  CHECK(free_memory(root.path()) == 500 * 1024);
  put("proc/self/cgroup", "0::/a/b\n");
  put("sys/fs/cgroup/a/b/memory.max", "max\n");
  put("sys/fs/cgroup/a/b/memory.current", "1000\n");
  CHECK(free_memory(root.path()) == 500 * 1024);
  put("sys/fs/cgroup/a/memory.max", "300000\n");  // the parent group has a lower limit; 50000 of its use is page cache
  put("sys/fs/cgroup/a/memory.current", "200000\n");
  put("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 50000\n");
  CHECK(free_memory(root.path()) == 150000);
  put("proc/self/cgroup", "4:cpu:/x\n3:memory:/\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "90000\n");
  put("sys/fs/cgroup/memory/memory.usage_in_bytes", "100000\n");
  CHECK(free_memory(root.path()) == 0);
  CHECK(free_memory() > 0);
}

TEST_CASE("the fingerprint of the training images sees paths, labels, modalities and order") {
  const ImageRecord a = {"cam1/0001/0001.jpg", 1, 1, false, 0}, b = {"cam3/0001/0001.jpg", 1, 3, true, 0};
  ImageRecord relabelled = a, recoloured = a;
  relabelled.label = 1;
  recoloured.infrared = true;
  CHECK(data_fingerprint({}) == 0xCBF29CE484222325);  // FNV-1a of nothing
  CHECK(data_fingerprint({a, b}) == data_fingerprint({a, b}));
  for (const auto& other : {std::vector{b, a}, std::vector{a}, std::vector{relabelled, b}, std::vector{recoloured, b}})
    CHECK(data_fingerprint({a, b}) != data_fingerprint(other));
}
