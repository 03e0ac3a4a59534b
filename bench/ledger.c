/* The ledger: a full replay and a message more, at sizes from a thousand messages to a million; and many open threads.
 *
 * usage: bench_ledger [MOST_MESSAGES]
 *
 * Two members, receipts every few messages, requests, incidents, proposals and checks with their answers. Beside the
 * replay stands what reading the same evidence costs at the least: one SHA-256 over the entries' bytes. Entries are
 * made outside of what is measured. Times are those of the processor: nothing here waits for anything. */
#include "base/clock.h"
#include "crypto/crypto.h"
#include "ledger/ledger.h"
#include "log/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 4096, RECEIPT_EVERY = 5, MORE = 5000, OPEN_THREADS = 100000, BEGIN = 1717977600 };

static const char terms[] =
    "{\"title\":\"Measured\",\"parties\":[\"a.example\",\"b.example\"],"
    "\"validity\":{\"from\":\"2024-06-01T00:00:00Z\",\"until\":\"2099-07-01T00:00:00Z\",\"extension\":null},"
    "\"deadlines\":["
    "{\"kind\":\"request.information\",\"urgency\":\"routine\",\"acknowledge_s\":3600,\"answer_s\":86400},"
    "{\"kind\":\"request.assistance\",\"urgency\":\"routine\",\"answer_s\":86400,\"in_service_hours\":true},"
    "{\"kind\":\"incident.early-warning\",\"urgency\":\"routine\",\"acknowledge_s\":3600,\"notification_s\":86400},"
    "{\"kind\":\"incident.notification\",\"urgency\":\"routine\",\"answer_s\":86400,\"final_s\":864000}],"
    "\"reciprocity\":[{\"class\":\"information\",\"kinds\":[\"request.information\",\"incident.notification\"],"
    "\"hold_back_at_balance\":5}],"
    "\"threat_level\":{\"window_s\":2592000,\"severity_weights\":{\"low\":1,\"medium\":3,\"high\":8,\"critical\":20},"
    "\"levels\":[{\"name\":\"guarded\",\"from\":0},{\"name\":\"elevated\",\"from\":10}]},"
    "\"service_hours\":{\"b.example\":[{\"days\":[\"mon\",\"tue\"],\"from\":\"05:00\",\"until\":\"15:00\"}]}}";

/* One entry as it comes to the ledger. */
typedef struct {
    uint32_t member;
    ent_entry entry;
    ent_ack ack;
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_facts facts;
    ent_hash leaf;
    size_t bytes;
} said;

typedef struct {
    ent_ledger *ledger;
    ent_genesis genesis;
    ent_member members[2];
    ent_hash channel;
    char origins[2][ENT_ORIGIN_TEXT_MAX + 1];
    uint64_t count[2]; /* entries made */
    uint64_t known[2]; /* of the other's log, by each */
    uint64_t receipts[2];
    int64_t now;
    uint64_t number;
    said *batch;
    size_t batched;
    ent_buf bytes; /* of the batch */
    double feed_s;
    double hash_s;
    uint64_t fed;
    bool leave_open; /* say requests alone */
} run;

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void need(ent_rc rc, const ent_err *err)
{
    if (rc.code == ENT_OK)
        return;
    (void)fprintf(stderr, "bench_ledger: %s\n", err->text);
    exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void *need_memory(void *memory)
{
    const ent_err err = {.text = "out of memory"};
    need(memory == NULL ? (ent_rc){ENT_NOMEM} : ENT_DONE, &err);
    return memory;
}

static double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*u %lu", &pages) != 1) /* NOLINT(cert-err34-c) */
        pages = 0;
    if (file != NULL)
        (void)fclose(file);
    long page = sysconf(_SC_PAGESIZE);
    return (double)pages * (double)page;
}

/* --- evidence --- */

static void feed_one(run *r, const said *message)
{
    ent_err err = {0};
    need(ent_ledger_entry(r->ledger, message->member, &message->entry, &message->leaf, &message->facts, &err), &err);
    if (++r->fed % RECEIPT_EVERY == 0) {
        uint32_t of = message->member;
        need(ent_ledger_receipt(r->ledger, of, 1 - of, message->entry.index + 1, BEGIN + (int64_t)r->fed * 60, &err),
             &err);
    }
}

static void feed_batch(run *r)
{
    ent_hash digest;
    double start = now_s();
    for (size_t i = 0; i < r->batched; i++)
        feed_one(r, &r->batch[i]);
    double fed = now_s();
    ent_sha256(ent_buf_bytes(&r->bytes), &digest);
    r->feed_s += fed - start;
    r->hash_s += now_s() - fed;
    r->batched = 0;
    ent_buf_clear(&r->bytes);
}

static ent_message_ref ref_of(const run *r, ent_ledger_ref ref)
{
    return (ent_message_ref){r->genesis.members[ref.member].name, ref.index};
}

static said *make(run *r, uint32_t member, const char *kind, const ent_ledger_ref *root, const ent_ledger_ref *reply)
{
    ent_err err = {0};
    said *message = &r->batch[r->batched++];
    ent_entry *entry = &message->entry;
    uint64_t other = r->count[1 - member];
    *message = (said){.member = member, .facts = {.readable = true}};
    entry->channel = r->channel;
    entry->writer = r->genesis.members[member].name;
    entry->index = r->count[member]++;
    entry->kind = ent_text_of(kind);
    r->now += 60;
    r->number++;
    ent_time_format(r->now, message->time);
    entry->time = ent_text_of(message->time);
    memcpy(entry->nonce, &r->number, sizeof r->number);
    if (reply != NULL) {
        entry->has_thread = true;
        entry->thread = ref_of(r, *root);
        entry->has_reply_to = true;
        entry->reply_to = ref_of(r, *reply);
    }
    if (other > r->known[member]) {
        message->ack = (ent_ack){ent_text_of(r->origins[1 - member]), {.size = other}};
        entry->acks = &message->ack;
        entry->ack_count = 1;
        r->known[member] = other;
    }
    entry->has_body = true;
    memcpy(entry->body.digest.bytes, &r->number, sizeof r->number);
    entry->body.size = 900;
    entry->body.type = ENT_TEXT("application/age");
    size_t before = r->bytes.size;
    need(ent_entry_encode(entry, &r->bytes, &err), &err);
    message->bytes = r->bytes.size - before;
    ent_leaf_hash(ent_bytes_of(r->bytes.data + before, message->bytes), &message->leaf);
    return message;
}

static ent_ledger_ref place_of(const said *message)
{
    return (ent_ledger_ref){message->member, message->entry.index};
}

static void ask(run *r, uint32_t from, const char *kind, bool answered)
{
    ent_ledger_ref root = place_of(make(r, from, kind, NULL, NULL));
    (void)make(r, 1 - from, "answer.acknowledgement", &root, &root);
    if (answered)
        make(r, 1 - from, "answer.response", &root, &root)->facts.outcome = ENT_OUTCOME_GRANTED;
}

static void tell(run *r, uint32_t from)
{
    static const char *const kinds[] = {"incident.notification", "incident.update", "incident.update",
                                        "incident.final"};
    said *first = make(r, from, "incident.early-warning", NULL, NULL);
    ent_ledger_ref root = place_of(first);
    first->facts.severity = ENT_SEVERITY_LOW;
    (void)make(r, 1 - from, "answer.acknowledgement", &root, &root);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        make(r, from, kinds[i], &root, &root)->facts.severity = ENT_SEVERITY_MEDIUM;
}

static void propose(run *r, uint32_t from)
{
    ent_ledger_ref root = place_of(make(r, from, "proposal.proposal", NULL, NULL));
    said *counter = make(r, 1 - from, "proposal.counter", &root, &root);
    ent_ledger_ref reply = place_of(counter);
    ent_hash digest = counter->entry.body.digest;
    said *accept = make(r, from, "proposal.accept", &root, &reply);
    accept->facts.has_digest = true;
    accept->facts.digest = digest;
}

static void check(run *r, uint32_t from)
{
    said *asked = make(r, from, "contact.check", NULL, NULL);
    ent_ledger_ref root = place_of(asked);
    asked->facts.has_nonce = true;
    said *answer = make(r, 1 - from, "contact.check", &root, &root);
    answer->facts.has_nonce = true;
    answer->facts.has_echo = true;
}

/* A few messages that belong together. */
static void say_some(run *r)
{
    uint32_t from = (uint32_t)(r->number / 3 % 2);
    if (r->leave_open) {
        (void)make(r, from, "request.information", NULL, NULL);
        return;
    }
    switch (r->number % 8) {
    case 0:
        tell(r, from);
        break;
    case 1:
        propose(r, from);
        break;
    case 2:
        check(r, from);
        break;
    case 3:
        (void)make(r, from, "feed.indicators", NULL, NULL);
        break;
    case 4:
        ask(r, from, "request.assistance", true);
        break;
    default:
        ask(r, from, "request.information", r->number % 64 != 7);
    }
}

static void feed_until(run *r, uint64_t messages)
{
    while (r->number < messages) {
        say_some(r);
        if (r->batched > BATCH - 8)
            feed_batch(r);
    }
    feed_batch(r);
}

static void begin(run *r, bool leave_open)
{
    static const char *const names[] = {"a.example", "b.example"};
    static const uint8_t salt[ENT_TERMS_SALT_SIZE] = {0};
    ent_err err = {0};
    *r = (run){.now = BEGIN, .leave_open = leave_open};
    r->genesis.rules = ENT_GENESIS_RULES;
    r->genesis.members = r->members;
    r->genesis.member_count = 2;
    ent_terms_commitment(salt, ent_bytes_of(terms, strlen(terms)), &r->genesis.terms);
    for (size_t m = 0; m < 2; m++) {
        r->members[m].name = ent_text_of(names[m]);
        (void)ent_origin_write(r->members[m].name, &r->channel, r->origins[m]);
    }
    r->batch = need_memory(calloc(BATCH, sizeof *r->batch));
    memset(r->batch, 0xff, BATCH * sizeof *r->batch); /* resident from the beginning, like the bytes */
    memset(ent_buf_reserve(&r->bytes, BATCH * 1024), 0xff, BATCH * 1024);
    need(ent_ledger_new(&r->channel, &r->genesis, &r->ledger, &err), &err);
    for (uint32_t m = 0; m < 2; m++) {
        said *genesis = make(r, m, "channel.genesis", NULL, NULL);
        genesis->facts.has_terms = true;
        genesis->facts.terms = (ent_buf){.data = (uint8_t *)terms, .size = strlen(terms)};
        genesis->facts.commitment = r->genesis.terms;
    }
    feed_batch(r);
}

static void end(run *r)
{
    ent_ledger_free(r->ledger);
    ent_buf_release(&r->bytes);
    free(r->batch);
}

/* --- what is measured --- */

static void hash_piece(void *context, ent_text piece)
{
    ent_sha256_update(context, ent_text_bytes(piece));
}

static double state_digest(const run *r, ent_hash *ret)
{
    ent_sha256_state state;
    ent_err err = {0};
    double start = now_s();
    ent_sha256_start(&state);
    need(ent_ledger_state_lines(r->ledger, (ent_moment){INT64_MAX, r->now}, hash_piece, &state, &err), &err);
    ent_sha256_finish(&state, ret);
    return now_s() - start;
}

/* What a node does for each message that comes: judge it, add it, take the receipt. */
static double more(run *r)
{
    uint64_t until = r->number + MORE;
    uint64_t count = 0;
    double spent = 0;
    while (r->number < until) {
        say_some(r);
        double start = now_s();
        for (size_t i = 0; i < r->batched; i++, count++) {
            char text[ENT_REASON_SIZE];
            ent_reason reason = ENT_ALLOWED;
            ent_err err = {0};
            const said *m = &r->batch[i];
            need(ent_ledger_judge(r->ledger, m->member, &m->entry, &m->facts, &reason, text, &err), &err);
            feed_one(r, m);
        }
        spent += now_s() - start;
        r->batched = 0;
        ent_buf_clear(&r->bytes);
    }
    return spent / (double)count * 1e6;
}

static void measure(uint64_t messages)
{
    run r;
    ent_hash digest;
    begin(&r, false);
    double before = resident_bytes();
    feed_until(&r, messages);
    double resident = resident_bytes() - before;
    double state_s = state_digest(&r, &digest);
    double replay_s = r.feed_s + state_s;
    double count = (double)r.fed;
    printf(
        "%8.0f messages  replay %7.1f ms (feed %.1f, state %.1f)  %4.2f M messages/s  %3.1f x SHA-256 of the entries",
        count, replay_s * 1e3, r.feed_s * 1e3, state_s * 1e3, count / replay_s / 1e6, replay_s / r.hash_s);
    printf("  one more %5.2f us  %4.0f bytes each\n", more(&r), resident > 0 ? resident / count : 0);
    end(&r);
}

static ent_rc count_thread(void *context, const ent_thread_view *view, ent_err *err)
{
    size_t *count = context;
    (void)view;
    (void)err;
    ++*count;
    return ENT_DONE;
}

static void measure_open(uint64_t threads)
{
    run r;
    size_t count = 0;
    ent_err err = {0};
    ent_ledger_sums sums;
    begin(&r, true);
    feed_until(&r, threads);
    ent_moment moment = {INT64_MAX, r.now};
    double start = now_s();
    need(ent_ledger_walk_open(r.ledger, moment, count_thread, &count, &err), &err);
    double walked = now_s();
    need(ent_ledger_sum(r.ledger, moment, &sums, &err), &err);
    double summed = now_s();
    ent_ledger_sums_release(&sums);
    printf("%8zu open threads  walk of the open %.1f ms  sums %.1f ms  one more %.2f us\n", count,
           (walked - start) * 1e3, (summed - walked) * 1e3, more(&r));
    end(&r);
}

/* Each in a process of its own, so that memory is counted from nothing. */
static void apart(void (*measured)(uint64_t), uint64_t messages)
{
    int status = 0;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        measured(messages);
        (void)fflush(stdout);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        (void)fprintf(stderr, "bench_ledger: a measurement failed\n");
        exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
}

int main(int argc, char **argv)
{
    uint64_t most = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    for (uint64_t messages = 1000; messages <= most; messages *= 10)
        apart(measure, messages);
    apart(measure_open, OPEN_THREADS);
    return 0;
}
