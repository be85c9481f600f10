#include "layers/parameter.h"

namespace mpanet::PRECISION {
namespace {

// The weights that convolutions read: the value itself if storage is real, else its copy in storage.
template <class S>
const S* working_copy(const real* value, const S* copy) {
  if constexpr (std::is_same_v<S, real>)
    return value;
  else
    return copy;
}

// Elements rounded up, so that each parameter begins at a multiple of 64 bytes.
int64_t padded(int64_t count) { return (count + 15) / 16 * 16; }

}  // namespace

Parameter& ParameterStore::add(const std::string& name, std::vector<int64_t> shape, bool trainable) {
  MPANET_CHECK(values_.bytes() == 0, "{} comes after the memory was laid out", name);
  MPANET_CHECK(find(name) == nullptr, "{} exists already", name);
  Parameter& p = list_.emplace_back();
  p.name = name;
  p.shape = std::move(shape);
  p.trainable = trainable;
  p.count = 1;
  for (const int64_t d : p.shape) p.count *= d;
  return p;
}

Parameter& ParameterStore::add_convolution(const std::string& name, std::vector<int64_t> shape) {
  Parameter& p = add(name, std::move(shape), true);
  p.convolution = true;
  return p;
}

void ParameterStore::place() {
  const auto place_all = [&](int64_t begin, const auto& belongs) {
    int64_t end = begin;
    for (Parameter& p : list_)
      if (belongs(p)) p.offset = std::exchange(end, end + padded(p.count));
    return end - begin;
  };
  convolutions_ = place_all(0, [](const Parameter& p) { return p.convolution; });
  others_ = place_all(convolutions_, [](const Parameter& p) { return p.trainable && !p.convolution; });
  fixed_ = place_all(0, [](const Parameter& p) { return !p.trainable; });
}

void ParameterStore::allocate(Context& context, State state) {
  place();
  const size_t bytes = static_cast<size_t>(trainable()) * sizeof(real);
  values_ = Buffer(context, bytes);
  buffers_ = Buffer(context, static_cast<size_t>(fixed_) * sizeof(real));
  if (working_count() > 0) working_ = Buffer(context, static_cast<size_t>(working_count()) * sizeof(storage));
  if (state != State::None) gradients_ = Buffer(context, bytes);
  if (state >= State::Momentum) first_ = Buffer(context, bytes);
  if (state == State::Adam) second_ = Buffer(context, bytes);
  if (context.planning()) return;
  for (Parameter& p : list_) {
    p.value = (p.trainable ? values_ : buffers_).as<real>() + p.offset;
    if (!p.trainable) continue;
    if (state != State::None) p.gradient = gradients_.as<real>() + p.offset;
    if (!p.convolution) continue;
    // Without copies (real is storage) there is no memory to add an offset to.
    const storage* const copies = working_.as<const storage>();
    p.working = working_copy(p.value, copies == nullptr ? nullptr : copies + p.offset);
  }
}

Parameter* ParameterStore::find(const std::string& name) {
  return const_cast<Parameter*>(std::as_const(*this).find(name));
}

const Parameter* ParameterStore::find(const std::string& name) const {
  for (const Parameter& p : list_)
    if (p.name == name) return &p;
  return nullptr;
}

void ParameterStore::changed(Context& context) {
  version_++;
  if (working_count() > 0)
    RUN_ON(context, cast_to_storage(context.stream(), values_.as<real>(), working_.as<storage>(), working_count()));
}

void ParameterStore::add_splits_later(Context& context, const Parameter& p, int splits, const FlagTensor& memory) {
  std::shared_ptr<Splits> waiting = splits_.lock();
  if (!waiting) {
    waiting = std::make_shared<Splits>();
    splits_ = waiting;
    context.tape().record_end("convolutions", [this, waiting, &context] { add_splits(context); });
  }
  waiting->sums.push_back({reinterpret_cast<const real*>(memory.data()), splits, p.gradient, p.count});
  waiting->memory.push_back(memory);
}

void ParameterStore::add_splits(Context& context) {
  const std::shared_ptr<Splits> waiting = splits_.lock();
  if (!waiting || waiting->sums.empty()) return;
  RUN_ON(context, add_split_sums(context.stream(), waiting->sums.data(), static_cast<int>(waiting->sums.size())));
  *waiting = {};
}

void ParameterStore::begin_step() {
  for (Parameter& p : list_) p.has_gradient = false;
}

void ParameterStore::finish_gradients(Context& context) {
  for (Parameter& p : list_)
    if (p.trainable && !std::exchange(p.has_gradient, true))
      context.zero(p.gradient, static_cast<size_t>(p.count) * sizeof(real));
}

void ParameterStore::check_gradients(Context& context, int32_t* finite) {
  RUN_ON(context, check_finite(context.stream(), gradients_.as<real>(), trainable(), finite));
}

void ParameterStore::adam(Context& context, const StepRates* rates, const StepState* state,
                          const AdamSettings& settings) {
  RUN_ON(context,
         adam_step(context.stream(), rates, state, settings, gradients_.as<real>(), first_.as<real>(),
                   second_.as<real>(), values_.as<real>(), trainable(), working_.as<storage>(), working_count()));
  moved();
}

void ParameterStore::sgd(Context& context, const StepRates* rates, const StepState* state,
                         const SgdSettings& settings) {
  RUN_ON(context, sgd_step(context.stream(), rates, state, settings, gradients_.as<real>(), first_.as<real>(),
                           values_.as<real>(), trainable(), working_.as<storage>(), working_count()));
  moved();
}

}  // namespace mpanet::PRECISION
