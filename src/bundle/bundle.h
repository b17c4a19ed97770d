// Bundle: a model folder, validated. Each room parses its own section; this room knows no model or policy.
// Files (docs/formats/bundle.md): config.json, model.safetensors (int8: weights.int8.safetensors), tokenizer.json
// (text), fathom.json, fathom.safetensors, predictor.txt; outside the checksum: packed.*.bin, costs.json. Thread rule:
// immutable, shared as shared_ptr<const Bundle>.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "bundle/safetensors.h"

namespace fathom {

class Bundle {
 public:
  // Opens and checks every part: fathom.json's "files" lists name -> {bytes, sha256}; sizes are checked, and the hashes
  // of all files but weights: those are hashed when they are packed (verify_weights) and by verify(). fathom.json has a
  // hash of its own, "sha256", which leaves out the certificate (that has one itself). Errors: corrupt_bundle naming
  // file and what is wrong; io when the folder is absent. config.json and model.safetensors (or
  // model.safetensors.index.json and its files) must be listed; fathom.safetensors and predictor.txt may be left out of
  // "files" (a backbone without decision): then decision() is null, predictor() empty.
  static Result<std::shared_ptr<const Bundle>> open(const std::filesystem::path& folder, Weights how = Weights::map);
  Status verify() const;          // recompute every SHA-256, and refuse NaN and infinite weights by name
  Status verify_weights() const;  // SHA-256 of the files with weights
  // fathom.json against its own hash. A changed one can be looked at, and says so, but nothing runs by it.
  Status unchanged() const;

  const std::filesystem::path& folder() const { return folder_; }
  const Json& config() const { return config_; }                             // config.json
  const Json& fathom() const { return fathom_; }                             // fathom.json
  std::shared_ptr<const SafeTensors> weights() const { return weights_; }    // model.safetensors
  std::shared_ptr<const SafeTensors> decision() const { return decision_; }  // fathom.safetensors
  const std::string& predictor() const { return predictor_; }                // predictor.txt, LightGBM's text format
  std::string checksum() const;  // SHA-256 over the listed files' hashes and fathom.json itself: the bundle's identity

 private:
  std::filesystem::path folder_;
  Json config_, fathom_;
  std::shared_ptr<const SafeTensors> weights_, decision_;
  std::string predictor_;
};

// Writes a bundle folder: files first, fathom.json (with "files" filled in) last, each atomically; a folder without
// fathom.json is not a bundle. `files` maps name -> bytes, e.g. "config.json", "model.safetensors", "predictor.txt".
// If the folder already holds a bundle, its fathom.json goes first, then its costs.json and packed.*.bin (of old
// weights); at the end those files that only the old one listed. `copies` maps name -> a file that is copied as it is,
// byte for byte.
Status write_bundle(const std::filesystem::path& folder, const std::map<std::string, std::string>& files, Json fathom,
                    const std::map<std::string, std::filesystem::path>& copies = {});

// Replaces fathom.json only (operating points, certificate); keeps "files".
Status update_bundle(const std::filesystem::path& folder, const Json& fathom);

}  // namespace fathom
