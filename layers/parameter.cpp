#include "layers/parameter.h"

#include <type_traits>

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
  int64_t& end = trainable ? trainable_ : fixed_;
  p.offset = end;
  end += padded(p.count);
  return p;
}

void ParameterStore::allocate(Context& context, State state) {
  const size_t bytes = static_cast<size_t>(trainable_) * sizeof(real);
  values_ = Buffer(context, bytes);
  buffers_ = Buffer(context, static_cast<size_t>(fixed_) * sizeof(real));
  if (!std::is_same_v<real, storage>) working_ = Buffer(context, static_cast<size_t>(trainable_) * sizeof(storage));
  if (state != State::None) gradients_ = Buffer(context, bytes);
  if (state >= State::Momentum) first_ = Buffer(context, bytes);
  if (state == State::Adam) second_ = Buffer(context, bytes);
  if (context.planning()) return;
  for (Parameter& p : list_) {
    p.value = (p.trainable ? values_ : buffers_).as<real>() + p.offset;
    if (!p.trainable) continue;
    if (state != State::None) p.gradient = gradients_.as<real>() + p.offset;
    // Without copies (real is storage) there is no memory to add an offset to.
    const storage* const copies = working_.as<const storage>();
    p.working = working_copy(p.value, copies == nullptr ? nullptr : copies + p.offset);
  }
}

Parameter* ParameterStore::find(const std::string& name) {
  for (Parameter& p : list_)
    if (p.name == name) return &p;
  return nullptr;
}

void ParameterStore::changed(Context& context) {
  version_++;
  if constexpr (!std::is_same_v<real, storage>)
    RUN_ON(context, cast_to_storage(context.stream(), values_.as<real>(), working_.as<storage>(), trainable_));
}

void ParameterStore::begin_step() {
  for (Parameter& p : list_) p.has_gradient = false;
}

void ParameterStore::finish_gradients(Context& context) {
  for (Parameter& p : list_)
    if (p.trainable && !std::exchange(p.has_gradient, true))
      context.zero(p.gradient, static_cast<size_t>(p.count) * sizeof(real));
}

void ParameterStore::unscale_gradients(Context& context, double loss_scale, int32_t* finite) {
  real* gradients = gradients_.as<real>();
  RUN_ON(context, check_finite(context.stream(), gradients, trainable_, finite));
  RUN_ON(context, scale(context.stream(), gradients, trainable_, static_cast<real>(1 / loss_scale)));
}

void ParameterStore::adam(Context& context, const StepState* state, const AdamSettings& settings) {
  RUN_ON(context, adam_step(context.stream(), state, settings, gradients_.as<real>(), first_.as<real>(),
                            second_.as<real>(), values_.as<real>(), trainable_));
  changed(context);
}

void ParameterStore::sgd(Context& context, const StepState* state, const SgdSettings& settings) {
  RUN_ON(context, sgd_step(context.stream(), state, settings, gradients_.as<real>(), first_.as<real>(),
                           values_.as<real>(), trainable_));
  changed(context);
}

}  // namespace mpanet::PRECISION
