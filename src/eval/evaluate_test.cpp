// The whole evaluation on a random bundle and generated data: what the engine does must be what was simulated.
#include "eval/evaluate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "base/file.h"
#include "base/sha256.h"
#include "bundle/bundle.h"
#include "data/dataset.h"
#include "data/split_use.h"
#include "data/tokenizer.h"
#include "engine/random_bundle.h"
#include "eval/calibrate_bundle.h"
#include "eval/certificate_record.h"
#include "eval/certify_bundle.h"
#include "eval/contest.h"
#include "eval/peak.h"
#include "eval/verdict.h"
#include "model/model.h"
#include "policy/budget.h"

namespace fathom::eval {
namespace {

struct EvaluateTest : ::testing::Test {
  fs::path folder = fs::temp_directory_path() / ("fathom_eval_" + std::to_string(::getpid()));
  fs::path data_folder = folder / "data", bundle = folder / "bundle";
  data::Dataset dataset;

  void TearDown() override { fs::remove_all(folder); }

  template <class T>
  static T must(Result<T> result) {
    if (!result) {
      ADD_FAILURE() << result.error().message;
      std::abort();
    }
    return std::move(result).value();
  }
  static void must(Status status) {
    if (!status) ADD_FAILURE() << status.error().message;
    ASSERT_TRUE(status.has_value());
  }

  void make(data::Task task, policy::Score score, policy::PredictorKind kind = policy::PredictorKind::survival,
            policy::PolicyKind policy_kind = policy::PolicyKind::exits) {
    must(data::generate_dataset(data_folder, {task, 3, 64, 16, 150, 200}));
    data::ReadOptions options;
    options.task = task;
    options.seed = 3;
    dataset = must(data::read_dataset(data_folder, options));
    ModelSpec spec;
    spec.layers = 5;
    spec.hidden = 32;
    spec.heads = 4;
    spec.ffn = 64;
    spec.norm = NormOrder::pre;
    spec.attention_window = 1;
    spec.pooling = Pooling::cls;
    spec.exit_head_hidden = 0;
    spec.label_names = dataset.label_names;
    if (task == data::Task::text_classification) {
      spec.vocab = 200;
      spec.max_tokens = 11;
    } else {
      spec.modality = Modality::image;
      spec.image_height = dataset.part(data::Part::test).height;
      spec.image_width = dataset.part(data::Part::test).width;
      spec.patch = 8;
    }
    size_decision(spec);
    spec.exit_head_hidden = 0;
    policy::Policy policy = engine::random_policy(spec, 5, kind);
    policy.score = score;
    policy.kind = policy_kind;
    must(engine::write_random_bundle(bundle, spec, 5, policy));
    if (task == data::Task::text_classification) {
      const auto tokenizer = must(data::Tokenizer::train(dataset.part(data::Part::train).texts, {200, 1, false}));
      must(write_file_atomic(bundle / "tokenizer.json", tokenizer.to_json()));
    }
    record_data(dataset.fingerprint);
  }

  void record_data(const std::string& fingerprint) {
    Json fathom = must(Bundle::open(bundle))->fathom();
    fathom["data"] = {{"folder", data_folder.string()},
                      {"task", data::task_name(dataset.task)},
                      {"text_columns", Json::array()},
                      {"label_column", ""},
                      {"seed", 3},
                      {"max_train", 0},
                      {"fingerprint", fingerprint},
                      {"sizes", {64, 16, 150, 200}}};
    must(update_bundle(bundle, fathom));
  }

  // The same weights, whose outputs bear other names.
  fs::path copy_with_classes(const std::string& name, const std::vector<std::string>& classes) {
    const fs::path copy = folder / name;
    fs::copy(bundle, copy, fs::copy_options::recursive);
    Json config = must(parse_json(must(read_file(copy / "config.json")), "config.json"));
    config["label_names"] = classes;
    const std::string text = config.dump(2) + "\n";
    must(write_file_atomic(copy / "config.json", text));
    Json fathom = must(parse_json(must(read_file(copy / "fathom.json")), "fathom.json"));
    fathom["files"]["config.json"] = {{"bytes", text.size()}, {"sha256", sha256_hex(text)}};
    fathom.erase("sha256");  // changed by hand
    must(write_file_atomic(copy / "fathom.json", fathom.dump(1) + "\n"));
    return copy;
  }

  EvalOptions quick() const {
    EvalOptions options;
    options.bundle = bundle;
    options.times = false;
    return options;
  }
};

void expect_faithful(const Json& eval) {
  ASSERT_GE(eval["engine_check"].size(), 5u);
  for (const Json& check : eval["engine_check"]) {
    EXPECT_EQ(check["labels"], 0) << check.dump();
    EXPECT_EQ(check["depths"], 0) << check.dump();
    EXPECT_LT(check["macs"].get<double>(), 1e-9) << check.dump();
  }
}

TEST_F(EvaluateTest, TextHasTheFieldsOfTheFormatAndTheEngineAgrees) {
  make(data::Task::text_classification, policy::Score::fused);
  auto runtime = must(engine::Runtime::create({"", 1}));
  must(calibrate_bundle(bundle, dataset, *runtime, 0.4));
  const Json fathom = must(Bundle::open(bundle))->fathom();
  EXPECT_EQ(fathom["policy"]["lambda"], fathom["operating_points"]["fathom"]["lambda"]);
  EXPECT_LE(fathom["operating_points"]["fathom"]["calibrate_disagreement"].get<double>(), 0.4);
  const Json eval = must(evaluate(quick()));
  EXPECT_EQ(eval["n_test"], 200);
  EXPECT_EQ(eval["seed"], 3);
  expect_faithful(eval);
  EXPECT_LT((*find_system(eval, "fathom"))["mean_depth"].get<double>(), 5);  // the comparison is not an empty one
  EXPECT_GT((*find_system(eval, "fathom"))["decision_macs"].get<double>(), 0);
  for (const char* name : {"base", "full_depth", "fixed_depth", "early_exit", "dynamic_depth", "predictor_only",
                           "policy_only", "fathom"}) {
    const Json* s = find_system(eval, name);
    ASSERT_NE(s, nullptr) << name;
    EXPECT_EQ((*s)["metric"], "accuracy");
    for (const char* key : {"value", "macs", "decision_macs", "mean_depth"}) EXPECT_TRUE((*s)[key].is_number()) << key;
    for (const char* key : {"ms_batch1", "ms_batch32", "peak_mb"}) EXPECT_TRUE((*s)[key].is_null()) << key;
    EXPECT_EQ((*s)["interval"].size(), 2u);
    ASSERT_GE((*s)["curve"].size(), 1u);
    EXPECT_EQ((*s)["curve"][0].size(), 2u);
  }
  EXPECT_EQ((*find_system(eval, "base"))["value"], (*find_system(eval, "full_depth"))["value"]);
  EXPECT_EQ(eval["complexity"]["values"].size(), 10u);
  EXPECT_EQ(eval["complexity"]["bins"].size(), 5u);
  EXPECT_EQ(must(parse_json(eval.dump(), "eval.json"))["n_test"], 200);
  EXPECT_FALSE(table_text(eval).empty());
  EXPECT_NE(report_html(eval).find("</html>"), std::string::npos);
  EXPECT_EQ(eval.dump(), must(evaluate(quick())).dump());  // everything but times is the same again
}

// Each threshold of the table, run by the engine on the same inputs, costs and answers what the table says.
TEST_F(EvaluateTest, TheBudgetTableIsWhatTheEngineDoes) {
  make(data::Task::text_classification, policy::Score::fused);
  auto runtime = must(engine::Runtime::create({"", 1}));
  must(calibrate_bundle(bundle, dataset, *runtime, 0.4));
  const auto opened = must(Bundle::open(bundle));
  const auto model = must(Model::load(opened));
  const auto plan = must(engine::Plan::compile(model, *runtime));
  const int layers = model->spec().layers;
  const auto table = must(policy::budget_table_from_json(opened->fathom()["budget_table"], layers, "fused", "table"));
  const Encoded inputs = must(encode_split(dataset, data::Part::calibrate, model->spec(), bundle));
  EXPECT_EQ(table.n, inputs.count);
  ASSERT_GE(table.points.size(), 8u);
  EXPECT_LE(table.points.size(), 33u);
  EXPECT_EQ(table.points.back().lambda, 0.0f);
  const auto labels = [](const std::vector<engine::Prediction>& all) {
    std::vector<std::int32_t> out;
    for (const auto& p : all) out.push_back(p.label);
    return out;
  };
  engine::RunOptions full;
  full.mode = engine::Mode::full_depth;
  const auto reference = labels(must(run_inputs(plan, *runtime, inputs, full)));
  for (const policy::BudgetPoint& point : table.points) {
    engine::RunOptions options;
    options.lambda = point.lambda;
    const auto got = must(run_inputs(plan, *runtime, inputs, options));
    const auto outcome = outcome_of(got);
    EXPECT_NEAR(mean(outcome.macs) / point.macs, 1, 1e-9) << point.lambda;
    EXPECT_NEAR(mean_depth(outcome), point.depth, 1e-5) << point.lambda;
    double agree = 0;
    std::vector<double> exits(static_cast<std::size_t>(layers), 0);
    for (std::size_t i = 0; i < got.size(); ++i) {
      agree += got[i].label == reference[i];
      exits[static_cast<std::size_t>(got[i].depth) - 1] += 1;
    }
    EXPECT_NEAR(agree / static_cast<double>(got.size()), point.agreement, 1e-5) << point.lambda;
    for (std::size_t e = 0; e < exits.size(); ++e)
      EXPECT_NEAR(exits[e] / static_cast<double>(got.size()), point.exits[e], 1e-5);
  }
  // Written again without touching what was chosen.
  Json fathom = opened->fathom();
  const Json chosen = fathom["operating_points"], before = fathom["budget_table"];
  fathom.erase("budget_table");
  must(update_bundle(bundle, fathom));
  must(calibrate_bundle(bundle, dataset, *runtime, 0.0, nullptr, true));
  const Json after = must(Bundle::open(bundle))->fathom();
  EXPECT_EQ(after["operating_points"], chosen);
  EXPECT_EQ(after["budget_table"], before);
}

TEST_F(EvaluateTest, PicturesWithRegressionTreesAndAnotherScore) {
  make(data::Task::image_classification, policy::Score::predictor, policy::PredictorKind::huber);
  const Json eval = must(evaluate(quick()));
  expect_faithful(eval);
  EXPECT_EQ(eval["n_test"], 200);
  for (const Json& w : eval["worst"]) EXPECT_TRUE(w.contains("picture"));
}

TEST_F(EvaluateTest, GatesBesideABaseOfItsOwn) {
  make(data::Task::text_classification, policy::Score::policy, policy::PredictorKind::survival,
       policy::PolicyKind::gates);
  EvalOptions options = quick();
  options.base = bundle;
  const Json eval = must(evaluate(options));
  EXPECT_EQ((*find_system(eval, "base"))["same_trunk"], false);
  EXPECT_EQ((*find_system(eval, "base"))["macs"], (*find_system(eval, "full_depth"))["macs"]);
  EXPECT_EQ((*find_system(eval, "fathom"))["score"], "gates");
  EXPECT_EQ(find_system(eval, "policy_only"), nullptr);
  EXPECT_FALSE(eval["theorem"].contains("bound_drop"));
  for (const Json& check : eval["engine_check"]) EXPECT_EQ(check["labels"], 0) << check.dump();
  EXPECT_NE(report_html(eval).find("</html>"), std::string::npos);
  EXPECT_FALSE(table_text(eval).empty());
}

TEST_F(EvaluateTest, RivalsAreRowsAtFullDepthWithClassesMatchedByName) {
  make(data::Task::text_classification, policy::Score::confidence);
  std::vector<std::string> names = dataset.label_names;
  std::reverse(names.begin(), names.end());
  const fs::path turned = copy_with_classes("turned", names);
  EvalOptions options = quick();
  options.rivals = {{"turned", turned}, {"twin", bundle}};
  const auto contest = must(Contest::prepare(options));
  const auto& full = contest->system("full_depth").outcome.labels;
  const std::int32_t last = static_cast<std::int32_t>(dataset.label_names.size()) - 1;
  ASSERT_EQ(full.size(), 200u);
  for (std::size_t i = 0; i < full.size(); ++i) {
    EXPECT_EQ(contest->system("turned").outcome.labels[i],
              last - full[i]);  // the same output, which bears another name
    EXPECT_EQ(contest->system("twin").outcome.labels[i], full[i]);
  }
  const Json eval = must(evaluate(options));
  const Json *twin = find_system(eval, "twin"), *row = find_system(eval, "full_depth");
  ASSERT_NE(twin, nullptr);
  EXPECT_EQ((*twin)["value"], (*row)["value"]);
  EXPECT_EQ((*twin)["macs"], (*row)["macs"]);
  EXPECT_EQ((*twin)["layers"], 5);
  EXPECT_EQ((*twin)["rival"], true);
  EXPECT_NE((*find_system(eval, "turned"))["value"], (*row)["value"]);
  EXPECT_EQ(eval["systems"].back()["name"], "twin");
  EXPECT_EQ(eval["fathom_versus"]["rivals"]["twin"], eval["fathom_versus"]["full_depth"]);
  EXPECT_NE(report_html(eval).find("another model, 5 layers"), std::string::npos);
  EXPECT_NE(table_text(eval).find("fathom - twin"), std::string::npos);
}

TEST_F(EvaluateTest, RivalsThatCannotBeRowsAreRefused) {
  make(data::Task::text_classification, policy::Score::confidence);
  std::vector<std::string> names = dataset.label_names;
  names[0] = "something else";
  const fs::path strange = copy_with_classes("strange", names);
  const auto refusal = [&](const std::string& row, const fs::path& where) {
    EvalOptions options = quick();
    options.rivals = {{"first", bundle}, {row, where}};
    const auto got = evaluate(options);
    EXPECT_FALSE(got.has_value()) << row;
    return got ? std::string() : got.error().message;
  };
  EXPECT_NE(refusal("fathom", bundle).find("already has a row"), std::string::npos);
  EXPECT_NE(refusal("first", bundle).find("already has a row"), std::string::npos);
  EXPECT_NE(refusal("a b", bundle).find("cannot name a row"), std::string::npos);
  EXPECT_NE(refusal("", bundle).find("cannot name a row"), std::string::npos);
  EXPECT_NE(refusal("gone", folder / "nowhere").find("gone '"), std::string::npos);
  EXPECT_NE(refusal("strange", strange).find("knows other classes"), std::string::npos);
}

TEST_F(EvaluateTest, TracesAndRunsAreTheSameForAnyNumberOfThreads) {
  make(data::Task::text_classification, policy::Score::fused);
  std::vector<Traced> traces;
  std::vector<std::vector<engine::Prediction>> runs;
  for (const int threads : {1, 3}) {
    auto runtime = must(engine::Runtime::create({"", threads}));
    const Loaded loaded = must(load(bundle, *runtime));
    const Encoded inputs = must(encode_split(dataset, data::Part::test, loaded.model->spec(), bundle));
    std::size_t told = 0;
    traces.push_back(must(trace_inputs(loaded.plan, *runtime, inputs, [&](std::size_t done, std::size_t total) {
      EXPECT_GT(done, told);
      EXPECT_EQ(total, inputs.count);
      told = done;
    })));
    EXPECT_EQ(told, inputs.count);
    engine::RunOptions options;
    options.lambda = 0.4f;
    runs.push_back(must(run_inputs(loaded.plan, *runtime, inputs, options)));
  }
  EXPECT_EQ(traces[0].trace.logits, traces[1].trace.logits);
  EXPECT_EQ(traces[0].norms, traces[1].norms);
  for (std::size_t score = 0; score < 4; ++score)
    EXPECT_EQ(traces[0].trace.scores[score], traces[1].trace.scores[score]);
  ASSERT_EQ(runs[0].size(), runs[1].size());
  for (std::size_t i = 0; i < runs[0].size(); ++i) {
    EXPECT_EQ(runs[0][i].label, runs[1][i].label);
    EXPECT_EQ(runs[0][i].depth, runs[1][i].depth);
    EXPECT_EQ(runs[0][i].macs, runs[1][i].macs);
  }
}

TEST_F(EvaluateTest, AnErrorOfABatchNamesItsFirstInput) {
  make(data::Task::text_classification, policy::Score::confidence);
  auto runtime = must(engine::Runtime::create({"", 3}));
  const Loaded loaded = must(load(bundle, *runtime));
  Encoded inputs = must(encode_split(dataset, data::Part::test, loaded.model->spec(), bundle));
  for (const std::size_t bad : {std::size_t{70}, std::size_t{190}})
    inputs.ids[static_cast<std::size_t>(inputs.offsets[bad])] = 1 << 30;
  const auto got = trace_inputs(loaded.plan, *runtime, inputs);
  ASSERT_FALSE(got.has_value());
  EXPECT_NE(got.error().message.find("from number 65"), std::string::npos) << got.error().message;
}

TEST_F(EvaluateTest, FathomAtMacsOfAnotherBundle) {
  make(data::Task::text_classification, policy::Score::confidence);
  EvalOptions options = quick();
  const Json plain = must(evaluate(options));
  EXPECT_EQ(find_system(plain, "fathom_at_macs"), nullptr);
  const double full = (*find_system(plain, "full_depth"))["macs"].get<double>();
  options.at_macs = 0.7 * full;
  const Json eval = must(evaluate(options));
  const Json* row = find_system(eval, "fathom_at_macs");
  ASSERT_NE(row, nullptr);
  EXPECT_NEAR((*row)["macs"].get<double>(), options.at_macs, 0.1 * full);  // set on calibrate, shown on test
  EXPECT_NE((*row)["lambda"], (*find_system(eval, "fathom"))["lambda"]);
  for (const Json& check : eval["engine_check"]) EXPECT_EQ(check["labels"], 0) << check.dump();
}

TEST_F(EvaluateTest, GatesRefuseMacs) {
  make(data::Task::text_classification, policy::Score::policy, policy::PredictorKind::survival,
       policy::PolicyKind::gates);
  EvalOptions options = quick();
  options.at_macs = 1000;
  const auto refused = evaluate(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unsupported);
}

CertifyRequest asking(std::optional<double> delta, CertifyGroups by = CertifyGroups::none) {
  CertifyRequest request;
  request.delta = delta;
  request.seed = 3;
  request.by = by;
  return request;
}

CertificateStatus::State state_of(const fs::path& folder, const kernels::Table& table) {
  const auto bundle = Bundle::open(folder);
  EXPECT_TRUE(bundle.has_value());
  const auto status = certificate_status(**bundle, table);
  EXPECT_TRUE(status.has_value());
  return status ? status->state : CertificateStatus::State::none;
}

TEST_F(EvaluateTest, ACertificateSetsLambdaAndIsVoidedByChanges) {
  using State = CertificateStatus::State;
  make(data::Task::text_classification, policy::Score::confidence);
  auto runtime = must(engine::Runtime::create({"", 1}));
  const auto& table = runtime->kernels();
  EXPECT_EQ(state_of(bundle, table), State::none);
  // What fit chose on the calibrate rows is no part of the proof.
  Json fathom = must(Bundle::open(bundle))->fathom();
  fathom["policy"]["lambda"] = 0.123;
  must(update_bundle(bundle, fathom));
  const auto got = must(certify_bundle(bundle, dataset, *runtime, asking(0.6)));
  ASSERT_GT(got.certificate.rejected, 0u);
  EXPECT_EQ(got.certificate.n, dataset.part(data::Part::calibrate).size());
  fathom = must(Bundle::open(bundle))->fathom();
  EXPECT_EQ(state_of(bundle, table), State::holds);
  EXPECT_EQ(fathom["policy"]["lambda"], fathom["operating_points"]["fathom"]["lambda"]);
  EXPECT_EQ(fathom["policy"]["lambda"].get<float>(), got.certificate.lambda);
  expect_faithful(must(evaluate(quick())));  // eval runs the certified point
  const auto broken = [&](const std::function<void(Json&)>& edit) {
    Json changed = fathom;
    edit(changed);
    must(write_file_atomic(bundle / "fathom.json", changed.dump()));  // update_bundle would keep "files"
    EXPECT_EQ(state_of(bundle, table), State::broken) << changed["certificate"].dump();
    must(update_bundle(bundle, fathom));
  };
  broken([](Json& f) { f["policy"]["lambda"] = 0.123; });
  broken([](Json& f) { f["policy"]["lambda"] = f["certificate"]["lambda"] = 0.01; });
  broken([](Json& f) { f["files"]["model.safetensors"]["sha256"] = std::string(64, '0'); });
  for (const char* claim : {"delta", "alpha", "spent", "n", "losses", "p_value", "mean_exit", "rejected"})
    broken([&](Json& f) { f["certificate"][claim] = 0.001; });
  for (const char* claim : {"loss", "numerics", "precision", "data", "subject", "seal"})
    broken([&](Json& f) { f["certificate"][claim] = "harm"; });
  broken([](Json& f) { f["certificate"]["groups"] = Json::array(); });
  broken([](Json& f) { f["certificate"].erase("seal"); });  // as older versions wrote it
  // Edited and sealed again: its own numbers do not prove it.
  for (const char* claim : {"delta", "p_value", "losses"})
    broken([&](Json& f) {
      f["certificate"][claim] = claim == std::string("losses") ? Json(1000) : Json(1e-6);
      seal_certificate(f["certificate"]);
    });
  // Files that say how inputs are read, by what they hold, listed or not.
  for (const char* name : {"tokenizer_config.json", "added_tokens.json", "preprocessor_config.json"}) {
    must(write_file_atomic(bundle / name, "{}"));
    EXPECT_EQ(state_of(bundle, table), State::broken) << name;
    fs::remove(bundle / name);
  }
  EXPECT_EQ(state_of(bundle, table), State::holds);
  // Other numbers: fp32's are those of the float kernels.
  if (table.tier != Tier::ref) {
    EXPECT_EQ(state_of(bundle, kernels::table(Tier::ref)), State::elsewhere);
  }
}

TEST_F(EvaluateTest, CertifiedGroupsAreWrittenDown) {
  make(data::Task::text_classification, policy::Score::confidence);
  auto runtime = must(engine::Runtime::create({"", 1}));
  const auto all = must(certify_bundle(bundle, dataset, *runtime, asking(0.6)));
  // The generated texts have one length.
  EXPECT_FALSE(certify_bundle(bundle, dataset, *runtime, asking(0.6, CertifyGroups::by_length)).has_value());
  const auto grouped = must(certify_bundle(bundle, dataset, *runtime, asking(0.6, CertifyGroups::by_class)));
  ASSERT_GT(grouped.certificate.rejected, 0u);
  ASSERT_EQ(grouped.certificate.groups.size(), dataset.label_names.size());
  const Json written = must(Bundle::open(bundle))->fathom();
  EXPECT_EQ(written["certificate"]["groups_by"], "label");
  for (const policy::GroupProof& group : grouped.certificate.groups) EXPECT_LE(group.p_value, 0.05);
  std::size_t rows = 0;
  for (const Json& group : written["certificate"]["groups"]) rows += group["n"].get<std::size_t>();
  EXPECT_EQ(rows, grouped.certificate.n);
  EXPECT_GE(grouped.certificate.lambda, all.certificate.lambda);
  EXPECT_EQ(state_of(bundle, runtime->kernels()), CertificateStatus::State::holds);
}

TEST_F(EvaluateTest, AlphaOfCalibrationRowsIsSpent) {
  make(data::Task::text_classification, policy::Score::confidence);
  auto runtime = must(engine::Runtime::create({"", 1}));
  const auto before = must(Bundle::open(bundle))->fathom();
  // Too strict for so few inputs, whatever they hold: nothing is proven, asked or written.
  const auto strict = must(certify_bundle(bundle, dataset, *runtime, asking(1e-4)));
  EXPECT_EQ(strict.certificate.rejected, 0u);
  EXPECT_EQ(must(Bundle::open(bundle))->fathom().dump(), before.dump());
  CertifyRequest forecast = asking(std::nullopt);
  forecast.forecast = true;
  EXPECT_FALSE(must(certify_bundle(bundle, dataset, *runtime, forecast)).front.empty());
  EXPECT_EQ(must(Bundle::open(bundle))->fathom().dump(), before.dump());

  const auto first = must(certify_bundle(bundle, dataset, *runtime, asking(std::nullopt)));
  EXPECT_EQ(first.aim.delta, policy::least_delta(policy::Loss::consistency, first.certificate.n, 1, 0.05));
  EXPECT_GT(first.certificate.rejected, 0u);
  EXPECT_DOUBLE_EQ(first.alpha.spent, 0.05);
  const auto again = must(certify_bundle(bundle, dataset, *runtime, asking(std::nullopt)));
  EXPECT_DOUBLE_EQ(again.alpha.spent, 0.05) << "the same question has the same answer";
  EXPECT_EQ(again.record["lambda"], first.record["lambda"]);
  for (const double delta : {0.5, 0.6, 0.7}) must(certify_bundle(bundle, dataset, *runtime, asking(delta)));
  const Json certificate = must(Bundle::open(bundle))->fathom()["certificate"];
  EXPECT_NEAR(certificate["spent"].get<double>(), 0.2, 1e-12);
  EXPECT_NE(claim_text(certificate).find("confidence 80 %"), std::string::npos) << "all attempts count";
  const auto refused = certify_bundle(bundle, dataset, *runtime, asking(0.8));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::limit);
  EXPECT_TRUE(certify_bundle(bundle, dataset, *runtime, asking(0.6)).has_value()) << "asked before";
  // The same rows under another fingerprint are the same rows.
  data::Dataset renamed = dataset;
  renamed.fingerprint = "another";
  EXPECT_FALSE(certify_bundle(bundle, renamed, *runtime, asking(0.8)).has_value());
}

TEST_F(EvaluateTest, RowsThatSomethingWasFittedOnProveNothing) {
  make(data::Task::text_classification, policy::Score::confidence);
  auto runtime = must(engine::Runtime::create({"", 1}));
  const Json before = must(Bundle::open(bundle))->fathom();
  Json fathom = before, use = Json::object();
  data::note_split_use(use, dataset, data::Part::calibrate, {data::kOperatingPoints});
  fathom["split_use"] = use;
  must(update_bundle(bundle, fathom));
  EXPECT_TRUE(certify_bundle(bundle, dataset, *runtime, asking(0.6)).has_value());
  data::note_split_use(use, dataset, data::Part::calibrate, {"moments"});
  fathom["split_use"] = use;
  must(update_bundle(bundle, fathom));
  const auto refused = certify_bundle(bundle, dataset, *runtime, asking(0.6));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::bad_input);
  EXPECT_NE(refused.error().message.find("moments"), std::string::npos) << refused.error().message;
}

TEST_F(EvaluateTest, ACertificateAgainstAnotherBundle) {
  make(data::Task::text_classification, policy::Score::confidence);
  auto runtime = must(engine::Runtime::create({"", 1}));
  const fs::path other = bundle.parent_path() / "other";
  fs::copy(bundle, other, fs::copy_options::recursive);
  CertifyRequest request = asking(0.6);
  const auto own = must(certify_bundle(bundle, dataset, *runtime, request));
  request.against = other;
  const auto got = must(certify_bundle(bundle, dataset, *runtime, request));
  EXPECT_EQ(got.certificate.lambda, own.certificate.lambda) << "its copy answers as it does";
  EXPECT_NE(reference_text(got.record).find("bundle"), std::string::npos);
  EXPECT_EQ(state_of(bundle, runtime->kernels()), CertificateStatus::State::holds);
}

TEST_F(EvaluateTest, OtherDataIsRefusedUnlessNamed) {
  make(data::Task::text_classification, policy::Score::confidence);
  record_data("0000000000000000");
  const auto refused = evaluate(quick());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::bad_input);
  EXPECT_NE(refused.error().hint.find("--data"), std::string::npos);
  EvalOptions named = quick();
  named.data = data_folder;
  const Json eval = must(evaluate(named));
  EXPECT_TRUE(eval.contains("note"));
}

TEST_F(EvaluateTest, TimesAreMeasuredAndWrittenBesideTheBundle) {
  make(data::Task::text_classification, policy::Score::confidence);
  EvalOptions options = quick();
  options.times = true;
  options.timing_seconds = 1;
  const Json eval = must(evaluate(options));
  for (const Json& s : eval["systems"]) EXPECT_GT(s["ms_batch1"].get<double>(), 0) << s["name"];
  EXPECT_TRUE(fs::exists(bundle / "costs.json"));
  EXPECT_EQ((*find_system(eval, "base"))["ms_batch1"], (*find_system(eval, "full_depth"))["ms_batch1"]);
}

TEST(PeakInputs, ComeBackAndDamageIsRefused) {
  const fs::path path = fs::temp_directory_path() / ("fathom_peak_" + std::to_string(::getpid()) + ".bin");
  Encoded inputs;
  inputs.count = 2;
  inputs.ids = {1, 2, 3};
  inputs.offsets = {0, 1, 3};
  ASSERT_TRUE(write_inputs(path, inputs));
  const auto back = read_inputs(path);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->ids, inputs.ids);
  EXPECT_EQ(back->offsets, inputs.offsets);
  const std::string bytes = *read_file(path);
  for (const std::size_t cut : {std::size_t{0}, std::size_t{5}, bytes.size() - 1}) {
    ASSERT_TRUE(write_file_atomic(path, bytes.substr(0, cut)));
    EXPECT_FALSE(read_inputs(path)) << cut;
  }
  fs::remove(path);
}

TEST(Encoding, SelectAndBatchesKeepTheRows) {
  Encoded all;
  all.count = 3;
  all.ids = {1, 2, 3, 4, 5, 6};
  all.offsets = {0, 1, 3, 6};
  all.tokens = {1, 2, 3};
  all.labels = {0, 1, 0};
  const std::vector<std::size_t> rows = {2, 0};
  const Encoded some = select(all, rows);
  EXPECT_EQ(some.ids, (std::vector<std::int32_t>{4, 5, 6, 1}));
  EXPECT_EQ(some.offsets, (std::vector<std::int32_t>{0, 3, 4}));
  const Batches batches(all, 2);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[1].count, 1u);
  EXPECT_EQ(batches[1].offsets[0], 0);
  EXPECT_EQ(batches[1].ids[0], 4);
}

}  // namespace
}  // namespace fathom::eval
