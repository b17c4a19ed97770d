// Fathom's public C++ interface: open a bundle, classify texts and pictures, see how deep each input went.
//
//   auto model = fathom::Model::open("runs/demo/text/bundle");
//   if (!model) { std::cerr << model.error().text() << "\n"; return model.error().exit_code(); }
//   auto answer = model->classify("some text");
//
// Includes the standard library alone; nothing of the engine reaches a user's compiler. No exceptions are thrown for
// bad input: every call that can fail returns a Result. The calling thread's floating-point setting (rounding,
// denormals) changes no answer and is given back; a stack of 128 KB is enough; after fork() the child may go on using a
// Model, and starts threads of its own. Words as in ARCHITECTURE.md: a Bundle is read into a Model compiled for this
// machine; a Session runs it; each Answer carries its trajectory (which layers ran). Units: MACs are
// multiply-accumulates of everything executed, the decision included. Depth is counted in layers. Source of the method:
// Transformer^-1, input-adaptive computation (Ji et al., 2025); docs/formats/bundle.md is exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#ifdef FATHOM_BUILDING_API  // the library's own words live beside these while it is built
#define FATHOM_API_NAMESPACE namespace v1
#else
#define FATHOM_API_NAMESPACE inline namespace v1
#endif

namespace fathom {
FATHOM_API_NAMESPACE {
  // What failed, and what to do next. `code` is stable and printed as FTH-<code>; its hundreds digit is the exit code:
  // 1 failure, 2 wrong use, 3 bad input file, 4 a limit of resources.
  struct Error {
    int code = 0;
    std::string message;  // what failed, where, expected against got
    std::string hint;     // the next thing to do; may be empty
    std::string text() const;
    int exit_code() const { return code >= 100 && code < 600 && code != 130 ? code / 100 : code; }
  };

  // A value or an Error. value(), * and -> on an error throw std::bad_variant_access: check first.
  template <class T>
  class [[nodiscard]] Result {
   public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
    bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }
    T& value() { return std::get<0>(state_); }
    const T& value() const { return std::get<0>(state_); }
    const Error& error() const { return std::get<1>(state_); }
    T& operator*() { return value(); }
    const T& operator*() const { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

   private:
    std::variant<T, Error> state_;
  };

  struct Options {
    int threads = 0;             // 0: every core this process may use, by affinity mask and control group
    std::string tier;            // kernel tier, one that `fathom doctor` lists; empty: the best this CPU has
    std::size_t max_batch = 32;  // inputs that run together, 1..4096; longer lists are cut into such batches
    // Bytes of layers' weights that a session holds in memory, at least one layer's; 0: all. Layers chosen least leave
    // memory and are read from the bundle again when an input needs them: slower, the same answers.
    std::size_t memory_budget = 0;
    // map: the files' pages are used where they lie; a file that is cut short in place ends the process (SIGBUS), so
    // replace files by rename. copy: weights are read into memory when the model is opened, and no file is needed
    // afterwards. The same answers.
    enum class Weights { map, copy };
    Weights weights = Weights::map;
    bool trust_packed = false;  // packed weights and word rows are not compared with their checksums at first use
  };

  // How deep to go. Nothing set: as the bundle says.
  struct Ask {
    std::optional<float> lambda;  // stop at the first checkpoint whose score >= lambda, 0..2; above 1 never stops early
    bool full_depth = false;      // every layer, no decision
    int max_depth = 0;            // > 0: an input that reaches this layer answers there; what bounds the peak memory
  };

  // A budget turned into a setting (Model::within). Figures are means on the inputs that the bundle was calibrated on.
  struct Within {
    Ask ask;                         // to classify with
    double macs = 0, full_macs = 0;  // an input; 0 for a budget of memory
    double depth = 0;                // layers that ran
    double agreement = 0;            // share of inputs answered as full depth does
    double ms = 0;                   // an input alone; 0 unless the budget was one of time
    double peak_mb = 0;              // at most, as computed; 0 unless the budget was one of memory
    std::string note;                // something you should know, or empty
  };

  struct Answer {
    // Set where this input has no answer, because its logits were not finite (302): all below but what it cost is then
    // meaningless, label empty and label_index as no label has it. A call for one input returns this as its Error.
    std::optional<Error> error;
    std::string label;
    int label_index = 0;           // into Model::labels(); -1: no answer
    float confidence = 0;          // calibrated probability of the label, 0..1: a fitted bundle divides the logits by
                                   // a temperature, at full depth too
    float raw_confidence = 0;      // the same of the logits as they are; at full depth the checkpoint's own softmax
    int depth = 0;                 // layers that ran
    std::uint64_t trajectory = 0;  // bit l-1 is set if layer l ran
    double macs = 0;               // everything executed, the decision included
    double decision_macs = 0;      // of these, what deciding cost
    double full_macs = 0;          // what the same input costs at full depth without a decision
    bool cut = false;              // the text was longer than the model reads and was cut
  };

  // Two texts that are one input: premise and hypothesis, question and sentence.
  struct TextPair {
    std::string first, second;
  };

  // RGB bytes [height, width, 3], row-major; not owned.
  struct Picture {
    const std::uint8_t* rgb = nullptr;
    int height = 0, width = 0;
  };

  // Runs one model on inputs. Owns every buffer. Move-only; one thread at a time.
  class Session {
   public:
    Session(Session&&) noexcept;
    Session& operator=(Session&&) noexcept;
    ~Session();
    // UTF-8 texts (damaged bytes are read as the model's tokenizer reads them), one answer each, in order.
    // A result never depends on its neighbours in the batch; Answer::error of one leaves the others theirs. Errors: 202
    // (an image model, ask out of range).
    Result<std::vector<Answer>> classify(std::span<const std::string> texts, const Ask& ask = {});
    // Pairs of texts, for a bundle fitted on pairs (`fathom fit --pairs`). Errors: 202 (another kind of model).
    Result<std::vector<Answer>> classify(std::span<const TextPair> pairs, const Ask& ask = {});
    // Pictures of any size; resized to the model's. Errors: 202 (a text model, an empty picture).
    Result<std::vector<Answer>> classify(std::span<const Picture> pictures, const Ask& ask = {});

   private:
    friend class Model;
    struct State;
    explicit Session(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };

  struct Finished {
    std::uint64_t ticket = 0;
    Answer answer;
  };

  // Inputs taken as they come, answered as they finish, in an order of their own. Each layer runs on all that wait for
  // it, old and new; nobody waits for the deepest of a batch. An answer is the one Session gives. Holds at most
  // Options::max_batch inputs between submit and drain. Move-only; one thread at a time.
  //   for (std::size_t next = 0; next < texts.size() || stream->held() > 0;) {
  //     next += *stream->submit(all_texts.subspan(next));   // takes what there is room for
  //     for (const fathom::Finished& done : stream->drain()) use(texts[done.ticket], done.answer);
  //   }
  class Stream {
   public:
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    ~Stream();
    // Takes the first inputs, as many as there is room for, and returns how many. Tickets are numbers in the order
    // taken, from 0 on. Errors: as Session::classify; then none is taken, and those there is no room for are not looked
    // at.
    Result<std::size_t> submit(std::span<const std::string> texts);
    Result<std::size_t> submit(std::span<const TextPair> pairs);
    Result<std::size_t> submit(std::span<const Picture> pictures);
    std::vector<Finished> drain();  // runs until some are finished, and hands out those; empty: none is held
    std::size_t held() const;       // taken and not handed out
    std::size_t room() const;

   private:
    friend class Model;
    struct State;
    explicit Stream(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };

  // A bundle compiled for this machine. Cheap to copy (shared). May be used from several threads: each classify() call
  // takes an idle session or makes one; for a hot loop keep a Session of your own.
  class Model {
   public:
    // Reads and checks a bundle folder, packs its weights or maps the packed file beside them.
    // Errors: 102 (not there), 302 (damaged, naming file and tensor), 303 (tier not on this CPU), 401 (memory), 402 (a
    // thread could not be started).
    static Result<Model> open(const std::string& folder, const Options& options = {});

    bool reads_text() const;   // false: pictures
    bool reads_pairs() const;  // its texts come in pairs
    int layers() const;
    const std::vector<std::string>& labels() const;
    std::string tier() const;      // kernel tier in use
    std::string checksum() const;  // the bundle's identity: SHA-256, lower-case hex
    // Recomputes every checksum of the bundle's files and compares the packed weights with the model's; opening a
    // bundle checks sizes and identities only. Empty: all agree.
    std::optional<Error> verify() const;

    // What keeps to a budget: "macs=50%" (of full depth), "macs=3e8", "ms=8" (by the times `fathom eval` measured on
    // this machine), "mb=400" (peak memory of this process; open the model with max_batch 1 to go lowest). Each input
    // is still decided by itself. Errors: 201 (no budget, or below the cheapest, which is named), 303 (no table or
    // times yet).
    Result<Within> within(const std::string& budget) const;

    Result<Session> session() const;
    Result<Stream> stream(
        const Ask& ask = {}) const;  // all its inputs are asked the same; errors: 202 (ask out of range), 401
    Result<Answer> classify(std::string_view text, const Ask& ask = {}) const;
    Result<std::vector<Answer>> classify(std::span<const std::string> texts, const Ask& ask = {}) const;
    Result<Answer> classify(const TextPair& pair, const Ask& ask = {}) const;
    Result<std::vector<Answer>> classify(std::span<const TextPair> pairs, const Ask& ask = {}) const;
    Result<Answer> classify(const Picture& picture, const Ask& ask = {}) const;
    Result<std::vector<Answer>> classify(std::span<const Picture> pictures, const Ask& ask = {}) const;
    Result<Answer> classify_file(const std::string& path,
                                 const Ask& ask = {}) const;  // JPEG or PNG; errors: 102, 301, 303, 402

   private:
    struct State;
    template <class Input>
    Result<std::vector<Answer>> with_idle(std::span<const Input> inputs, const Ask& ask) const;
    explicit Model(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
  };

  std::string version();  // of the library: "0.1.0"

}  // FATHOM_API_NAMESPACE
}  // namespace fathom
