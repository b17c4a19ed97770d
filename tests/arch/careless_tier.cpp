// What a kernel tier must not look like: an inline function with external linkage becomes a weak symbol, and the linker
// may hand this copy to everybody. tools/check_symbols.sh has to refuse the object (ctest arch.symbols.careless).
namespace fathom {

template <class T>
T twice(T x) {
  return x + x;
}
template float twice<float>(float);

}  // namespace fathom
