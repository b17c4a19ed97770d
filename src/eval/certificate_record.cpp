#include "eval/certificate_record.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>

#include "base/file.h"
#include "base/precision.h"
#include "base/sha256.h"
#include "kernels/numerics.h"
#include "policy/certificate.h"
#include "policy/theory.h"

namespace fathom::eval {
namespace {

// Files that say how an input is read. They are small, and a folder's readers take them whether it lists them or not.
constexpr std::array kInputFiles = {"added_tokens.json",
                                    "config.json",
                                    "merges.txt",
                                    "preprocessor_config.json",
                                    "special_tokens_map.json",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "vocab.json",
                                    "vocab.txt"};
constexpr std::uint64_t kMaxInputFile = std::uint64_t{256} << 20;

std::string precision_of(const Json& fathom) {
  const auto precision = fathom.find("precision");
  return precision != fathom.end() && precision->is_string() ? precision->get<std::string>()
                                                             : precision_name(Precision::fp32);
}

std::string seal_of(const Json& certificate) {
  Json sealed = certificate;
  sealed.erase("seal");
  // In order of key, whatever order a file has them in.
  return sha256_hex(nlohmann::json(sealed).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

double number(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_number() ? json[key].get<double>() : std::nan("");
}

std::string text(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

std::string shown(double value) {
  char out[32];
  std::snprintf(out, sizeof out, "%.4g", value);
  return out;
}

// Whether losses of n at delta have the p-value that is written, and it is within alpha. A martingale's depends on the
// order of the rows: there the number alone can be checked.
bool proves(const Json& proof, double delta, double alpha, bool binomial) {
  const double n = number(proof, "n"), losses = number(proof, "losses"), p = number(proof, "p_value");
  if (!(n >= 0 && n < 1e15 && losses >= 0 && losses <= n && p >= 0 && p <= alpha)) return false;
  if (!binomial) return true;
  const double again = policy::binomial_tail(static_cast<std::size_t>(n), static_cast<std::size_t>(losses), delta);
  return again <= alpha && std::abs(again - p) <= 1e-6 * std::max(again, p);
}

// The claim by its own numbers: every group's, or the whole's.
bool proves(const Json& certificate) {
  const double delta = number(certificate, "delta"), alpha = number(certificate, "alpha"),
               spent = number(certificate, "spent");
  if (!(delta > 0 && delta < 1 && alpha > 0 && alpha <= spent && spent < 1)) return false;
  const auto loss = policy::parse_loss(text(certificate, "loss"));
  if (!loss) return false;
  const bool binomial = *loss != policy::Loss::drop;
  if (!certificate.contains("groups")) return proves(certificate, delta, alpha, binomial);
  if (!certificate["groups"].is_array() || certificate["groups"].empty()) return false;
  double rows = 0;
  for (const Json& group : certificate["groups"]) {
    if (!proves(group, delta, alpha, binomial)) return false;
    rows += number(group, "n");
  }
  return rows == number(certificate, "n");
}

CertificateStatus broken(const std::string& why) {
  return {CertificateStatus::State::broken, why, "prove it again: fathom certify, on rows that nothing was fitted on"};
}

}  // namespace

Result<std::string> certified_subject(const Bundle& bundle, const Json& fathom) {
  std::map<std::string, std::string> parts;
  if (fathom.contains("files") && fathom["files"].is_object())
    for (const auto& [name, entry] : fathom["files"].items()) parts[name] = text(entry, "sha256");
  for (const char* name : kInputFiles) {
    std::error_code ignored;
    if (!fs::is_regular_file(bundle.folder() / name, ignored)) continue;
    FATHOM_TRY(const std::string bytes, read_file(bundle.folder() / name, kMaxInputFile));
    parts[name] = sha256_hex(bytes);
  }
  Json policy = fathom.value("policy", Json::object());
  if (policy.is_object()) policy.erase("lambda");
  const auto data = fathom.find("data");
  const bool pairs = data != fathom.end() && data->is_object() && data->value("pairs", Json()) == true;
  Sha256 hash;
  for (const auto& [name, value] : parts) hash.update(name + " " + value + "\n");
  hash.update(fathom.value("model", Json()).dump() + policy.dump() + precision_of(fathom) + (pairs ? " pairs" : ""));
  return hash.hex();
}

Result<std::string> certified_subject(const Bundle& bundle) { return certified_subject(bundle, bundle.fathom()); }

void seal_certificate(Json& certificate) { certificate["seal"] = seal_of(certificate); }

std::string certified_numerics(const Json& fathom, const kernels::Table& table) {
  const auto precision = parse_precision(precision_of(fathom));
  return kernels::numerics_name(table, precision ? *precision : Precision::fp32);
}

const char* CertificateStatus::word() const {
  constexpr const char* kWords[] = {"none", "holds", "not this machine's", "void: does not hold"};
  return kWords[static_cast<std::size_t>(state)];
}

Result<CertificateStatus> certificate_status(const Bundle& bundle, const kernels::Table& table) {
  using State = CertificateStatus::State;
  const Json& fathom = bundle.fathom();
  if (!fathom.contains("certificate") || fathom["certificate"].is_null()) return CertificateStatus{};
  const Json& certificate = fathom["certificate"];
  if (!certificate.is_object()) return broken("fathom.json's \"certificate\" is not an object");
  if (!certificate.contains("seal"))
    return broken("it was made before certificates said which numbers they are of, and covered their own claims");
  if (text(certificate, "seal") != seal_of(certificate)) return broken("it was edited after it was proven");
  if (!proves(certificate)) return broken("its own numbers do not prove what it claims");
  if (!fathom.contains("policy") || !fathom["policy"].is_object() ||
      number(fathom["policy"], "lambda") != number(certificate, "lambda"))
    return CertificateStatus{CertificateStatus::State::broken, "the bundle's threshold is not the one that was proven",
                             "put policy.lambda of fathom.json back to " + certificate["lambda"].dump() +
                                 ", or prove it again: fathom certify"};
  FATHOM_TRY(const std::string subject, certified_subject(bundle));
  if (text(certificate, "subject") != subject)
    return broken("weights, decision, or a file that says how inputs are read changed since");
  const std::string here = certified_numerics(fathom, table), there = text(certificate, "numerics");
  if (here == there) return CertificateStatus{State::holds, "", ""};
  const bool int8 = precision_of(fathom) == precision_name(Precision::int8);
  return CertificateStatus{
      State::elsewhere,
      "it was proven with the numbers of '" + there + "', and this machine computes those of '" + here + "' (" +
          (int8 ? "kernels / levels of an activation" : "kernels; they differ by rounding") + ")",
      "run where, or with the --tier whose numbers are '" + there + "', or prove it for these: fathom certify"};
}

std::string claim_text(const Json& certificate) {
  const std::string loss = text(certificate, "loss");
  const std::string whose = certificate.contains("against") ? "the other bundle's" : "full depth's";
  const std::string what = loss == "harm"   ? "answers are wrong where " + whose + " are right"
                           : loss == "drop" ? "answers are lost, net of those won, against " + whose
                                            : "answers differ from " + whose;
  return "at most " + shown(100 * number(certificate, "delta")) + " % of " + what +
         (certificate.contains("groups") ? " in every group" : "") + ", with confidence " +
         shown(100 * (1 - number(certificate, "spent"))) + " %";
}

std::string supposition_text(const Json& certificate) {
  return "new inputs come, independently of one another, from where the " + shown(number(certificate, "n")) +
         " calibration inputs came from; near repeats of one another, or inputs of another source or time, are not "
         "covered";
}

std::string reference_text(const Json& certificate) {
  if (certificate.contains("against"))
    return "the full depth of bundle " + text(certificate["against"], "checksum").substr(0, 12);
  const std::string precision = text(certificate, "precision");
  return precision == precision_name(Precision::fp32) || precision.empty()
             ? ""
             : "its own full depth in " + precision + ", not that of the fp32 bundle it was made from";
}

}  // namespace fathom::eval
