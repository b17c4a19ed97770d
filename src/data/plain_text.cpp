#include "data/plain_text.h"

#include <algorithm>
#include <array>

namespace fathom::data {
namespace {

struct Magic {
  std::string_view bytes;
  const char *what, *hint;
};

using namespace std::string_view_literals;
constexpr const char* kAsUtf8 = "save it as UTF-8";
constexpr const char* kUnpack = "unpack it, and give the text file inside";
constexpr std::array kMagics = {
    Magic{"\x1F\x8B"sv, "is gzip", "name it so that it ends in .gz (data folders read that), or unpack it with gunzip"},
    Magic{"\xFF\xFE\0\0"sv, "is UTF-32", kAsUtf8},
    Magic{"\0\0\xFE\xFF"sv, "is UTF-32", kAsUtf8},
    Magic{"\xFF\xFE"sv, "is UTF-16", kAsUtf8},
    Magic{"\xFE\xFF"sv, "is UTF-16", kAsUtf8},
    Magic{"PK\x03\x04"sv, "is a zip archive or a spreadsheet", "unpack it, or export the sheet as CSV"},
    Magic{"PAR1"sv, "is Parquet", "export it as CSV or JSON lines"},
    Magic{"\x28\xB5\x2F\xFD"sv, "is packed by zstd", kUnpack},
    Magic{"\xFD\x37zXZ\0"sv, "is packed by xz", kUnpack},
    Magic{"BZh9"sv, "is packed by bzip2", kUnpack},
    Magic{"7z\xBC\xAF\x27\x1C"sv, "is a 7z archive", kUnpack},
    Magic{"%PDF-"sv, "is a PDF", "give its text"},
    Magic{"\x89PNG"sv, "is a picture", "give a text file, or --task image-classification"},
    Magic{"\xFF\xD8\xFF"sv, "is a picture", "give a text file, or --task image-classification"},
};

}  // namespace

Status check_text_beginning(std::string_view bytes, const std::string& where) {
  for (const Magic& magic : kMagics)
    if (bytes.starts_with(magic.bytes))
      return Error{Code::bad_input, where + " " + magic.what + ", expected UTF-8 text", magic.hint};
  return {};
}

Status check_no_zeros(std::string_view bytes, const std::string& where, std::uint64_t line) {
  const std::size_t at = bytes.find('\0');
  if (at == std::string_view::npos) return {};
  line += static_cast<std::uint64_t>(std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  return Error{Code::bad_input, where + " line " + std::to_string(line) + ": holds a NUL byte, so it is not text",
               "save the file as UTF-8 text"};
}

Status check_plain_text(std::string_view bytes, const std::string& where) {
  FATHOM_TRY_VOID(check_text_beginning(bytes, where));
  return check_no_zeros(bytes, where);
}

}  // namespace fathom::data
