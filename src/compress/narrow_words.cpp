#include "compress/narrow_words.h"

#include <algorithm>

#include "compress/matrix.h"
#include "compress/rewrite.h"
#include "model/model.h"

namespace fathom::compress {
namespace {

constexpr const char* kWords = "embeddings.word_embeddings.weight";
constexpr const char* kPositions = "embeddings.position_embeddings.weight";

}  // namespace

Result<NarrowReport> narrow_words(const std::filesystem::path& folder, const std::filesystem::path& out, int width,
                                  const std::vector<double>& uses) {
  FATHOM_TRY(const Source source, open_source(folder, out));
  const ModelSpec& before = source.model->spec();
  const std::string where = "bundle '" + folder.string() + "'";
  if (before.modality != Modality::text)
    return Error{Code::unsupported, where + " is a model of pictures: it has no word table",
                 "leave the word width out"};
  if (before.word_width > 0)
    return Error{Code::unsupported, where + " has narrow word rows already", "narrow the bundle it was made from"};
  if (width < 1 || width >= before.hidden)
    return Error{
        Code::usage,
        "word rows of " + std::to_string(width) + " values are not narrower than " + std::to_string(before.hidden),
        "give half of it, say"};
  const Index vocab = before.vocab, hidden = before.hidden;
  const Matrix words = widened(source.model->weight(kWords), vocab, hidden);
  Vector share = Vector::Ones(vocab);
  for (Index v = 0; v < vocab && static_cast<std::size_t>(v) < uses.size(); ++v)
    share[v] += uses[static_cast<std::size_t>(v)];
  share /= share.sum();
  const Eigen::RowVectorXd mean = share.transpose() * words;
  const Matrix centred = words.rowwise() - mean;
  const Matrix covariance = centred.transpose() * share.asDiagonal() * centred;
  const Eigen::SelfAdjointEigenSolver<Matrix> solved(covariance);
  if (solved.info() != Eigen::Success)
    return Error{Code::corrupt_bundle, where + ": the word table has no principal components",
                 "copy or make the bundle again"};
  const Matrix kept = solved.eigenvectors().rightCols(width);  // [hidden, width]

  ModelSpec after = before;
  after.word_width = width;
  LayerTensors tensors(*source.model, after);
  tensors.put(kWords, floats(centred * kept));
  tensors.put("embeddings.word_projection.weight", floats(kept));
  const Matrix positions = widened(source.model->weight(kPositions), before.position_rows(), hidden).rowwise() + mean;
  tensors.put(kPositions, floats(positions));
  const double total = std::max(solved.eigenvalues().sum(), 1e-300);
  const NarrowReport report{before.hidden, width,
                            std::clamp(1.0 - solved.eigenvalues().tail(width).sum() / total, 0.0, 1.0)};
  FATHOM_TRY_VOID(write_reshaped(source, out, after, tensors, "words_narrowed", {{"width", {before.hidden, width}}}));
  return report;
}

}  // namespace fathom::compress
