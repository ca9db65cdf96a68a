// The interface in varlink's own notation, word for word that of docs/control_protocol.md.
#include "wire/control.hpp"

namespace shmq::wire {

const std::string_view interface_description =
    R"varlink(interface io.shmq.Control

# Zero or absent: the default. lease, delays and times in nanoseconds, sizes in bytes.
# max_deliveries 0: no limit; absent: 20. dead_letter empty: none; absent: the queue's name and .dlq.
# spill_limit, when_full: of queues with a journal only: overflow spill, or durability not accepted.
type Options (
  capacity: ?int, slot_size: ?int, max_message: ?int, pool: ?int,
  overflow: ?(block, reject, drop_oldest, spill), spill_limit: ?int, when_full: ?(block, reject),
  durability: ?(accepted, logged, durable),
  lease: ?int, in_flight: ?int, mode: ?int, group: ?int,
  exclusive_producer: ?bool, exclusive_consumer: ?bool, exact_timestamps: ?bool,
  max_deliveries: ?int, dead_letter: ?string, retry_delay: ?int, retry_delay_max: ?int,
  pause_stopped: ?bool
)

# ready: spilled ones included. gate, journal: none without a journal, and zeros. spilled: in the
# log and not in the ring. logged, durable: messages so far that were written, and synced.
type Queue (
  name: string, identity: string, options: Options, owner: int, group: int, quarantined: bool,
  paused_producers: bool, paused_consumers: bool,
  ready: int, leased: int, returned: int, delayed: int, held: int, alarm: string,
  gate: (none, direct, journal, closing), journal: (none, ok, no_room, failed, recovering),
  spilled: int, spilled_bytes: int, journal_bytes: int, syncs: int, logged: int, durable: int,
  recovery_bytes: int, recovered_bytes: int,
  sent: int, sent_bytes: int, delivered: int, acked: int, redelivered: int,
  dropped: int, dropped_oldest: int, dropped_rejected: int, dropped_damaged: int,
  dropped_failed: int, purged: int, expired: int, reclaimed: int,
  dead_rejected: int, dead_expired: int, dead_crashed: int, dead_limit: int,
  moved_in: int, redriven: int,
  producers: int, consumers: int, memory_bytes: int
)

# First call of a session. pidfd: index of the client's own pidfd.
# Answers a doorbell (eventfd): a client writes 1 to it after it left a message to the supervisor.
# session: the key of an earlier session of this process, to go on from; resumed: it is known here.
method Hello(version: string, pidfd: ?int, session: ?string) -> (
  pid: int, version: string, segment_version: int, instance: string, doorbell: int,
  session: string, resumed: bool)
# After a Hello with `session`: one participant that the session still has, and what Attach gave.
# A daemon that does not know the queue takes it over.
method Reattach(participant: int, generation: int, definition: int, ring: int, pool: ?int) -> (
  name: string)
# That was all of them: what else the session once had is detached.
method Resumed() -> (detached: int)

method Create(name: string, options: Options, if_missing: ?bool) -> (queue: Queue, created: bool)
method Describe(name: string) -> (queue: Queue)
# Sorted by name, from the first after `after` on, 256 a page; more: ask again after the last.
method List(after: ?string) -> (queues: []Queue, more: ?bool)
method Remove(name: string, force: ?bool) -> (dropped: int)
method Purge(name: string) -> (purged: int)
# Changes what can change while the queue exists: lease, in_flight, mode, group, max_deliveries,
# dead_letter, retry_delay, retry_delay_max, pause_stopped; overflow between block and reject; with a
# journal spill_limit and when_full. Any other option that differs is an InvalidParameter. clear:
# names of spill_limit, retry_delay, retry_delay_max that are to be as if never said.
method Edit(name: string, options: Options, owner: ?int, clear: ?[]string) -> (queue: Queue)
# Which sides wait until they are resumed; absent: as it is.
method Pause(name: string, producers: ?bool, consumers: ?bool) -> (queue: Queue)
# What is held, or waits for a due time or for room in a dead-letter queue, by sequence, 1024 a page.
# lease_left, due_in: of a lease and of a delay. executable and pid: of the holder, where known.
type Pending (
  sequence: int, state: (leased, delayed, held), participant: int, pid: int, uid: int,
  executable: string, age: int, lease_left: ?int, due_in: ?int, deliveries: int, failures: int,
  size: int
)
method Pending(name: string, after: ?int) -> (messages: []Pending, more: ?bool)
# By hand, for messages of these sequences, 4096 at most. ack: gone; nack: returned, after `time`;
# extend: the lease lasts `time` from now (absent: the queue's); redrive: from a dead-letter queue
# back to `to` (absent: where it came from); discard: dropped, counted as purged.
# refused: those it was not done to, and why: for the message's sake, that of the queue it was to go to,
# or for the moment alone.
type Refusal (sequence: int, reason: string, for: (message, target, busy))
method Settle(
  name: string, verb: (ack, nack, extend, redrive, discard), sequences: []int, time: ?int,
  to: ?string) -> (done: int, refused: []Refusal)
# Gives back what the process holds, in one queue or in all that the caller may manage.
method Release(pid: int, name: ?string) -> (released: int)
# state_directory: where journals live; empty: nowhere, and alarm says why. recovering: queues whose
# journals are being read.
method Status() -> (
  pid: int, version: string, socket: string, queues: int, sessions: int, uptime: int,
  deaths: int, reclaimed: int, restarts: int, adopted: int, recovering: int, state_directory: string,
  alarm: string)

# What Prometheus reads of the queues that the caller may see: text, in a sealed memfd of that index.
method Metrics() -> (text: int)
# What happens from now on, to that queue or to all that the caller may see: one answer each, with
# "more"; it needs no Hello, and nothing else is answered on the connection afterwards. A reader that
# is too slow loses events; lost: how many before this one. time: of the wall clock, in nanoseconds.
# pid and count: 0 where there is none.
type Event (
  time: int, kind: string, queue: ?string, text: string, pid: int, count: int, lost: int
)
method Watch(name: ?string) -> (event: Event)

# role observer: a read-only mapping for peek, pending and top; takes the right to consume or manage.
# ring, pool: indices of descriptors; no pool where every message fits its slot, and none for an
# observer of a queue that nobody has used yet.
# Producers get both writable, consumers the pool read-only, observers both.
# generation, definition: to be kept for Reattach; no definition for observers.
method Attach(name: string, role: (producer, consumer, observer), in_flight: ?int) -> (
  participant: int, generation: int, exclusive: bool, in_flight: int, ring: int, pool: ?int,
  definition: ?int)
# The caller touches the queue under that number no more.
method Detach(name: string, participant: int) -> ()

error QueueNotFound (name: string)
error QueueExists (name: string, field: string, present: string, wanted: string)
error QueueInUse (name: string, messages: int, participants: int)
error PermissionDenied (name: string, right: string, uid: int, owner: int, group: int, mode: int)
error RoleTaken (name: string, role: string, pid: int)
error InvalidName (name: string, reason: string)
error InvalidParameter (parameter: string, reason: string)
error QuotaExceeded (resource: string, uid: int, limit: int, used: int)
error VersionMismatch (daemon: string, client: string)
error HelloExpected ()
error Quarantined (name: string, reason: string)
error ParticipantGone (name: string, participant: int)
error DefinitionRefused (reason: string)
error Recovering (name: string, reason: string)
error SystemError (operation: string, errno: int, reason: string)
)varlink";

}  // namespace shmq::wire
