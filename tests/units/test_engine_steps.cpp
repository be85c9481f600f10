// Training steps through mpanet/network/engine.h: optimisers, teachers, statistics, difficult batches; in f32 and f64.
#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "tests/support/built.h"
#include "tests/support/engine_helpers.h"
#include "tests/support/picture_set.h"

namespace mpanet {
namespace {

// The cpu backend, and the emulated GPU if the build has it.
std::vector<Device> devices() {
#if defined(MPANET_HAS_EMU)
  return {Backend::cpu, Backend::emu};
#else
  return {Backend::cpu};
#endif
}

TEST_CASE("pictures as floats, as bytes and in the device's set give the same bits") {
  for (const Device device : devices())
    for (const Precision precision : built_precisions()) {
      CAPTURE(name_of(device));
      CAPTURE(name_of(precision));
      EngineConfig config = tiny(precision);
      config.device = device;
      const PictureSet set(7, config.model.height, config.model.width);
      std::map<std::string, Values> expected;
      Values features;
      for (const PictureForm form : {PictureForm::Floats, PictureForm::Bytes, PictureForm::Held}) {
        set.configure(config, form);
        config.held_pictures = form == PictureForm::Held ? 7 : 0;
        const auto engine = make_engine(config);
        engine->initialize(1);
        // At which no gradient overflows: NaN would equal nothing, and a step would be left out.
        if (precision == Precision::f16) engine->set_optimizer_progress({.loss_scale = 64});
        set.give(*engine);
        // A step's batch is sent while the step before is computed, and between two steps pictures are embedded.
        const PictureForm sent = form == PictureForm::Floats ? PictureForm::Floats : PictureForm::Bytes;
        Values embedded;
        for (uint32_t step = 0; step < 3; step++) {
          engine->step(set.batch(*engine, form, 4, 5, step), 1e-3, 1);
          CHECK(engine->result().updated);
          embedded = embed(*engine, set.batch(*engine, sent, 3, 5, 10 + step));
        }
        const auto state = snapshot(*engine);
        if (form == PictureForm::Floats) expected = state, features = embedded;
        CHECK(state == expected);
        CHECK(embedded == features);
      }
    }
}

TEST_CASE("batches in another form than the engine's, and cuts outside of the pictures, are refused") {
  EngineConfig config = tiny(Precision::f32);
  const PictureSet set(7, config.model.height, config.model.width);
  set.configure(config, PictureForm::Held);
  const auto engine = make_engine(config);
  const auto refused = [&](const Batch& batch, const char* words) {
    CHECK_THROWS_WITH_AS(engine->upload(batch), doctest::Contains(words), CheckError);
  };
  const Batch good = set.batch(*engine, PictureForm::Held, 4, 5, 0);
  engine->upload(good);
  for (const PictureForm form : {PictureForm::Floats, PictureForm::Bytes})
    refused(set.batch(*engine, form, 4, 5, 0), "expected pictures in form 2");
  Batch bad = good;
  bad.cuts[2].picture = 7;
  refused(bad, "expected a picture of 0..6, got 7");
  bad = good;
  bad.cuts[2].erase_left = config.model.width, bad.cuts[2].erase_width = 1;
  refused(bad, "expected a rectangle in 48x24");
  bad = good;
  bad.cuts.pop_back();
  refused(bad, "expected 4 cuts, got 3");
  CHECK_THROWS_WITH_AS(engine->hold(7, set.picture(0)), doctest::Contains("expected a picture of 0..6, got 7"),
                       CheckError);
  config.held_pictures = 0;
  CHECK_THROWS_WITH_AS(make_engine(config), doctest::Contains("held_pictures: expected some"), CheckError);
}

TEST_CASE("Adam: two steps on known gradients") {
  for (const Precision precision : kPrecisions) {
    EngineConfig config = tiny(precision);
    config.optimizer.weight_decay = 0.25;
    const auto engine = make_engine(config);
    engine->initialize(1);
    const std::string name = "backbone.layer2.0.conv1.weight";
    const Values start = read(*engine, name), teacher = read(*engine, "visible_classifier_.weight");
    const auto count = static_cast<int64_t>(start.size());
    const double lr = 0.01, eps = 1e-8;
    Values value = start, first(start.size()), second(start.size());
    for (int step = 1; step <= 2; step++) {
      const Values gradient = normals(count, static_cast<uint32_t>(step));
      engine->write(name, Slot::Gradient, gradient.data());
      engine->update(lr);
      CHECK(engine->optimizer_progress().steps == step);
      for (size_t i = 0; i < value.size(); i++) {
        const double g = gradient[i] + 0.25 * value[i];
        first[i] = 0.9 * first[i] + 0.1 * g;
        second[i] = 0.999 * second[i] + 0.001 * g * g;
        const double m = first[i] / (1 - std::pow(0.9, step)), v = second[i] / (1 - std::pow(0.999, step));
        value[i] -= lr * m / (std::sqrt(v) + eps);
      }
      // In float the second moment's factor 1 - 0.999 = 0.001 has a relative error of up to 1e-4, which cancels in the
      // step.
      const double tolerance = precision == Precision::f64 ? 1e-12 : 1e-6;
      check_close(read(*engine, name), value, tolerance);
      check_close(read(*engine, name, Slot::First), first, tolerance);
      check_close(read(*engine, name, Slot::Second), second, tolerance);
    }
    CHECK(read(*engine, "visible_classifier_.weight") == teacher);
    CHECK(read(*engine, "bn_neck.bias") == Values(7 * 128));
  }
}

TEST_CASE("Adam goes on from a stored step") {
  const auto engine = make_engine(tiny(Precision::f64));
  engine->initialize(1);
  const std::string name = "classifier.weight";
  const Values start = read(*engine, name);
  const Values gradient(start.size(), 2), zero(start.size());
  engine->write(name, Slot::Gradient, gradient.data());
  engine->set_optimizer_progress({.steps = 99});
  engine->update(0.5);
  CHECK(engine->optimizer_progress().steps == 100);
  Values expected = start;
  for (double& w : expected) {
    const double g = 2 + 5e-4 * w;
    w -= 0.5 * (0.1 * g / (1 - std::pow(0.9, 100))) / (std::sqrt(0.001 * g * g / (1 - std::pow(0.999, 100))) + 1e-8);
  }
  check_close(read(*engine, name), expected, 1e-12);
}

TEST_CASE("SGD: momentum and weight decay") {
  EngineConfig config = tiny(Precision::f64);
  config.optimizer.kind = OptimizerConfig::Kind::Sgd;
  const auto engine = make_engine(config);
  engine->initialize(1);
  const std::string name = "classifier.weight";
  Values value = read(*engine, name), momentum(value.size());
  for (uint32_t step = 1; step <= 3; step++) {
    const Values gradient = normals(static_cast<int64_t>(value.size()), step);
    engine->write(name, Slot::Gradient, gradient.data());
    engine->update(0.1);
    for (size_t i = 0; i < value.size(); i++) {
      momentum[i] = 0.9 * momentum[i] + gradient[i] + 5e-4 * value[i];
      value[i] -= 0.1 * momentum[i];
    }
    check_close(read(*engine, name), value, 1e-12);
    check_close(read(*engine, name, Slot::First), momentum, 1e-12);
  }
  Values out(value.size());
  CHECK_THROWS_AS(engine->read(name, Slot::Second, out.data()), CheckError);
}

TEST_CASE("training is deterministic, and embedding in between changes nothing") {
  for (const Precision precision : kPrecisions) {
    const EngineConfig config = tiny(precision, 6, 3);
    const auto one = make_engine(config), two = make_engine(config);
    for (const auto& engine : {one.get(), two.get()}) engine->initialize(7);
    for (uint32_t step = 0; step < 3; step++) {
      const Batch batch = make_batch(config.model, 6, step);
      one->step(batch, 1e-3, 1);
      embed(*two, make_batch(config.model, 2, 50 + step));
      two->step(batch, 1e-3, 1);
      CHECK(one->result().losses == two->result().losses);
    }
    CHECK(snapshot(*one) == snapshot(*two));
    const auto third = make_engine(config);
    third->initialize(7);
    CHECK(snapshot(*third) != snapshot(*one));
  }
}

TEST_CASE("a step is its two halves, to the bit, and the batch may be sent ahead") {
  for (const Precision precision : {Precision::f32, Precision::f64, Precision::f16}) {
    if (!is_built(precision)) continue;
    const EngineConfig config = tiny(precision, 6, 3);
    const auto whole = make_engine(config), halves = make_engine(config);
    for (const auto& engine : {whole.get(), halves.get()}) engine->initialize(7);
    whole->upload(make_batch(config.model, 6, 0));
    for (uint32_t step = 0; step < 3; step++) {
      whole->step(1e-3 * (step + 1), 1 + 200 * static_cast<int>(step));
      if (step < 2) whole->upload(make_batch(config.model, 6, step + 1));
      halves->forward_backward(make_batch(config.model, 6, step), 1 + 200 * static_cast<int>(step));
      const Losses losses = halves->result().losses;
      const bool updated = halves->update(1e-3 * (step + 1));
      CHECK(whole->result().losses == losses);
      CHECK(whole->result().updated == updated);
      CHECK(whole->optimizer_progress() == halves->optimizer_progress());
    }
    CHECK(snapshot(*whole) == snapshot(*halves));
    CHECK_THROWS_WITH_AS(whole->step(1e-3, 1), doctest::Contains("expected a batch that was uploaded"), CheckError);
  }
}

TEST_CASE("teachers follow the live classifiers once a step, at the epoch's rate") {
  for (const Precision precision : kPrecisions) {
    EngineConfig config = tiny(precision);
    config.model.update_rate = 0.25;
    const auto engine = make_engine(config);
    engine->initialize(1);
    // r = update_rate * min(100 / (epoch + 1), 1)
    const std::pair<int, double> rates[] = {{1, 0.25}, {99, 0.25}, {100, 0.25 * 100 / 101}, {150, 0.25 * 100 / 151}};
    uint32_t index = 0;
    for (const auto& [epoch, rate] : rates)
      for (const std::string modality : {"visible", "infrared"}) {
        const int64_t count = 5 * 7 * 128;
        const Values live = normals(count, index++), teacher = normals(count, index++);
        engine->write(modality + "_classifier.weight", Slot::Value, live.data());
        engine->write(modality + "_classifier_.weight", Slot::Value, teacher.data());
        engine->forward_backward(make_batch(config.model, 4, 0), epoch);
        Values expected = teacher;
        for (size_t i = 0; i < expected.size(); i++) expected[i] = (1 - rate) * teacher[i] + rate * live[i];
        check_close(read(*engine, modality + "_classifier_.weight"), expected,
                    precision == Precision::f64 ? 1e-14 : 1e-6);
        CHECK(read(*engine, modality + "_classifier.weight") == live);
      }
  }
}

TEST_CASE("running statistics move in training only; forward_backward leaves the parameters alone") {
  const EngineConfig config = tiny(Precision::f32);
  const auto engine = make_engine(config);
  engine->initialize(1);
  const auto before = snapshot(*engine);
  embed(*engine, make_batch(config.model, 4, 0));
  CHECK(snapshot(*engine) == before);
  engine->forward_backward(make_batch(config.model, 4, 0), 1);
  for (const TensorInfo& info : engine->tensors()) {
    CAPTURE(info.name);
    const bool statistic = info.name.find("running_") != std::string::npos;
    // The teachers start equal to the live classifiers, so their first update changes them by rounding only.
    if (info.name.find("classifier_.") == std::string::npos)
      CHECK((read(*engine, info.name) != before.at(info.name)) == statistic);
  }
  engine->update(1e-3);
  for (const TensorInfo& info : engine->tensors()) {
    CAPTURE(info.name);
    if (info.trainable) CHECK(read(*engine, info.name) != before.at(info.name));
  }
  CHECK(read(*engine, "bn_neck.bias") == Values(7 * 128));
}

TEST_CASE("batches that cannot form every term give finite losses and gradients") {
  for (const Precision precision : kPrecisions) {
    EngineConfig config = tiny(precision);
    config.model.triplet = config.model.center = true;
    const auto engine = make_engine(config);
    engine->initialize(1);
    const Batch usual = make_batch(config.model, 4, 0);
    Batch visible = usual, infrared = usual, one = usual, singles = usual, equal = usual, black = usual;
    visible.infrared = {0, 0, 0, 0};
    infrared.infrared = {1, 1, 1, 1};
    one.labels = {3, 3, 3, 3};
    singles.labels = {0, 1, 2, 3};
    for (size_t i = 0; i < equal.images.size(); i++) equal.images[i] = usual.images[i % (usual.images.size() / 4)];
    std::fill(black.images.begin(), black.images.end(), 0.F);
    for (const Batch& batch : {usual, visible, infrared, one, singles, equal, black}) {
      engine->forward_backward(batch, 1);
      const Losses losses = engine->result().losses;
      CHECK(losses.size() == 9);
      for (const auto& loss : losses) CHECK_MESSAGE(std::isfinite(loss.second), loss.first);
      for (const TensorInfo& info : engine->tensors()) {
        if (!info.trainable) continue;
        const Values gradient = read(*engine, info.name, Slot::Gradient);
        CHECK_MESSAGE(std::all_of(gradient.begin(), gradient.end(), [](double g) { return std::isfinite(g); }),
                      info.name);
      }
    }
    engine->forward_backward(visible, 1);
    CHECK(loss(engine->result().losses, "ce-i") == 0);
    CHECK(read(*engine, "infrared_classifier.weight", Slot::Gradient) == Values(5 * 7 * 128));
    engine->forward_backward(infrared, 1);
    CHECK(loss(engine->result().losses, "ce-v") == 0);
    engine->forward_backward(infrared, 1);
    CHECK(loss(engine->result().losses, "KL") > 0);
    engine->forward_backward(one, 1);
    CHECK(loss(engine->result().losses, "tri") == 0);
  }
}

TEST_CASE("loss terms in the reference's order, the total their weighted sum") {
  EngineConfig config = tiny(Precision::f64);
  config.model.triplet = config.model.center = true;
  config.model.weight_sep = 0.3;
  config.model.weight_sid = 0.7;
  config.model.weight_kl = 1.9;
  const auto engine = make_engine(config);
  engine->initialize(1);
  engine->forward_backward(make_batch(config.model, 4, 0), 1);
  const Losses losses = engine->result().losses;
  std::vector<std::string> names;
  for (const auto& [name, value] : losses) names.push_back(name);
  CHECK(names == std::vector<std::string>{"p-reg", "tri", "cen", "cc", "ce", "ce-v", "ce-i", "KL", "total"});
  const auto term = [&](const char* name) { return loss(losses, name); };
  CHECK(term("total") == doctest::Approx(0.3 * term("p-reg") + term("tri") + term("cen") + term("cc") + term("ce") +
                                         2 * 0.7 * (term("ce-v") + term("ce-i")) + 1.9 * term("KL"))
                             .epsilon(1e-13));
}

TEST_CASE("each term alone: no other term, no parameter of the others, and the total is finite and trains") {
  const std::set<std::string> classifier = {"classifier.weight"}, centers = {"center_loss.centers"},
                              modalities = {"visible_classifier.weight", "infrared_classifier.weight",
                                            "visible_classifier_.weight", "infrared_classifier_.weight"};
  struct Alone {
    const char* name;
    bool ModelConfig::*part;  // null: p-reg
    std::vector<std::string> terms;
    std::set<std::string> heads;
  };
  const Alone cases[] = {{"p-reg", nullptr, {"p-reg", "total"}, {}},
                         {"cc", &ModelConfig::center_cluster, {"cc", "total"}, {}},
                         {"ce", &ModelConfig::classification, {"ce", "total"}, classifier},
                         {"mutual", &ModelConfig::mutual, {"ce-v", "ce-i", "KL", "total"}, modalities},
                         {"tri", &ModelConfig::triplet, {"tri", "total"}, {}},
                         {"cen", &ModelConfig::center, {"cen", "total"}, centers}};
  for (const Alone& alone : cases) {
    CAPTURE(alone.name);
    EngineConfig config = tiny(Precision::f64);
    ModelConfig& m = config.model;
    m.center_cluster = m.classification = m.mutual = m.triplet = m.center = false;
    m.margin = 50;  // features of random pictures have large distances; with this margin the hinges are active
    if (alone.part != nullptr) m.parts = 0, m.*alone.part = true;
    const auto engine = make_engine(config);
    engine->initialize(1);
    const auto before = snapshot(*engine);
    engine->step(make_batch(m, 4, 0), 1e-3, 1);
    std::vector<std::string> terms;
    for (const auto& loss : engine->result().losses) {
      terms.push_back(loss.first);
      CHECK_MESSAGE(loss.second > 0, loss.first);
    }
    // KL is positive from the start: the teachers equal the live classifiers, but KL compares those of two modalities.
    CHECK(terms == alone.terms);
    std::set<std::string> heads;
    for (const TensorInfo& info : engine->tensors()) {
      CAPTURE(info.name);
      if (info.name.find("classifier") != std::string::npos || info.name.starts_with("center_loss"))
        heads.insert(info.name);
      else if (info.trainable || info.name.find("running_") != std::string::npos)
        CHECK(read(*engine, info.name) != before.at(info.name));
      // Without a classifier no term depends on the neck. Its weight is not trainable: not even weight decay changes
      // it.
      const bool classified = alone.part == &ModelConfig::classification || alone.part == &ModelConfig::mutual;
      if (info.name == "bn_neck.weight") CHECK(info.trainable == classified);
      if (info.name == "bn_neck.weight" && !classified) CHECK(read(*engine, info.name) == before.at(info.name));
    }
    CHECK(heads == alone.heads);
  }
}

TEST_CASE("no term at all is no engine for training, but one for embeddings") {
  EngineConfig config = tiny(Precision::f32);
  ModelConfig& m = config.model;
  m.center_cluster = m.classification = m.mutual = false;
  m.parts = 1;
  CHECK_THROWS_WITH_AS(make_engine(config), doctest::Contains("expected a loss term, got none"), CheckError);
  config.train_batch = 0;
  CHECK(embed(*make_engine(config), make_batch(m, 4, 0)).size() == 4 * 2 * 128);
}

}  // namespace
}  // namespace mpanet
