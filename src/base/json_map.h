// The members of a JSON object: in the order in which they came, and found by name in constant time however many there
// are (nlohmann's ordered_map searches all of them at each insertion, so that a hostile object of n keys costs n^2).
// Small objects are searched; larger ones keep a table of places, hashed with a seed of the process. Thread rule: as a
// std::vector.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace fathom {

std::uint64_t json_key_hash(std::string_view key);  // differs from process to process

// What nlohmann::basic_json asks of its ObjectType.
template <class Key, class T, class Less, class Allocator = std::allocator<std::pair<const Key, T>>>
class JsonMap : public std::vector<std::pair<const Key, T>, Allocator> {
 public:
  using Container = std::vector<std::pair<const Key, T>, Allocator>;
  using key_type = Key;
  using mapped_type = T;
  using key_compare = std::equal_to<>;
  using typename Container::const_iterator;
  using typename Container::iterator;
  using typename Container::size_type;
  using typename Container::value_type;

  JsonMap() = default;
  explicit JsonMap(const Allocator& allocator) : Container(allocator) {}
  template <class It>
  JsonMap(It first, It last, const Allocator& allocator = Allocator()) : Container(allocator) {
    insert(first, last);
  }
  JsonMap(std::initializer_list<value_type> members, const Allocator& allocator = Allocator())
      : JsonMap(members.begin(), members.end(), allocator) {}

  iterator find(std::string_view key) { return this->begin() + static_cast<std::ptrdiff_t>(place(key)); }
  const_iterator find(std::string_view key) const { return this->begin() + static_cast<std::ptrdiff_t>(place(key)); }
  size_type count(std::string_view key) const { return place(key) < this->size() ? 1 : 0; }

  template <class K>
  std::pair<iterator, bool> emplace(K&& key, T&& value) {
    if (const iterator there = find(key); there != this->end()) return {there, false};
    Container::emplace_back(std::forward<K>(key), std::move(value));
    note_last();
    return {std::prev(this->end()), true};
  }
  std::pair<iterator, bool> insert(value_type&& member) { return emplace(member.first, std::move(member.second)); }
  std::pair<iterator, bool> insert(const value_type& member) { return emplace(member.first, T(member.second)); }
  template <class It>
  void insert(It first, It last) {
    for (; first != last; ++first) insert(value_type(first->first, first->second));
  }
  template <class K, class = std::enable_if_t<std::is_convertible_v<K, std::string_view>>>
  T& operator[](K&& key) {
    return emplace(std::forward<K>(key), T{}).first->second;
  }
  T& at(std::string_view key) { return const_cast<T&>(std::as_const(*this).at(key)); }
  const T& at(std::string_view key) const {
    const const_iterator there = find(key);
    if (there == this->end()) throw std::out_of_range("no such key");
    return there->second;
  }

  void clear() {
    Container::clear();
    places_.clear();
  }
  size_type erase(std::string_view key) {
    const iterator there = find(key);
    if (there == this->end()) return 0;
    erase(there);
    return 1;
  }
  iterator erase(iterator at) { return erase(at, std::next(at)); }
  iterator erase(iterator first, iterator last) {
    const auto begin = first - this->begin(), end = last - this->begin();
    if (begin == end) return first;
    Container kept;  // keys are constant: what stays is moved to a new list
    kept.reserve(this->size());
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(this->size()); ++i)
      if (i < begin || i >= end) kept.push_back(std::move(Container::data()[i]));
    static_cast<Container&>(*this) = std::move(kept);
    rebuild();
    return this->begin() + begin;
  }

 private:
  static constexpr size_type kSearched = 16;  // so few are found as quickly without a table

  // Where `key` stands, or size().
  size_type place(std::string_view key) const {
    const value_type* members = Container::data();
    if (places_.empty()) {
      size_type i = 0;
      while (i < this->size() && members[i].first != key) ++i;
      return i;
    }
    const size_type mask = places_.size() - 1;
    for (size_type slot = json_key_hash(key) & mask; places_[slot] != 0; slot = (slot + 1) & mask)
      if (members[places_[slot] - 1].first == key) return places_[slot] - 1;
    return this->size();
  }
  void note_last() {
    if (this->size() <= kSearched) return;
    if (this->size() * 2 > places_.size()) return rebuild();
    put(this->size() - 1);
  }
  void rebuild() {
    places_.clear();
    if (this->size() <= kSearched) return;
    size_type slots = 4 * kSearched;
    while (slots < 4 * this->size()) slots *= 2;
    places_.resize(slots);
    for (size_type i = 0; i < this->size(); ++i) put(i);
  }
  void put(size_type i) {
    const size_type mask = places_.size() - 1;
    size_type slot = json_key_hash(Container::data()[i].first) & mask;
    while (places_[slot] != 0) slot = (slot + 1) & mask;
    places_[slot] = static_cast<std::uint32_t>(i + 1);
  }

  std::vector<std::uint32_t> places_;  // open addressing: 1 + index of a member, or 0; at most half are taken
};

}  // namespace fathom
