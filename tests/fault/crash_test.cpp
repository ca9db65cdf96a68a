// Recorded runs of a log; every crash image is recovered and checked: no confirmed message is
// missing, none is damaged, the order is kept, and no damage is reported that is none.
#include <gtest/gtest.h>

#include "fault/log_rig.hpp"
#include "support/seed.hpp"

namespace shmq::fault {
namespace {

using journal::LogKind;

TEST(Crash, EveryImageOfAPowerLossKeepsWhatWasConfirmed) {
    const std::uint64_t seed = support::test_seed("Crash.PowerLoss");
    const int runs = support::test_all() ? 60 : 2;
    std::size_t images = 0;
    for (int run = 0; run < runs && !HasFailure(); ++run) {
        LogRig rig(LogKind::durable, seed * 1000 + static_cast<std::uint64_t>(run));
        if (run % 2 == 1) rig.disk().capacity_bytes = 3 * 32768;
        for (int step = 0; step < 500 && !HasFailure(); ++step) {
            rig.act();
            rig.check_power_loss(2);
        }
        images += rig.images_checked();
    }
    std::printf("%zu images\n", images);
}

TEST(Crash, SuccessorsOfSuccessorsKeepWhatWasConfirmed) {
    const std::uint64_t seed = support::test_seed("Crash.Successors");
    const int runs = support::test_all() ? 600 : 8;
    for (int run = 0; run < runs && !HasFailure(); ++run) {
        SCOPED_TRACE("run " + std::to_string(run));
        LogRig rig(LogKind::durable, seed * 1000 + static_cast<std::uint64_t>(run));
        std::mt19937_64 random(seed * 1000 + static_cast<std::uint64_t>(run));
        for (int step = 0; step < 1500 && !HasFailure(); ++step) {
            rig.act();
            const std::uint64_t choice = random() % 400;
            if (choice == 0) rig.restart_after_power_loss();
            if (choice == 1 || choice == 2) rig.restart_process();
            if (choice < 20) rig.check_power_loss(1);
        }
    }
}

TEST(Crash, ALogThatIsNeverSyncedSurvivesItsProcess) {
    const std::uint64_t seed = support::test_seed("Crash.Unsynced");
    const int runs = support::test_all() ? 1200 : 50;
    for (int run = 0; run < runs && !HasFailure(); ++run) {
        SCOPED_TRACE("run " + std::to_string(run));
        const LogKind kind = run % 2 == 0 ? LogKind::spill : LogKind::durable;
        LogRig rig(kind, seed * 1000 + static_cast<std::uint64_t>(run), false);
        std::mt19937_64 random(seed * 1000 + static_cast<std::uint64_t>(run));
        for (int step = 0; step < 1500 && !HasFailure(); ++step) {
            rig.act();
            if (random() % 150 == 0) rig.restart_process();
        }
    }
}

}  // namespace
}  // namespace shmq::fault
