#!/bin/bash
# Checks the protocol models with spin: configurations to the end of their state space without an error, mutations with
# one. A quarter of the configurations and an eighth of the mutations, picked by SHMQ_TEST_SEED; SHMQ_TEST_ALL=1 runs all, and
# bigger ones; an argument runs all lines whose model or name contains it; SHMQ_TEST_JOBS says how many run at a time (default: one a processor, four at most, each well under 1 GB).
# Exits 0 only if everything came out as it should.
set -u
here=$(cd "$(dirname "$0")" && pwd)
only=${1-}
memory=${SHMQ_MODEL_MEMORY_MB:-3000}
jobs=${SHMQ_TEST_JOBS:-$(nproc)}
[ "$jobs" -le 4 ] || jobs=4
configurations=0 mutations=0 run_now=0
seed=${SHMQ_TEST_SEED:-$RANDOM}
for tool in spin gcc; do
  command -v $tool >/dev/null || { echo "run.sh: $tool is not installed" >&2; exit 1; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# explore optimisation model defines...: spin, gcc and pan in $run, everything they say in $run/out
explore() {
  local opt=$1 model=$2; shift 2
  ( cd "$run" &&
    spin -a "$@" "$here/$model" >spin.out 2>&1 &&
    gcc "$opt" -w -DSAFETY -DCOLLAPSE -DMEMLIM="$memory" -o pan pan.c >>spin.out 2>&1 &&
    ./pan -m200000 ) >"$run/out" 2>&1
  [ -x "$run/pan" ] || cat "$run/spin.out" >>"$run/out"
}
states() { sed -n 's/^ *\([0-9]\{1,\}\) states, stored.*/\1/p' "$run/out" | head -1; }
report() { printf '%-10s %-36s %10s states  %s\n' "$1" "$2" "${3:-no}" "$4"; }
wrong() { echo x >>"$work/wrong"; sed 's/^/    /' "$run/out" | head -5; }

check_holds() {
  local name=$1 least=$2 model=$3; shift 3
  local opt=-O0 n result=ok
  [ "$least" -le 3000000 ] || opt=-O2
  explore $opt "$model" "$@"
  n=$(states)
  if ! grep -q 'errors: 0' "$run/out"; then result=ERROR
  elif grep -Eiq 'max search depth too small|out of memory|memory limit|search not completed|hash-compact|bit statespace|aborting' "$run/out"
  then result=TRUNCATED
  elif [ "${n:-0}" -lt "$least" ]; then result="TOO FEW STATES, expected $least"
  fi
  report "${model%.pml}" "$name" "$n" "$result"
  [ "$result" = ok ] || wrong
}
check_breaks() {
  local mutation=$1 model=$2 result; shift 2
  explore -O0 "$model" -DMUT_"$mutation" "$@"
  result=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' "$run/out" | cut -c1-40)
  if grep -Eq 'errors: [1-9]' "$run/out" && [ -n "$result" ]; then
    report "${model%.pml}" "! $mutation" "$(states)" "found: $result"
  else
    report "${model%.pml}" "! $mutation" "$(states)" "NOT FOUND"
    wrong
  fi
}

# start command...: in the background, as soon as there is room; each prints its lines in one piece
start() {
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
  ( run=$(mktemp -d "$work/run.XXXXXX"); text=$("$@"); printf '%s\n' "$text"; rm -rf "$run" ) &
}
# picked number share: whether this run has that line
picked() { [ -n "$only" ] || [ "${SHMQ_TEST_ALL:-0}" = 1 ] || (((seed + $1) % $2 == 0)); }
# holds name least-states model defines...: no error, the whole state space, and not a suspiciously small one
holds() {
  [[ "$3 $1" == *"$only"* ]] || return 0
  configurations=$((configurations + 1))
  if picked $configurations 4; then run_now=$((run_now + 1)); start check_holds "$@"; fi
}
# breaks mutation model defines...: spin must find an error
breaks() {
  [[ "$2 $1" == *"$only"* ]] || return 0
  mutations=$((mutations + 1))
  if picked $mutations 8; then run_now=$((run_now + 1)); start check_breaks "$@"; fi
}

two_producers="-DNP=2 -DPER=2 -DNC=1"
two_consumers="-DNP=1 -DPER=2 -DNC=2"
m=slot_ring.pml
holds  "2P1C"                    50000   $m $two_producers
holds  "2P1C, order of all"      150000  $m $two_producers -DXORDER
holds  "2P1C, 3 slots"           50000   $m $two_producers -DN=3
holds  "2P1C, batches"           100000  $m $two_producers -DBATCH=2
holds  "2P1C, a producer killed" 300000  $m $two_producers -DKILLS=1 -DVICTIMS=3
holds  "2P1C, a producer stopped" 100000 $m $two_producers -DSTOPS=1 -DVICTIMS=3
holds  "3P1C, stopped and killed" 100000 $m -DNP=3 -DPER=1 -DSTOPS=1 -DKILLS=1 -DSTOPPABLE=1 -DVICTIMS=2
holds  "2P2C"                    50000   $m -DNP=2 -DPER=1 -DNC=2
holds  "2P2C, a nack"            500000  $m -DNP=2 -DPER=1 -DNC=2 -DNACKS=1
holds  "2P2C, anybody killed"    500000  $m -DNP=2 -DPER=1 -DNC=2 -DKILLS=1
holds  "1P2C, 4 messages"        10000   $m -DNP=1 -DPER=4 -DNC=2
holds  "1P2C, 3 slots"           10000   $m -DNP=1 -DPER=4 -DNC=2 -DN=3
holds  "1P2C, an expiry, a nack" 500000  $m $two_consumers -DEXPS=1 -DNACKS=1
holds  "1P2C, an expiry, 2 nacks" 100000 $m -DNP=1 -DPER=1 -DNC=2 -DEXPS=1 -DNACKS=2
holds  "1P2C, a consumer killed" 100000  $m $two_consumers -DKILLS=1 -DVICTIMS=6 -DNACKS=1
holds  "1P2C, a consumer stopped" 50000  $m $two_consumers -DSTOPS=1 -DVICTIMS=6 -DNACKS=1
holds  "1P2C, all verbs, supervisor dies" 300000 $m -DNP=1 -DPER=1 -DNC=2 -DNACKS=1 -DREJECTS=1 -DEXTENDS=1 -DSUPKILLS=1
holds  "1P2C, killed, supervisor dies" 30000 $m -DNP=1 -DPER=1 -DNC=2 -DNACKS=1 -DKILLS=1 -DVICTIMS=6 -DSUPKILLS=1
holds  "1P1C, two handles, an expiry" 20000 $m -DNP=1 -DPER=3 -DNC=1 -DASIDES=2 -DEXPS=1
breaks FREE_KEEPS_LAP            $m $two_producers
breaks PUBLISH_LATE              $m $two_producers
breaks BATCH_WAITS               $m $two_producers -DBATCH=2
breaks NO_BUMP                   $m -DNP=1 -DPER=3 -DNC=2
breaks BUMP_BLIND                $m -DNP=1 -DPER=3 -DNC=2
breaks ACK_LAP                   $m -DNP=1 -DPER=3 -DNC=2
breaks JUMP_FAR                  $m $two_producers
breaks SKIP_WITHOUT_MARK         $m $two_producers
breaks PRODUCER_NEVER_SKIPS      $m -DNP=3 -DPER=1 -DSTOPS=1 -DKILLS=1 -DSTOPPABLE=1 -DVICTIMS=2
breaks CLEAR_LEASED              $m $two_consumers -DEXPS=1 -DNACKS=1
breaks CLEAR_ANY                 $m $two_consumers -DEXPS=1 -DNACKS=1
breaks ACK_WITHOUT_OWNER         $m $two_consumers -DEXPS=1 -DNACKS=1
breaks ACK_WITHOUT_TAG           $m -DNP=1 -DPER=3 -DNC=1 -DASIDES=2 -DEXPS=1
breaks ACK_WITHOUT_SEQ           $m -DNP=1 -DPER=3 -DNC=1 -DASIDES=2 -DEXPS=1
breaks CELL_STORE                $m -DNP=1 -DPER=1 -DNC=2 -DEXPS=1 -DNACKS=2
breaks COUNT_STORE               $m -DNP=1 -DPER=1 -DNC=2 -DEXPS=1 -DNACKS=2
breaks COUNT_UNGUARDED           $m -DNP=1 -DPER=1 -DNC=2 -DKILLS=1 -DVICTIMS=6 -DNACKS=1
breaks REAP_FORGETS_SKIPPED      $m $two_producers -DKILLS=1 -DVICTIMS=3
breaks SUP_NO_CELL               $m $two_consumers -DEXPS=1

m=exclusive.pml
killed_reader="-DXC -DNP=1 -DPER=3 -DNC=2 -DKILLS=1 -DVICTIMS=6"
dropper_killed="-DDROP -DNP=1 -DPER=3 -DNC=1 -DKILLS=1 -DVICTIMS=1"
holds  "XP, successor after a kill" 10000 $m -DXP -DNP=2 -DPER=2 -DNC=1 -DXORDER -DKILLS=1 -DVICTIMS=3
holds  "XP, 2 consumers"         3000    $m -DXP -DNP=1 -DPER=3 -DNC=2
holds  "XP drop-oldest, killed"  20000   $m -DXP -DDROP -DNP=2 -DPER=2 -DNC=1 -DKILLS=1 -DVICTIMS=3
holds  "drop-oldest, 2 producers" 300000 $m -DDROP -DNP=2 -DPER=2 -DNC=1
holds  "drop-oldest, expiry and kill" 5000 $m $dropper_killed -DEXPS=1
holds  "XC, 2 producers"         100000  $m -DXC -DNP=2 -DPER=2 -DNC=1
holds  "XC, all verbs, an expiry" 200000 $m -DXC -DNP=1 -DPER=3 -DNC=1 -DREJECTS=1 -DEXPS=1 -DNACKS=1 -DEXTENDS=1
holds  "XC, killed, a nack"      30000   $m $killed_reader -DNACKS=1
holds  "XC, killed, supervisor dies" 50000 $m $killed_reader -DSUPKILLS=1
holds  "XC, killed twice"        10000   $m -DXC -DNP=1 -DPER=1 -DNC=3 -DKILLS=2 -DVICTIMS=14
holds  "XC, purge, killed"       200000  $m $killed_reader -DPURGES=1
holds  "XP and XC, anybody killed" 50000 $m -DXP -DXC -DNP=2 -DPER=2 -DNC=2 -DKILLS=1
breaks NO_BUMP                   $m -DXP -DNP=1 -DPER=3 -DNC=2
breaks BUMP_BLIND                $m -DXP -DNP=1 -DPER=3 -DNC=2
breaks ATTACH_EARLY              $m $killed_reader
breaks DEATH_FORGETS_READ        $m $killed_reader
breaks READ_BEFORE_POSITION      $m $killed_reader
breaks FREE_WHATEVER             $m -DXC -DNP=1 -DPER=3 -DNC=1 -DREJECTS=1
breaks MARK_IN_PLACE             $m -DXC -DNP=1 -DPER=1 -DNC=3 -DKILLS=2 -DVICTIMS=14
breaks DROP_WITHOUT_NOTE         $m $dropper_killed
breaks DROPS_EXPIRE              $m $dropper_killed -DEXPS=1

m=blocks.pml
holds  "1P1C"                    100     $m
holds  "1P2C, 2 kills, a nack, a skip" 50000 $m -DNC=2 -DKILLS=2 -DNACKS=1 -DSKIPS=1
holds  "1P2C, and the supervisor dies" 100000 $m -DNC=2 -DKILLS=2 -DNACKS=1 -DSKIPS=1 -DSUPKILLS=1
holds  "2P2C, 2 kills"           300000  $m -DNP=2 -DNC=2 -DPER=1 -DKILLS=2
breaks BLOCK_FIRST               $m -DNC=2 -DKILLS=2
breaks NO_RECHECK                $m -DNC=2 -DKILLS=2
breaks INSLOT_KEEPS_OWNER        $m -DNC=2 -DKILLS=2
breaks ACK_BLOCK_FIRST           $m -DNC=2 -DKILLS=2
breaks FREE_ANY_GENERATION       $m -DNC=2 -DKILLS=2
breaks ONLY_THIS_DEATH           $m -DNC=2 -DKILLS=2
breaks LOAN_FREED_ALWAYS         $m -DNC=2 -DKILLS=2
breaks NO_CONVERT                $m -DNC=1 -DKILLS=2
breaks NOT_WHILE_WRITING         $m -DNC=2 -DKILLS=2
breaks SEQ_ALONE                 $m -DNC=2 -DKILLS=2

m=wait.pml
one_kill="-DNP=1 -DPER=2 -DNC=2 -DKILLS=1"
stopped="-DNP=2 -DPER=1 -DNC=2 -DSTOPS=1 -DBUSY=1"
holds  "2P2C"                    50000   $m -DNP=2 -DPER=1 -DNC=2
holds  "1P2C, anybody killed"    50000   $m $one_kill
holds  "1P2C, killed, supervisor dies" 200000 $m $one_kill -DBUSY=1 -DSUPKILLS=1
holds  "2P2C, a producer stopped" 100000 $m $stopped
holds  "1P2C, killed, one leaves" 100000 $m $one_kill -DLEAVES=1 -DVICTIMS=6
holds  "store buffer, membarrier" 500    $m -DTSO -DNP=1 -DPER=2 -DNC=1
holds  "store buffer, killed"    50000   $m -DTSO $one_kill
breaks NO_MEMBARRIER             $m -DTSO -DNP=1 -DPER=2 -DNC=1
breaks NO_WAKE                   $m $one_kill
breaks NO_SIGNAL                 $m $one_kill
breaks NO_RECHECK                $m $one_kill
breaks SAMPLE_AFTER_REGISTER     $m $one_kill
breaks SAMPLE_AFTER_RECHECK      $m $one_kill
breaks STRIKE_ANYHOW             $m $one_kill
breaks OVER_STAYS                $m $one_kill
breaks STRIKE_FIRST              $m $stopped
breaks DEATH_WAKES_NOBODY        $m $one_kill
breaks NO_CHAIN                  $m $stopped

m=wait_many.pml
holds  "one sleeper on both"         5000    $m -DNC=1
holds  "one sleeper, 2 messages each, killed" 50000 $m -DNC=1 -DPER=2 -DKILLS=1
holds  "store buffers, one membarrier" 5000  $m -DTSO -DNC=1
holds  "store buffers, killed, leaves" 10000 $m -DTSO -DNC=1 -DKILLS=1 -DLEAVES=1
breaks NO_PASS                   $m -DBUSY=1
breaks PASS_ONE                  $m -DBUSY=1
breaks NO_RECHECK                $m -DBUSY=1
breaks LOOK_AT_ONE               $m -DNC=1
breaks SAMPLE_AFTER_REGISTER     $m -DNC=1
breaks NO_MEMBARRIER             $m -DTSO -DNC=1
breaks BARRIER_FOR_ONE           $m -DTSO -DNC=1

m=numbers.pml
holds  "2 clients"               1000    $m
holds  "2 clients, 2 rounds, supervisor dies" 5000 $m -DROUNDS=2 -DSUPKILLS=1
holds  "3 clients, supervisor dies" 10000 $m -DCLIENTS=3 -DSUPKILLS=1
breaks HANGUP_TAKES_CLAIMS       $m
breaks HANGUP_FREES_NUMBER       $m
breaks RECLAIM_FORGETS_SLOT      $m
breaks HAND_OUT_FIRST            $m

m=moves.pml
one_reject="-DPER=1 -DREJECTS=1"
holds  "2 moved and redriven"    50000   $m -DOTHERS=0 -DREDRIVES=1 -DSUPKILLS=0
holds  "supervisor dies"         50000   $m $one_reject
holds  "supervisor dies, redriven" 20000 $m -DOTHERS=0 -DPER=1 -DREDRIVES=1
holds  "supervisor dies twice, 2 moved" 100000 $m -DOTHERS=0 -DSKIPS=0 -DSUPKILLS=2
holds  "supervisor and consumer die" 10000 $m -DOTHERS=0 $one_reject -DKILLS=1
breaks SETTLE_LATER              $m -DOTHERS=0 $one_reject
breaks ALWAYS_FINISH             $m -DOTHERS=0 $one_reject
breaks ALWAYS_UNDO               $m -DOTHERS=0 $one_reject
breaks COMMIT_FIRST              $m -DOTHERS=0 $one_reject
breaks HOLD_BEFORE_NOTE          $m -DOTHERS=0 $one_reject
breaks NOTE_BEFORE_MARK          $m -DOTHERS=0 $one_reject
breaks RETURN_FIRST              $m -DOTHERS=0 $one_reject

m=gate.pml
holds  "2P, daemon dies"         250000  $m -DPER=1 -DKILLS=1
holds  "2P, daemon dies, a producer stopped" 500000 $m -DPER=1 -DKILLS=1 -DSTOPS=1
breaks OLD_MARK                  $m
breaks REOPEN_ANY                $m
breaks NO_NOTE                   $m -DKILLS=1
breaks APPEND_AGAIN              $m -DKILLS=1
breaks STRAIGHT_PAST_THE_LOG     $m -DKILLS=1
breaks CLOSE_NOTHING             $m -DKILLS=1

if [ "${SHMQ_TEST_ALL:-0}" = 1 ]; then
  m=slot_ring.pml
  breaks COUNT_WITHOUT_LAP       $m -DNP=1 -DPER=3 -DNC=2 -DEXPS=1 -DNACKS=1
  holds "1P2C, 3 messages, expiry, nack" 5000000 $m -DNP=1 -DPER=3 -DNC=2 -DEXPS=1 -DNACKS=1
  holds "1P2C, expiry, 2 nacks"  3500000 $m $two_consumers -DEXPS=1 -DNACKS=2
  holds "1P2C, a cached candidate" 3500000 $m $two_consumers -DEXPS=1 -DNACKS=1 -DCACHES=1
  holds "2P1C, two handles, an expiry" 9000000 $m $two_producers -DASIDES=2 -DEXPS=1
  holds "3P1C, anybody stopped and killed" 1500000 $m -DNP=3 -DPER=1 -DSTOPS=1 -DKILLS=1 -DVICTIMS=3
  holds "3P1C, 3 slots, stopped and killed" 3500000 $m -DN=3 -DNP=3 -DPER=1 -DSTOPS=1 -DKILLS=1 -DVICTIMS=3
  m=exclusive.pml
  holds "XP, 2 consumers, a nack, killed" 900000 $m -DXP -DNP=2 -DPER=1 -DNC=2 -DNACKS=1 -DKILLS=1
  holds "drop-oldest, 2 producers, killed" 3500000 $m -DDROP -DNP=2 -DPER=2 -DNC=1 -DKILLS=1 -DVICTIMS=3
  holds "XC, 2 producers, a reject, killed" 900000 $m -DXC -DNP=2 -DPER=1 -DNC=2 -DREJECTS=1 -DKILLS=1
  m=blocks.pml
  holds "2P1C, 2 slots, supervisor dies" 3100000 $m -DNP=2 -DNC=1 -DPER=2 -DKILLS=1 -DNSLOT=2 -DSUPKILLS=1
  holds "2P2C, 2 slots, 3 kills" 3500000 $m -DNP=2 -DNC=2 -DPER=1 -DKILLS=3 -DNSLOT=2 -DNACKS=1
  m=gate.pml
  holds "2P, 2 messages each"    20000000 $m
  holds "3P"                     4000000 $m -DNP=3 -DPER=1 -DCLOSES=1
  m=moves.pml
  holds "supervisor dies, 2 moved" 300000 $m -DOTHERS=0
  holds "supervisor dies twice"  900000 $m $one_reject -DSUPKILLS=2
  m=wait_many.pml
  holds "a sleeper on both, one on one, one busy" 1000000 $m -DBUSY=1
  m=wait.pml
  holds "2P2C, killed, one leaves" 300000 $m -DNP=2 -DPER=1 -DNC=2 -DKILLS=1 -DLEAVES=1 -DVICTIMS=12
  holds "2P2C, anybody killed"   900000 $m -DNP=2 -DPER=1 -DNC=2 -DKILLS=1
  holds "2P2C, stopped and killed" 900000 $m $stopped -DKILLS=1 -DVICTIMS=12
  holds "1P3C, a consumer killed" 900000 $m -DNP=1 -DPER=2 -DNC=3 -DKILLS=1 -DVICTIMS=14
fi

wait
if [ $((configurations + mutations)) = 0 ]; then echo "run.sh: nothing matches '$only'" >&2; exit 1; fi
failed=$(cat "$work/wrong" 2>/dev/null | wc -l)
echo "$configurations configurations, $mutations mutations; ran $run_now of these by seed $seed, $failed wrong"
[ "$failed" = 0 ]
