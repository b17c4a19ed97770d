// Classifies each argument after the bundle folder: a text, or for an image bundle a JPEG or PNG file.
#include <fathom/fathom.hpp>

#include <iostream>

namespace {

int complain(const fathom::Error& error) {
  std::cerr << error.text() << "\n";
  return error.exit_code();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: classify BUNDLE INPUT...\n";
    return 2;
  }
  auto model = fathom::Model::open(argv[1]);
  if (!model) return complain(model.error());
  for (int i = 2; i < argc; ++i) {
    auto answer = model->reads_text() ? model->classify(argv[i]) : model->classify_file(argv[i]);
    if (!answer) return complain(answer.error());
    std::cout << answer->label << "  " << answer->confidence << "  " << answer->depth << " of " << model->layers()
              << " layers, " << 100.0 * answer->macs / answer->full_macs << " % of full depth's MACs\n";
  }
}
