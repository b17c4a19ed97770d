// Whether certificates keep their word on real rows: certificate_resplits BUNDLE DATA [SPLITS] [DELTA] [ALPHA] [SEED].
// The rows of calibrate and test are pooled and traced once by the engine. Each re-split draws as many calibration rows
// as calibrate has, proves a threshold on them, and looks at what it costs: on the whole pool (the population that the
// rows were drawn from) and on the rows that were left over. A violation is a loss above delta. Under the promise the
// pool's happen in alpha of the splits at most: drawing without replacement only helps. The rows left over are a sample
// themselves, and pass delta a little more often.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "base/random.h"
#include "bundle/bundle.h"
#include "eval/recorded_data.h"
#include "eval/trace.h"
#include "model/model.h"
#include "policy/certificate.h"

namespace {

using namespace fathom;
using policy::Loss, policy::Trace;

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "certificate_resplits: %s\n", result.error().message.c_str());
  std::exit(1);
}

struct Rows {  // of one trace, what certificates read
  Trace trace;
  std::vector<float> scores;
};

void append(Rows& to, const Rows& from, std::size_t row) {
  const std::size_t layers = static_cast<std::size_t>(from.trace.layers);
  const auto copy = [&](auto& out, const auto& in, std::size_t width) {
    out.insert(out.end(), in.begin() + static_cast<std::ptrdiff_t>(row * width),
               in.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
  };
  copy(to.trace.labels, from.trace.labels, 1);
  copy(to.trace.tokens, from.trace.tokens, 1);
  copy(to.trace.predictions, from.trace.predictions, layers);
  copy(to.scores, from.scores, layers - 1);
}

Rows pick(const Rows& all, std::span<const std::size_t> rows) {
  Rows out;
  out.trace.layers = all.trace.layers;
  out.trace.classes = all.trace.classes;
  for (const std::size_t row : rows) append(out, all, row);
  return out;
}

// Mean loss at a threshold; of one class, or of all (-1).
double loss_of(const Rows& rows, int first_exit, float lambda, Loss loss, int label) {
  const auto exits = policy::exits_at(rows.scores, rows.trace.layers, lambda, first_exit);
  const std::size_t layers = static_cast<std::size_t>(rows.trace.layers);
  double lost = 0, count = 0;
  for (std::size_t i = 0; i < exits.size(); ++i) {
    const std::int32_t truth = rows.trace.labels[i], full = rows.trace.predictions[(i + 1) * layers - 1],
                       answer = rows.trace.predictions[i * layers + static_cast<std::size_t>(exits[i]) - 1];
    if (label >= 0 && truth != label) continue;
    count += 1;
    lost += loss == Loss::consistency ? answer != full : full == truth && answer != truth;
  }
  return count > 0 ? lost / count : 0;
}

double worst_of(const Rows& rows, int first_exit, float lambda, Loss loss, bool groups) {
  if (!groups) return loss_of(rows, first_exit, lambda, loss, -1);
  double worst = 0;
  for (int label = 0; label < rows.trace.classes; ++label)
    worst = std::max(worst, loss_of(rows, first_exit, lambda, loss, label));
  return worst;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "certificate_resplits BUNDLE DATA [SPLITS] [DELTA] [ALPHA] [SEED]\n");
    return 2;
  }
  const auto number = [&](int at, double otherwise) { return argc > at ? std::atof(argv[at]) : otherwise; };
  const int splits = static_cast<int>(number(3, 200));
  const double delta = number(4, 0.01), alpha = number(5, 0.05);
  const auto seed = static_cast<std::uint64_t>(number(6, 1));
  auto runtime = must(engine::Runtime::create({}));
  const auto model = must(Model::load(must(Bundle::open(argv[1]))));
  const auto plan = must(engine::Plan::compile(model, *runtime));
  const auto data = must(eval::read_eval_data(model->bundle()->fathom(), argv[2], argv[1]));
  const auto read = [&](data::Part part) {
    const auto inputs = must(eval::encode_split(data.dataset, part, model->spec(), argv[1]));
    auto traced = must(eval::trace_inputs(plan, *runtime, inputs));
    auto scores = traced.trace.scores[static_cast<std::size_t>(plan->policy().score)];
    return Rows{std::move(traced.trace), std::move(scores)};
  };
  const Rows tune = read(data::Part::tune);
  Rows pool = read(data::Part::calibrate);
  const std::size_t calibrate = pool.trace.size();
  const Rows test = read(data::Part::test);
  for (std::size_t i = 0; i < test.trace.size(); ++i) append(pool, test, i);

  std::printf("%zu calibration rows of %zu, %d splits, delta %g, alpha %g: within sampling error up to %d violations\n",
              calibrate, pool.trace.size(), splits, delta, alpha,
              static_cast<int>(splits * alpha + 2 * std::sqrt(splits * alpha * (1 - alpha))));
  const int first_exit = plan->policy().first_exit;
  const struct {
    const char* name;
    Loss loss;
    bool groups;
    double delta;
  } kinds[] = {{"consistency", Loss::consistency, false, delta},
               {"harm", Loss::harm, false, delta},
               {"consistency, every class", Loss::consistency, true, 2 * delta},
               {"harm, every class", Loss::harm, true, 2 * delta},
               {"consistency, least delta", Loss::consistency, false, 0}};
  for (const auto& kind : kinds) {
    int in_pool = 0, in_rest = 0, useful = 0;
    double mean_loss = 0, mean_exit = 0, aimed = 0;
    for (int split = 0; split < splits; ++split) {
      std::vector<std::size_t> order(pool.trace.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      Random(seed + static_cast<std::uint64_t>(split), "resplit").shuffle(order);
      const std::span<const std::size_t> all(order);
      const Rows proof = pick(pool, all.first(calibrate)), rest = pick(pool, all.subspan(calibrate));
      const double own = kind.delta > 0 ? kind.delta : policy::least_delta(kind.loss, calibrate, 0, alpha);
      policy::Groups groups;
      if (kind.groups)
        groups = {policy::GroupBy::label, model->spec().label_names, tune.trace.labels, proof.trace.labels};
      const auto got = must(policy::certify(tune.trace, tune.scores, proof.trace, proof.scores, first_exit,
                                            {kind.loss, own, alpha, 1}, groups));
      const double loss = worst_of(pool, first_exit, got.lambda, kind.loss, kind.groups);
      in_pool += loss > own;
      in_rest += worst_of(rest, first_exit, got.lambda, kind.loss, kind.groups) > own;
      useful += got.lambda < 1;
      mean_loss += loss / splits;
      mean_exit += got.mean_exit / splits;
      aimed = own;
    }
    std::printf(
        "%-26s delta %.3f %%: violations %3d of the pool, %3d of the rows left over; mean loss %.3f %%, mean exit "
        "%.2f of %d, %d splits stop early\n",
        kind.name, 100 * aimed, in_pool, in_rest, 100 * mean_loss, mean_exit, pool.trace.layers, useful);
  }
  return 0;
}
