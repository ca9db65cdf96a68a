#include "books.hpp"

#include <map>

namespace demo {
namespace {

constexpr std::size_t faults_shown_max = 20;

// What was seen of one line: how often at all, and how often without the redelivered mark.
struct Seen {
    std::uint16_t times = 0;
    std::uint16_t unmarked = 0;
};

class Bookkeeper {
  public:
    explicit Bookkeeper(const Catalogue& input) : input_(input) { read_input(); }

    Books make(std::span<const std::vector<Receipt>> ledgers) {
        for (const auto& ledger : ledgers) {
            for (const Receipt& receipt : ledger)
                enter(receipt);
        }
        for (std::uint32_t file = 0; file < input_.size(); ++file) {
            for (std::uint64_t line = first_[file]; line < first_[file + 1]; ++line)
                judge(file, line);
        }
        list_duplicates(ledgers);
        return std::move(books_);
    }

  private:
    void read_input() {
        std::string content, message;
        for (std::uint32_t file = 0; file < input_.size(); ++file) {
            first_.push_back(expected_.size());
            if (!input_.read(file, content)) fault(input_.path(file) + ": cannot be read again");
            for_each_line(content, [&](std::uint32_t line, std::string_view text) {
                write_message(message, input_.path(file), line, text);
                expected_.push_back(hash_of(message));
            });
        }
        first_.push_back(expected_.size());
        seen_.resize(expected_.size());
        books_.lines = expected_.size();
    }

    std::string name_of(std::uint32_t file, std::uint64_t line) const {
        return input_.path(file) + ":" + std::to_string(line);
    }

    void fault(std::string what) {
        if (books_.faults.size() < faults_shown_max) books_.faults.push_back(std::move(what));
    }

    // Index of the line, or expected_.size() if the input holds no such line with that content.
    std::uint64_t index_of(const Receipt& receipt) const {
        if (receipt.file >= input_.size() || receipt.line == 0) return expected_.size();
        const std::uint64_t index = first_[receipt.file] + receipt.line - 1;
        if (index >= first_[receipt.file + 1] || expected_[index] != receipt.hash) {
            return expected_.size();
        }
        return index;
    }

    void enter(const Receipt& receipt) {
        ++books_.receipts;
        books_.redelivered += receipt.redelivered;
        const std::uint64_t index = index_of(receipt);
        if (index == expected_.size()) {
            ++books_.foreign;
            fault("not in the input: file " + std::to_string(receipt.file) + " line " +
                  std::to_string(receipt.line));
            return;
        }
        if (seen_[index].times != UINT16_MAX) ++seen_[index].times;
        if (receipt.redelivered == 0 && seen_[index].unmarked != UINT16_MAX) {
            ++seen_[index].unmarked;
        }
    }

    void judge(std::uint32_t file, std::uint64_t index) {
        const Seen& seen = seen_[index];
        const auto name = [&] { return name_of(file, index - first_[file] + 1); };
        if (seen.times == 0) {
            ++books_.lost;
            fault("lost: " + name());
        }
        if (seen.times > 1) books_.duplicated += seen.times - 1u;
        // The first delivery of a message has no mark, all others must.
        if (seen.unmarked > 1) {
            books_.unmarked += seen.unmarked - 1u;
            fault("came twice without the redelivered mark: " + name());
        }
    }

    void list_duplicates(std::span<const std::vector<Receipt>> ledgers) {
        if (books_.duplicated == 0) return;
        std::map<std::uint64_t, std::string> listed;
        for (std::size_t consumer = 0; consumer < ledgers.size(); ++consumer) {
            for (const Receipt& receipt : ledgers[consumer]) {
                const std::uint64_t index = index_of(receipt);
                if (index == expected_.size() || seen_[index].times < 2) continue;
                std::string& text = listed[index];
                text += text.empty() ? name_of(receipt.file, receipt.line) + "  " : ", ";
                text += "consumer " + std::to_string(consumer + 1);
                if (receipt.redelivered != 0) text += " (redelivered)";
            }
        }
        for (auto& [index, text] : listed)
            books_.duplicates.push_back(std::move(text));
    }

    const Catalogue& input_;
    std::vector<std::uint64_t> first_;     // index of each file's first line
    std::vector<std::uint64_t> expected_;  // hash of each line's message
    std::vector<Seen> seen_;
    Books books_;
};

}  // namespace

Books make_books(const Catalogue& input, std::span<const std::vector<Receipt>> ledgers) {
    return Bookkeeper(input).make(ledgers);
}

}  // namespace demo
